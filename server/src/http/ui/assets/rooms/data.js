/** Data: the stored data sets, and one of them with its images. */

import { call, get, part } from '../api.js';
import { fill, h } from '../dom.js';
import { Adding } from '../data/adding.js';
import { Board } from '../data/board.js';
import { chosenFiles, droppedFiles } from '../data/dropped.js';
import { openFindings } from '../data/findings.js';
import { complain, confirmed, emptyState, notify, openDialog } from '../notice.js';
import { download } from '../download.js';
import { bytes, date, t } from '../text.js';

/** @param {import('../app.js').Visit} visit */
export async function open(visit) {
  const [name] = visit.path;
  if (name) await openDataset(visit, name);
  else await openList(visit);
}

/** @param {import('../app.js').Visit} visit */
async function openList({ main, life }) {
  const datasets = (await get('/datasets')).data;
  const cards = datasets.map((/** @type {any} */ dataset) => h('article.card', null,
    h('h2', null, h('a', { href: `#/data/${part(dataset.name)}` }, dataset.name)),
    h('p.muted', null, `${t('data.images', { n: dataset.images })} · ${bytes(dataset.bytes)}`),
    h('p.muted.small-text', null, t('data.made', { date: date(dataset.created_at) }))));
  const make = h('button.primary', { type: 'button', onclick: askForName }, t('data.new'));
  fill(main, h('div.page-head', null, h('div', null, h('h1', null, t('data.title')), h('p.muted', null, t('data.lead'))), make),
    cards.length > 0 ? h('div.cards', null, cards)
      : emptyState(t('data.none'), t('data.none_help'), h('button.primary', { type: 'button', onclick: askForName }, t('data.new'))));
  const { signal } = life;
  document.addEventListener('dragover', (event) => event.preventDefault(), { signal });
  document.addEventListener('drop', (event) => {
    event.preventDefault();
    if (!event.dataTransfer) return;
    droppedFiles(event.dataTransfer).then((files) => {
      pending = files;
      askForName(files[0]?.path.split('/')[0].replace(/\.(zip|tar|tgz|tar\.gz)$/i, ''));
    }).catch(complain);
  }, { signal });
}

/** Files that were dropped before their data set was made. @type {import('../data/zip.js').NamedFile[]} */
let pending = [];

/** @param {any} suggestion */
function askForName(suggestion) {
  const suggested = typeof suggestion === 'string' ? suggestion.replace(/[^A-Za-z0-9._-]+/g, '-').replace(/^\.+/, '').slice(0, 64) : '';
  const input = h('input', { type: 'text', required: true, maxlength: 64, pattern: '[A-Za-z0-9_\\-][A-Za-z0-9._\\-]*', id: 'dataset-name', value: suggested, 'aria-describedby': 'dataset-name-help' });
  openDialog(t('data.new'), (close) => {
    const error = h('p.error', { role: 'alert' });
    const form = h('form', null, h('label', { for: 'dataset-name' }, t('data.name')), input,
      h('p.muted.small-text', { id: 'dataset-name-help' }, t('data.name_help')), error,
      h('div.actions', null, h('button', { type: 'button', onclick: close }, t('dialog.cancel')), h('button.primary', { type: 'submit' }, t('data.make'))));
    form.addEventListener('submit', async (/** @type {Event} */ event) => {
      event.preventDefault();
      try {
        const { name } = await call('POST', '/datasets', { json: { name: input.value } });
        close();
        location.hash = `#/data/${part(name)}`;
      } catch (problem) {
        error.textContent = /** @type {Error} */ (problem).message;
      }
    });
    return [form];
  });
  input.focus();
}

/** @param {import('../app.js').Visit} visit @param {string} name */
async function openDataset({ main, life }, name) {
  const path = `/datasets/${part(name)}`;
  const counts = h('p.muted');
  const hint = h('div');
  const adding = new Adding(name, life, () => board.refresh().catch(complain));
  const classes = async () => {
    const detail = await get(path);
    counts.textContent = [t('data.images', { n: detail.images }), t('data.classes_n', { n: detail.classes.length }), bytes(detail.bytes),
      detail.latest_snapshot && t('data.snapshot_n', { number: String(detail.latest_snapshot) })].filter(Boolean).join(' · ');
    fill(hint, detail.images === 0 && emptyState(t('data.empty'), t('data.empty_help')));
    for (const button of needing) button.disabled = detail.images === 0;
    return detail.classes;
  };
  const board = new Board(name, life, adding, classes);
  const button = (/** @type {string} */ key, /** @type {() => any} */ action, /** @type {string} */ kind = '') =>
    h('button', { type: 'button', class: kind, onclick: () => Promise.resolve(action()).catch(complain) }, t(key));
  const check = button('data.check', async () => openFindings(board, await bases()));
  const save = button('data.download', () => download(`${path}/archive`, `${name}.zip`));
  const snapshot = button('data.snapshot', async () => {
    const made = await call('POST', `${path}/snapshots`);
    notify(t('data.snapshot_made', { number: String(made.number), n: made.images }));
    await classes();
  });
  const remove = button('data.delete', async () => {
    const sure = await confirmed({ title: t('data.delete_title', { name }), text: t('data.delete_text'), action: t('data.delete') });
    if (!sure) return;
    await call('DELETE', path);
    location.hash = '#/data';
  }, 'danger');
  const needing = [check, save, snapshot];
  fill(main,
    h('div.page-head', null, h('div', null, h('p.small-text', null, h('a', { href: '#/data' }, t('data.title'))), h('h1', null, name), counts),
      h('a.button.primary', { href: `#/train/new/${part(name)}` }, t('data.train'))),
    h('div.row.data-tools', null, chooser('data.add_files', adding, false), chooser('data.add_folder', adding, true),
      button('data.add_class', () => addClass(board)), check, snapshot, save, remove),
    adding.element, hint, board.element);
  await board.refresh();
  if (pending.length > 0) {
    const files = pending;
    pending = [];
    adding.add(files).catch(complain);
  }
}

/** @param {string} key @param {Adding} adding @param {boolean} folder */
function chooser(key, adding, folder) {
  const id = folder ? 'add-folder' : 'add-files';
  const input = h('input', { type: 'file', multiple: true, id, webkitdirectory: folder, accept: folder ? null : 'image/*,.zip,.tar,.tgz,.gz' });
  input.addEventListener('change', () => {
    const files = chosenFiles(input.files);
    input.value = '';
    adding.add(files).catch(complain);
  });
  return h('span.chooser', null, input, h('label.button', { for: id }, t(key)));
}

/** @param {Board} board */
function addClass(board) {
  const input = h('input', { type: 'text', required: true, maxlength: 200, id: 'class-new', pattern: '[^./][^/]*' });
  openDialog(t('data.add_class'), (close) => {
    const form = h('form', null, h('label', { for: 'class-new' }, t('data.class_name')), input,
      h('div.actions', null, h('button', { type: 'button', onclick: close }, t('dialog.cancel')), h('button.primary', { type: 'submit' }, t('data.add'))));
    form.addEventListener('submit', (/** @type {Event} */ event) => {
      event.preventDefault();
      close();
      const label = input.value.trim();
      const column = board.columns.get(label) ?? board.addColumn(label, 0);
      column.element.scrollIntoView({ block: 'nearest', inline: 'nearest' });
    });
    return [form];
  });
  input.focus();
}

/** Models that have features: bases first. */
async function bases() {
  const models = (await get('/models')).data;
  const isBase = (/** @type {any} */ model) => model.state === 'BACKBONE' || model.built_in === true;
  return [...models].sort((a, b) => Number(isBase(b)) - Number(isBase(a))).map((model) => model.name);
}
