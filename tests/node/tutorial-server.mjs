// The server of the tutorial, on Node `ws`: what `ringback --tutorial` is compared with.

import { WebSocketServer } from 'ws';

const server = new WebSocketServer({ host: '127.0.0.1', port: 0 });

server.on('connection', (socket) => {
  socket.send('Hi there');
  socket.on('message', (message) => {
    socket.send('Received: ' + message);
  });
});

server.on('listening', () => {
  console.log(`listening on ws://127.0.0.1:${server.address().port}`);
});
