// A plain echo on Node `ws`: the baseline of `ringbench suite`.
//
//   node server.js [--port N] [--tls-cert FILE --tls-key FILE] [--bufferutil] [--cluster]
//
// The port is on 127.0.0.1; 0, the default, lets the kernel choose one. permessage-deflate is agreed on, with the
// defaults of `ws`, when a client offers it: only workloads that measure it do.
//
// --bufferutil: insist on the native masking that the README of `ws` offers "for performance".
// --cluster:    one process per CPU, as the documentation of node:cluster has it.

import cluster from 'node:cluster';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:https';
import { createRequire } from 'node:module';
import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';

const HOST = '127.0.0.1';
// The same as Ringback's listen backlog, so that a storm of connections meets equal conditions.
const BACKLOG = 4096;
const MESSAGE_BYTES_MAX = 64 * 1024 * 1024;

function fail(why, status = 1) {
  console.error(`server.js: ${why}`);
  process.exit(status);
}

function parseOptions() {
  const options = {
    port: { type: 'string', default: '0' },
    'tls-cert': { type: 'string' },
    'tls-key': { type: 'string' },
    bufferutil: { type: 'boolean', default: false },
    cluster: { type: 'boolean', default: false },
  };
  let values;
  try {
    ({ values } = parseArgs({ options }));
  } catch (error) {
    fail(error.message, 2);
  }
  const port = Number(values.port);
  if (!Number.isInteger(port) || port < 0 || port > 65535) {
    fail(`the port must be a whole number from 0 to 65535, not ${values.port}`, 2);
  }
  const [cert, key] = [values['tls-cert'], values['tls-key']];
  if ((cert === undefined) !== (key === undefined)) {
    fail('--tls-cert and --tls-key go together', 2);
  }
  return { port, cert, key, bufferutil: values.bufferutil, cluster: values.cluster };
}

function read(file) {
  try {
    return readFileSync(file);
  } catch (error) {
    return fail(`cannot read ${file}: ${error.message}`);
  }
}

// `bufferutil` falls back to JavaScript without a word where it has no native module for the machine.
function insistOnBufferutil() {
  let mask;
  try {
    ({ mask } = createRequire(import.meta.url)('bufferutil'));
  } catch {
    fail('the optional package bufferutil is not installed');
  }
  if (!String(mask).includes('[native code]')) {
    fail('bufferutil has no native module for this machine');
  }
}

async function serve({ port, cert, key }) {
  const { WebSocketServer } = await import('ws');
  const options = { perMessageDeflate: true, clientTracking: false, maxPayload: MESSAGE_BYTES_MAX };
  const where = { host: HOST, port, backlog: BACKLOG };
  let server;
  let listener;
  if (cert === undefined) {
    server = new WebSocketServer({ ...options, ...where });
    listener = server;
  } else {
    listener = createServer({ cert: read(cert), key: read(key) });
    server = new WebSocketServer({ ...options, server: listener });
    listener.listen(where);
  }
  server.on('connection', (socket) => {
    socket.on('error', () => {}); // `ws` has already answered with the close code
    socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary }));
  });
  server.on('error', (error) => fail(`cannot listen on ${HOST}:${port}: ${error.message}`));
  listener.on('listening', () => {
    const scheme = cert === undefined ? 'ws' : 'wss';
    if (!cluster.isWorker) {
      console.log(`listening on ${scheme}://${HOST}:${listener.address().port}`);
    }
  });
}

// The port opens when every process is ready to serve it, so that no early client finds only one.
function lead() {
  const count = availableParallelism();
  let ready = 0;
  for (let started = 0; started < count; started += 1) {
    const worker = cluster.fork();
    worker.on('message', () => {
      ready += 1;
      if (ready === count) {
        for (const id in cluster.workers) {
          cluster.workers[id].send('serve');
        }
      }
    });
  }
  cluster.on('exit', (worker, code) => fail(`process ${worker.process.pid} ended with ${code}`));
  cluster.on('listening', (worker, address) => {
    if (worker.id === count) {
      console.log(`listening on ${HOST}:${address.port}, with ${count} processes`);
    }
  });
}

process.on('SIGTERM', () => process.exit(0));
process.on('SIGINT', () => process.exit(0));

const options = parseOptions();
if (options.bufferutil) {
  insistOnBufferutil();
}
if (!options.cluster) {
  await serve(options);
} else if (cluster.isPrimary) {
  lead();
} else {
  await import('ws');
  process.once('message', () => serve(options));
  process.send('ready');
}
