// A plain echo on Deno, whose WebSockets are fastwebsockets'.
//
//   deno run --allow-net --allow-read server.js [--port N] [--tls-cert FILE --tls-key FILE]
//
// The port is on 127.0.0.1; 0, the default, lets the kernel choose one. Deno offers no permessage-deflate.

import { parseArgs } from 'node:util';

const HOST = '127.0.0.1';
// The same as Ringback's listen backlog, so that a storm of connections meets equal conditions.
const BACKLOG = 4096;

function fail(why, status = 1) {
  console.error(`server.js: ${why}`);
  Deno.exit(status);
}

function parseOptions() {
  const options = {
    port: { type: 'string', default: '0' },
    'tls-cert': { type: 'string' },
    'tls-key': { type: 'string' },
  };
  let values;
  try {
    ({ values } = parseArgs({ args: Deno.args, options }));
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
  return { port, tls: cert && { cert: read(cert), key: read(key) } };
}

function read(file) {
  try {
    return Deno.readTextFileSync(file);
  } catch (error) {
    return fail(`cannot read ${file}: ${error.message}`);
  }
}

function meet(request) {
  if (request.headers.get('upgrade')?.toLowerCase() !== 'websocket') {
    return new Response('a WebSocket echo', { status: 426 });
  }
  // Without the idle timeout there are no pings: no peer here sends any.
  const { socket, response } = Deno.upgradeWebSocket(request, { idleTimeout: 0 });
  // Bytes instead of a Blob, which Deno would have to build and to read again.
  socket.binaryType = 'arraybuffer';
  socket.onmessage = (event) => socket.send(event.data);
  socket.onerror = () => {};
  return response;
}

const { port, tls } = parseOptions();
const onListen = ({ port }) => console.log(`listening on ${tls ? 'wss' : 'ws'}://${HOST}:${port}`);
try {
  Deno.serve({ hostname: HOST, port, tcpBacklog: BACKLOG, onListen, ...tls }, meet);
} catch (error) {
  fail(`cannot listen on ${HOST}:${port}: ${error.message}`);
}

Deno.addSignalListener('SIGTERM', () => Deno.exit(0));
Deno.addSignalListener('SIGINT', () => Deno.exit(0));
