// Sends messages that are easily answered wrongly: node awkward.mjs URL. Prints what comes back, one
// JSON value a line, so that two servers can be compared.

import { Peer } from './peer.mjs';

// Bytes without a pattern, the same each time.
function noise(count, seed) {
  const bytes = Buffer.alloc(count);
  let state = seed;
  for (let place = 0; place < count; place += 1) {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0;
    bytes[place] = state >>> 16;
  }
  return bytes;
}

const MESSAGES = [
  'hello',
  '',
  'emoji 😀 and family 👩‍👩‍👧, accents é, e\u0301, zero \0 byte, ideographs 漢字',
  'a lone surrogate \ud800 is replaced by the client',
  '\ufeffa byte order mark',
  'x'.repeat(70_000),
  '😀'.repeat(20_000),
  Buffer.alloc(0),
  Buffer.from('binary hello €'),
  Buffer.from('\ufeffa byte order mark'),
  Buffer.from('\ufeff'),
  Buffer.from(Array.from({ length: 256 }, (_, byte) => byte)),
  ...['80', 'bf', 'c0af', 'c328', 'e080af', 'e28228', 'eda080', 'f08080af', 'f09f9828', 'f4908080', 'ff',
    'feff', 'efbb', 'f09f98', 'f09f', 'f0', 'e282', 'e2', 'c3', 'f09f98f09f9880', 'e282e282ac', 'f0f0f0'
  ].map((hex) => Buffer.concat([Buffer.from('<'), Buffer.from(hex, 'hex')])),
  noise(1000, 1),
  noise(100_000, 2),
  Buffer.alloc(300_000, '€uro '),
];

// Fragments of one message each.
const FRAGMENTED = [
  ['one ', 'two ', 'three'],
  ['', '', 'late'],
  ['all', ''],
  [Buffer.from('f09f', 'hex'), Buffer.from('9880', 'hex')],
  [Buffer.from('f09f', 'hex'), Buffer.from('41', 'hex')],
  [Buffer.from('e2', 'hex'), Buffer.alloc(0), Buffer.from('82', 'hex')],
  [Buffer.from('efbb', 'hex'), Buffer.from('bf41', 'hex')],
  [noise(20_000, 3), noise(50_000, 4), noise(3, 5)],
];

const peer = new Peer(process.argv[2], { protocols: ['one', 'two'] });
await peer.next('open');
console.log(JSON.stringify(peer.socket.protocol));
for (const message of MESSAGES) {
  peer.socket.send(message);
}
for (const fragments of FRAGMENTED) {
  fragments.forEach((fragment, number) => {
    peer.socket.send(fragment, {
      binary: typeof fragment !== 'string',
      fin: number === fragments.length - 1,
    });
  });
}
const greeting = 1;
for (let count = MESSAGES.length + FRAGMENTED.length + greeting; count > 0; count -= 1) {
  const { data, isBinary } = await peer.next('message');
  console.log(JSON.stringify({ isBinary, data: data.toString('base64') }));
}
peer.socket.close(4000, 'enough');
const { code } = await peer.next('close');
console.log(JSON.stringify({ code }));
