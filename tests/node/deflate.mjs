// Node `ws` with compression against a plain echo: node deflate.mjs URL. Ends with 0 if everything comes back.

import assert from 'node:assert/strict';
import { comesBack, connect } from './peer.mjs';

const url = process.argv[2];

// What the client offers, beside `client_max_window_bits`, and what it is then told.
const OFFERS = [
  [{}, 'client_no_context_takeover'],
  [{ clientNoContextTakeover: true }, 'client_no_context_takeover'],
  [{ serverNoContextTakeover: true }, 'client_no_context_takeover server_no_context_takeover'],
  [{ serverMaxWindowBits: 9 }, 'client_max_window_bits=9 client_no_context_takeover server_max_window_bits=9'],
  [{ serverMaxWindowBits: 15 }, 'client_max_window_bits=15 client_no_context_takeover server_max_window_bits=15'],
  [
    { serverNoContextTakeover: true, serverMaxWindowBits: 9 },
    'client_max_window_bits=9 client_no_context_takeover server_max_window_bits=9 server_no_context_takeover',
  ],
  [
    { serverNoContextTakeover: true, serverMaxWindowBits: 15, clientMaxWindowBits: 10 },
    'client_max_window_bits=10 client_no_context_takeover server_max_window_bits=15 server_no_context_takeover',
  ],
];

// What `ws` believes to be agreed to.
function agreed({ socket }) {
  const { params } = socket._extensions['permessage-deflate'];
  const names = Object.keys(params).sort();
  return names.map((name) => (params[name] === true ? name : `${name}=${params[name]}`)).join(' ');
}

// A million equal letters are some thousand bytes on the wire, there and back.
async function isCompressed(peer) {
  const wire = peer.socket._socket;
  const { bytesRead, bytesWritten } = wire;
  await comesBack(peer, 'x'.repeat(1_000_000));
  const taken = [wire.bytesRead - bytesRead, wire.bytesWritten - bytesWritten];
  assert.ok(taken.every((bytes) => bytes > 0 && bytes < 20_000), `${taken} bytes on the wire`);
}

async function fragments(peer) {
  for (const [part, fin] of [['in ', false], ['three ', false], ['parts', true]]) {
    peer.socket.send(part, { fin });
  }
  assert.equal((await peer.next('message')).data.toString(), 'in three parts');
}

async function uncompressed(peer) {
  peer.socket.send('as it is', { compress: false });
  assert.equal((await peer.next('message')).data.toString(), 'as it is');
}

for (const [offer, answer] of OFFERS) {
  const peer = await connect(url, { perMessageDeflate: { threshold: 0, ...offer } });
  assert.equal(agreed(peer), answer);
  for (const size of [0, 1, 16, 64, 256, 1024, 16_384, 131_072]) {
    // A message that was said before would be shorter the second time, if anybody remembered it.
    for (let repeat = 0; repeat < 3; repeat += 1) {
      await comesBack(peer, `${size}`.padEnd(size, ' é {"key": [1, 2, 3]}').slice(0, size));
      await comesBack(peer, Buffer.alloc(size, `noise, or nearly ${size}`));
    }
  }
  await isCompressed(peer);
  await fragments(peer);
  await uncompressed(peer);
  peer.socket.close(1000);
  assert.equal((await peer.next('close')).code, 1000);
}

