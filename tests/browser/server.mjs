// The page at /: what it shows of the server's own doing, frames, behaviours, timing and Socket.IO.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Server } from '../node/rig.mjs';
import { open } from './browser.mjs';
import { button, field, says, section } from './page_parts.mjs';

let server;
before(async () => {
  server = await Server.start();
});
after(() => server.end('SIGKILL'));

test('frames are drawn as the server saw them', async (t) => {
  const page = await open(t, server.url());
  const frames = section(page, 'Frames on the wire');
  await says(frames, /the example of RFC 6455.*37 fa 21 3d.*7f 9f 4d 51 58/);
  await field(frames, 'Text').fill('Wire');
  await button(page, 'Send and look').click();
  await says(frames, /The server saw one frame.*Frame 1 of 1: text, 4 bytes81FIN.*Opcode 1: text84Masked. Length 4/);
  await says(frames, /as textWire.*in bits.*is01010111/);
  await field(frames, 'Send as').selectOption('binary');
  await button(page, 'Send and look').click();
  await says(frames, /Frame 1 of 1: binary, 4 bytes82/);
  await field(frames, 'Text').fill('Grüße \u{1f600} é');
  await button(page, 'Send and look').click();
  await says(frames, /as textGrüßesp\u{1f600}.*character of several bytes/u);
  const widths = frames.locator('.letters td').evaluateAll((cells) => cells.map((cell) => cell.colSpan));
  assert.deepEqual(await widths, [1, 1, 2, 2, 1, 1, 4]);
  await field(frames, 'Send as').selectOption('large');
  await button(page, 'Send and look').click();
  await says(frames, /The server saw \d+ frames.*Frame 1 of \d+: text, .*more to follow01No FIN.*Opcode 0: continuation/);
});

test('a load is measured, plotted and told, and can be stopped', async (t) => {
  const page = await open(t, server.url());
  const timing = section(page, 'Timing');
  for (const [name, wrong] of [['Messages a second', '0'], ['Messages a second', '1.5'], ['Size of each', 'much'], ['Seconds', '61']]) {
    const right = await field(timing, name).inputValue();
    await field(timing, name).fill(wrong);
    await button(page, 'Start').click();
    await says(page.locator('#load-fault'), /needed here/);
    await field(timing, name).fill(right);
  }
  await field(timing, 'Messages a second').fill('200');
  await field(timing, 'Size of each').fill('4 KiB');
  await field(timing, 'Seconds').fill('2');
  await button(page, 'Start').click();
  await says(timing, /sent400came back400median[\d.]+ m?s99 of 100 within[\d.]+ m?slongest[\d.]+ m?s/);
  await says(page.getByRole('status'), /Measured: 400 of 400 came back/);
  assert.equal(await page.getByRole('img', { name: /Round trips of 400 messages/ }).count(), 1);
  await field(timing, 'Seconds').fill('60');
  await button(page, 'Start').click();
  await says(page.locator('#load-back'), /^[1-9]/);
  await timing.getByRole('button', { name: 'Stop' }).click();
  await says(page.getByRole('status'), /Measured: \d+ of \d+ came back/);
});

test('every behaviour that the server lists is there to be tried', async (t) => {
  const page = await open(t, server.url());
  const behaviours = section(page, 'A server that behaves as you ask');
  await says(behaviours, /\/x\/close\/CODE/);
  const listed = await (await fetch(`${server.url()}/x`, { headers: { Accept: 'application/json' } })).json();
  const examples = listed.groups.flatMap(({ entries }) => entries.flatMap(({ examples }) => examples));
  assert.ok(examples.length > 20, `${examples.length} examples`);
  assert.deepEqual(await behaviours.getByRole('button', { name: /^\/x\// }).allTextContents(), examples);
});

test('a behaviour is tried, changed and stopped', async (t) => {
  const page = await open(t, server.url(), { expected: /503|failed: Error during WebSocket handshake/ });
  const happened = page.getByRole('region', { name: 'What the behaviour did' });
  await button(page, '/x/close/1001?after=3&reason=bye').click();
  await says(happened, /one.*two.*three.*close1001, reason “bye”: going away/);
  await says(section(page, 'Closing'), /Last: 1001, with the reason “bye”/);
  await button(page, '/x/subprotocol/chat').click();
  await says(happened, /“chat” is agreed to/);
  await button(page, '/x/status/503').click();
  await says(happened, /error.*close1006.*Asked over plain HTTP, the same path answers 503/);
  await field(page, 'Path (change').fill('/x/upper?delay=20ms');
  await button(page, 'Run').click();
  await says(happened, /^(?!.*503).*message text, 3 bytesONEnot what was sent.*THREE/);
  await section(page, 'A server that behaves as you ask').getByRole('button', { name: 'Stop' }).click();
  await says(happened, /close1000/);
  await button(page, '/x/bad/accept').click();
  await says(happened, /it was the handshake that the browser did not take/);
});

test('where there are no behaviours, the page says so', async (t) => {
  const plain = await Server.start(['--no-behaviours', '--no-socket-io']);
  t.after(() => plain.end('SIGKILL'));
  const page = await open(t, plain.url(), { expected: /404|failed: Error during WebSocket handshake/ });
  await says(section(page, 'A server that behaves as you ask'), /has no behaviours: it runs with --no-behaviours/);
  await button(page, 'Send and look').click();
  await says(section(page, 'Frames on the wire'), /does not tell of frames: it runs with --no-behaviours/);
  await button(page, 'Speak Socket.IO').click();
  await says(page.getByRole('region', { name: 'Packets of Socket.IO' }), /There is no Socket.IO at this path/);
});

test('Socket.IO is spoken by hand, and explained', async (t) => {
  const page = await open(t, server.url(), { expected: /failed: Error during WebSocket handshake/ });
  const packets = page.getByRole('region', { name: 'Packets of Socket.IO' });
  await button(page, 'Speak Socket.IO').click();
  await says(packets, /0\{"sid".*Engine.IO open.*send text, 2 bytes40.*connect to a namespace/);
  await says(packets, /42\["message","hi"\].*42\["message","hi"\].*event: a name/);
  await section(page, 'Socket.IO is another protocol').getByRole('button', { name: 'Stop' }).click();
  await says(packets, /close1000/);
});
