// The behaviours of /x: their list, as the server gives it, and what each does when it is tried.

/** What is sent to a behaviour, and the time between. */
const WORDS_SENT = ['one', 'two', 'three'];
const BETWEEN_MS = 300;

let trial = null;
let trialTranscript = null;

/** Opens `path`, sends what there is to send, and draws what comes of it. */
function tryBehaviour(path) {
  trial?.leave();
  const runner = byId('runner');
  runner.hidden = false;
  byId('runner-path').value = path;
  trialTranscript.clear();
  const subprotocol = /^\/x\/subprotocol\/([^?&/]+)/.exec(path);
  trial = new Conversation(here(path), trialTranscript, {
    protocols: subprotocol ? [decodeURIComponent(subprotocol[1])] : [],
    opened: (conversation) => WORDS_SENT.forEach((word, index) => setTimeout(() => sayWord(conversation, word), index * BETWEEN_MS)),
    closed: (conversation) => {
      if (!conversation.hasOpened) {
        askOverHttp(path, conversation);
      }
    },
  });
}

function sayWord(conversation, word) {
  if (conversation.isOpen) {
    conversation.sendText(word);
  }
}

/** Scripts may not see how an upgrade was refused; the same path over HTTP answers alike. */
async function askOverHttp(path, conversation) {
  const words = await answerInWords(path);
  if (!conversation.isLeft) {
    trialTranscript.remark(`Asked over plain HTTP, the same path ${words}.`);
  }
}

async function answerInWords(path) {
  try {
    // Without credentials no dialogue for a password appears.
    const response = await fetch(path, { credentials: 'omit', redirect: 'manual', signal: AbortSignal.timeout(70_000) });
    if (response.type === 'opaqueredirect') {
      return 'answers with a redirect, which no browser follows for a WebSocket';
    }
    return response.ok ? 'answers well: it was the handshake that the browser did not take' : `answers ${response.status} ${response.statusText}`;
  } catch {
    return 'does not answer either';
  }
}

function stopTrial() {
  trial?.socket.close(1000);
}

function drawGroup(group) {
  const entries = element('ul', { class: 'entries' }, ...group.entries.map(drawEntry));
  return element('div', { class: 'group' }, element('h3', {}, group.name), entries);
}

function drawEntry(entry) {
  const buttons = entry.examples.map((path) => {
    const button = element('button', { type: 'button', class: 'path' }, path);
    button.addEventListener('click', () => {
      // What happens is drawn where it was asked for.
      button.closest('li').append(byId('runner'));
      tryBehaviour(path);
    });
    return button;
  });
  const syntax = element('code', { class: 'syntax' }, entry.syntax);
  return element('li', {}, element('p', { class: 'what' }, syntax, ' ', entry.what), element('p', { class: 'examples' }, ...buttons));
}

async function listBehaviours() {
  const said = byId('behaviours-said');
  try {
    const response = await fetch('/x', { headers: { Accept: 'application/json' }, signal: AbortSignal.timeout(10_000) });
    if (!response.ok) {
      said.textContent = 'This server has no behaviours: it runs with --no-behaviours, and a WebSocket below /x is an echo like any other.';
      return;
    }
    const { groups } = await response.json();
    byId('behaviours-list').replaceChildren(...groups.map(drawGroup));
  } catch {
    said.textContent = 'The list of behaviours did not come. Load the page again.';
  }
}

function startBehaviours() {
  trialTranscript = new Transcript(byId('runner-transcript'));
  onSubmit(byId('runner-form'), () => tryBehaviour(byId('runner-path').value));
  byId('runner-stop').addEventListener('click', stopTrial);
  listBehaviours();
}
