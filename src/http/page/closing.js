// Close codes: all that are registered (RFC 6455, section 7.4, and the registry that it begins), and which came.

const EITHER = 'both sides';
const NOBODY = 'never sent';

const CLOSE_CODES = [
  [1000, 'done: all is said', EITHER, 'page'],
  [1001, 'going away: a server stops, a page is left', EITHER],
  [1002, 'protocol error: a frame was not as it must be', EITHER],
  [1003, 'this kind of data is not taken, such as binary', EITHER],
  [1004, 'reserved, without a meaning so far', NOBODY],
  [1005, 'the Close came without a code', NOBODY],
  [1006, 'no Close came: the connection was refused, or it broke', NOBODY],
  [1007, 'the data is not what its type says, such as text that is no UTF-8', EITHER],
  [1008, 'against a policy: what is said when nothing else fits', EITHER],
  [1009, 'the message is too large', EITHER],
  [1010, 'the server did not agree to an extension that is needed', 'clients'],
  [1011, 'the server met something that it did not expect', 'servers'],
  [1012, 'the server starts again', 'servers'],
  [1013, 'try again later: the server has too much to do', 'servers'],
  [1014, 'a gateway got no good answer from the server behind it', 'servers'],
  [1015, 'TLS failed, so there was never a WebSocket', NOBODY],
  [3000, 'not authorised: say who you are', EITHER, 'page'],
  [3003, 'forbidden: it is known who you are, and you may not', EITHER, 'page'],
  [3008, 'it took too long', EITHER, 'page'],
  ['3000–3999', 'of a library or framework, registered', EITHER, 'page'],
  ['4000–4999', 'of an application, between the two of them', EITHER, 'page'],
];

/** What `code` means. */
function closeInWords(code) {
  const known = CLOSE_CODES.find(([number]) => number === code);
  if (known) {
    return known[1];
  }
  const range = CLOSE_CODES.find(([name]) => String(name)[0] === String(code)[0] && String(name).length > 4);
  return code >= 3000 && range ? range[1] : 'not registered';
}

/** Why `close(code)` throws, in words. */
function whyNotClose(code, reason) {
  if (code !== 1000 && (code < 3000 || code > 4999)) {
    return `close(${code}) throws InvalidAccessError: a page may say 1000, or 3000 to 4999. The others belong to the browser and the server.`;
  }
  const length = new TextEncoder().encode(reason).length;
  return `close() throws SyntaxError: a reason has at most 123 bytes of UTF-8, and this one has ${length}. A Close frame has room for 125, two of them for the code.`;
}

const closesSeen = new Map();

function drawCloseCodes() {
  const rows = CLOSE_CODES.map(([code, means, who, page]) =>
    element(
      'tr',
      { 'data-code': code },
      element('th', { scope: 'row' }, String(code).replace('–', '–\u200b')),
      element('td', {}, means),
      element('td', {}, page ? `${who}, pages too` : who),
      element('td', { class: 'seen' }, '–'),
    ),
  );
  byId('codes-table').tBodies[0].replaceChildren(...rows);
}

/** Counts a close in the table and says what it was. */
function sawClose(code, reason, wasClean) {
  const rows = [...byId('codes-table').tBodies[0].rows];
  const range = code >= 4000 ? '4000–4999' : '3000–3999';
  const row = rows.find((it) => it.dataset.code === String(code)) ?? rows.find((it) => code >= 3000 && it.dataset.code === range);
  const name = row?.dataset.code;
  closesSeen.set(name, (closesSeen.get(name) ?? 0) + 1);
  for (const other of rows) {
    other.classList.toggle('latest', other === row);
  }
  if (row) {
    const times = closesSeen.get(name);
    row.querySelector('.seen').textContent = times === 1 ? 'once' : `${times} times`;
  }
  const how = wasClean ? 'Both sides said Close.' : 'It was not clean: one Close is missing.';
  const why = reason ? `with the reason “${reason}”` : 'without a reason';
  byId('closing-said').textContent = `Last: ${code}, ${why}: ${closeInWords(code)}. ${how}`;
}
