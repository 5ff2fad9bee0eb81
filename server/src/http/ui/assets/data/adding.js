/** Adds pictures to a data set and shows how far that is. */

import { aborted, call, part, reason } from '../api.js';
import { fill, h } from '../dom.js';
import { complain, openDialog } from '../notice.js';
import { bytes, percent, t } from '../text.js';
import { sorted } from './dropped.js';
import { imported, upload } from './tus.js';
import { zip } from './zip.js';

/** The most that one form has: the server takes 64 images and 32 MB. */
const FORM_IMAGES = 32;
const FORM_BYTES = 20 << 20;
/** Pictures without folders beyond this number go as an archive, which goes on after a break. */
const BY_FORM = 200;

const LAYOUTS = ['class_folders', 'subset_folders', 'csv', 'file_names', 'oxford17', 'cifar10', 'tiny_imagenet'];

/** The uploads of a data set. */
export class Adding {
  /**
   * @param {string} dataset
   * @param {import('../dom.js').Lifetime} life
   * @param {() => void} changed Called when images have come.
   */
  constructor(dataset, life, changed) {
    this.dataset = dataset;
    this.life = life;
    this.changed = changed;
    this.element = h('div.uploads', { 'aria-live': 'polite' });
    // Closing the page would break an upload off.
    window.addEventListener('beforeunload', (event) => {
      if (this.element.querySelector('progress')) event.preventDefault();
    }, { signal: life.signal });
  }

  /**
   * @param {import('./zip.js').NamedFile[]} files
   * @param {string} [label] The class of pictures without a folder; asked for if it is missing.
   */
  async add(files, label) {
    const { archives, folders, pictures } = sorted(files);
    const loose = pictures.get('') ?? [];
    if (loose.length > 0) {
      pictures.delete('');
      const name = label ?? (await askForClass(loose.length));
      if (name) pictures.set(name, [...(pictures.get(name) ?? []), ...loose]);
    }
    if (archives.length + folders.length + pictures.size === 0) {
      if (loose.length === 0) complain(new Error(t('data.no_pictures')));
      return;
    }
    const jobs = archives.map((file) => this.run(file.name, (line) => this.archive(file, file.name, line)));
    const total = [...pictures.values()].reduce((sum, list) => sum + list.length, 0);
    if (total > BY_FORM && pictures.size > 1) {
      for (const [name, list] of pictures) folders.push(...list.map((file) => ({ path: `${name}/${file.name}`, file })));
      pictures.clear();
    }
    if (folders.length > 0) {
      const name = `${folders[0].path.split('/')[0]}.zip`;
      jobs.push(this.run(name, (line) => this.folders(folders, name, line)));
    }
    if (pictures.size > 0) {
      jobs.push(this.run(t('data.pictures_of', { n: total }), (line) => this.forms(pictures, total, line)));
    }
    await Promise.all(jobs);
  }

  /**
   * Shows a line for some work until it has ended.
   * @param {string} name
   * @param {(line: Line) => Promise<void>} work
   */
  async run(name, work) {
    const line = new Line(name);
    this.life.onEnd(() => line.controller.abort());
    this.element.append(line.element);
    try {
      await work(line);
    } catch (error) {
      if (aborted(error)) line.element.remove();
      else line.failed(reason(error));
    }
  }

  /** @param {Blob} blob @param {string} name @param {Line} line */
  async archive(blob, name, line) {
    const address = await upload({
      blob, name, dataset: this.dataset, signal: line.signal,
      progress: (sent) => line.at(sent / blob.size, t('data.sent', { sent: bytes(sent), of: bytes(blob.size) })),
      broken: (waiting) => waiting && line.at(null, t('data.broken')),
    });
    await this.settle(address, line);
  }

  /** @param {import('./zip.js').NamedFile[]} files @param {string} name @param {Line} line */
  async folders(files, name, line) {
    const progress = (/** @type {number} */ done) => line.at(done / files.length, t('data.packing', { n: done }));
    const blob = await zip(files, { signal: line.signal, progress });
    await this.archive(blob, name, line);
  }

  /** Waits for the import, and asks how to read what the server cannot tell. @param {string} address @param {Line} line */
  async settle(address, line) {
    line.at(null, t('data.importing'));
    const outcome = await imported(address, line.signal);
    if (outcome.state === 'imported') {
      const { added, present, refused, refusals } = outcome.report;
      line.done(summary({ added, present, refused }), refusals);
      this.changed();
      return;
    }
    line.undecided(outcome.reason, LAYOUTS, async (layout, classes) => {
      await call('POST', `${address}/import`, { json: { layout, ...(classes.length > 0 && { classes }) }, signal: line.signal });
      await this.settle(address, line);
    });
  }

  /** @param {Map<string, File[]>} pictures @param {number} total @param {Line} line */
  async forms(pictures, total, line) {
    const counts = { added: 0, present: 0, refused: 0 };
    /** @type {string[]} */
    const refusals = [];
    let done = 0;
    for (const [label, files] of pictures) {
      for (const batch of batches(files)) {
        line.signal.throwIfAborted();
        const results = await this.form(label, batch, line);
        for (const { state, problem, file_name: name } of results) {
          if (state === 'added') counts.added += 1;
          else if (state === 'present') counts.present += 1;
          else counts.refused += 1;
          if (problem) refusals.push(`${name ?? ''}: ${problem.detail}`);
        }
        done += batch.length;
        line.at(done / total, t('data.of', { done, of: total }));
      }
    }
    line.done(summary(counts), refusals);
    this.changed();
  }

  /** @param {string} label @param {File[]} files @param {Line} line */
  async form(label, files, line) {
    const body = new FormData();
    for (const file of files) body.append('image', file, file.name);
    body.append('label', label);
    try {
      return (await call('POST', `/datasets/${part(this.dataset)}/images`, { body, signal: line.signal })).results;
    } catch (error) {
      const status = /** @type {any} */ (error).status;
      // A form none of whose images can be used is the problem of its first.
      if (status !== 422 && status !== 409) throw error;
      return files.map((file) => ({ file_name: file.name, problem: { detail: reason(error) } }));
    }
  }
}

/** A line of the list of uploads. */
class Line {
  /** @param {string} name */
  constructor(name) {
    this.controller = new AbortController();
    this.signal = this.controller.signal;
    this.name = h('strong', null, name);
    this.bar = h('progress', { max: 1, 'aria-label': t('data.progress', { name }) });
    this.text = h('span.muted.small-text');
    this.cancel = h('button.small', { type: 'button', onclick: () => this.controller.abort() }, t('data.stop'));
    this.element = h('div.upload.card', null, h('div.row', null, this.name, h('span.grow'), this.cancel), this.bar, this.text);
  }

  /** @param {number | null} share @param {string} text */
  at(share, text) {
    if (share === null) this.bar.removeAttribute('value');
    else this.bar.value = share;
    this.text.textContent = share === null ? text : `${text} · ${percent(share, 0)}`;
  }

  /** @param {string} text @param {string[]} refusals */
  done(text, refusals) {
    fill(this.element, h('div.row', null, this.name, h('span', null, text), h('span.grow'), this.dismiss()),
      refusals.length > 0 && h('details', null, h('summary', null, t('data.refusals', { n: refusals.length })),
        h('ul.small-text', null, refusals.slice(0, 200).map((refusal) => h('li', null, refusal)))));
  }

  /** @param {string} text */
  failed(text) {
    fill(this.element, h('div.row', null, this.name, h('span.grow'), this.dismiss()), h('p.error', { role: 'alert' }, text));
  }

  /**
   * @param {string} text
   * @param {string[]} layouts
   * @param {(layout: string, classes: string[]) => Promise<void>} again
   */
  undecided(text, layouts, again) {
    const layout = h('select', null, layouts.map((name) => h('option', { value: name }, t(`layout.${name}`))));
    const classes = h('input', { type: 'text', placeholder: t('data.classes_hint') });
    const form = h('form.row.end', null,
      h('label.field', null, h('span', null, t('data.layout')), layout),
      h('label.field.grow', null, h('span', null, t('data.classes')), classes),
      h('button.primary', { type: 'submit' }, t('data.read_again')));
    form.addEventListener('submit', (/** @type {Event} */ event) => {
      event.preventDefault();
      const names = classes.value.split(',').map((/** @type {string} */ name) => name.trim()).filter(Boolean);
      fill(this.element, h('div.row', null, this.name, h('span.grow'), this.cancel), this.bar, this.text);
      again(layout.value, names).catch((error) => this.failed(reason(error)));
    });
    fill(this.element, h('div.row', null, this.name, h('span.grow'), this.dismiss()),
      h('p.error', { role: 'alert' }, text), h('p', null, t('data.undecided')), form);
  }

  dismiss() {
    return h('button.small', { type: 'button', onclick: () => this.element.remove() }, t('notice.close'));
  }
}

/** @param {{added: number, present: number, refused: number}} counts */
function summary({ added, present, refused }) {
  const parts = [t('data.added', { n: added })];
  if (present > 0) parts.push(t('data.present', { n: present }));
  if (refused > 0) parts.push(t('data.refused', { n: refused }));
  return parts.join(', ');
}

/** @param {File[]} files */
function* batches(files) {
  let [batch, size] = [/** @type {File[]} */ ([]), 0];
  for (const file of files) {
    if (batch.length > 0 && (batch.length >= FORM_IMAGES || size + file.size > FORM_BYTES)) {
      yield batch;
      [batch, size] = [[], 0];
    }
    batch.push(file);
    size += file.size;
  }
  if (batch.length > 0) yield batch;
}

/** @param {number} count @returns {Promise<string | null>} */
function askForClass(count) {
  return new Promise((resolve) => {
    let answer = /** @type {string | null} */ (null);
    const input = h('input', { type: 'text', required: true, maxlength: 200, id: 'class-name' });
    const dialog = openDialog(t('data.which_class'), (close) => {
      const form = h('form', null, h('label', { for: 'class-name' }, t('data.which_class_label', { n: count })), input,
        h('div.actions', null, h('button', { type: 'button', onclick: close }, t('dialog.cancel')), h('button.primary', { type: 'submit' }, t('data.add'))));
      form.addEventListener('submit', (/** @type {Event} */ event) => {
        event.preventDefault();
        answer = input.value.trim();
        close();
      });
      return [form];
    });
    dialog.addEventListener('close', () => resolve(answer));
    input.focus();
  });
}
