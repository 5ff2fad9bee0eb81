/** A class of a data set as a column of thumbnails. Only those that are seen are in the document. */

import { get, part } from '../api.js';
import { fill, h } from '../dom.js';
import { complain } from '../notice.js';
import { number, t } from '../text.js';

/** The side of a thumbnail with the gap behind it, in pixels. */
const CELL = 104;
/** Rows that are kept beyond those that are seen. */
const BEYOND = 2;
const PAGE = 500;

/** @typedef {{id: string, seq: number, label: string, labels: string[], file_name?: string, subset?: string, width: number, height: number, bytes: number, added_at: string}} StoredImage */

let columns = 0;

export class Column {
  /**
   * @param {import('./board.js').Board} board
   * @param {string} label
   * @param {number} count
   */
  constructor(board, label, count) {
    this.board = board;
    this.label = label;
    this.count = count;
    this.key = `column-${(columns += 1)}`;
    /** @type {StoredImage[]} */
    this.items = [];
    this.complete = count === 0;
    this.loading = /** @type {Promise<void> | null} */ (null);
    this.seen = false;
    this.active = 0;
    /** @type {Map<number, HTMLElement>} */
    this.cells = new Map();
    this.space = h('div.column-space', { role: 'presentation' });
    this.body = h('div.column-body', { tabindex: 0 }, this.space);
    this.size = h('span.muted.number');
    const all = h('button.small', { type: 'button', onclick: () => this.selectAll().catch(complain) }, t('data.all'));
    const title = h('h2', { id: `${this.key}-title`, title: label }, label || t('data.no_class'));
    this.element = h('section.column', { 'aria-labelledby': `${this.key}-title` }, h('div.column-head', null, title, this.size, all), this.body);
    this.listen();
    this.update();
  }

  listen() {
    let asked = false;
    const later = () => {
      if (asked) return;
      asked = true;
      requestAnimationFrame(() => {
        asked = false;
        this.render();
      });
    };
    this.body.addEventListener('scroll', later, { passive: true });
    new ResizeObserver(later).observe(this.body);
    const watch = new IntersectionObserver(([entry]) => {
      this.seen = entry.isIntersecting;
      if (this.seen) later();
    }, { rootMargin: '200px' });
    watch.observe(this.element);
    this.board.life.onEnd(() => watch.disconnect());
    this.body.addEventListener('keydown', (/** @type {KeyboardEvent} */ event) => this.onKey(event));
    this.body.addEventListener('focus', () => this.point(this.active));
    this.body.addEventListener('click', (/** @type {MouseEvent} */ event) => {
      const at = this.indexOf(event);
      if (at === null) return;
      this.active = at;
      if (event.shiftKey) this.extend(at);
      else this.toggle(at);
      this.render();
    });
    this.body.addEventListener('dblclick', (/** @type {MouseEvent} */ event) => {
      const at = this.indexOf(event);
      if (at !== null) this.board.view(this, at);
    });
    this.body.addEventListener('dragstart', (/** @type {DragEvent} */ event) => {
      const at = this.indexOf(event);
      if (at === null) return;
      this.board.pick(this.items[at], true);
      event.dataTransfer?.setData('application/x-graft', 'images');
    });
    this.acceptDrops();
  }

  acceptDrops() {
    const { element } = this;
    element.addEventListener('dragover', (/** @type {DragEvent} */ event) => {
      event.preventDefault();
      element.classList.add('over');
    });
    element.addEventListener('dragleave', (/** @type {DragEvent} */ event) => {
      if (!element.contains(/** @type {Node | null} */ (event.relatedTarget))) element.classList.remove('over');
    });
    element.addEventListener('drop', (/** @type {DragEvent} */ event) => {
      event.preventDefault();
      event.stopPropagation();
      element.classList.remove('over');
      if (!event.dataTransfer) return;
      if (event.dataTransfer.types.includes('application/x-graft')) this.board.relabel(this.label).catch(complain);
      else this.board.drop(event.dataTransfer, this.label);
    });
  }

  /** How many images there are, and how the column is called to a screen reader. */
  update() {
    this.size.textContent = number(this.count);
    const empty = this.count === 0;
    // A list without options is none.
    const roles = { role: 'listbox', 'aria-multiselectable': 'true', 'aria-label': t('data.images_of', { label: this.label, n: this.count }) };
    for (const [name, value] of Object.entries(roles)) {
      if (empty) this.body.removeAttribute(name);
      else this.body.setAttribute(name, value);
    }
    if (empty) this.body.removeAttribute('aria-activedescendant');
    this.body.classList.toggle('vacant', empty);
    if (empty) {
      this.cells.clear();
      fill(this.space, h('p.muted.small-text', null, t('data.drop_here')));
      this.space.style.height = '';
    } else {
      if (this.cells.size === 0) this.space.replaceChildren();
      this.render();
    }
  }

  get across() {
    return Math.max(1, Math.floor(this.body.clientWidth / CELL));
  }

  /** Puts the thumbnails into the document that are seen, and takes the others out. */
  render() {
    if (!this.seen || this.count === 0) return;
    const { across } = this;
    this.space.style.height = `${Math.ceil(this.count / across) * CELL}px`;
    const top = Math.floor(this.body.scrollTop / CELL) - BEYOND;
    const bottom = Math.ceil((this.body.scrollTop + this.body.clientHeight) / CELL) + BEYOND;
    const [first, last] = [Math.max(0, top * across), Math.min(this.count, bottom * across)];
    for (const [at, cell] of this.cells) {
      if (at >= first && at < last && cell.dataset.id === this.items[at]?.id) continue;
      cell.remove();
      this.cells.delete(at);
    }
    for (let at = first; at < Math.min(last, this.items.length); at += 1) {
      const cell = this.cells.get(at) ?? this.cell(at);
      const place = `translate(${(at % across) * CELL}px, ${Math.floor(at / across) * CELL}px)`;
      if (cell.style.transform !== place) cell.style.transform = place;
    }
    this.mark();
    if (last > this.items.length) this.load(last).then(() => this.render(), complain);
  }

  /** Shows which images are selected, and which is the current one. */
  mark() {
    for (const [at, cell] of this.cells) {
      const selected = String(this.board.selection.has(cell.dataset.id ?? ''));
      if (cell.getAttribute('aria-selected') !== selected) cell.setAttribute('aria-selected', selected);
      cell.classList.toggle('active', at === this.active);
    }
    if (this.cells.has(this.active)) this.body.setAttribute('aria-activedescendant', `${this.key}-${this.active}`);
    else this.body.removeAttribute('aria-activedescendant');
  }

  /** @param {number} at */
  cell(at) {
    const item = this.items[at];
    const name = item.file_name ?? item.id.slice(0, 12);
    const image = h('img', { alt: '', draggable: 'false', width: CELL - 6, height: CELL - 6 });
    const cell = h('div.cell', {
      role: 'option', id: `${this.key}-${at}`, 'aria-setsize': this.count, 'aria-posinset': at + 1, draggable: 'true', title: name,
      'aria-label': item.subset ? `${name}, ${t(`subset.${item.subset}`)}` : name, 'data-id': item.id, 'data-at': at,
    }, image, item.subset && h('span.subset', { 'aria-hidden': 'true' }, t(`subset.${item.subset}`)));
    image.addEventListener('error', () => cell.classList.add('broken'), { once: true });
    this.cells.set(at, cell);
    // In the order of the images, which is the one that a screen reader reads.
    const next = [...this.cells.keys()].filter((other) => other > at).sort((a, b) => a - b)[0];
    this.space.insertBefore(cell, next === undefined ? null : /** @type {HTMLElement} */ (this.cells.get(next)));
    this.board.thumbnails.want(image, item.id);
    return cell;
  }

  /** Has so many images known. @param {number} count */
  async load(count) {
    while (!this.complete && this.items.length < count) {
      this.loading ??= this.loadPage().finally(() => {
        this.loading = null;
      });
      await this.loading;
    }
  }

  async loadPage() {
    const after = this.items.at(-1)?.seq ?? 0;
    const page = await get(`/datasets/${part(this.board.dataset)}/images`, { query: { label: this.label, after, limit: PAGE }, signal: this.board.life.signal });
    this.items.push(...page.data.filter((/** @type {StoredImage} */ item) => !this.board.leaving.has(item.id)));
    this.complete = !page.has_more;
    if (this.complete && this.count !== this.items.length) {
      this.count = this.items.length;
      this.update();
    }
  }

  /** Reads the images anew. @param {number} count */
  async reload(count) {
    this.items = [];
    this.count = count;
    this.complete = count === 0;
    this.cells.forEach((cell) => cell.remove());
    this.cells.clear();
    this.active = Math.min(this.active, Math.max(0, count - 1));
    this.update();
  }

  /** Takes images out that are here no longer. @param {Set<string>} ids */
  drop(ids) {
    const before = this.items.length;
    this.items = this.items.filter((item) => !ids.has(item.id));
    this.count -= before - this.items.length;
    this.active = Math.max(0, Math.min(this.active, this.count - 1));
    this.update();
  }

  async selectAll() {
    await this.load(this.count);
    for (const item of this.items) this.board.selection.set(item.id, item);
    this.board.selected();
  }

  /** @param {Event} event */
  indexOf(event) {
    const cell = /** @type {HTMLElement} */ (event.target).closest?.('.cell');
    return cell ? Number(/** @type {HTMLElement} */ (cell).dataset.at) : null;
  }

  /** @param {number} at */
  toggle(at) {
    const item = this.items[at];
    if (!item) return;
    this.anchor = at;
    this.board.pick(item, !this.board.selection.has(item.id));
  }

  /** Selects from the last one that was selected up to this one. @param {number} to */
  extend(to) {
    const from = this.anchor ?? to;
    for (let at = Math.min(from, to); at <= Math.max(from, to); at += 1) {
      if (this.items[at]) this.board.selection.set(this.items[at].id, this.items[at]);
    }
    this.board.selected();
  }

  /** Makes an image the current one and brings it into view. @param {number} at */
  async point(at) {
    if (this.count === 0) return;
    this.active = Math.max(0, Math.min(at, this.count - 1));
    const top = Math.floor(this.active / this.across) * CELL;
    if (top < this.body.scrollTop) this.body.scrollTop = top;
    const over = top + CELL - this.body.clientHeight;
    if (over > this.body.scrollTop) this.body.scrollTop = over;
    await this.load(this.active + 1);
    this.render();
  }

  /** @param {KeyboardEvent} event */
  onKey(event) {
    const { across } = this;
    const page = Math.max(1, Math.floor(this.body.clientHeight / CELL)) * across;
    /** @type {Record<string, number>} */
    const moves = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: across, ArrowUp: -across, PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity };
    const control = event.ctrlKey || event.metaKey;
    if (event.key in moves) {
      const to = Math.max(0, Math.min(this.active + moves[event.key], this.count - 1));
      if (event.shiftKey) this.anchor ??= this.active;
      this.point(to).then(() => event.shiftKey && this.extend(to), complain);
    } else if (event.key === ' ') this.toggle(this.active);
    else if (event.key === 'Enter') this.board.view(this, this.active);
    else if (control && event.key.toLowerCase() === 'a') this.selectAll().catch(complain);
    else return;
    event.preventDefault();
  }
}
