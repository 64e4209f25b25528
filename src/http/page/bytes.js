// Bytes: read from what somebody types, compared, and put into words.

/** What is offered to be sent or shown at once, at most. */
const BYTES_MAX = 64 * 1024 * 1024;

const UNITS = { '': 1, b: 1, kb: 1e3, mb: 1e6, kib: 1024, mib: 1024 * 1024 };

/** The number of bytes that `text` names, such as 500 or 64 KiB; null where it names none. */
function sizeFrom(text) {
  const parts = /^\s*(\d+(?:\.\d+)?)\s*([a-z]*)\s*$/i.exec(text);
  const unit = parts && UNITS[parts[2].toLowerCase()];
  return unit ? Math.round(Number(parts[1]) * unit) : null;
}

/** The bytes that pairs of hex digits name; null where something else stands there. */
function bytesFromHex(text) {
  const digits = text.replace(/[\s:,]|0x/gi, '');
  if (digits.length % 2 !== 0 || /[^0-9a-f]/i.test(digits)) {
    return null;
  }
  return Uint8Array.from(digits.match(/../g) ?? [], (pair) => parseInt(pair, 16));
}

function hexOf(bytes, separator = ' ') {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join(separator);
}

/**
 * What `bytes` say in UTF-8, from the first to the last: characters, each with how many bytes it has, and a null of one
 * byte for each that is part of no whole character.
 */
function charactersIn(bytes) {
  const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
  const characters = [];
  for (let at = 0; at < bytes.length; at += characters.at(-1).length) {
    const first = bytes[at];
    const length = first < 0xc0 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
    try {
      characters.push({ character: decoder.decode(bytes.subarray(at, at + length)), length });
    } catch {
      characters.push({ character: null, length: 1 });
    }
  }
  return characters;
}

/** As many bytes, at random: what cannot be guessed or compressed cannot be echoed by mistake. */
function randomBytes(length) {
  const AT_ONCE = 65536;
  const bytes = new Uint8Array(length);
  for (let start = 0; start < length; start += AT_ONCE) {
    crypto.getRandomValues(bytes.subarray(start, start + AT_ONCE));
  }
  return bytes;
}

/** A text of so many bytes. */
function textOf(length) {
  const line = 'The quick brown fox jumps over the lazy dog. ';
  return line.repeat(Math.ceil(length / line.length)).slice(0, length);
}

function isSame(one, other) {
  return one.length === other.length && one.every((byte, index) => byte === other[index]);
}

/** Whether `all` ends with `end`, and `end` is something. */
function isAtEnd(end, all) {
  return end.length > 0 && all.length > end.length && isSame(all.subarray(all.length - end.length), end);
}

function sizeInWords(count) {
  if (count < 1024) {
    return count === 1 ? '1 byte' : `${count} bytes`;
  }
  const [unit, name] = count < 1024 * 1024 ? [1024, 'KiB'] : [1024 * 1024, 'MiB'];
  return `${Number((count / unit).toFixed(1))} ${name}`;
}

function timeInWords(milliseconds) {
  if (milliseconds >= 1000) {
    return `${(milliseconds / 1000).toFixed(2)} s`;
  }
  return `${milliseconds.toFixed(milliseconds < 10 ? 1 : 0)} ms`;
}

/** A first look at a message: text as it is, bytes in hex. */
function glimpse(data, isText) {
  const TEXT_MAX = 1000;
  const BYTES_SHOWN = 24;
  if (isText) {
    return data.length > TEXT_MAX ? `${data.slice(0, TEXT_MAX)} …` : data;
  }
  const start = hexOf(data.subarray(0, BYTES_SHOWN));
  return data.length > BYTES_SHOWN ? `${start} …` : start;
}
