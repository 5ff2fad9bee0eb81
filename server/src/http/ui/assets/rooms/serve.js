/** Serve: which version of each model answers, on which engine; promote, roll back, compare. */

import { call, get, offers, part } from '../api.js';
import { fill, h } from '../dom.js';
import { complain, emptyState, failure } from '../notice.js';
import { openAdd } from '../serve/add.js';
import { snippets } from '../serve/snippets.js';
import { Traffic } from '../serve/traffic.js';
import { notes, shadowReport, versionList } from '../serve/versions.js';
import { t } from '../text.js';

const STATE = { READY: 'good', FAILED: 'bad' };

/** @param {import('../app.js').Visit} visit */
export async function open(visit) {
  const [name] = visit.path;
  if (name === 'add') openAdd(visit);
  else if (name) await openModel(visit, name);
  else await openList(visit);
}

/** @param {import('../app.js').Visit} visit */
async function openList({ main, life }) {
  const list = h('div');
  const engine = h('p.muted');
  const adds = await offers('post', '/models');
  const add = () => adds && h('a.button', { href: '#/serve/add' }, t('serve.add'));
  fill(main, h('div.page-head', null, h('div', null, h('h1', null, t('serve.title')), h('p.muted', null, t('serve.lead')), engine), add()), list);
  const refresh = async () => {
    const models = await get('/models', { signal: life.signal });
    engine.textContent = engineLine(models.engine);
    fill(list, models.data.length === 0 ? emptyState(t('serve.none'), t('serve.none_help'), add()) : h('div.cards', null, models.data.map(card)));
  };
  await refresh();
  life.every(3000, async () => {
    if (!list.contains(document.activeElement)) await refresh();
  });
}

/** @param {any} model */
function card(model) {
  return h('article.card', null,
    h('h2', null, h('a', { href: `#/serve/${part(model.name)}` }, model.name)),
    h('div.row', null, h('span.tag', { class: STATE[/** @type {'READY'} */ (model.state)] ?? '' }, t(`state.${model.state}`)),
      model.default && h('span.tag', null, t('serve.default')), model.version && h('span.tag.live', null, t('look.version', { number: String(model.version) }))),
    h('p.muted', null, [model.architecture, model.classes && t('data.classes_n', { n: model.classes }), t('serve.versions_n', { n: model.versions.length })].filter(Boolean).join(' · ')),
    model.reason && h('p.error-text', { lang: 'en' }, model.reason));
}

/** @param {any} engine */
function engineLine(engine) {
  const name = engine.kind === 'ort' ? `ONNX Runtime ${engine.version ?? ''}` : engine.kind;
  return t('serve.engine', { engine: name.trim(), threads: engine.threads, reason: engine.reason });
}

/** @param {import('../app.js').Visit} visit @param {string} name */
async function openModel({ main, life }, name) {
  const path = `/models/${part(name)}`;
  const head = h('div');
  const shadow = h('div');
  const versions = h('div');
  const traffic = new Traffic(name, life.signal);
  const managed = await offers('put', '/models/{name}/live');
  const refresh = async () => {
    const model = await get(path, { signal: life.signal });
    fill(head, heading(model, path, managed ? refresh : null));
    fill(versions, managed ? await versionList(model, refresh).catch(failure) : reports(model));
    if (managed) fill(shadow, await shadowReport(model, refresh).catch(failure));
    return model;
  };
  const section = (/** @type {string} */ key, /** @type {any} */ content) => h('section', null, h('h2', null, t(key)), content);
  const model = await refresh();
  fill(main, head, h('div.stack', null, section('serve.traffic', traffic.element), shadow, section('serve.versions', versions),
    model.state !== 'BACKBONE' && section('serve.use', snippets(name)), details(model)));
  await traffic.update().catch(complain);
  life.every(2000, () => traffic.update());
  life.every(5000, async () => {
    if (shadow.firstElementChild && !shadow.contains(document.activeElement)) fill(shadow, await shadowReport(await get(path), refresh));
  });
}

/** The versions of a server that cannot change which one answers. @param {any} model */
function reports(model) {
  return h('ul', null, [...model.versions].reverse().map((version) => h('li', null,
    h('a', { href: `#/look/${part(model.name)}/${version}` }, t(version === model.version ? 'look.version_live' : 'look.version', { number: String(version) })))));
}

/** @param {any} model @param {string} path @param {(() => Promise<any>) | null} refresh Missing where nothing can be changed. */
function heading(model, path, refresh) {
  const act = (/** @type {string} */ key, /** @type {() => Promise<any>} */ action) =>
    h('button', { type: 'button', onclick: () => action().then(refresh ?? (() => {}), complain) }, t(key));
  return h('div.page-head', null,
    h('div', null, h('p.small-text', null, h('a', { href: '#/serve' }, t('serve.title'))), h('h1', null, model.name),
      h('div.row', null, h('span.tag', { class: STATE[/** @type {'READY'} */ (model.state)] ?? '' }, t(`state.${model.state}`)),
        model.default && h('span.tag', null, t('serve.default')), model.version && h('span.tag.live', null, t('look.version', { number: String(model.version) }))),
      h('p.muted', null, engineLine(model.engine)),
      model.reason && h('p.error', { lang: 'en', role: 'alert' }, model.reason),
      refresh && notes(model.notes ?? '', path, refresh)),
    h('div.row', null,
      refresh && !model.default && model.state !== 'BACKBONE' && act('serve.make_default', () => call('PUT', '/default-model', { json: { name: model.name } })),
      refresh && (model.state === 'READY' ? act('serve.unload', () => call('POST', `${path}/unload`)) : act('serve.load', () => call('POST', `${path}/load`))),
      model.state !== 'BACKBONE' && h('a.button.primary', { href: `#/try/${part(model.name)}` }, t('train.to_try'))));
}

/** @param {any} model */
function details(model) {
  const fact = (/** @type {string} */ key, /** @type {any} */ value) => value && [h('dt', null, t(key)), h('dd', null, value)];
  return h('section', null, h('h2', null, t('serve.about')), h('dl.facts', null,
    fact('serve.architecture', model.architecture), fact('serve.scores', model.scores && t(`scores.${model.scores}`)),
    fact('serve.precision', model.precision ? `${model.precision}${model.precision_reason ? `: ${model.precision_reason}` : ''}` : 'float32'),
    fact('serve.evidence', model.scores_evidence), fact('train.base', model.training?.base_model ?? model.training?.base),
    fact('serve.input', model.preprocess && h('code', null, JSON.stringify(model.preprocess)))),
  model.labels && h('details', null, h('summary', null, t('data.classes_n', { n: model.labels.length })), h('ol.labels', { start: 0 }, model.labels.map((/** @type {string} */ label) => h('li', null, label)))));
}
