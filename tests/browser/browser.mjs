// One Chromium for a script, and pages that may not complain, nor ask anybody but the server.

import assert from 'node:assert/strict';
import { after } from 'node:test';
import { chromium } from 'playwright-core';
import { PATIENCE_MS } from '../node/rig.mjs';

let browser;

// Chromium has no sandbox of its own where it is root, and little shared memory in a container.
export async function launch() {
  browser ??= await chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: ['--no-sandbox', '--disable-dev-shm-usage'],
  });
  return browser;
}

after(() => browser?.close());

// A page of its own for the test `t`. `complaints` is what its console said; `expected` (a pattern) is what may be said.
export async function open(t, url, { expected = /(?!)/, ...options } = {}) {
  const context = await (await launch()).newContext(options);
  context.setDefaultTimeout(PATIENCE_MS);
  const page = await context.newPage();
  const complaints = [];
  const asked = new Set();
  page.on('console', (message) => {
    // What is no page of ours has no icon.
    const isIcon = message.location().url.endsWith('/favicon.ico');
    if (['error', 'warning'].includes(message.type()) && !isIcon && !expected.test(message.text())) {
      complaints.push(message.text());
    }
  });
  page.on('pageerror', (error) => complaints.push(String(error)));
  page.on('request', (request) => asked.add(request.url()));
  page.on('websocket', (socket) => asked.add(socket.url().replace(/^ws/, 'http')));
  await page.goto(url);
  const { hostname } = new URL(url);
  t.after(async () => {
    await context.close();
    assert.deepEqual(complaints, [], 'the console is silent');
    const elsewhere = [...asked].filter((it) => !it.startsWith('data:') && new URL(it).hostname !== hostname);
    assert.deepEqual(elsewhere, [], 'nobody else is asked');
  });
  return page;
}
