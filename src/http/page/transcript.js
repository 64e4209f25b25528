// What happened, drawn as in the picture at the top: you on the left, the server on the right, time downwards.

class Transcript {
  /** Keeps the latest; a page that is left open must not grow for ever. */
  static ROWS_MAX = 300;

  constructor(list) {
    this.list = list;
    this.zero = performance.now();
  }

  clear() {
    this.list.replaceChildren();
  }

  /** Times count from here. */
  restart() {
    this.zero = performance.now();
  }

  /** An event of the API, or something done to it: a line across. */
  event(name, words, tone = '') {
    const row = this.row(`event ${tone}`, element('code', {}, name), element('span', { class: 'said' }, words));
    announce(`${name}: ${words}`);
    return row;
  }

  /** A remark of this page's own. */
  remark(words) {
    return this.row('remark', element('span', { class: 'said' }, words));
  }

  /** A message on its way out. What it returns says later what came of it. */
  sent(kind, size, body) {
    return this.message('sent', kind, size, body);
  }

  /** A message that came. */
  came(kind, size, body, aside) {
    const row = this.message('came', kind, size, body, aside);
    announce(`message came: ${kind}, ${body.slice(0, 80)}`);
    return row;
  }

  message(way, kind, size, body, aside = '') {
    const name = way === 'sent' ? 'send' : 'message';
    return this.row(
      way,
      element('span', { class: 'about' }, element('code', {}, name), ` ${kind}, ${sizeInWords(size)}`),
      element('span', { class: 'body' }, body),
      element('span', { class: 'arrow', 'aria-hidden': 'true' }),
      element('span', { class: 'aside' }, aside),
    );
  }

  row(kind, ...content) {
    const scroll = this.list.parentElement;
    const isAtEnd = scroll.scrollHeight - scroll.scrollTop - scroll.clientHeight < 40;
    const seconds = ((performance.now() - this.zero) / 1000).toFixed(3);
    const time = element('time', {}, `${seconds} s`);
    const row = element('li', { class: kind }, time, element('div', { class: 'lane' }, ...content));
    this.list.append(row);
    while (this.list.children.length > Transcript.ROWS_MAX) {
      this.list.firstChild.remove();
    }
    if (isAtEnd) {
      scroll.scrollTop = scroll.scrollHeight;
    }
    return row;
  }
}
