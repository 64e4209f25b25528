// What was sent and is waited for, so that what comes can be compared with it, byte by byte.

class Echoes {
  constructor() {
    this.waiting = [];
    this.bytes = 0;
  }

  expect(bytes, isText) {
    this.waiting.push({ bytes, isText, at: performance.now() });
    this.bytes += bytes.length;
    while (this.bytes > 2 * BYTES_MAX || this.waiting.length > 1000) {
      this.bytes -= this.waiting.shift().bytes.length;
    }
  }

  /** Says in words whether what came is the echo of something that was sent. */
  compare(bytes, isText, now) {
    const index = this.waiting.findIndex((sent) => sent.isText === isText && isSame(sent.bytes, bytes));
    if (index < 0) {
      return this.waiting.length === 0 ? 'said by the server' : 'not what was sent';
    }
    const [sent] = this.waiting.splice(index, 1);
    this.bytes -= sent.bytes.length;
    return `the same bytes, back after ${timeInWords(now - sent.at)}`;
  }
}
