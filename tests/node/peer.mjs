// A client's connection with a queue, so that a scenario reads from top to bottom.

import assert from 'node:assert/strict';
import WebSocket from 'ws';

// How long anything may take before a scenario gives up. Never a measure of speed.
const PATIENCE_MS = 20_000;

export class Peer {
  #events = [];
  #waiting = [];

  constructor(url, { protocols = [], ...options } = {}) {
    this.socket = new WebSocket(url, protocols, { perMessageDeflate: false, maxPayload: 0, ...options });
    this.socket.on('open', () => this.#push({ type: 'open' }));
    this.socket.on('message', (data, isBinary) => this.#push({ type: 'message', data, isBinary }));
    this.socket.on('pong', (data) => this.#push({ type: 'pong', data }));
    this.socket.on('close', (code, reason) =>
      this.#push({ type: 'close', code, reason: reason.toString() }),
    );
    this.socket.on('error', (error) => this.#push({ type: 'error', message: error.message }));
  }

  #push(event) {
    const resolve = this.#waiting.shift();
    if (resolve) {
      resolve(event);
    } else {
      this.#events.push(event);
    }
  }

  // The next event, which must be of this type.
  async next(type) {
    const event = this.#events.shift() ?? (await this.#arrival(type));
    if (event.type !== type) {
      throw new Error(`expected ${type}, not ${JSON.stringify(event).slice(0, 200)}`);
    }
    return event;
  }

  #arrival(type) {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`no ${type} came`)), PATIENCE_MS);
      this.#waiting.push((event) => {
        clearTimeout(timer);
        resolve(event);
      });
    });
  }
}

export async function connect(url, options) {
  const peer = new Peer(url, options);
  await peer.next('open');
  return peer;
}

// Sends `data`, text if it is a string, and waits until the same comes back.
export async function comesBack(peer, data) {
  const isBinary = typeof data !== 'string';
  peer.socket.send(data);
  const echo = await peer.next('message');
  assert.equal(echo.isBinary, isBinary);
  assert.ok(Buffer.from(data).equals(echo.data), `${echo.data.length} bytes differ`);
}
