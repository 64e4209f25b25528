// What somebody is told who takes Socket.IO for WebSocket, or the other way round.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { io } from 'socket.io-client';
import WebSocket from 'ws';
import { next, Server, soon } from './rig.mjs';

let server;
before(async () => {
  server = await Server.start();
});
after(() => server.end('SIGKILL'));

// What the listener of `connect_error` sees of a refusal. What was answered is there only as long as it runs.
async function refusal(t, options) {
  const socket = io(server.url(), { forceNew: true, reconnection: false, ...options });
  t.after(() => socket.disconnect());
  const seen = new Promise((resolve) => {
    socket.on('connect_error', ({ message, description, context }) => {
      resolve({ message, description, answer: context?.responseText });
    });
  });
  return soon(seen, 'a refusal');
}

for (const path of ['/', '/chat/']) {
  test(`Socket.IO by polling at ${path} is told where it is spoken`, async (t) => {
    const error = await refusal(t, { path, transports: ['polling'] });
    assert.equal(error.message, 'xhr poll error');
    assert.equal(error.description, 426);
    assert.match(error.answer, /not Socket\.IO.*Socket\.IO is spoken .*\/socket\.io\//s);
  });

  // This transport hides what the server said: only the status is in the error.
  test(`Socket.IO by WebSocket at ${path} is refused at once`, async (t) => {
    const error = await refusal(t, { path, transports: ['websocket'] });
    assert.equal(error.message, 'websocket error');
    assert.equal(error.description.message, 'Unexpected server response: 426');
  });
}

for (const path of ['/socket.io/', '/engine.io/']) {
  test(`a plain WebSocket at ${path} is told what is spoken there`, async () => {
    const socket = new WebSocket(server.url('ws') + path);
    const [, response] = await next(socket, 'unexpected-response');
    assert.equal(response.statusCode, 400);
    const body = (await response.setEncoding('utf8').toArray()).join('');
    assert.match(body, /plain WebSocket/);
    assert.match(body, path === '/socket.io/' ? /Socket\.IO/ : /Engine\.IO/);
  });
}
