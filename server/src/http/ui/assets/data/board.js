/** The classes of a data set side by side, and what can be done to the images that are selected. */

import { call, part, reason } from '../api.js';
import { fill, h } from '../dom.js';
import { complain, notify, openDialog } from '../notice.js';
import { t } from '../text.js';
import { Column } from './column.js';
import { droppedFiles } from './dropped.js';
import { Thumbnails } from './thumbnails.js';
import { openViewer } from './viewer.js';

/** Images that one request changes: their ids fit into the most JSON that the server takes. */
const AT_ONCE = 2000;
/** Classes from which on there is a field to find one by its name. */
const MANY = 9;
const SUBSETS = ['train', 'validation', 'test', 'none'];

/** @typedef {import('./column.js').StoredImage} StoredImage */

export class Board {
  /**
   * @param {string} dataset
   * @param {import('../dom.js').Lifetime} life
   * @param {import('./adding.js').Adding} adding
   * @param {() => Promise<{label: string, images: number}[]>} classes Asks for the classes as they are.
   */
  constructor(dataset, life, adding, classes) {
    this.dataset = dataset;
    this.life = life;
    this.adding = adding;
    this.classes = classes;
    this.thumbnails = new Thumbnails(dataset, life.signal);
    /** @type {Map<string, StoredImage>} */
    this.selection = new Map();
    /** Images that are hidden and removed unless that is undone. @type {Map<string, StoredImage>} */
    this.leaving = new Map();
    /** @type {{end: () => void, undo: () => void} | null} */
    this.last = null;
    /** @type {Map<string, Column>} */
    this.columns = new Map();
    this.columnsElement = h('div.board', { role: 'group', 'aria-label': t('data.classes_as_columns') });
    this.tools = h('div.selection', { role: 'toolbar', 'aria-label': t('data.with_selected') });
    this.search = h('input.board-search', { type: 'search', 'aria-label': t('data.find_class'), placeholder: t('data.find_class'), oninput: () => this.find() });
    this.element = h('div', null, this.tools, this.search, this.columnsElement);
    this.selected();
    this.listen();
  }

  listen() {
    const { signal } = this.life;
    document.addEventListener('keydown', (event) => this.onKey(event), { signal });
    document.addEventListener('dragover', (event) => event.preventDefault(), { signal });
    document.addEventListener('drop', (event) => {
      event.preventDefault();
      if (event.dataTransfer) this.drop(event.dataTransfer);
    }, { signal });
    // Whoever leaves does not undo any more.
    this.life.onEnd(() => this.last?.end());
    window.addEventListener('pagehide', () => this.last?.end(), { signal });
  }

  /** Shows the classes as they are. */
  async refresh() {
    const classes = await this.classes();
    for (const { label, images } of classes) {
      const column = this.columns.get(label);
      if (column) await column.reload(images);
      else this.addColumn(label, images);
    }
    this.search.hidden = classes.length < MANY;
    const present = new Set(classes.map(({ label }) => label));
    for (const column of this.columns.values()) if (!present.has(column.label)) await column.reload(0);
  }

  /** Shows the classes alone whose name has what is searched for. */
  find() {
    const text = this.search.value.trim().toLowerCase();
    for (const column of this.columns.values()) column.element.hidden = !column.label.toLowerCase().includes(text);
  }

  /** @param {string} label @param {number} images */
  addColumn(label, images) {
    const column = new Column(this, label, images);
    this.columns.set(label, column);
    const later = [...this.columns.values()].filter((other) => other.label > label).sort((a, b) => (a.label < b.label ? -1 : 1))[0];
    this.columnsElement.insertBefore(column.element, later?.element ?? null);
    return column;
  }

  /** @param {DataTransfer} transfer @param {string} [label] */
  drop(transfer, label) {
    droppedFiles(transfer).then((files) => this.adding.add(files, label)).catch(complain);
  }

  /** @param {StoredImage} item @param {boolean} selected */
  pick(item, selected) {
    if (!item) return;
    if (selected) this.selection.set(item.id, item);
    else this.selection.delete(item.id);
    this.selected();
  }

  /** Shows what is selected. */
  selected() {
    const n = this.selection.size;
    const button = (/** @type {string} */ key, /** @type {() => void} */ action, /** @type {string} */ kind = '') =>
      h('button.small', { type: 'button', class: kind, disabled: n === 0, onclick: action }, t(key));
    const focused = /** @type {HTMLElement | null} */ (this.tools.contains(document.activeElement) ? document.activeElement : null);
    fill(this.tools, h('span', { role: 'status' }, n === 0 ? t('data.select_hint') : t('data.selected', { n })),
      button('data.relabel', () => this.askForLabel()), button('data.move_to_subset', () => this.askForSubset()),
      button('data.remove', () => this.remove(), 'danger'), button('data.clear_selection', () => this.clear()));
    if (focused && n === 0) this.columns.values().next().value?.body.focus();
    for (const column of this.columns.values()) column.render();
  }

  clear() {
    this.selection.clear();
    this.selected();
  }

  askForLabel() {
    if (this.selection.size === 0) return;
    const [first] = this.selection.values();
    const input = h('input', { type: 'text', required: true, maxlength: 200, id: 'new-label', list: 'class-list', value: first.label });
    const list = h('datalist', { id: 'class-list' }, [...this.columns.keys()].map((label) => h('option', { value: label })));
    openDialog(t('data.relabel_title', { n: this.selection.size }), (close) => {
      const form = h('form', null, h('label', { for: 'new-label' }, t('data.new_label')), input, list,
        h('p.muted.small-text', null, t('data.several_labels')),
        h('div.actions', null, h('button', { type: 'button', onclick: close }, t('dialog.cancel')), h('button.primary', { type: 'submit' }, t('data.relabel_do'))));
      form.addEventListener('submit', (/** @type {Event} */ event) => {
        event.preventDefault();
        close();
        this.relabel(input.value.trim()).catch(complain);
      });
      return [form];
    });
    input.select();
  }

  /** Gives images another label. @param {string} label @param {StoredImage[]} [images] */
  async relabel(label, images = [...this.selection.values()]) {
    const changed = images.filter((image) => image.label !== label);
    if (changed.length === 0) return;
    await this.change(changed, { label });
    this.offerUndo(t('data.relabeled', { n: changed.length, label }), async () => {
      for (const [before, group] of groups(changed, (image) => image.label)) await this.change(group, { label: before });
    });
  }

  /** A list that acted by itself could not be gone through by its arrow keys. */
  askForSubset() {
    if (this.selection.size === 0) return;
    const [first] = this.selection.values();
    const choice = (/** @type {string} */ name) => h('label.check', null,
      h('input', { type: 'radio', name: 'subset', value: name, checked: name === (first.subset ?? 'none') }), t(`subset.${name}`));
    openDialog(t('data.move_title', { n: this.selection.size }), (close) => {
      const form = h('form', null, h('fieldset.stack.tight', null, h('legend', null, t('data.subset')), SUBSETS.map(choice)),
        h('div.actions', null, h('button', { type: 'button', onclick: close }, t('dialog.cancel')), h('button.primary', { type: 'submit' }, t('data.move_do'))));
      form.addEventListener('submit', (/** @type {Event} */ event) => {
        event.preventDefault();
        close();
        this.moveTo(form.elements.subset.value).catch(complain);
      });
      return [form];
    }).querySelector('input:checked')?.focus();
  }

  /** Gives images to a subset. @param {string} subset */
  async moveTo(subset) {
    const images = [...this.selection.values()].filter((image) => (image.subset ?? 'none') !== subset);
    if (images.length === 0) return;
    await this.change(images, { subset });
    this.offerUndo(t('data.moved', { n: images.length, subset: t(`subset.${subset}`) }), async () => {
      for (const [before, group] of groups(images, (image) => image.subset ?? 'none')) await this.change(group, { subset: before });
    });
  }

  /** @param {StoredImage[]} images @param {{label?: string, subset?: string}} change */
  async change(images, change) {
    for (let at = 0; at < images.length; at += AT_ONCE) {
      const ids = images.slice(at, at + AT_ONCE).map((image) => image.id);
      await call('POST', `/datasets/${part(this.dataset)}/move`, { json: { images: ids, ...change } });
    }
    this.selection.clear();
    await this.refresh();
    this.selected();
  }

  /** @param {string} text @param {() => Promise<void>} undo */
  offerUndo(text, undo) {
    this.last?.end();
    this.last = notify(text, { undo: () => { this.last = null; undo().catch(complain); }, gone: () => { this.last = null; } });
  }

  /**
   * Removes images. They are hidden at once; the server is told when nobody can undo it any more, since it keeps no copy.
   * @param {StoredImage[]} [images]
   */
  remove(images = [...this.selection.values()]) {
    if (images.length === 0) return;
    this.last?.end();
    const ids = new Set(images.map((image) => image.id));
    for (const image of images) {
      this.leaving.set(image.id, image);
      this.selection.delete(image.id);
    }
    for (const column of this.columns.values()) column.drop(ids);
    this.selected();
    const over = () => {
      for (const id of ids) this.leaving.delete(id);
      this.last = null;
    };
    this.last = notify(t('data.removed', { n: images.length }), {
      undo: () => {
        over();
        this.refresh().catch(complain);
      },
      gone: () => {
        over();
        this.removeNow([...ids]).catch((error) => {
          notify(reason(error), { failed: true });
          this.refresh().catch(complain);
        });
      },
    });
  }

  /** @param {string[]} ids */
  async removeNow(ids) {
    for (let at = 0; at < ids.length; at += AT_ONCE) {
      const images = ids.slice(at, at + AT_ONCE);
      // A page that is left may still send a little.
      await call('POST', `/datasets/${part(this.dataset)}/remove`, { json: { images }, keepalive: images.length <= 800 });
    }
    if (!this.life.signal.aborted) await this.classes();
  }

  /** @param {Column} column @param {number} at */
  view(column, at) {
    openViewer(this, column, at);
  }

  /** @param {KeyboardEvent} event */
  onKey(event) {
    const target = /** @type {HTMLElement} */ (event.target);
    if (target.closest('input, textarea, select') || document.querySelector('dialog[open]')) return;
    const control = event.ctrlKey || event.metaKey;
    if (control && event.key.toLowerCase() === 'z') this.last?.undo();
    else if (event.key === 'Delete' || event.key === 'Backspace') this.remove();
    else if (event.key === 'F2' || (event.key === 'l' && !control)) this.askForLabel();
    else if (event.key === 'm' && !control) this.askForSubset();
    else if (event.key === 'Escape') this.clear();
    else return;
    event.preventDefault();
  }
}

/**
 * @template T
 * @param {T[]} items
 * @param {(item: T) => string} key
 */
function groups(items, key) {
  /** @type {Map<string, T[]>} */
  const found = new Map();
  for (const item of items) found.set(key(item), [...(found.get(key(item)) ?? []), item]);
  return found;
}
