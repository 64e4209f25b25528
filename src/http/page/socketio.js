// Socket.IO by hand, over a plain WebSocket: its packets, and what each of them says.

/** The kinds of Engine.IO packet (version 4), by their digit. */
const ENGINE_PACKETS = {
  0: 'Engine.IO open: the session, and how often the server will ask whether we are there',
  1: 'Engine.IO close',
  2: 'Engine.IO ping: are you there?',
  3: 'Engine.IO pong: I am',
  4: 'Engine.IO message, with a Socket.IO packet in it',
  5: 'Engine.IO upgrade: from polling to this WebSocket',
  6: 'Engine.IO noop',
};

/** The kinds of Socket.IO packet (version 5), by the digit after the 4. */
const SOCKET_PACKETS = {
  0: 'connect to a namespace',
  1: 'leave the namespace',
  2: 'event: a name, then its arguments',
  3: 'acknowledgement of an event',
  4: 'refused: this namespace is not to be had',
  5: 'event with binary, which follows in messages of its own',
  6: 'acknowledgement with binary',
};

/** What a packet says, in words. */
function packetInWords(packet) {
  const [engine, socket] = packet;
  if (engine !== '4') {
    return ENGINE_PACKETS[engine] ?? 'no packet of Engine.IO';
  }
  const words = SOCKET_PACKETS[socket] ?? 'no packet of Socket.IO';
  return `4 is a message of Engine.IO, ${socket} of Socket.IO: ${words}`;
}

/** What a client answers to a packet; none: nothing. */
function answersTo(packet) {
  if (packet[0] === '0') {
    return ['40'];
  }
  if (packet[0] === '2') {
    return ['3'];
  }
  return packet.startsWith('40') ? ['42["message","hi"]'] : [];
}

let socketIo = null;

function say(packet, { socket, transcript }) {
  socket.send(packet);
  const row = transcript.sent('text', new TextEncoder().encode(packet).length, packet);
  row.querySelector('.aside').textContent = packetInWords(packet);
}

function speakSocketIo(transcript) {
  socketIo?.leave();
  transcript.clear();
  const address = new URL(byId('socketio-path').value, here('/'));
  address.protocol = new URL(here('/')).protocol;
  address.search = '?EIO=4&transport=websocket';
  address.hash = '';
  socketIo = new Conversation(address.href, transcript, {
    message(data, conversation) {
      if (typeof data !== 'string') {
        transcript.came('binary', data.length, glimpse(data, false), 'what an event with binary announced');
        return;
      }
      transcript.came('text', new TextEncoder().encode(data).length, data, packetInWords(data));
      answersTo(data).forEach((packet) => say(packet, conversation));
    },
    closed: ({ hasOpened }) => {
      if (!hasOpened) {
        transcript.remark('There is no Socket.IO at this path: it may be another (--socket-io-path), or switched off (--no-socket-io).');
      }
    },
  });
}

function startSocketIo() {
  const transcript = new Transcript(byId('socketio-transcript'));
  onSubmit(byId('socketio-form'), () => speakSocketIo(transcript));
  byId('socketio-stop').addEventListener('click', () => socketIo?.socket.close(1000));
}
