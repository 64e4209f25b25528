// Socket.IO's own client: what is said over each of its transports.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { io } from 'socket.io-client';
import { next, Server, TRANSPORTS, upgraded } from './rig.mjs';

const MANY = 1000;

const MESSAGES = [
  [],
  ['hello'],
  [1, -2.5, '', 'é 😀 漢字', true, false, null],
  [[1, [2, [3]]], { a: { b: [{ c: 'd' }] } }, []],
  [Buffer.from('bytes')],
  ['before', Buffer.from([0, 255]), 'between', Buffer.alloc(70_000, 'noise, or nearly'), Buffer.alloc(0)],
  [{ list: [Buffer.from('one'), { deep: Buffer.from('two') }], text: 'three' }, Buffer.from('four')],
  ['x'.repeat(100_000)],
];

let server;
before(async () => {
  server = await Server.start();
});
after(() => server.end('SIGKILL'));

// A client that has joined its namespace, and the `auth` that the server greets it with.
async function join(t, options, namespace = '') {
  const socket = io(`${server.url()}${namespace}`, { forceNew: true, reconnection: false, ...options });
  t.after(() => socket.disconnect());
  const failure = new Promise((_, reject) => socket.once('connect_error', reject));
  const [auth] = await Promise.race([next(socket, 'auth'), failure]);
  return { socket, auth };
}

function comesBack(socket, args) {
  const echoes = Promise.all([next(socket, 'message'), next(socket, 'message-back')]);
  socket.emit('message', ...args);
  return echoes;
}

for (const transports of TRANSPORTS) {
  describe(`over ${transports.join(', then ')}`, () => {
    test('events come back with arguments of any kind', async (t) => {
      const { socket } = await join(t, { transports });
      for (const args of MESSAGES) {
        assert.deepEqual(await comesBack(socket, args), [args, args]);
      }
    });

    test('an event is acknowledged with its arguments', async (t) => {
      const { socket } = await join(t, { transports });
      for (const args of MESSAGES) {
        const acknowledged = new Promise((resolve) => {
          socket.timeout(5000).emit('message', ...args, (late, ...back) => resolve(late ?? back));
        });
        assert.deepEqual(await acknowledged, args);
      }
    });

    // With an upgrade among the transports, it takes place in the midst of them.
    test(`${MANY} messages keep their order`, async (t) => {
      const { socket } = await join(t, { transports });
      const came = { message: [], 'message-back': [] };
      const complete = Object.entries(came).map(
        ([event, numbers]) =>
          new Promise((resolve) => {
            socket.on(event, (number) => {
              if (numbers.push(number) === MANY) {
                resolve();
              }
            });
          }),
      );
      const numbers = Array.from({ length: MANY }, (_, number) => number);
      numbers.forEach((number) => socket.emit('message', number));
      await Promise.race([Promise.all(complete), next(socket, 'disconnect')]);
      assert.deepEqual(came, { message: numbers, 'message-back': numbers });
      await upgraded(socket.io.engine, transports);
    });

    test('auth is told back', async (t) => {
      const auth = { token: 'abc', deep: { list: [1, null] } };
      assert.deepEqual((await join(t, { transports, auth })).auth, auth);
      assert.deepEqual((await join(t, { transports })).auth, {});
    });

    test('two namespaces share a connection', async (t) => {
      const main = (await join(t, { transports })).socket;
      const custom = main.io.socket('/custom', { auth: { who: 'custom' } });
      t.after(() => custom.disconnect());
      assert.deepEqual(await next(custom, 'auth'), [{ who: 'custom' }]);
      assert.deepEqual(await comesBack(custom, ['there']), [['there'], ['there']]);
      custom.disconnect();
      assert.deepEqual(await comesBack(main, ['still here']), [['still here'], ['still here']]);
    });

    test('an unknown namespace is refused, and the others live on', async (t) => {
      const main = (await join(t, { transports })).socket;
      const unknown = main.io.socket('/unknown');
      const [error] = await next(unknown, 'connect_error');
      assert.equal(error.message, 'Invalid namespace');
      assert.deepEqual(await comesBack(main, ['still here']), [['still here'], ['still here']]);
    });

    test('heartbeats keep it alive', async (t) => {
      const lively = await Server.start([
        '--socket-io-ping-interval', '200ms', '--socket-io-ping-timeout', '5s',
      ]);
      t.after(() => lively.end('SIGKILL'));
      const socket = io(lively.url(), { forceNew: true, reconnection: false, transports });
      t.after(() => socket.disconnect());
      await next(socket, 'connect');
      for (let count = 0; count < 3; count += 1) {
        await next(socket.io, 'ping');
      }
      assert.deepEqual(await comesBack(socket, ['alive']), [['alive'], ['alive']]);
    });

    test('the tutorial greets and answers', async (t) => {
      const tutorial = await Server.start(['--tutorial']);
      t.after(() => tutorial.end('SIGKILL'));
      const socket = io(tutorial.url(), { forceNew: true, reconnection: false, transports });
      t.after(() => socket.disconnect());
      assert.deepEqual(await next(socket, 'message'), ['Hi there']);
      socket.emit('message', 'hello');
      assert.deepEqual(await next(socket, 'message'), ['Received: hello']);
    });
  });
}
