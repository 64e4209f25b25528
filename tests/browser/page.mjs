// The page at / and what its controls do to a socket, found as somebody finds them who sees or hears the page.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { createServer } from 'node:net';
import { once } from 'node:events';
import { Server } from '../node/rig.mjs';
import { open } from './browser.mjs';
import { button, field, says, section } from './page_parts.mjs';

let server;
before(async () => {
  server = await Server.start();
});
after(() => server.end('SIGKILL'));

const transcript = (page) => section(page, 'Connect').getByRole('list');

async function connected(t, options) {
  const page = await open(t, server.url(), options);
  await button(page, 'Connect').click();
  await says(transcript(page), /openthe line is open/);
  return page;
}

test('one click opens a socket, says hello and has its echo', async (t) => {
  const page = await open(t, server.url());
  await button(page, 'Open one and say hello').click();
  await says(transcript(page), /open.*send text, 5 bytesHello.*message text, 5 bytesHellothe same bytes, back after/);
  await says(page.getByRole('status'), /message came: text, Hello/);
});

test('an address, subprotocols and the state of the socket', async (t) => {
  const page = await open(t, server.url());
  assert.equal(await field(page, 'Address').inputValue(), `${server.url('ws')}/`);
  await field(page, 'Address').fill(`${server.url('ws')}/any/path`);
  await field(page, 'Subprotocols').fill('chat, superchat');
  await button(page, 'Connect').click();
  await says(transcript(page), /“chat” is agreed to/);
  await says(page.locator('#socket-facts'), /readyState1, open.*protocolchat.*bufferedAmount0 bytes/);
  await button(page, 'Connect').click();
  await says(transcript(page), /there is one at a time here.*open/);
  await button(page, 'Clear').click();
  await says(transcript(page), /^$/);
});

test('what is no address, and what is no subprotocol, is told so', async (t) => {
  const page = await open(t, server.url());
  for (const address of ['', 'localhost', 'localhost:3000', 'ftp://localhost/', `${server.url('ws')}/#part`]) {
    await field(page, 'Address').fill(address);
    await button(page, 'Connect').click();
    await says(page.locator('#address-fault'), /ws:\/\/|after #/);
    assert.equal(await field(page, 'Address').getAttribute('aria-invalid'), 'true');
  }
  await field(page, 'Address').fill(server.url('ws'));
  await field(page, 'Subprotocols').fill('two words');
  await button(page, 'Connect').click();
  await says(page.locator('#protocols-fault'), /without spaces/);
  await says(page.locator('#address-fault'), /^$/);
});

test('a refused connection is drawn as error, then close 1006, and counted', async (t) => {
  const listener = createServer().listen(0, '127.0.0.1');
  await once(listener, 'listening');
  const { port } = listener.address();
  await new Promise((resolve) => listener.close(resolve));
  const page = await open(t, server.url(), { expected: /ERR_CONNECTION_REFUSED/ });
  await field(page, 'Address').fill(`ws://127.0.0.1:${port}`);
  await button(page, 'Connect').click();
  await says(transcript(page), /errorno WebSocket came of it.*close1006: no Close came/);
  await says(section(page, 'Closing'), /Last: 1006, without a reason.*It was not clean/);
  await says(page.getByRole('row', { name: /^1006/ }), /once$/);
});

test('text, by the button and by Enter', async (t) => {
  const page = await connected(t);
  await field(page, 'Text').fill('é 😀');
  await button(page, 'Send').click();
  await says(transcript(page), /send text, 7 bytesé 😀.*message text, 7 bytesé 😀the same bytes/);
  await field(page, 'Text').fill('again');
  await field(page, 'Text').press('Shift+Enter');
  await field(page, 'Text').press('Enter');
  await says(transcript(page), /send text, 6 bytesagain.*message text, 6 bytesagain.*the same bytes/);
});

test('JSON goes if it is JSON', async (t) => {
  const page = await connected(t);
  await page.getByRole('radio', { name: 'JSON' }).check();
  await field(page, 'JSON').fill('{"a": }');
  await button(page, 'Send').click();
  await says(page.locator('#json-fault'), /no JSON, and was not sent/);
  await field(page, 'JSON').fill('{"a": 1}');
  await button(page, 'Send').click();
  await says(transcript(page), /send JSON as text, 8 bytes.*the same bytes/);
});

test('binary as hex or as a size, and either way to receive it', async (t) => {
  const page = await open(t, server.url());
  for (const binaryType of ['ArrayBuffer', 'Blob']) {
    await field(page, 'Binary arrives as').selectOption(binaryType);
    await button(page, 'Connect').click();
    await says(page.locator('#ready-state'), /open/);
    await page.getByRole('radio', { name: 'Binary' }).check();
    for (const [typed, size] of [['de ad be ef', '4 bytes'], ['64 KiB', '64 KiB'], ['16 MiB', '16 MiB']]) {
      await field(page, 'Bytes in hex').fill(typed);
      await button(page, 'Send').click();
      await says(transcript(page), new RegExp(`send binary, ${size}.*message ${binaryType}, ${size}.*the same bytes, back after`));
    }
  }
  for (const [typed, told] of [['abc', /pairs of hex digits/], ['1 GiB', /pairs of hex digits/], ['65 MiB', /At most 64 MiB/]]) {
    await field(page, 'Bytes in hex').fill(typed);
    await button(page, 'Send').click();
    await says(page.locator('#binary-fault'), told);
  }
  await says(page.locator('#buffered'), /^0 bytes$/);
});

test('a file, chosen or dropped', async (t) => {
  const page = await connected(t);
  await page.getByRole('radio', { name: 'File' }).check();
  await button(page, 'Send').click();
  await says(page.locator('#file-fault'), /Choose a file first/);
  await field(page, 'A file').setInputFiles({ name: 'chosen.bin', mimeType: 'application/octet-stream', buffer: Buffer.from([1, 2, 3]) });
  await button(page, 'Send').click();
  await says(transcript(page), /send chosen.bin as binary, 3 bytes01 02 03.*message ArrayBuffer, 3 bytes.*the same bytes/);
  const files = await page.evaluateHandle(() => {
    const files = new DataTransfer();
    files.items.add(new File(['dropped'], 'dropped.txt'));
    return files;
  });
  await page.locator('#drop').dispatchEvent('drop', { dataTransfer: files });
  await button(page, 'Send').click();
  await says(transcript(page), /send dropped.txt as binary, 7 bytes.*message ArrayBuffer, 7 bytes.*the same bytes/);
});

test('nothing is sent or closed that is not open', async (t) => {
  const page = await open(t, server.url());
  await button(page, 'Send').click();
  await says(page.locator('#text-fault'), /Connect first/);
  await button(page, 'Close').click();
  await says(page.locator('#close-fault'), /no open line/);
});

test('closing with a code and a reason, and what the API refuses', async (t) => {
  const page = await connected(t);
  const close = async (code, reason, told) => {
    await field(page, 'Code').fill(code);
    await field(page, 'Reason').fill(reason);
    await button(page, 'Close').click();
    await says(page.locator('#close-fault'), told);
  };
  await close('1001', '', /InvalidAccessError.*1000, or 3000 to 4999/);
  await close('70000', '', /from 0 to 65535/);
  await close('4000', 'é'.repeat(62), /SyntaxError.*has 124/);
  await close('4000', 'enough', /^$/);
  await says(transcript(page), /close\(4000, 'enough'\).*close4000/);
  await says(page.getByRole('row', { name: /^4000/ }), /once$/);
  await says(page.locator('#ready-state'), /3, closed/);
});

test('a tutorial server is told from an echo', async (t) => {
  const tutorial = await Server.start(['--tutorial']);
  t.after(() => tutorial.end('SIGKILL'));
  const page = await open(t, tutorial.url());
  await button(page, 'Open one and say hello').click();
  await says(transcript(page), /Received: Hellowhat was sent, with 10 bytes in front, back after/);
  await says(transcript(page), /Hi there(said by the server|not what was sent)/);
  await field(page, 'Seconds').fill('1');
  await button(page, 'Start').click();
  await says(page.getByRole('status'), /Measured: 100 of 100 came back/);
});

test('the code of every language has the address in it, and is copied', async (t) => {
  const page = await open(t, server.url(), { permissions: ['clipboard-read', 'clipboard-write'] });
  await field(page, 'Address').fill("ws://example.test:81/it's");
  const code = page.getByRole('region', { name: 'Code', exact: true });
  for (const name of ['Browser', 'Node', 'Python', 'Rust', 'Go', 'websocat', 'curl']) {
    await section(page, 'The same in code').getByRole('radio', { name }).check();
    await says(code, name === 'curl' ? /'http:\/\/example.test:81\/it'\\''s'/ : /\/\/example.test:81\/it('|'\\'')s/);
  }
  await button(page, 'Copy').click();
  await says(section(page, 'The same in code'), /Copied/);
  assert.equal(await page.evaluate(() => navigator.clipboard.readText()), await code.textContent());
});
