// The tutorial's client, in any runtime that has a global WebSocket: tutorial.mjs [URL]. Says each event in
// a line, so that their order can be looked at.

const url = globalThis.process?.argv[2] ?? 'ws://localhost:3000';
const socket = new WebSocket(url);

socket.addEventListener('open', () => {
  console.log('open');
  socket.send('hello');
});

socket.addEventListener('error', () => {
  console.log('error');
});

socket.addEventListener('message', (event) => {
  console.log(`message ${event.data}`);
  if (event.data === 'Received: hello') {
    socket.close(1000, 'enough');
  }
});

socket.addEventListener('close', (event) => {
  console.log(`close ${event.code} ${event.wasClean ? 'clean' : 'not clean'}`);
});
