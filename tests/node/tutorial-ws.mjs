// The tutorial's client where no WebSocket is global, as in Node before version 22: tutorial-ws.mjs [URL].

import WebSocket from 'ws';

globalThis.WebSocket = WebSocket;
await import('./tutorial.mjs');
