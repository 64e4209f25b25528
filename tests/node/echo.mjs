// Node `ws` against a plain echo: node echo.mjs URL. Ends with 0 if everything comes back as it went.

import assert from 'node:assert/strict';
import { comesBack, connect } from './peer.mjs';

const url = process.argv[2];

async function messages() {
  const peer = await connect(url);
  for (const size of [0, 1, 125, 126, 127, 16_384, 16_385, 65_535, 65_536, 70_000, 1 << 20]) {
    await comesBack(peer, 'é'.repeat(size / 2) + 'x'.repeat(size % 2));
    await comesBack(peer, Buffer.alloc(size, 'noise, or nearly'));
  }
  for (let number = 0; number < 2000; number += 1) {
    peer.socket.send(`message ${number}`);
  }
  for (let number = 0; number < 2000; number += 1) {
    assert.equal((await peer.next('message')).data.toString(), `message ${number}`);
  }
  peer.socket.terminate();
}

async function fragments() {
  const peer = await connect(url);
  peer.socket.send('one ', { fin: false });
  peer.socket.ping('between');
  peer.socket.send('', { fin: false });
  peer.socket.send('two', { fin: true });
  assert.equal((await peer.next('pong')).data.toString(), 'between');
  assert.equal((await peer.next('message')).data.toString(), 'one two');
  // `ws` limits the fragments of a message to 16,384: an echo must not make more of them.
  await comesBack(peer, '€'.repeat(1 << 20));
  peer.socket.terminate();
}

async function pings() {
  const peer = await connect(url);
  for (const payload of [Buffer.alloc(0), Buffer.from('x'), Buffer.alloc(125, 7)]) {
    peer.socket.ping(payload);
    assert.ok((await peer.next('pong')).data.equals(payload));
  }
  peer.socket.terminate();
}

async function closes() {
  for (const [code, reason] of [[], [1000, 'bye'], [1001, ''], [3000, 'é'.repeat(61)], [4999, 'x']]) {
    const peer = await connect(url);
    peer.socket.close(code, reason);
    const close = await peer.next('close');
    assert.equal(close.code, code ?? 1005);
    assert.equal(close.reason, '', 'a reply to a Close carries the code only');
  }
}

// A client that offers subprotocols and is answered none fails the connection, as a browser does.
async function theFirstSubprotocolIsTaken() {
  const peer = await connect(url, { protocols: ['one', 'two'] });
  assert.equal(peer.socket.protocol, 'one');
  await comesBack(peer, 'with a subprotocol');
  peer.socket.terminate();
}

for (const scenario of [messages, fragments, pings, closes, theFirstSubprotocolIsTaken]) {
  await scenario();
}
