// Messages at a steady rate over a connection of their own, and how long each takes to come back.

const LOAD = { rate: [1, 2000], size: [8, 1024 * 1024], seconds: [1, 60] };

/** Each message begins with its number, in so many digits. */
const NUMBER_DIGITS = 8;

/** Above this much in the browser's queue no more is sent: what is measured then is only the queue. */
const QUEUE_MAX = 16 * 1024 * 1024;

function numbered(message) {
  return String(message).padStart(NUMBER_DIGITS, '0');
}

class Load {
  constructor(rate, size, seconds, done) {
    Object.assign(this, { rate, seconds, done, sent: 0, back: 0, hasSentAll: false, roundTrips: [], buckets: [] });
    this.size = size;
    this.rest = textOf(size - NUMBER_DIGITS);
    this.due = [];
    this.socket = new WebSocket(here('/'));
    this.socket.addEventListener('open', () => this.begin());
    this.socket.addEventListener('message', (event) => this.came(event.data));
    this.socket.addEventListener('close', (event) => this.end(event.code));
  }

  begin() {
    this.start = performance.now();
    this.sender = setInterval(() => this.sendDue(), 10);
    this.painter = setInterval(() => this.paint(), Plot.BUCKET_MS);
  }

  /** Sends what the clock says is due, so that a timer that comes late costs no message; after the end nothing. */
  sendDue() {
    const elapsed = performance.now() - this.start;
    const total = Math.floor((Math.min(elapsed, this.seconds * 1000) / 1000) * this.rate);
    const mayGo = () => this.socket.bufferedAmount < QUEUE_MAX && this.socket.readyState === WebSocket.OPEN;
    while (!this.hasSentAll && this.sent < total && mayGo()) {
      this.due.push(performance.now());
      this.socket.send(numbered(this.sent) + this.rest);
      this.sent += 1;
    }
    this.hasSentAll = elapsed >= this.seconds * 1000;
    const isOver = this.hasSentAll && (this.back === this.sent || elapsed > (this.seconds + 5) * 1000);
    if (isOver) {
      this.stop();
    }
  }

  /** Echoes keep their order, and may have a prefix. What is no echo, such as a greeting, is not counted. */
  came(data) {
    const start = data.length - this.size;
    if (start < 0 || data.slice(start, start + NUMBER_DIGITS) !== numbered(this.back)) {
      return;
    }
    const now = performance.now();
    const took = now - this.due[this.back];
    this.back += 1;
    this.roundTrips.push(took);
    // What comes after the end counts with the last.
    const last = (this.seconds * 1000) / Plot.BUCKET_MS - 1;
    const index = Math.min(Math.floor((now - this.start) / Plot.BUCKET_MS), last);
    (this.buckets[index] ??= []).push(took);
  }

  paint() {
    showLoad(this);
  }

  stop() {
    clearInterval(this.sender);
    this.socket.close(1000);
  }

  end(code) {
    clearInterval(this.sender);
    clearInterval(this.painter);
    this.paint();
    this.done(this, code);
  }
}

let load = null;

function showLoad(shown) {
  const sorted = Float64Array.from(shown.roundTrips).sort();
  const at = (share) => (sorted.length > 0 ? timeInWords(sorted[Math.ceil(share * sorted.length) - 1]) : '–');
  byId('load-sent').textContent = shown.sent;
  byId('load-back').textContent = shown.back;
  byId('load-median').textContent = at(0.5);
  byId('load-p99').textContent = at(0.99);
  byId('load-longest').textContent = at(1);
  byId('load-buffered').textContent = sizeInWords(shown.socket.bufferedAmount);
  Plot.draw(byId('plot'), shown);
}

function startLoad() {
  const rate = numberIn(byId('load-rate'), ...LOAD.rate);
  const seconds = numberIn(byId('load-seconds'), ...LOAD.seconds);
  const size = sizeFrom(byId('load-size').value);
  if (size === null || size < LOAD.size[0] || size > LOAD.size[1]) {
    throw new Fault(byId('load-size'), 'A size from 8 bytes to 1 MiB is needed here, such as 64 or 4 KiB.');
  }
  load?.stop();
  announce('Measuring …');
  load = new Load(rate, size, seconds, (ended, code) => {
    const missing = ended.back === 0 ? ' Nothing came back: this server does not echo here, or answers otherwise.' : '';
    announce(`Measured: ${ended.back} of ${ended.sent} came back, median ${byId('load-median').textContent}.${missing}`);
    byId('load-fault').textContent = missing || (code === 1006 ? 'The connection broke.' : '');
  });
}

function startTiming() {
  onSubmit(byId('load-form'), startLoad);
  byId('load-stop').addEventListener('click', () => load?.stop());
  Plot.draw(byId('plot'), { buckets: [], seconds: 10, rate: 100, back: 0 });
}
