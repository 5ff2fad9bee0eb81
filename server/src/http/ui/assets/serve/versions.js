/** The versions of a model: which answers, and what can be done with the others. */

import { call, get, part } from '../api.js';
import { download } from '../download.js';
import { fill, h } from '../dom.js';
import { complain, confirmed, notify } from '../notice.js';
import { bytes, date, percent, t } from '../text.js';
import { openShadow } from './shadow.js';

/** @param {any} model @param {() => Promise<void>} changed */
export async function versionList(model, changed) {
  const path = `/models/${part(model.name)}`;
  const { data } = await get(`${path}/versions`);
  const act = (/** @type {() => Promise<any>} */ action) => () => action().then(changed, complain);
  const row = (/** @type {any} */ version) => {
    const live = version.version === model.version;
    const chosen = version.live;
    const name = String(version.version);
    const top1 = version.test_top1;
    const promote = async () => {
      await call('PUT', `${path}/live`, { json: { version: version.version } });
      notify(t('serve.promoted', { model: model.name, version: name }));
    };
    const remove = async () => {
      const sure = await confirmed({ title: t('serve.delete_title', { version: name }), text: t('serve.delete_text'), action: t('serve.delete') });
      if (sure) await call('DELETE', `${path}/versions/${name}`);
    };
    return h('tr', { 'aria-current': live ? 'true' : null },
      h('th', { scope: 'row' }, name),
      h('td', null, live ? h('span.tag.live', null, t('serve.live')) : chosen ? h('span.tag', null, t('serve.chosen')) : version.shadow && h('span.tag', null, t('serve.shadow'))),
      h('td.number', null, typeof top1 === 'number' ? percent(top1) : '–'),
      h('td.date', null, version.published_at ? date(version.published_at) : '–'),
      h('td.number', null, version.bytes ? bytes(version.bytes) : '–', version.variants?.length > 1 && h('div.small-text.muted', null, version.variants.join(', '))),
      h('td.wrap', null, model.built_in ? h('span.note', { lang: 'en' }, version.notes ?? '') : notes(version.notes ?? '', `${path}/versions/${name}`, changed)),
      h('td', null, h('div.row', null,
        !live && h('button.small.primary', { type: 'button', onclick: act(promote) }, version.version < (model.version ?? 0) ? t('serve.roll_back') : t('serve.promote')),
        !live && model.version && h('button.small', { type: 'button', onclick: () => openShadow(path, version.version, changed) }, t('serve.shadow')),
        !live && model.version && h('a.button.small', { href: `#/try/${part(model.name)}/${part(`${model.name}@${name}`)}` }, t('serve.compare')),
        h('a.button.small', { href: `#/look/${part(model.name)}/${name}` }, t('serve.report')),
        h('button.small', { type: 'button', onclick: () => download(`${path}/versions/${name}/onnx`, `${model.name}-${name}.onnx`).catch(complain) }, 'ONNX'),
        !live && !model.built_in && h('button.small.danger', { type: 'button', onclick: act(remove) }, t('serve.delete')))));
  };
  const heads = ['serve.version', 'serve.state', 'look.top1', 'serve.published', 'data.size', 'serve.notes', 'serve.actions'];
  return h('div.scroll', { tabindex: 0, role: 'region', 'aria-label': t('serve.versions') },
    h('table.versions', null, h('thead', null, h('tr', null, heads.map((key) => h('th', { scope: 'col' }, t(key))))),
      h('tbody', null, [...data].sort((a, b) => b.version - a.version).map(row))));
}

/** A note that a click makes a field. @param {string} text @param {string} path @param {() => Promise<void>} changed */
export function notes(text, path, changed) {
  const box = h('div');
  const edit = () => {
    const input = h('textarea', { 'aria-label': t('serve.notes'), rows: 3, maxlength: 4000 });
    input.value = text;
    const save = () => call('PATCH', path, { json: { notes: input.value } }).then(changed, complain);
    fill(box, input, h('div.row', null, h('button.small.primary', { type: 'button', onclick: save }, t('serve.save')),
      h('button.small', { type: 'button', onclick: read }, t('dialog.cancel'))));
    input.focus();
  };
  const read = () => fill(box, text && h('span.note', null, text), ' ',
    h('button.quiet.small', { type: 'button', onclick: edit }, text ? t('serve.edit_note') : t('serve.add_note')));
  read();
  return box;
}
