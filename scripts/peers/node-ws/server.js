// The baseline of scripts/bench: a plain echo on Node `ws`.
//
//   node server.js [PORT]    0, the default, lets the kernel choose one
//
// permessage-deflate is off, as it is by default: the documentation of `ws` advises against it
// where speed and memory matter. Before Node 26.12, `ws` unmasks in JavaScript unless the optional
// native module `bufferutil` is installed; it is here, and WS_NO_BUFFER_UTIL=1 leaves it unused.

import { WebSocketServer } from 'ws';

const HOST = '127.0.0.1';
// The same as Ringback's listen backlog, so that a storm of connections meets equal conditions.
const BACKLOG = 4096;

const port = Number(process.argv[2] ?? 0);
if (!Number.isInteger(port) || port < 0 || port > 65535) {
  console.error(`server.js: the port must be a whole number from 0 to 65535, not ${process.argv[2]}`);
  process.exit(2);
}

const server = new WebSocketServer({
  host: HOST,
  port,
  backlog: BACKLOG,
  perMessageDeflate: false,
  clientTracking: false,
});

server.on('connection', (socket) => {
  socket.on('error', () => {}); // `ws` has already answered with the close code
  socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary }));
});

server.on('error', (error) => {
  console.error(`server.js: cannot listen on ${HOST}:${port}: ${error.message}`);
  process.exit(1);
});

server.on('listening', () => {
  console.log(`listening on ws://${HOST}:${server.address().port}`);
});

process.on('SIGTERM', () => process.exit(0));
process.on('SIGINT', () => process.exit(0));
