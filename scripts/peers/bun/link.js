// Links `node_modules/bun-program` to the Bun that runs on this machine. Its package brings one program or
// more, for one C library or the other; installing runs no scripts, so none of them has been chosen.

import { execFileSync } from 'node:child_process';
import { readdirSync, rmSync, symlinkSync } from 'node:fs';

const PACKAGES = 'node_modules/@oven';
const LINK = 'node_modules/bun-program';

function runs(program) {
  try {
    execFileSync(program, ['--version'], { stdio: 'ignore', timeout: 10_000 });
    return true;
  } catch {
    return false;
  }
}

let packages = [];
try {
  packages = readdirSync(PACKAGES).sort();
} catch {
  // then there is none
}
const found = packages.find((name) => runs(`${PACKAGES}/${name}/bin/bun`));
rmSync(LINK, { force: true });
if (found === undefined) {
  console.error('Error: npm has no Bun that runs on this machine');
  process.exit(1);
}
symlinkSync(`@oven/${found}/bin/bun`, LINK);
