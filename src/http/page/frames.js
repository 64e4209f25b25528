// Frames as the server saw them: a path of its own tells (/x/frames), and they are drawn byte by byte.

/** The example of RFC 6455, section 5.7, in the form in which the server tells of frames. */
const FRAME_EXAMPLE = {
  frames: [
    { fin: true, opcode: 1, name: 'text', masked: true, key: '37fa213d', length: 5, wire: '7f9f4d5158', payload: '48656c6c6f' },
  ],
  more: 0,
};

/** How many bytes of a payload are drawn. */
const DRAWN_MAX = 12;

/** The first bytes of a frame, up to its key: as the fields say that they were. */
function headBytes(frame) {
  const first = (frame.fin ? 0x80 : 0) | frame.opcode;
  const mask = frame.masked ? 0x80 : 0;
  if (frame.length < 126) {
    return { first, lengths: [mask | frame.length] };
  }
  const isShort = frame.length < 65536;
  const count = isShort ? 2 : 8;
  const rest = Array.from({ length: count }, (_, index) => Math.floor(frame.length / 256 ** (count - 1 - index)) % 256);
  return { first, lengths: [mask | (isShort ? 126 : 127), ...rest] };
}

function drawFrame(frame, number, count) {
  const title = `Frame ${number} of ${count}: ${frame.name}, ${sizeInWords(frame.length)}${frame.fin ? '' : ', more to follow'}`;
  return element('article', { class: 'frame' }, element('h3', {}, title), drawHead(frame), drawPayload(frame, number));
}

/** The header as boxes, each with its bytes and what they say. */
function drawHead(frame) {
  const { first, lengths } = headBytes(frame);
  const box = (bytes, words, kind) =>
    element('li', { class: kind }, element('code', {}, hexOf(bytes)), element('span', {}, words));
  const opcode = `${frame.fin ? 'FIN: the last of its message. ' : 'No FIN: more comes. '}Opcode ${frame.opcode}: ${frame.name}`;
  const length = `${frame.masked ? 'Masked. ' : 'Not masked. '}Length ${frame.length}`;
  const boxes = [box([first], opcode, 'flags'), box(lengths, length, 'length')];
  if (frame.masked) {
    boxes.push(box(bytesFromHex(frame.key), 'The masking key, random, new for each frame', 'key'));
  }
  const shown = bytesFromHex(frame.wire).subarray(0, 8);
  boxes.push(box(shown, frame.length > shown.length ? 'The payload begins …' : 'The payload', 'payload'));
  return element('ol', { class: 'head-boxes', 'aria-label': 'Header, byte by byte' }, ...boxes);
}

/** The first bytes of the payload, as they came, under the key, and what they became. */
function drawPayload(frame, number) {
  const [wire, payload] = [bytesFromHex(frame.wire), bytesFromHex(frame.payload)].map((it) => it.subarray(0, DRAWN_MAX));
  if (wire.length === 0) {
    return element('p', { class: 'said' }, 'It has no payload.');
  }
  const key = frame.masked ? bytesFromHex(frame.key) : new Uint8Array(4);
  const line = (title, kind, text) =>
    element('tr', { class: kind }, element('th', { scope: 'row' }, title), ...Array.from(wire, (_, index) => element('td', {}, text(index))));
  const letters = lettersOf(bytesFromHex(frame.payload), wire.length);
  const byte = (value) => value.toString(16).padStart(2, '0');
  const table = element(
    'table',
    { class: 'xor' },
    element('caption', {}, frame.length > wire.length ? `The first ${wire.length} bytes of its payload` : 'Its payload'),
    element(
      'tbody',
      {},
      line('on the wire', 'masked', (index) => byte(wire[index])),
      line('XOR the key', 'key', (index) => byte(key[index % 4])),
      line('is', 'plain', (index) => byte(payload[index])),
      element('tr', { class: 'letters' }, element('th', { scope: 'row' }, 'as text'), ...letters.map(drawLetter)),
    ),
  );
  const withLegend = element('div', {}, scrolling(`Payload of frame ${number}`, table), ...legendOf(letters));
  return element('div', { class: 'payload-drawn' }, withLegend, drawBits(wire[0], key[0], payload[0]));
}

function scrolling(name, table) {
  return element('div', { class: 'wide', role: 'region', 'aria-label': name, tabindex: '0' }, table);
}

/** What XOR does to the first byte, bit by bit. */
function drawBits(wire, key, payload) {
  const line = (title, kind, value) =>
    element('tr', { class: kind }, element('th', { scope: 'row' }, title), element('td', {}, value.toString(2).padStart(8, '0')));
  return element(
    'table',
    { class: 'xor' },
    element('caption', {}, 'The first byte, in bits'),
    element('tbody', {}, line('on the wire', 'masked', wire), line('XOR the key', 'key', key), line('is', 'plain', payload)),
  );
}

/** The characters of a payload that begin in its first `drawn` bytes, each as wide as those of its bytes among them. */
function lettersOf(payload, drawn) {
  const letters = [];
  let start = 0;
  for (const { character, length } of charactersIn(payload)) {
    if (start < drawn) {
      letters.push({ character, width: Math.min(length, drawn - start) });
    }
    start += length;
  }
  return letters;
}

function drawLetter({ character, width }) {
  return element('td', width > 1 ? { colspan: String(width) } : {}, character === null ? '·' : visible(character));
}

/** A character as it can be seen in a cell of its own. */
function visible(character) {
  if (character === ' ') {
    return 'sp';
  }
  if (/[\p{C}\p{Z}]/u.test(character)) {
    return `U+${character.codePointAt(0).toString(16).toUpperCase().padStart(4, '0')}`;
  }
  return /\p{M}/u.test(character) ? `◌${character}` : character;
}

/** How to read the line of letters, where it does not explain itself. */
function legendOf(letters) {
  const words = [];
  if (letters.some(({ width }) => width > 1)) {
    words.push('The text is UTF-8: a character of several bytes stands below all of them.');
  }
  if (letters.some(({ character }) => character === null)) {
    words.push('A dot stands for a byte that is part of no whole character here.');
  }
  return words.length > 0 ? [element('p', { class: 'said' }, words.join(' '))] : [];
}

function drawFrames(report) {
  const count = report.frames.length + report.more;
  const drawnFrames = report.frames.map((frame, index) => drawFrame(frame, index + 1, count));
  byId('frames-drawn').replaceChildren(...drawnFrames);
}

/** The report on frames in a message; null where it is none. */
function reportIn(data) {
  try {
    const report = JSON.parse(data);
    return Array.isArray(report?.frames) ? report : null;
  } catch {
    return null;
  }
}

function sayOfFrames(words) {
  byId('frames-said').textContent = words;
  announce(words);
}

/** Sends one message to the path that tells of frames, and draws what it tells. */
function lookAtFrames() {
  const as = byId('frames-as').value;
  const text = as === 'large' ? textOf(200 * 1024) : byId('frames-text').value;
  const socket = new WebSocket(here('/x/frames'));
  const patience = setTimeout(() => finish('The server did not answer in time.'), 10_000);
  let isDone = false;
  const finish = (words) => {
    if (!isDone) {
      isDone = true;
      clearTimeout(patience);
      sayOfFrames(words);
      socket.close();
    }
  };
  sayOfFrames('Sending …');
  socket.addEventListener('open', () => socket.send(as === 'binary' ? new TextEncoder().encode(text) : text));
  socket.addEventListener('message', (event) => {
    if (isDone) {
      return;
    }
    const report = reportIn(event.data);
    if (!report) {
      finish('This server does not tell of frames: it runs with --no-behaviours, and /x/frames is an echo like any other path.');
      return;
    }
    drawFrames(report);
    const count = report.frames.length + report.more;
    const cut = report.more > 0 ? ` The first ${report.frames.length} are drawn.` : '';
    finish(`The server saw ${count === 1 ? 'one frame' : `${count} frames`}.${cut}`);
  });
  socket.addEventListener('close', () => finish('The connection ended before the server told anything of frames.'));
}

function startFrames() {
  drawFrames(FRAME_EXAMPLE);
  onSubmit(byId('frames-form'), lookAtFrames);
}
