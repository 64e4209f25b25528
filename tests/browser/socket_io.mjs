// Socket.IO's own client in a browser, over each of its transports.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Server, TRANSPORTS } from '../node/rig.mjs';
import { open } from './browser.mjs';

// The client as it is shipped to browsers.
const CLIENT = fileURLToPath(new URL('node_modules/socket.io-client/dist/socket.io.min.js', import.meta.url));

let server;
before(async () => {
  server = await Server.start();
});
after(() => server.end('SIGKILL'));

// What a browser says of a poll that was on its way when its session ended.
const TOO_LATE = /status of 400/;

// A blank page with `io` in it; `next(emitter, event)`, the arguments with which an event next comes; and `end(socket)`,
// which ends it once it speaks the last of its transports, whose name it returns. Ended before, the browser complains.
async function blank(t, at = server, options = { expected: TOO_LATE }) {
  const page = await open(t, `${at.url()}/healthz`, options);
  await page.addScriptTag({ path: CLIENT });
  await page.evaluate(() => {
    window.next = (emitter, event) => new Promise((resolve) => emitter.once(event, (...args) => resolve(args)));
    window.end = async ({ io: { engine, opts } }) => {
      if (engine.transport.name !== opts.transports.at(-1)) {
        await next(engine, 'upgrade');
      }
      const { name } = engine.transport;
      engine.close();
      return name;
    };
  });
  return page;
}

for (const transports of TRANSPORTS) {
  describe(`over ${transports.join(', then ')}`, () => {
    test('events, acknowledgements and binary come back', async (t) => {
      const page = await blank(t);
      const seen = await page.evaluate(async (transports) => {
        const socket = io({ transports, forceNew: true, auth: { token: 'abc' } });
        const [auth] = await next(socket, 'auth');
        const both = Promise.all([next(socket, 'message'), next(socket, 'message-back')]);
        const bytes = Uint8Array.from({ length: 70_000 }, (_, index) => index);
        socket.emit('message', 'é 😀', { deep: [1, null] }, bytes);
        const came = await both;
        const same = came.map(([text, json, back]) => {
          const view = new Uint8Array(back);
          return [text, json, view.length === bytes.length && view.every((byte, index) => byte === bytes[index])];
        });
        const acknowledged = await socket.timeout(10_000).emitWithAck('message', 'are you there?');
        return { auth, same, acknowledged, transport: await end(socket) };
      }, transports);
      const expected = ['é 😀', { deep: [1, null] }, true];
      assert.deepEqual(seen, { auth: { token: 'abc' }, same: [expected, expected], acknowledged: 'are you there?', transport: transports.at(-1) });
    });

    test('1,000 messages keep their order, the upgrade among them', async (t) => {
      const page = await blank(t);
      const came = await page.evaluate(
        (transports) =>
          new Promise((resolve) => {
            const socket = io({ transports, forceNew: true });
            const came = [];
            socket.on('message', (number) => {
              if (came.push(number) === 1000) {
                end(socket).then(() => resolve(came));
              }
            });
            Array.from({ length: 1000 }, (_, number) => socket.emit('message', number));
          }),
        transports,
      );
      assert.deepEqual(came, Array.from({ length: 1000 }, (_, number) => number));
    });

    test('a namespace that is not to be had is refused', async (t) => {
      const page = await blank(t);
      const told = await page.evaluate(async (transports) => {
        const there = io('/custom', { transports, forceNew: true });
        await next(there, 'connect');
        const unknown = there.io.socket('/unknown');
        unknown.connect();
        const [error] = await next(unknown, 'connect_error');
        await end(there);
        return error.message;
      }, transports);
      assert.equal(told, 'Invalid namespace');
    });

    test('it reconnects to a server that is back', async (t) => {
      const first = await Server.start();
      t.after(() => first.end('SIGKILL'));
      // What is asked of a server that is not there is said on the console.
      const page = await blank(t, first, { expected: /./ });
      await page.evaluate(async (transports) => {
        window.socket = io({ transports, forceNew: true, reconnectionDelay: 50, reconnectionDelayMax: 200 });
        await next(socket, 'connect');
        window.again = next(socket, 'connect');
      }, transports);
      await first.end('SIGKILL');
      const second = await Server.start([], first.port);
      t.after(() => second.end('SIGKILL'));
      const back = await page.evaluate(async () => {
        await again;
        socket.emit('message', 'still there?');
        return next(socket, 'message');
      });
      assert.deepEqual(back, ['still there?']);
    });
  });
}
