/** Adds a model from a file of the reader's. */

import { call, part } from '../api.js';
import { fill, h } from '../dom.js';
import { failure, notify } from '../notice.js';
import { t } from '../text.js';

/** @param {import('../app.js').Visit} visit */
export function openAdd({ main, life }) {
  const file = h('input', { type: 'file', id: 'add-file', required: true, accept: '.onnx,.safetensors,.pth,.pt,.th,.bin,.h5,.keras' });
  const chosen = h('span.muted', null, t('serve.no_file'));
  file.addEventListener('change', () => {
    const name = file.files[0]?.name ?? '';
    chosen.textContent = name || t('serve.no_file');
    if (!title.value) title.value = name.replace(/\.[^.]+$/, '').replace(/[^A-Za-z0-9._-]+/g, '-').slice(0, 64);
  });
  const title = h('input', { type: 'text', id: 'add-name', required: true, maxlength: 64, pattern: '[A-Za-z0-9_\\-][A-Za-z0-9._\\-]*' });
  const labels = h('textarea', { id: 'add-labels', rows: 6, 'aria-describedby': 'add-labels-help' });
  const status = h('div', { 'aria-live': 'polite' });
  const submit = h('button.primary', { type: 'submit' }, t('serve.add'));
  const form = h('form.stack.narrow', null,
    h('div.field', null, h('span', null, t('serve.file')), h('div.row.chooser', null, file, h('label.button', { for: 'add-file' }, t('serve.choose_file')), chosen)),
    h('div.field', null, h('label', { for: 'add-name' }, t('data.name')), title),
    h('div.field', null, h('label', { for: 'add-labels' }, t('serve.labels')), labels, h('span.small-text', { id: 'add-labels-help' }, t('serve.labels_help'))),
    status, h('div.row', null, submit));
  form.addEventListener('submit', async (/** @type {Event} */ event) => {
    event.preventDefault();
    const body = new FormData();
    body.append('name', title.value);
    if (labels.value.trim()) body.append('labels', labels.value.trim());
    body.append('file', file.files[0], file.files[0].name);
    submit.disabled = true;
    fill(status, h('progress', { 'aria-label': t('serve.adding') }), h('p', null, t('serve.adding')));
    try {
      const added = await call('POST', '/models', { body, signal: life.signal });
      notify(added.remarks.join('; '));
      location.hash = `#/serve/${part(added.model.name)}`;
    } catch (error) {
      fill(status, failure(error));
      submit.disabled = false;
    }
  });
  fill(main, h('div.page-head', null, h('div', null, h('p.small-text', null, h('a', { href: '#/serve' }, t('serve.title'))), h('h1', null, t('serve.add')), h('p.muted', null, t('serve.add_help')))), form);
}
