/** Serve: which version of each model answers, on which engine; promote, roll back, compare. */

import { call, get, part } from '../api.js';
import { fill, h } from '../dom.js';
import { complain, emptyState, failure } from '../notice.js';
import { openAdd } from '../serve/add.js';
import { shadowReport } from '../serve/shadow.js';
import { snippets } from '../serve/snippets.js';
import { Traffic } from '../serve/traffic.js';
import { notes, versionList } from '../serve/versions.js';
import { has, number, t } from '../text.js';

const STATE = { READY: 'good', FAILED: 'bad' };
/** @type {Record<string, string>} */
const PROVIDERS = { openvino: 'OpenVINO', cuda: 'CUDA', webgpu: 'WebGPU' };

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
  const add = () => h('a.button', { href: '#/serve/add' }, t('serve.add'));
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
    tags(model),
    h('p.muted', null, [model.architecture, model.classes && t('data.classes_n', { n: model.classes }), model.plan?.variant, t('serve.versions_n', { n: model.versions.length })].filter(Boolean).join(' · ')),
    model.reason && h('p.error-text', { lang: 'en' }, model.reason));
}

/** @param {any} model */
function tags(model) {
  return h('div.row', null,
    h('span.tag', { class: STATE[/** @type {'READY'} */ (model.state)] ?? '' }, t(`state.${model.state}`)),
    model.version && h('span.tag.live', null, t('look.version', { number: String(model.version) })),
    model.default && h('span.tag', null, t('serve.default')), model.built_in && h('span.tag', null, t('serve.built_in')));
}

/** @param {any} engine */
function engineName(engine) {
  return engine.kind === 'ort' ? `ONNX Runtime ${engine.version ?? ''}`.trim() : engine.kind;
}

/** @param {any} engine */
function engineLine(engine) {
  return t('serve.engine', { engine: engineName(engine), n: engine.threads, reason: engine.reason });
}

/** @param {import('../app.js').Visit} visit @param {string} name */
async function openModel({ main, life }, name) {
  const path = `/models/${part(name)}`;
  const [head, how, shadow, versions, about] = [h('div'), h('div'), h('div'), h('div'), h('div')];
  const traffic = new Traffic(name, life.signal);
  const refresh = async () => {
    const model = await get(path, { signal: life.signal });
    fill(head, heading(model, path, refresh));
    fill(how, answering(model));
    fill(versions, await versionList(model, refresh).catch(failure));
    fill(shadow, await shadowReport(model, refresh).catch(failure));
    fill(about, details(model));
    return model;
  };
  const section = (/** @type {string} */ key, /** @type {any} */ content) => h('section', null, h('h2', null, t(key)), content);
  const model = await refresh();
  fill(main, head, h('div.stack', null, how, section('serve.versions', versions), shadow, section('serve.traffic', traffic.element),
    model.state !== 'BACKBONE' && section('serve.use', snippets(name)), about));
  await traffic.update().catch(complain);
  life.every(2000, () => traffic.update());
  life.every(5000, async () => {
    if (shadow.firstElementChild && !shadow.contains(document.activeElement)) fill(shadow, await shadowReport(await get(path), refresh));
  });
}

/** @param {any} model @param {string} path @param {() => Promise<any>} refresh */
function heading(model, path, refresh) {
  const act = (/** @type {string} */ key, /** @type {() => Promise<any>} */ action) =>
    h('button', { type: 'button', onclick: () => action().then(refresh, complain) }, t(key));
  const base = model.state === 'BACKBONE';
  return h('div.page-head', null,
    h('div', null, h('p.small-text', null, h('a', { href: '#/serve' }, t('serve.title'))), h('h1', null, model.name), tags(model),
      model.built_in && h('p.muted', null, t('serve.built_in_help')),
      model.reason && h('p.error', { lang: 'en', role: 'alert' }, model.reason),
      model.built_in ? model.notes && h('p.note', { lang: 'en' }, model.notes) : notes(model.notes ?? '', path, refresh)),
    h('div.row', null,
      !model.default && !base && act('serve.make_default', () => call('PUT', '/default-model', { json: { name: model.name } })),
      model.state === 'READY' ? act('serve.unload', () => call('POST', `${path}/unload`)) : act('serve.load', () => call('POST', `${path}/load`)),
      !base && h('a.button.primary', { href: `#/try/${part(model.name)}` }, t('train.to_try'))));
}

/** Which version answers, on what, and why it is so. @param {any} model */
function answering(model) {
  if (!model.version) return null;
  const { engine, plan } = model;
  const fact = (/** @type {string} */ key, /** @type {any} */ value, /** @type {any} */ why) =>
    [h('dt', null, t(key)), h('dd', null, h('strong', null, value), why && h('span.muted', { lang: 'en' }, `: ${why}`))];
  const other = model.live !== undefined && model.live !== model.version;
  const runs = plan ? t('serve.lanes', { n: plan.lanes }) : null;
  return h('section', null, h('h2', null, t('serve.answering')), h('dl.facts', null,
    fact('serve.version', String(model.version), other && model.reason),
    fact('serve.engine_of', `${engineName(engine)}, ${t('serve.threads', { n: engine.threads })}`, engine.reason),
    plan?.provider && fact('serve.provider', plan.provider.provider === 'cpu' ? t('serve.provider_own') : PROVIDERS[plan.provider.provider] ?? plan.provider.provider, plan.provider.reason),
    h('dt', null, t('serve.precision')), h('dd', null, precision(plan)),
    runs && fact('serve.runs', runs, plan.reason)));
}

/** The variants of the version that answers: the time of each, and why it answers or does not. @param {any} plan */
function precision(plan) {
  const name = (/** @type {string} */ variant) => (has(`precision.${variant}`) ? t(`precision.${variant}`) : variant);
  if (!plan?.variants.length) return [h('strong', null, name(plan?.variant ?? 'f32')), h('span.muted', null, `: ${t('serve.one_precision')}`)];
  return h('ul.variants', null, plan.variants.map((/** @type {any} */ each) => h('li', null,
    h(each.serving ? 'strong' : 'span', null, name(each.variant)), each.milliseconds !== undefined && `, ${number(each.milliseconds, { maximumSignificantDigits: 3 })} ms`,
    each.serving && [' ', h('span.tag.live', null, t('serve.live'))], h('span.muted', { lang: 'en' }, `: ${each.reason}`))));
}

/** @param {any} model */
function details(model) {
  const fact = (/** @type {string} */ key, /** @type {any} */ value) => value && [h('dt', null, t(key)), h('dd', null, value)];
  return h('section', null, h('h2', null, t('serve.about')), h('dl.facts', null,
    fact('serve.architecture', model.architecture), fact('serve.scores', model.scores && t(`scores.${model.scores}`)),
    fact('serve.evidence', model.scores_evidence), fact('train.base', model.training?.base_model ?? model.training?.base),
    fact('serve.input', model.preprocess && h('code', null, JSON.stringify(model.preprocess)))),
  model.labels && h('details', null, h('summary', null, t('data.classes_n', { n: model.labels.length })), h('ol.labels', { start: 0 }, model.labels.map((/** @type {string} */ label) => h('li', null, label)))));
}
