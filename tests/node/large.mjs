// Node `ws` and large messages against a plain echo: node large.mjs URL. Ends with 0 if they come back.

import assert from 'node:assert/strict';
import { promisify } from 'node:util';
import { comesBack, connect } from './peer.mjs';

const url = process.argv[2];
const letters = Buffer.alloc(100 << 20, 'sixteen letters.');

const peer = await connect(url);

// All of it is with the kernel before anything is read.
const part = letters.subarray(0, 16 << 20);
peer.socket.pause();
await promisify(peer.socket.send.bind(peer.socket))(part);
peer.socket.resume();
assert.ok(part.equals((await peer.next('message')).data), 'what was written first differs');

await comesBack(peer, part.toString());
await comesBack(peer, letters);
peer.socket.terminate();

const deflating = await connect(url, { perMessageDeflate: true });
await comesBack(deflating, letters.toString());
deflating.socket.terminate();
