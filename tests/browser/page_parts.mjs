// The parts of the page as somebody finds them who sees or hears it, and waiting for what they say.

import assert from 'node:assert/strict';
import { PATIENCE_MS } from '../node/rig.mjs';

export const button = (page, name) => page.getByRole('button', { name, exact: true });
// Labels have a remark behind them here and there; a choice may have the name of the field that it brings.
export const field = (page, name) => page.getByLabel(name).and(page.locator(':not([type=radio])')).first();
export const section = (page, name) => page.getByRole('region', { name, exact: true }).first();

// Waits until the text of `place`, in one line, matches.
export async function says(place, pattern) {
  const end = Date.now() + PATIENCE_MS;
  const flat = new RegExp(pattern.source, `${pattern.flags}s`);
  let text;
  do {
    text = (await place.textContent()).replace(/\s*\n\s*/g, '');
    if (flat.test(text)) {
      return;
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  } while (Date.now() < end);
  assert.fail(`waited in vain for ${pattern} in: ${text}`);
}
