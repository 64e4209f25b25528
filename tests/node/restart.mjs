// Socket.IO's own client when its server ends and comes back on the same port.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { io } from 'socket.io-client';
import { next, Server, TRANSPORTS, upgraded } from './rig.mjs';

// A client that tries again at once, of a server that it may outlive.
async function begin(t, transports, options = []) {
  const rig = { server: await Server.start(options) };
  rig.socket = io(rig.server.url(), {
    forceNew: true,
    transports,
    reconnectionDelay: 50,
    reconnectionDelayMax: 200,
  });
  t.after(async () => {
    rig.socket.disconnect();
    await rig.server.end('SIGKILL');
  });
  return rig;
}

async function startAgain(rig) {
  rig.server = await Server.start([], rig.server.port);
}

// Whether what was sent while nobody served arrives, and whatever is sent then.
async function goesOn(rig) {
  const { socket } = rig;
  assert.equal(socket.connected, false);
  const connected = next(socket, 'connect');
  const kept = next(socket, 'message');
  socket.emit('message', 'kept');
  await startAgain(rig);
  await connected;
  assert.deepEqual(await kept, ['kept']);
  socket.emit('message', Buffer.from('new'));
  assert.deepEqual(await next(socket, 'message'), [Buffer.from('new')]);
}

for (const transports of TRANSPORTS) {
  for (const signal of ['SIGTERM', 'SIGKILL']) {
    test(`over ${transports.join(', then ')} it reconnects after ${signal}`, async (t) => {
      const rig = await begin(t, transports);
      const { socket } = rig;
      await next(socket, 'connect');
      await upgraded(socket.io.engine, transports);
      const { id } = socket;
      const disconnected = next(socket, 'disconnect');
      await rig.server.end(signal);
      await disconnected;
      await goesOn(rig);
      assert.notEqual(socket.id, id);
    });
  }
}

// A client that loses both connections in the midst of an upgrade may notice only by the missing heartbeats.
const HEARTBEATS = ['--socket-io-ping-interval', '1s', '--socket-io-ping-timeout', '1s'];

// The engine says `handshake` when its session begins, `upgrading` once the WebSocket has proved itself.
for (const moment of ['handshake', 'upgrading']) {
  test(`it reconnects if the server is killed at ${moment} of an upgrade`, async (t) => {
    const rig = await begin(t, ['polling', 'websocket'], HEARTBEATS);
    const { socket } = rig;
    await next(socket.io.engine, moment);
    const closed = next(socket.io, 'close');
    await rig.server.end('SIGKILL');
    await closed;
    await goesOn(rig);
    await upgraded(socket.io.engine, ['polling', 'websocket']);
  });
}
