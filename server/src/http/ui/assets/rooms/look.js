/** Look: how good a version is, where it errs, and how the versions of a model went over time. */

import { get, part } from '../api.js';
import { lineChart } from '../chart.js';
import { fill, h } from '../dom.js';
import { showReport } from '../look/report.js';
import { emptyState, failure } from '../notice.js';
import { percent, t } from '../text.js';

/** Versions that the chart over time has at most. */
const VERSIONS = 20;

/** @param {import('../app.js').Visit} visit */
export async function open({ main, path, life }) {
  const all = (await get('/models')).data.filter((/** @type {any} */ model) => model.state !== 'BACKBONE');
  // What graft comes with was not trained here: it is no model to look at first.
  const models = all.sort((/** @type {any} */ a, /** @type {any} */ b) => Number(a.built_in ?? false) - Number(b.built_in ?? false));
  const [name = models[0]?.name, asked] = path;
  const head = h('div.page-head', null, h('div', null, h('h1', null, t('look.title')), h('p.muted', null, t('look.lead'))));
  const model = models.find((/** @type {any} */ each) => each.name === name);
  if (!model || (model.built_in && path.length === 0)) {
    fill(main, head, emptyState(name && !model ? t('look.gone', { name }) : t('look.none'), t('look.none_help'), h('a.button.primary', { href: '#/train' }, t('try.to_train'))));
    return;
  }
  const version = Number(asked ?? model.version ?? model.versions.at(-1));
  const go = () => {
    const changed = choice.value !== name;
    location.hash = `#/look/${part(choice.value)}${changed ? '' : `/${versions.value}`}`;
  };
  const choice = h('select', { id: 'look-model', onchange: go }, models.map((/** @type {any} */ each) => h('option', { value: each.name }, each.name)));
  choice.value = name;
  const versions = h('select', { id: 'look-version', onchange: go }, [...model.versions].reverse().map((number) =>
    h('option', { value: number }, number === model.version ? t('look.version_live', { number: String(number) }) : t('look.version', { number: String(number) }))));
  versions.value = String(version);
  const report = h('div');
  const history = h('div.figures');
  fill(main, head,
    h('div.row.end.look-bar', null,
      h('div.field', null, h('label', { for: 'look-model' }, t('try.model')), choice),
      h('div.field', null, h('label', { for: 'look-version' }, t('look.version_label')), versions),
      h('a.button', { href: `/models/${part(name)}/versions/${version}/report`, target: '_blank' }, t('look.page'))),
    report, history);
  const read = (/** @type {number} */ number) => get(`/models/${part(name)}/versions/${number}/report`, { signal: life.signal, headers: { accept: 'application/json' } });
  try {
    fill(report, showReport(name, version, await read(version), life.signal));
  } catch (error) {
    fill(report, /** @type {any} */ (error).code === 'report_not_found' ? emptyState(t('look.no_report'), t(model.built_in ? 'serve.built_in_help' : 'look.no_report_help')) : failure(error));
  }
  if (model.versions.length > 1) await showHistory(history, model, read);
}

/** @param {HTMLElement} element @param {any} model @param {(version: number) => Promise<any>} read */
async function showHistory(element, model, read) {
  /** @type {[number, number][]} */
  const points = [];
  for (const number of model.versions.slice(-VERSIONS)) {
    const report = await read(number).catch(() => null);
    const figure = report?.test.mean_average_precision ?? report?.test.top1;
    if (figure !== undefined) points.push([number, figure]);
  }
  if (points.length < 2) return;
  fill(element, lineChart({
    title: t('look.over_time'), summary: t('chart.last', { value: percent(points.at(-1)?.[1]) }), series: [{ name: t('look.top1'), points }],
    x: t('look.version_label'), yRange: [0, 1], points: true, format: (value) => percent(value, 0), formatX: (value) => (Number.isInteger(value) ? String(value) : ''),
  }));
}
