// Starts, ends and starts again the server that a script is given: node SCRIPT.mjs PROGRAM [OPTION...].

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';

// How long anything may take before a test gives up. Never a measure of speed.
export const PATIENCE_MS = 20_000;

// The ways to speak Engine.IO; with the last, a connection begins by polling and is upgraded.
export const TRANSPORTS = [['polling'], ['websocket'], ['polling', 'websocket']];

const [program, ...given] = process.argv.slice(2);

// None outlives the script.
const children = new Set();
process.on('exit', () => children.forEach((child) => child.kill('SIGKILL')));

export class Server {
  // Port 0 is a free one.
  static async start(options = [], port = 0) {
    const server = new Server();
    const listen = ['--listen', `127.0.0.1:${port}`];
    const child = spawn(program, [...given, ...listen, ...options], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    server.child = child;
    children.add(child);
    const log = [];
    server.port = await new Promise((resolve, reject) => {
      createInterface({ input: child.stderr }).on('line', (line) => {
        log.push(line);
        const address = /listening on ws:\/\/127\.0\.0\.1:(\d+)/.exec(line);
        if (address) {
          resolve(Number(address[1]));
        }
      });
      child.on('exit', () => reject(new Error(`the server does not listen: ${log.join('\n')}`)));
    });
    return server;
  }

  url(scheme = 'http') {
    return `${scheme}://127.0.0.1:${this.port}`;
  }

  // SIGTERM lets it say goodbye; SIGKILL does not.
  async end(signal = 'SIGTERM') {
    if (this.child.exitCode === null && this.child.signalCode === null) {
      const exit = once(this.child, 'exit');
      this.child.kill(signal);
      await soon(exit, 'the end of the server');
      children.delete(this.child);
    }
  }
}

// What the promise gives, or the failure that it never came.
export function soon(promise, what) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`waited in vain: ${what}`)), PATIENCE_MS);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

// The arguments with which `emitter` next says `event`.
export function next(emitter, event) {
  return soon(new Promise((resolve) => emitter.once(event, (...args) => resolve(args))), event);
}

// Waits until an engine speaks the last of its transports: it may begin with another.
export async function upgraded(engine, transports) {
  const last = transports.at(-1);
  if (engine.transport.name !== last) {
    await next(engine, 'upgrade');
  }
  assert.equal(engine.transport.name, last);
}
