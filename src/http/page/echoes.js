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
    let index = this.waiting.findIndex((sent) => sent.isText === isText && isSame(sent.bytes, bytes));
    const isSameAlone = index >= 0;
    if (!isSameAlone) {
      // With a prefix every answer is text.
      index = this.waiting.findIndex((sent) => isAtEnd(sent.bytes, bytes));
    }
    if (index < 0) {
      return this.waiting.length === 0 ? 'said by the server' : 'not what was sent';
    }
    const [sent] = this.waiting.splice(index, 1);
    this.bytes -= sent.bytes.length;
    const came = isSameAlone ? 'the same bytes' : `what was sent, with ${sizeInWords(bytes.length - sent.bytes.length)} in front`;
    return `${came}, back after ${timeInWords(now - sent.at)}`;
  }
}
