// What every part uses to read the page and to write on it. Nothing is ever put in as markup.

const byId = (id) => document.getElementById(id);

/** An element of HTML with its attributes and what is in it. */
function element(name, attributes = {}, ...content) {
  return filled(document.createElement(name), attributes, content);
}

/** An element of SVG. */
function drawn(name, attributes = {}, ...content) {
  return filled(document.createElementNS('http://www.w3.org/2000/svg', name), attributes, content);
}

function filled(node, attributes, content) {
  for (const [name, value] of Object.entries(attributes)) {
    node.setAttribute(name, value);
  }
  node.append(...content);
  return node;
}

/** What somebody typed and that cannot be used, with the field it stands in. */
class Fault extends Error {
  constructor(field, words) {
    super(words);
    this.field = field;
  }
}

/** Calls `action` when `form` is submitted; a `Fault` is shown at its field, which gets the focus. */
function onSubmit(form, action) {
  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    clearFaults(form);
    try {
      await action();
    } catch (fault) {
      if (!(fault instanceof Fault)) {
        throw fault;
      }
      showFault(fault);
    }
  });
}

function showFault(fault) {
  const place = byId(fault.field.getAttribute('aria-describedby'));
  place.textContent = fault.message;
  fault.field.setAttribute('aria-invalid', 'true');
  fault.field.focus();
}

function clearFaults(form) {
  for (const field of form.querySelectorAll('[aria-invalid]')) {
    field.removeAttribute('aria-invalid');
  }
  for (const place of form.querySelectorAll('.fault')) {
    place.textContent = '';
  }
}

/** A whole number from a field, within bounds. */
function numberIn(field, least, most) {
  const number = Number(field.value);
  if (field.value.trim() === '' || !Number.isInteger(number) || number < least || number > most) {
    throw new Fault(field, `A whole number from ${least} to ${most} is needed here, not “${field.value}”.`);
  }
  return number;
}

/** Reads out the latest of what is said within a moment: whoever listens is not to be flooded. */
const announce = (() => {
  const PAUSE = 1000;
  let waiting = null;
  return (words) => {
    const isFirst = waiting === null;
    waiting = words;
    if (isFirst) {
      setTimeout(() => {
        byId('announcer').textContent = waiting;
        waiting = null;
      }, PAUSE);
    }
  };
})();

/** The address of a WebSocket at `path` of the server that this page came from. */
function here(path) {
  const address = new URL(path, location.href);
  address.protocol = location.protocol === 'https:' ? 'wss:' : 'ws:';
  address.hash = '';
  return address.href;
}
