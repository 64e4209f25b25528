// One WebSocket whose four events are drawn in a transcript, with what is sent on it.

class Conversation {
  /**
   * Opens it. `hooks` may have `opened`, `message` (instead of what is drawn), and `closed`.
   * Throws what the API throws.
   */
  constructor(address, transcript, { protocols = [], binaryType = 'arraybuffer', ...hooks } = {}) {
    this.socket = new WebSocket(address, protocols);
    this.socket.binaryType = binaryType;
    this.transcript = transcript;
    this.echoes = new Echoes();
    this.hooks = hooks;
    this.hasOpened = false;
    this.isLeft = false;
    // Blobs are read one after the other, so that what is drawn keeps its order.
    this.turn = Promise.resolve();
    transcript.restart();
    transcript.remark(`new WebSocket(${[address, ...protocols].map((it) => `'${it}'`).join(', ')})`);
    this.on('open', () => this.opened());
    this.on('message', (event) => {
      const now = performance.now();
      this.turn = this.turn.then(() => this.came(event.data, now));
    });
    this.on('error', () => this.failed());
    this.on('close', (event) => {
      this.turn = this.turn.then(() => this.closed(event));
    });
  }

  on(name, action) {
    this.socket.addEventListener(name, (event) => {
      if (!this.isLeft) {
        action(event);
      }
    });
  }

  /** Closes it; whatever it still says is not drawn. */
  leave() {
    this.isLeft = true;
    this.socket.close();
  }

  opened() {
    this.hasOpened = true;
    const agreed = this.socket.protocol;
    const words = agreed ? `the line is open, and “${agreed}” is agreed to` : 'the line is open';
    this.transcript.event('open', words, 'good');
    this.hooks.opened?.(this);
  }

  async came(data, now) {
    const isText = typeof data === 'string';
    const kind = isText ? 'text' : data instanceof Blob ? 'Blob' : 'ArrayBuffer';
    const bytes = isText ? new TextEncoder().encode(data) : new Uint8Array(data instanceof Blob ? await data.arrayBuffer() : data);
    if (this.hooks.message) {
      this.hooks.message(isText ? data : bytes, this);
      return;
    }
    const aside = this.echoes.compare(bytes, isText, now);
    this.transcript.came(kind, bytes.length, glimpse(isText ? data : bytes, isText), aside);
  }

  failed() {
    const words = this.hasOpened
      ? 'the browser gave the line up; what came did not obey the protocol, or the connection broke'
      : 'no WebSocket came of it; a page is not told why, so that it cannot search a network. The console knows more';
    this.transcript.event('error', words, 'bad');
  }

  closed(event) {
    const { code, reason, wasClean } = event;
    const said = reason ? `, reason “${reason}”` : '';
    this.transcript.event('close', `${code}${said}: ${closeInWords(code)}`, wasClean ? '' : 'bad');
    sawClose(code, reason, wasClean);
    this.hooks.closed?.(this, event);
  }

  get isOpen() {
    return this.socket.readyState === WebSocket.OPEN;
  }

  /** Sends text, bytes or a file. `bytes` are those of `data`. */
  send(data, bytes, kind) {
    const isText = typeof data === 'string';
    this.socket.send(data);
    this.echoes.expect(bytes, isText);
    this.transcript.sent(kind, bytes.length, glimpse(isText ? data : bytes, isText));
  }

  sendText(text) {
    this.send(text, new TextEncoder().encode(text), 'text');
  }
}
