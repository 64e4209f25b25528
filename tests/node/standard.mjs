// The standard's WebSocket against a plain echo, in any runtime that has one: standard.mjs URL [large]. Ends with 0 if
// everything comes back, and says which extensions the runtime believes to be agreed to.

const [url, what] = globalThis.process.argv.slice(2);

function expect(condition, otherwise) {
  if (!condition) {
    throw new Error(otherwise);
  }
}

// Resolves with the socket's next event of this type.
function next(socket, type) {
  return new Promise((resolve) => socket.addEventListener(type, resolve, { once: true }));
}

async function connect(protocols = []) {
  const socket = new WebSocket(url, protocols);
  socket.binaryType = 'arraybuffer';
  await next(socket, 'open');
  return socket;
}

async function comesBack(socket, data) {
  const echo = next(socket, 'message');
  socket.send(data);
  const back = (await echo).data;
  if (typeof data === 'string') {
    expect(back === data, `text of ${data.length} differs`);
  } else {
    const bytes = new Uint8Array(back);
    const differs = bytes.length !== data.length || bytes.some((byte, index) => byte !== data[index]);
    expect(!differs, `${data.length} bytes differ`);
  }
}

function bytes(size) {
  return new Uint8Array(size).map((_, index) => (index * 31) ^ (index >> 8));
}

async function messages() {
  const socket = await connect();
  for (const size of [0, 1, 125, 126, 65_535, 65_536, 1 << 20]) {
    await comesBack(socket, 'é'.repeat(size / 2) + 'x'.repeat(size % 2));
    await comesBack(socket, bytes(size));
  }
  const numbers = Array.from({ length: 1000 }, (_, number) => `message ${number}`);
  const came = [];
  const all = new Promise((resolve) => {
    socket.addEventListener('message', ({ data }) => came.push(data) === numbers.length && resolve());
  });
  numbers.forEach((number) => socket.send(number));
  await all;
  expect(came.join() === numbers.join(), 'messages lost their order');
  socket.close();
}

async function closes() {
  for (const [code, reason] of [[1000, 'bye'], [3000, 'é'.repeat(61)], [4999, 'x']]) {
    const socket = await connect();
    socket.close(code, reason);
    const event = await next(socket, 'close');
    expect(event.code === code && event.wasClean, `${event.code}, clean: ${event.wasClean}, in answer to ${code}`);
  }
}

async function subprotocols() {
  for (const [offered, agreed] of [[['chat', 'superchat'], 'chat'], [[], '']]) {
    const socket = await connect(offered);
    expect(socket.protocol === agreed, `${socket.protocol} is agreed to`);
    socket.close();
  }
}

async function large() {
  const socket = await connect();
  await comesBack(socket, bytes(16 << 20));
  await comesBack(socket, 'sixteen letters.'.repeat(100 << 16));
  socket.close();
}

for (const scenario of what === 'large' ? [large] : [messages, closes, subprotocols]) {
  await scenario();
}
const socket = await connect();
console.log(socket.extensions);
socket.close();
