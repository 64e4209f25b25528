// What a page's own WebSocket sees of the server, without any page of the server's.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { createServer } from 'node:net';
import { once } from 'node:events';
import { Server } from '../node/rig.mjs';
import { open } from './browser.mjs';

let server;
before(async () => {
  server = await Server.start();
});
after(() => server.end('SIGKILL'));

// A blank page of the server's, with `talk(url, protocols, act)` in it: opens a socket, has `act` called with it at each
// event, and returns the events once it is closed.
async function blank(t, options) {
  const page = await open(t, `${server.url()}/healthz`, options);
  await page.evaluate(() => {
    window.talk = (url, protocols, act = () => {}) =>
      new Promise((resolve) => {
        const socket = new WebSocket(url, protocols);
        socket.binaryType = 'arraybuffer';
        const events = [];
        for (const name of ['open', 'error', 'message', 'close']) {
          socket.addEventListener(name, (event) => {
            const told = { message: event.data, close: [event.code, event.reason, event.wasClean] }[name];
            events.push(told === undefined ? [name] : [name, told]);
            act(name, socket, event);
            if (name === 'close') {
              resolve(events);
            }
          });
        }
      });
  });
  return page;
}

test('open, message and close come in this order', async (t) => {
  const page = await blank(t);
  const events = await page.evaluate(
    (url) =>
      talk(url, [], (name, socket) => {
        if (name === 'open') {
          socket.send('hello');
        } else if (name === 'message') {
          socket.close(1000, 'enough');
        }
      }),
    server.url('ws'),
  );
  assert.deepEqual(events.map(([name]) => name), ['open', 'message', 'close']);
  assert.equal(events[1][1], 'hello');
  const [code, , wasClean] = events[2][1];
  assert.deepEqual([code, wasClean], [1000, true]);
});

test('text, Blob, ArrayBuffer and a view come back as what they were', async (t) => {
  const page = await blank(t);
  const wrong = await page.evaluate(async (url) => {
    const bytes = Uint8Array.from({ length: 70_000 }, (_, index) => index);
    const messages = ['', 'é 😀 漢字', 'x'.repeat(200_000), bytes, bytes.buffer, bytes.subarray(3, 20), new Blob([bytes, 'and text']), new Blob([])];
    const bytesOf = async (it) => [...new Uint8Array(await new Blob([it]).arrayBuffer())].join();
    const wrong = [];
    for (const binaryType of ['blob', 'arraybuffer']) {
      const socket = new WebSocket(url);
      socket.binaryType = binaryType;
      await new Promise((resolve) => socket.addEventListener('open', resolve, { once: true }));
      for (const [index, message] of messages.entries()) {
        const echo = new Promise((resolve) => socket.addEventListener('message', resolve, { once: true }));
        socket.send(message);
        const { data } = await echo;
        const kind = typeof message === 'string' ? 'string' : binaryType;
        const came = data instanceof Blob ? 'blob' : data instanceof ArrayBuffer ? 'arraybuffer' : typeof data;
        if (came !== kind || (await bytesOf(data)) !== (await bytesOf(message))) {
          wrong.push(`message ${index} as ${came}`);
        }
      }
      socket.close();
    }
    return wrong;
  }, server.url('ws'));
  assert.deepEqual(wrong, []);
});

test('16 MiB come back whole, and bufferedAmount falls to 0', async (t) => {
  const page = await blank(t);
  const seen = await page.evaluate(async (url) => {
    const bytes = new Uint8Array(16 * 1024 * 1024).map((_, index) => (index * 31) ^ (index >> 8));
    const socket = new WebSocket(url);
    socket.binaryType = 'arraybuffer';
    await new Promise((resolve) => socket.addEventListener('open', resolve));
    const echo = new Promise((resolve) => socket.addEventListener('message', resolve));
    socket.send(bytes);
    const queued = socket.bufferedAmount;
    const back = new Uint8Array((await echo).data);
    while (socket.bufferedAmount > 0) {
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    socket.close();
    return { queued, length: back.length, same: back.every((byte, index) => byte === bytes[index]) };
  }, server.url('ws'));
  assert.deepEqual(seen, { queued: 16 * 1024 * 1024, length: 16 * 1024 * 1024, same: true });
});

test('100 MiB come back whole', async (t) => {
  const page = await blank(t);
  const same = await page.evaluate(async (url) => {
    const text = 'sixteen letters.'.repeat(100 << 16);
    const socket = new WebSocket(url);
    await new Promise((resolve) => socket.addEventListener('open', resolve));
    const echo = new Promise((resolve) => socket.addEventListener('message', resolve));
    socket.send(text);
    const { data } = await echo;
    socket.close();
    return data === text;
  }, server.url('ws'));
  assert.ok(same);
});

test('compression is agreed to', async (t) => {
  const page = await blank(t);
  const extensions = await page.evaluate(async (url) => {
    const socket = new WebSocket(url);
    await new Promise((resolve) => socket.addEventListener('open', resolve));
    socket.close();
    return socket.extensions;
  }, server.url('ws'));
  assert.equal(extensions, 'permessage-deflate; client_no_context_takeover');
});

test('1,000 messages keep their order', async (t) => {
  const page = await blank(t);
  const events = await page.evaluate(
    (url) =>
      talk(url, [], (name, socket, event) => {
        if (name === 'open') {
          Array.from({ length: 1000 }, (_, number) => socket.send(String(number)));
        } else if (event.data === '999') {
          socket.close();
        }
      }),
    server.url('ws'),
  );
  const numbers = events.filter(([name]) => name === 'message').map(([, number]) => Number(number));
  assert.deepEqual(numbers, Array.from({ length: 1000 }, (_, number) => number));
});

test('a page closes with 1000 and 3000 to 4999, and a reason', async (t) => {
  const page = await blank(t);
  const close = (...args) =>
    page.evaluate(
      ([url, args]) => talk(url, [], (name, socket) => name === 'open' && socket.close(...args)),
      [server.url('ws'), args],
    );
  for (const code of [1000, 3000, 3999, 4000, 4999]) {
    const reason = 'é'.repeat(61);
    const [, [name, [came, , wasClean]]] = await close(code, reason);
    assert.deepEqual([name, came, wasClean], ['close', code, true]);
  }
  assert.deepEqual((await close()).at(-1), ['close', [1005, '', true]]);
});

test('what a page may not say in a Close, the browser refuses', async (t) => {
  const page = await blank(t);
  const refused = await page.evaluate((url) => {
    const socket = new WebSocket(url);
    const attempts = [[999], [1001], [2999], [5000], [1000, 'é'.repeat(62)]];
    const names = attempts.map((args) => {
      try {
        socket.close(...args);
        return 'no error';
      } catch (error) {
        return error.name;
      }
    });
    socket.addEventListener('open', () => socket.close());
    return new Promise((resolve) => socket.addEventListener('close', () => resolve(names)));
  }, server.url('ws'));
  assert.deepEqual(refused, [...Array(4).fill('InvalidAccessError'), 'SyntaxError']);
});

test('a refused connection is error, then close 1006', async (t) => {
  const listener = createServer().listen(0, '127.0.0.1');
  await once(listener, 'listening');
  const { port } = listener.address();
  await new Promise((resolve) => listener.close(resolve));
  const page = await blank(t, { expected: /ERR_CONNECTION_REFUSED/ });
  const events = await page.evaluate((url) => talk(url, []), `ws://127.0.0.1:${port}`);
  assert.deepEqual(events, [['error'], ['close', [1006, '', false]]]);
});

test('the first subprotocol that is offered is agreed to', async (t) => {
  const page = await blank(t);
  const agreed = (offered) =>
    page.evaluate(
      async ([url, offered]) => {
        let agreed;
        await talk(url, offered, (name, socket) => {
          if (name === 'open') {
            agreed = socket.protocol;
            socket.close();
          }
        });
        return agreed;
      },
      [server.url('ws'), offered],
    );
  assert.equal(await agreed(['chat', 'superchat']), 'chat');
  assert.equal(await agreed([]), '');
});

test('the tutorial is talked to by its own client', async (t) => {
  const tutorial = await Server.start(['--tutorial']);
  t.after(() => tutorial.end('SIGKILL'));
  const page = await open(t, `${tutorial.url()}/healthz`);
  const said = await page.evaluate(
    (url) =>
      new Promise((resolve) => {
        const said = [];
        const socket = new WebSocket(url);
        socket.addEventListener('open', () => {
          said.push('open');
          socket.send('hello');
        });
        socket.addEventListener('error', () => said.push('error'));
        socket.addEventListener('message', (event) => {
          said.push(`message ${event.data}`);
          if (event.data === 'Received: hello') {
            socket.close();
          }
        });
        socket.addEventListener('close', () => {
          said.push('close');
          resolve(said);
        });
      }),
    tutorial.url('ws'),
  );
  assert.deepEqual(said, ['open', 'message Hi there', 'message Received: hello', 'close']);
});
