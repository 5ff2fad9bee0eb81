/** The report of a version. */

import { lineChart } from '../chart.js';
import { h } from '../dom.js';
import { duration, number, percent, t } from '../text.js';
import { Gallery } from './answers.js';
import { matrix } from './matrix.js';

/** Classes beyond which their table scrolls by itself. */
const MANY = 24;

/** @param {string} model @param {number} version @param {any} report @param {AbortSignal} signal */
export function showReport(model, version, report, signal) {
  const gallery = new Gallery(model, version, report, signal);
  const { test, answers, suspects, labels } = report;
  const section = (/** @type {string} */ key, /** @type {any} */ content, /** @type {string} */ help = '') =>
    content && h('section', null, h('h2', null, t(`look.${key}`)), help && h('p.muted', null, t(help)), content);
  return h('div.stack.report', null,
    tiles(report),
    h('div.figures', null, calibration(test), curves(report)),
    test.confusion.length > 0 && section('confusion', matrix(labels, test.confusion, (truth, predicted) => gallery.openCell(truth, predicted))),
    section('classes', classes(labels, test)),
    answers.mistakes.length > 0 && section('mistakes', gallery.list(answers.mistakes), 'look.mistakes_help'),
    answers.uncertain.length > 0 && section('uncertain', gallery.list(answers.uncertain), 'look.uncertain_help'),
    suspects.length > 0 && section('suspects', gallery.list(suspects), 'look.suspects_help'));
}

/** @param {any} report */
function tiles(report) {
  const { test, images, seconds } = report;
  const tile = (/** @type {string} */ key, /** @type {any} */ value, /** @type {string} */ note = '') =>
    h('div.tile', null, h('b', null, value), h('span', null, t(key), note && h('br'), note));
  const interval = test.top1_interval && t('look.interval', { low: percent(test.top1_interval.low), high: percent(test.top1_interval.high) });
  return h('div.tiles', null,
    test.mean_average_precision !== undefined ? tile('look.map_figure', percent(test.mean_average_precision)) : tile('look.top1', percent(test.top1), interval),
    tile('look.macro_f1', test.macro_f1 === undefined ? '–' : percent(test.macro_f1)),
    tile('look.ece', test.reliability ? percent(test.reliability.ece) : '–'),
    tile('look.images_tested', number(test.images), t('look.trained_on', { n: images.train })),
    tile('look.time', duration(seconds.total), t(`strategy.${report.strategy}`)));
}

/** Whether scores mean what they say. @param {any} test */
function calibration(test) {
  const bins = test.reliability?.bins.filter((/** @type {any} */ bin) => bin.images > 0) ?? [];
  if (bins.length === 0) return null;
  return lineChart({
    title: t('look.calibration'), summary: t('look.calibration_summary', { ece: percent(test.reliability.ece) }),
    series: [{ name: t('look.accuracy'), points: bins.map((/** @type {any} */ bin) => [bin.score, bin.accuracy]) }],
    x: t('look.score'), xRange: [0, 1], yRange: [0, 1], ideal: true, points: true,
    format: (value) => percent(value, 0), formatX: (value) => percent(value, 0),
  });
}

/** @param {any} report */
function curves(report) {
  const epochs = report.epochs.filter((/** @type {any} */ event) => event.type === 'epoch');
  if (epochs.length < 2) return null;
  const validation = epochs.filter((/** @type {any} */ epoch) => epoch.validation_loss !== undefined);
  return lineChart({
    title: t('train.loss'), summary: t('chart.last', { value: number(epochs.at(-1).train_loss, { maximumSignificantDigits: 3 }) }), x: t('train.epoch'),
    series: [
      { name: t('train.train_loss'), points: epochs.map((/** @type {any} */ epoch) => [epoch.epoch, epoch.train_loss]) },
      ...(validation.length > 0 ? [{ name: t('train.validation_loss'), points: validation.map((/** @type {any} */ epoch) => [epoch.epoch, epoch.validation_loss]) }] : []),
    ],
  });
}

/** A table of the classes that is sorted by a click on a heading. @param {string[]} labels @param {any} test */
function classes(labels, test) {
  const columns = ['precision', 'recall', 'f1', 'support'];
  const rows = test.classes.map((/** @type {any} */ each, /** @type {number} */ at) => ({ label: labels[at], ...each }));
  const body = h('tbody');
  const shown = (/** @type {any} */ row) => h('tr', null, h('th.wrap', { scope: 'row' }, row.label),
    columns.map((column) => h('td.number', null, column === 'support' ? number(row.support) : percent(row[column]))));
  let [by, down] = ['', false];
  const heads = ['label', ...columns].map((column) => {
    const sort = () => {
      down = by === column ? !down : column !== 'label' && column !== 'recall' && column !== 'f1' && column !== 'precision';
      by = column;
      const value = (/** @type {any} */ row) => row[column] ?? -1;
      rows.sort((/** @type {any} */ a, /** @type {any} */ b) => (value(a) < value(b) ? -1 : 1) * (down ? -1 : 1));
      heads.forEach((head) => head.removeAttribute('aria-sort'));
      cell.setAttribute('aria-sort', down ? 'descending' : 'ascending');
      body.replaceChildren(...rows.map(shown));
    };
    const cell = h('th', { scope: 'col', class: column === 'label' ? '' : 'number' }, h('button.sort', { type: 'button', onclick: sort }, t(`look.${column}`)));
    return cell;
  });
  body.append(...rows.map(shown));
  return h('div.scroll', { tabindex: 0, role: 'region', 'aria-label': t('look.classes'), class: labels.length > MANY ? 'tall' : '' }, h('table', null, h('thead', null, h('tr', null, heads)), body));
}
