// Engine.IO's own client, without Socket.IO above it.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Socket } from 'engine.io-client';
import { next, Server, TRANSPORTS, upgraded } from './rig.mjs';

const MANY = 1000;

const MESSAGES = [
  'hello',
  'é 😀 漢字',
  'x'.repeat(100_000),
  Buffer.from([0, 255, 10]),
  Buffer.alloc(0),
  Buffer.alloc(70_000, 'noise, or nearly'),
];

let server;
before(async () => {
  server = await Server.start();
});
after(() => server.end('SIGKILL'));

async function open(t, transports) {
  const socket = new Socket(server.url(), { path: '/engine.io/', transports });
  t.after(() => socket.close());
  await next(socket, 'open');
  return socket;
}

for (const transports of TRANSPORTS) {
  const way = transports.join(', then ');

  test(`over ${way} each message comes back as it went`, async (t) => {
    const socket = await open(t, transports);
    for (const message of MESSAGES) {
      socket.send(message);
      assert.deepEqual(await next(socket, 'message'), [message]);
    }
  });

  test(`over ${way} ${MANY} messages keep their order`, async (t) => {
    const socket = await open(t, transports);
    const came = [];
    const complete = new Promise((resolve) => {
      socket.on('message', (message) => came.push(message) === MANY && resolve());
    });
    const numbers = Array.from({ length: MANY }, (_, number) => String(number));
    numbers.forEach((number) => socket.send(number));
    await Promise.race([complete, next(socket, 'close')]);
    assert.deepEqual(came, numbers);
    await upgraded(socket, transports);
  });

  test(`over ${way} a close is a close`, async (t) => {
    const socket = await open(t, transports);
    await upgraded(socket, transports);
    const closed = next(socket, 'close');
    socket.close();
    assert.deepEqual((await closed)[0], 'forced close');
  });
}
