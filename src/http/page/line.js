// The line that somebody opens by hand: connect, send, close, and how the socket stands.

const READY_STATES = ['0, connecting', '1, open', '2, closing', '3, closed'];

let line = null;
let lineTranscript = null;

/** Opens the line to what the form says. A line that is still open is closed first. */
function connect(hooks = {}) {
  const protocols = byId('protocols').value.split(',').map((it) => it.trim()).filter(Boolean);
  const address = checkedAddress(byId('address'));
  if (line && line.socket.readyState <= WebSocket.OPEN) {
    lineTranscript.remark('The line that was open is closed: there is one at a time here.');
    line.leave();
  }
  try {
    line = new Conversation(address, lineTranscript, { protocols, binaryType: byId('binary-type').value, ...hooks });
  } catch {
    throw new Fault(byId('protocols'), 'The API throws SyntaxError: subprotocols are words without spaces or brackets, each named once.');
  }
  watchSocket();
}

/** The address in a field, whole. The API would take `localhost` for a path of this server. */
function checkedAddress(field) {
  const address = field.value.trim();
  if (!URL.canParse(address) || !/^(wss?|https?):$/.test(new URL(address).protocol)) {
    throw new Fault(field, `“${address}” is no address of a WebSocket: it begins with ws:// or wss://, as in ${here('/')}.`);
  }
  if (new URL(address).hash) {
    throw new Fault(field, 'The address of a WebSocket has no part after #.');
  }
  return address;
}

/** Shows how the socket stands for as long as that can change. */
function watchSocket() {
  const { socket } = line;
  const show = () => {
    if (socket !== line.socket) {
      return;
    }
    byId('ready-state').textContent = READY_STATES[socket.readyState];
    byId('chosen-protocol').textContent = socket.protocol || '(none)';
    byId('buffered').textContent = sizeInWords(socket.bufferedAmount);
    if (socket.readyState !== WebSocket.CLOSED) {
      setTimeout(show, 100);
    }
  };
  show();
}

async function sendComposed() {
  const message = await composed();
  if (!line?.isOpen) {
    const field = byId('send-form').querySelector('[data-kind]:not([hidden]) :is(textarea, input)');
    throw new Fault(field, 'Nothing was sent: the line is not open. Connect first.');
  }
  line.send(message.data, message.bytes, message.kind);
  byId('buffered').textContent = sizeInWords(line.socket.bufferedAmount);
}

function closeLine() {
  const [field, reason] = [byId('close-code'), byId('close-reason').value];
  if (!line || line.socket.readyState > WebSocket.OPEN) {
    throw new Fault(field, 'There is no open line to close.');
  }
  const code = numberIn(field, 0, 65535);
  try {
    line.socket.close(code, reason);
  } catch (error) {
    throw new Fault(error.name === 'SyntaxError' ? byId('close-reason') : field, whyNotClose(code, reason));
  }
  lineTranscript.remark(`close(${code}${reason ? `, '${reason}'` : ''})`);
}

/** The one click that shows a WebSocket at work. */
function begin() {
  byId('address').value = here('/');
  byId('protocols').value = '';
  byId('line').scrollIntoView();
  byId('line-title').focus({ preventScroll: true });
  connect({ opened: (opened) => opened.sendText('Hello') });
}

function startLine() {
  lineTranscript = new Transcript(byId('transcript'));
  byId('address').value = here('/');
  onSubmit(byId('connect-form'), () => connect());
  onSubmit(byId('send-form'), sendComposed);
  onSubmit(byId('close-form'), closeLine);
  byId('clear').addEventListener('click', () => lineTranscript.clear());
  byId('begin').addEventListener('click', begin);
  // Enter sends, as everywhere where one talks; Shift and Enter is a new line.
  byId('text').addEventListener('keydown', (event) => {
    if (event.key === 'Enter' && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      byId('send-form').requestSubmit();
    }
  });
}
