// Socket.IO's own client and fetch over TLS: node over-tls.mjs URL. Ends with 0 if everything comes back.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { io } from 'socket.io-client';

const url = process.argv[2];

for (const transports of [['polling'], ['websocket'], ['polling', 'websocket']]) {
  const socket = io(url, { transports, forceNew: true, reconnection: false });
  socket.once('connect_error', (error) => {
    throw error;
  });
  await once(socket, 'connect');
  if (transports.length === 2) {
    const { engine } = socket.io;
    while (engine.transport.name !== 'websocket') await once(engine, 'upgrade');
  }
  for (const message of ['text', Buffer.alloc(70_000, 'noise'), { an: 'object' }]) {
    const back = once(socket, 'message');
    socket.emit('message', message);
    assert.deepEqual(await back, [message]);
  }
  socket.disconnect();
}

const answer = await fetch(`${url}/http`, { method: 'POST', body: 'x'.repeat(20_000) });
const told = await answer.json();
assert.equal(told.body.length, 20_000);
assert.equal(told.tls.server_name, 'localhost');
