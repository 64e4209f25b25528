// The page at /, and those below /x, for everybody: by keyboard alone, on a phone, in light and dark, with a screen reader, without JavaScript.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import { Server } from '../node/rig.mjs';
import { open } from './browser.mjs';
import { button, field, says, section } from './page_parts.mjs';

const AXE = readFileSync(new URL('node_modules/axe-core/axe.min.js', import.meta.url), 'utf8');

let server;
before(async () => {
  server = await Server.start();
});
after(() => server.end('SIGKILL'));

// What axe-core finds, as lines.
async function findings(page) {
  await page.evaluate(AXE);
  const { violations } = await page.evaluate(() => axe.run());
  return violations.map(({ id, impact, nodes }) => `${id} (${impact}): ${nodes.map(({ html }) => html).join(' ')}`);
}

const STATES = {
  'as it comes': async () => {},
  'with faults': async (page) => {
    await button(page, 'Send').click();
    await button(page, 'Close').click();
    await field(page, 'Messages a second').fill('none');
    await button(page, 'Start').click();
    await field(page, 'Address').fill('nowhere');
    await button(page, 'Connect').click();
    await says(page.locator('#address-fault'), /no address/);
  },
  'with all that can be seen': async (page) => {
    await button(page, 'Open one and say hello').click();
    await says(section(page, 'Connect'), /the same bytes/);
    await button(page, 'Close').click();
    await field(page, 'Seconds').fill('1');
    await button(page, 'Start').click();
    await button(page, 'Speak Socket.IO').click();
    await field(page, 'Send as').selectOption('large');
    await button(page, 'Send and look').click();
    await button(page, '/x/close/1001?after=3&reason=bye').click();
    await says(page.getByRole('region', { name: 'What the behaviour did' }), /close1001/);
    await says(section(page, 'Frames on the wire'), /The server saw/);
    await says(page.locator('#load-median'), /s/);
  },
};

for (const colorScheme of ['light', 'dark']) {
  for (const width of [1280, 390]) {
    describe(`${colorScheme}, ${width} pixels wide`, () => {
      for (const [name, reach] of Object.entries(STATES)) {
        test(name, async (t) => {
          const page = await open(t, server.url(), { colorScheme, viewport: { width, height: 800 }, reducedMotion: 'reduce' });
          await reach(page);
          assert.deepEqual(await findings(page), []);
        });
      }
      for (const path of ['/x', '/x/close/1001?after=3&reason=one-that-is-long-and-without-any-space-in-it']) {
        test(path, async (t) => {
          const page = await open(t, new URL(path, server.url()).href, { colorScheme, viewport: { width, height: 800 } });
          assert.deepEqual(await findings(page), []);
          assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), width);
          const paper = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
          const before = await paper();
          await page.getByRole('link', { name: 'Ringback', exact: true }).click();
          await says(page.locator('h1'), /./);
          assert.equal(new URL(page.url()).pathname, '/');
          assert.equal(await paper(), before);
        });
      }
    });
  }
}

test('nothing is wider than a phone of 360 pixels, or a page of 320', async (t) => {
  for (const width of [360, 320]) {
    const page = await open(t, server.url(), { viewport: { width, height: 640 } });
    await STATES['with all that can be seen'](page);
    assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), width);
  }
});

test('the keyboard alone connects, sends and closes', async (t) => {
  const page = await open(t, server.url());
  const reach = async (id) => {
    for (let presses = 0; presses < 60; presses += 1) {
      await page.keyboard.press('Tab');
      if ((await page.evaluate(() => document.activeElement.id)) === id) {
        return;
      }
    }
    assert.fail(`Tab does not come to ${id}`);
  };
  await page.keyboard.press('Tab');
  assert.equal(await page.evaluate(() => document.activeElement.textContent), 'Skip to the connection');
  await page.keyboard.press('Enter');
  await reach('connect');
  await page.keyboard.press('Enter');
  await says(section(page, 'Connect'), /openthe line is open/);
  await reach('text');
  await page.keyboard.press('Control+A');
  await page.keyboard.type('typed');
  await reach('send');
  await page.keyboard.press('Space');
  await says(section(page, 'Connect'), /message text, 5 bytestypedthe same bytes/);
  await reach('close-code');
  await page.keyboard.type('4002');
  await reach('close-reason');
  await page.keyboard.type('by keyboard');
  await page.keyboard.press('Enter');
  await says(section(page, 'Connect'), /close4002/);
});

test('where the focus is can be seen', async (t) => {
  const page = await open(t, server.url());
  await page.keyboard.press('Tab');
  await page.keyboard.press('Tab');
  const outline = await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle);
  assert.equal(outline, 'solid');
});

test('there is one live region, and it is not flooded', async (t) => {
  const page = await open(t, server.url());
  assert.equal(await page.locator('[aria-live], [role=status], [role=alert], [role=log], output').count(), 1);
  await page.evaluate(() => {
    window.told = 0;
    new MutationObserver(() => (window.told += 1)).observe(document.querySelector('[role=status]'), { childList: true });
  });
  await button(page, '/x/count?n=1000&every=10ms').click();
  await says(page.getByRole('region', { name: 'What the behaviour did' }), /message text, 3 bytes200/);
  assert.ok((await page.evaluate(() => window.told)) < 20);
});

test('without JavaScript there is the text, and what to do', async (t) => {
  const page = await open(t, server.url(), { javaScriptEnabled: false });
  assert.ok(await page.locator('noscript p').isVisible());
  assert.ok(await page.getByRole('img', { name: 'How a WebSocket goes' }).isVisible());
  assert.ok(await page.getByText('npx wscat -c').isVisible());
  assert.ok(!(await button(page, 'Open one and say hello').isVisible()));
});
