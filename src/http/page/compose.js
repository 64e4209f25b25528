// What is to be sent, read from the form: text, JSON, binary or a file.

/** The file that was dropped or chosen last. */
let chosenFile = null;

function chosenKind() {
  return new FormData(byId('send-form')).get('kind');
}

/** What the form holds: `data` for `send()`, its bytes, and a name for its kind. Throws a `Fault`. */
async function composed() {
  switch (chosenKind()) {
    case 'json':
      return composedText(checkedJson(byId('json')), 'JSON as text');
    case 'binary': {
      const bytes = bytesIn(byId('binary'));
      return { data: bytes, bytes, kind: 'binary' };
    }
    case 'file':
      return composedFile();
    default:
      return composedText(byId('text').value, 'text');
  }
}

function composedText(text, kind) {
  return { data: text, bytes: new TextEncoder().encode(text), kind };
}

function checkedJson(field) {
  try {
    JSON.parse(field.value);
  } catch (error) {
    throw new Fault(field, `This is no JSON, and was not sent: ${error.message}`);
  }
  return field.value;
}

/** Hex wins where both could be meant: 10 is one byte, 10 B are ten. */
function bytesIn(field) {
  const bytes = bytesFromHex(field.value);
  if (bytes) {
    return bytes;
  }
  const size = sizeFrom(field.value);
  if (size === null) {
    throw new Fault(field, 'Write pairs of hex digits, such as de ad be ef, or a size, such as 500 B, 64 KiB or 16 MiB.');
  }
  if (size > BYTES_MAX) {
    throw new Fault(field, `At most ${sizeInWords(BYTES_MAX)} are sent from here, since the page keeps them to compare.`);
  }
  return randomBytes(size);
}

async function composedFile() {
  const field = byId('file');
  if (!chosenFile) {
    throw new Fault(field, 'Choose a file first, or drop one here.');
  }
  if (chosenFile.size > BYTES_MAX) {
    throw new Fault(field, `${chosenFile.name} has ${sizeInWords(chosenFile.size)}; at most ${sizeInWords(BYTES_MAX)} are sent from here.`);
  }
  const bytes = new Uint8Array(await chosenFile.arrayBuffer());
  return { data: chosenFile, bytes, kind: `${chosenFile.name} as binary` };
}

function takeFile(file) {
  chosenFile = file;
  byId('file-fault').textContent = '';
}

function startComposing() {
  const form = byId('send-form');
  const show = () => {
    for (const panel of form.querySelectorAll('[data-kind]')) {
      panel.hidden = panel.dataset.kind !== chosenKind();
    }
    clearFaults(form);
  };
  for (const radio of form.elements.kind) {
    radio.addEventListener('change', show);
  }
  show();
  const [field, drop] = [byId('file'), byId('drop')];
  field.addEventListener('change', () => takeFile(field.files[0] ?? null));
  drop.addEventListener('dragover', (event) => {
    event.preventDefault();
    drop.classList.add('over');
  });
  drop.addEventListener('dragleave', () => drop.classList.remove('over'));
  drop.addEventListener('drop', (event) => {
    event.preventDefault();
    drop.classList.remove('over');
    if (event.dataTransfer.files.length > 0) {
      field.files = event.dataTransfer.files;
      takeFile(field.files[0]);
    }
  });
}
