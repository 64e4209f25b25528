// A peer of scripts/bench: a plain echo on Bun, whose WebSockets are uWebSockets'.
//
//   bun server.js [PORT]    0, the default, lets the kernel choose one
//
// permessage-deflate is off, as it is by default. The idle timeout is Bun's default of 120 seconds.

const port = Number(process.argv[2] ?? 0);
if (!Number.isInteger(port) || port < 0 || port > 65535) {
  console.error(`server.js: the port must be a whole number from 0 to 65535, not ${process.argv[2]}`);
  process.exit(2);
}

const server = Bun.serve({
  hostname: '127.0.0.1',
  port,
  fetch(request, server) {
    return server.upgrade(request) ? undefined : new Response('a WebSocket echo', { status: 426 });
  },
  websocket: {
    perMessageDeflate: false,
    // Text arrives as a string and leaves as text, binary as a buffer and leaves as binary.
    message: (socket, message) => void socket.send(message),
  },
});

console.log(`listening on ws://127.0.0.1:${server.port}`);

process.on('SIGTERM', () => process.exit(0));
process.on('SIGINT', () => process.exit(0));
