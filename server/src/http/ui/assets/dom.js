/** Builds elements; no markup is ever made of text, so that names of files and classes cannot become markup. */

const SVG = 'http://www.w3.org/2000/svg';

/** @typedef {Node | string | number | null | undefined | false | Child[]} Child */

/**
 * An element. `tag` is `button.primary.small`; properties that begin with `on` are listeners, `class` adds to the classes.
 * @param {string} tag
 * @param {Record<string, any> | null} [props]
 * @param {...Child} children
 * @returns {any}
 */
export function h(tag, props, ...children) {
  const [name, ...classes] = tag.split('.');
  const element = document.createElement(name);
  if (classes.length > 0) element.className = classes.join(' ');
  set(element, props);
  append(element, children);
  return element;
}

/**
 * An element of SVG.
 * @param {string} tag
 * @param {Record<string, any> | null} [props]
 * @param {...Child} children
 * @returns {any}
 */
export function svg(tag, props, ...children) {
  const element = document.createElementNS(SVG, tag);
  set(element, props);
  append(element, children);
  return element;
}

/**
 * @param {Element} element
 * @param {Record<string, any> | null} [props]
 */
function set(element, props) {
  for (const [key, value] of Object.entries(props ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith('on')) element.addEventListener(key.slice(2), value);
    else if (key === 'class') element.classList.add(...String(value).split(' ').filter(Boolean));
    else if (key === 'value') /** @type {any} */ (element).value = value;
    else if (key === 'share') /** @type {HTMLElement} */ (element).style.setProperty('--share', String(value));
    else element.setAttribute(key, value === true ? '' : String(value));
  }
}

/**
 * @param {Node} parent
 * @param {Child[]} children
 */
export function append(parent, children) {
  for (const child of /** @type {any[]} */ (children).flat(Infinity)) {
    if (child === null || child === undefined || child === false) continue;
    parent.appendChild(child instanceof Node ? child : document.createTextNode(String(child)));
  }
}

/**
 * Puts children in the place of those that an element has.
 * @param {Element} element
 * @param {...Child} children
 */
export function fill(element, ...children) {
  element.replaceChildren();
  append(element, children);
}

/** Paths of the icons, on a field of 24 by 24. */
const ICONS = {
  try: 'M4 5h4l2-2h4l2 2h4v14H4z M12 8.5a4 4 0 1 0 0 8 4 4 0 0 0 0-8z',
  data: 'M4 4h7v7H4z M13 4h7v7h-7z M4 13h7v7H4z M13 13h7v7h-7z',
  train: 'M4 19V5 M4 19h16 M7 15l4-5 3 3 5-7',
  look: 'M2.5 12C5 7.5 8.3 5.5 12 5.5S19 7.5 21.5 12C19 16.5 15.7 18.5 12 18.5S5 16.5 2.5 12z M12 9a3 3 0 1 0 0 6 3 3 0 0 0 0-6z',
  serve: 'M4 4h16v6H4z M4 14h16v6H4z M7 7h.01 M7 17h.01',
  feedback: 'M4 5h16v11h-9l-4 4v-4H4z M8.5 10.5l2.5 2.5 4.5-4.5',
  close: 'M6 6l12 12 M18 6L6 18',
  key: 'M14 10a4.5 4.5 0 1 0-3 4.2L13 16v2h2v2h4v-3.2z M8.5 8.5h.01',
  theme: 'M12 4a8 8 0 1 0 0 16z M12 4a8 8 0 0 1 0 16',
  left: 'M15 5l-7 7 7 7',
  right: 'M9 5l7 7-7 7',
};

/**
 * A decorative picture; the text beside it, or the button's label, says what it means.
 * @param {keyof typeof ICONS} name
 */
export function icon(name) {
  const path = svg('path', { d: ICONS[name] });
  return svg('svg', { viewBox: '0 0 24 24', class: 'icon', 'aria-hidden': 'true', focusable: 'false' }, path);
}

/**
 * Runs the steps of a page that is no longer shown: closes streams, frees pictures.
 */
export class Lifetime {
  constructor() {
    this.controller = new AbortController();
  }

  /** Aborts what the page has asked for. */
  get signal() {
    return this.controller.signal;
  }

  /** @param {() => void} step */
  onEnd(step) {
    this.signal.addEventListener('abort', step, { once: true });
  }

  end() {
    this.controller.abort();
  }

  /**
   * Repeats something until the page is left, the next time a while after the last has ended. Pauses while nobody looks.
   * @param {number} ms
   * @param {() => Promise<void>} step
   */
  every(ms, step) {
    const next = async () => {
      if (!document.hidden) await step().catch(() => {});
      if (!this.signal.aborted) timer = setTimeout(next, ms);
    };
    let timer = setTimeout(next, ms);
    this.onEnd(() => clearTimeout(timer));
  }
}
