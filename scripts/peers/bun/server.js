// A plain echo on Bun, whose WebSockets are uWebSockets'.
//
//   bun server.js [--port N] [--tls-cert FILE --tls-key FILE]
//
// The port is on 127.0.0.1; 0, the default, lets the kernel choose one. permessage-deflate is agreed
// on when a client offers it: only workloads that measure it do.

import { parseArgs } from 'node:util';

const HOST = '127.0.0.1';
const MESSAGE_BYTES_MAX = 64 * 1024 * 1024;

function fail(why, status = 1) {
  console.error(`server.js: ${why}`);
  process.exit(status);
}

function parseOptions() {
  const options = {
    port: { type: 'string', default: '0' },
    'tls-cert': { type: 'string' },
    'tls-key': { type: 'string' },
  };
  let values;
  try {
    ({ values } = parseArgs({ args: Bun.argv.slice(2), options }));
  } catch (error) {
    fail(error.message, 2);
  }
  const port = Number(values.port);
  if (!Number.isInteger(port) || port < 0 || port > 65535) {
    fail(`the port must be a whole number from 0 to 65535, not ${values.port}`, 2);
  }
  const [cert, key] = [values['tls-cert'], values['tls-key']];
  if ((cert === undefined) !== (key === undefined)) {
    fail('--tls-cert and --tls-key go together', 2);
  }
  return { port, tls: cert && { cert: Bun.file(cert), key: Bun.file(key) } };
}

const { port, tls } = parseOptions();
let server;
try {
  server = Bun.serve({
    hostname: HOST,
    port,
    tls,
    fetch(request, server) {
      return server.upgrade(request) ? undefined : new Response('a WebSocket echo', { status: 426 });
    },
    websocket: {
      perMessageDeflate: true,
      maxPayloadLength: MESSAGE_BYTES_MAX,
      // Without a limit: past it, Bun drops replies.
      backpressureLimit: 0,
      // No pings of its own and no end to silent connections: no peer here has them.
      idleTimeout: 0,
      sendPings: false,
      // Text arrives as a string and leaves as text, binary as a buffer and leaves as binary.
      // Compressed where that was agreed on.
      message: (socket, message) => void socket.send(message, true),
    },
  });
} catch (error) {
  fail(`cannot listen on ${HOST}:${port}: ${error.message}`);
}

console.log(`listening on ${tls ? 'wss' : 'ws'}://${HOST}:${server.port}`);

process.on('SIGTERM', () => process.exit(0));
process.on('SIGINT', () => process.exit(0));
