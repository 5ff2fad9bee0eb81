/** Charts as plain SVG, each with a name for screen readers and its numbers as a table behind it. */

import { h, svg } from './dom.js';
import { number, t } from './text.js';

const WIDTH = 520;
const HEIGHT = 240;
const LEFT = 46;
const BOTTOM = 30;
const TOP = 10;
const RIGHT = 24;

/**
 * @typedef {object} Series
 * @property {string} name
 * @property {[number, number][]} points
 */

/**
 * @typedef {object} Chart
 * @property {string} title
 * @property {string} summary What it shows, in a sentence.
 * @property {Series[]} series
 * @property {string} x The name of the axis.
 * @property {[number, number]} [yRange]
 * @property {[number, number]} [xRange]
 * @property {(value: number) => string} [format] How values are written.
 * @property {(value: number) => string} [formatX]
 * @property {boolean} [ideal] Draws the diagonal.
 * @property {boolean} [points] Draws the points as well.
 */

/** A chart of lines. @param {Chart} chart */
export function lineChart(chart) {
  const format = chart.format ?? ((value) => number(value, { maximumSignificantDigits: 3 }));
  const formatX = chart.formatX ?? ((value) => number(value, { maximumSignificantDigits: 3 }));
  const all = chart.series.flatMap((series) => series.points);
  const [xs, ys] = [all.map(([x]) => x), all.map(([, y]) => y)];
  const [minX, maxX] = chart.xRange ?? span(xs);
  const [minY, maxY] = chart.yRange ?? span([...ys, 0]);
  const x = (/** @type {number} */ value) => LEFT + ((value - minX) / (maxX - minX || 1)) * (WIDTH - LEFT - RIGHT);
  const y = (/** @type {number} */ value) => HEIGHT - BOTTOM - ((value - minY) / (maxY - minY || 1)) * (HEIGHT - TOP - BOTTOM);
  const picture = svg('svg', { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, class: 'chart', role: 'img', 'aria-label': `${chart.title}. ${chart.summary}` },
    ticks(minY, maxY).map((value) => [
      svg('line', { x1: LEFT, x2: WIDTH - RIGHT, y1: y(value), y2: y(value), class: 'grid' }),
      svg('text', { x: LEFT - 6, y: y(value) + 4, 'text-anchor': 'end' }, format(value)),
    ]).flat(),
    ticks(minX, maxX).map((value) => svg('text', { x: x(value), y: HEIGHT - BOTTOM + 18, 'text-anchor': 'middle' }, formatX(value))),
    chart.ideal && svg('line', { x1: x(minX), y1: y(minX), x2: x(maxX), y2: y(maxX), class: 'ideal' }),
    chart.series.map(({ points }, place) => svg('polyline', {
      class: `line s${place}`, points: points.map(([px, py]) => `${x(px).toFixed(1)},${y(py).toFixed(1)}`).join(' '),
    })),
    chart.series.flatMap(({ points }, place) => (chart.points || points.length === 1
      ? points.map(([px, py]) => svg('circle', { class: `p${place}`, cx: x(px), cy: y(py), r: 4 })) : [])));
  return h('figure', null, h('figcaption', null, chart.title), picture, legend(chart.series), table(chart, format, formatX));
}

/** @param {Series[]} series */
function legend(series) {
  if (series.length < 2) return null;
  const key = (/** @type {number} */ place) =>
    svg('svg', { viewBox: '0 0 26 8', class: 'chart', 'aria-hidden': 'true' }, svg('line', { x1: 0, x2: 26, y1: 4, y2: 4, class: `line s${place}` }));
  return h('div.legend', null, series.map(({ name }, place) => h('span', null, key(place), name)));
}

/** The numbers of a chart. @param {Chart} chart @param {(value: number) => string} format @param {(value: number) => string} formatX */
function table({ series, x, title }, format, formatX) {
  const places = [...new Set(series.flatMap(({ points }) => points.map(([place]) => place)))].sort((a, b) => a - b);
  const rows = places.map((place) => h('tr', null, h('th', { scope: 'row' }, formatX(place)),
    series.map(({ points }) => {
      const point = points.find(([px]) => px === place);
      return h('td.number', null, point ? format(point[1]) : '–');
    })));
  return h('details', null, h('summary.small-text', null, t('chart.table')),
    h('div.scroll', { tabindex: 0, role: 'region', 'aria-label': title },
      h('table', null, h('caption.visually-hidden', null, title),
        h('thead', null, h('tr', null, h('th', { scope: 'col' }, x), series.map(({ name }) => h('th', { scope: 'col' }, name)))),
        h('tbody', null, rows))));
}

/** @param {number[]} values @returns {[number, number]} */
function span(values) {
  const finite = values.filter(Number.isFinite);
  if (finite.length === 0) return [0, 1];
  const [low, high] = [Math.min(...finite), Math.max(...finite)];
  return low === high ? [low, low + 1] : [low, high];
}

/** Round numbers between two, about five. @param {number} low @param {number} high */
function ticks(low, high) {
  const rough = (high - low) / 4 || 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((candidate) => candidate >= rough) ?? rough;
  const found = [];
  for (let value = Math.ceil(low / step) * step; value <= high + step * 1e-6; value += step) found.push(Number(value.toPrecision(12)));
  return found;
}
