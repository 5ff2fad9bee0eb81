/** A confusion matrix whose cells open the pictures behind them. */

import { fill, h } from '../dom.js';
import { number, percent, t } from '../text.js';

/** Classes up to which the matrix is a table of numbers; beyond, its cells are too small for them. */
const NUMBERS = 24;
/** The most pairs in the list beside it. */
const PAIRS = 200;

/**
 * @param {string[]} labels
 * @param {number[][]} confusion By truth, then by prediction.
 * @param {(truth: number, predicted: number) => void} open
 */
export function matrix(labels, confusion, open) {
  const pairs = confusedPairs(confusion);
  const small = labels.length <= NUMBERS;
  return h('div.stack', null,
    h('p.muted', null, t('look.confusion_help')),
    h(small ? 'div.stack' : 'div.figures', null, small ? numbers(labels, confusion, open) : map(labels, confusion, open),
      h('details', { open: !small }, h('summary', null, t('look.pairs', { n: pairs.length })), pairList(labels, confusion, pairs, open))));
}

/** @param {number[][]} confusion */
function confusedPairs(confusion) {
  const found = confusion.flatMap((row, truth) => row.map((images, predicted) => ({ truth, predicted, images })));
  return found.filter(({ truth, predicted, images }) => truth !== predicted && images > 0).sort((a, b) => b.images - a.images);
}

/** @param {string[]} labels @param {number[][]} confusion @param {(truth: number, predicted: number) => void} open */
function numbers(labels, confusion, open) {
  const cell = (/** @type {number} */ images, /** @type {number} */ truth, /** @type {number} */ predicted, /** @type {number} */ total) => {
    if (images === 0) return h('td', null, h('span', { 'aria-hidden': 'true' }, '·'), h('span.visually-hidden', null, '0'));
    const name = t('look.cell', { n: images, truth: labels[truth], predicted: labels[predicted] });
    return h('td', { class: truth === predicted ? 'right' : 'wrong', share: images / Math.max(1, total) },
      h('button', { type: 'button', 'aria-label': name, title: name, onclick: () => open(truth, predicted) }, number(images)));
  };
  return h('div.scroll', { tabindex: 0, role: 'region', 'aria-label': t('look.confusion') },
    h('table.matrix', null,
      h('thead', null, h('tr', null, h('td'), labels.map((label) => h('th', { scope: 'col', title: label }, h('span', null, label))))),
      h('tbody', null, confusion.map((row, truth) => {
        const total = row.reduce((sum, images) => sum + images, 0);
        return h('tr', null, h('th', { scope: 'row', title: labels[truth] }, labels[truth]), row.map((images, predicted) => cell(images, truth, predicted, total)));
      }))));
}

/** Hundreds of classes: a picture to see patterns in. The list beside it has every cell for the keyboard. */
function map(/** @type {string[]} */ labels, /** @type {number[][]} */ confusion, /** @type {(truth: number, predicted: number) => void} */ open) {
  const scale = Math.max(2, Math.min(8, Math.floor(960 / labels.length)));
  const side = labels.length * scale;
  const canvas = h('canvas', { width: side, height: side, class: 'matrix-map', role: 'img', 'aria-label': t('look.map', { n: labels.length }) });
  const said = h('p.small-text.muted', null, t('look.map_help'));
  const paint = () => {
    const style = getComputedStyle(document.documentElement);
    const [right, wrong] = ['--heat-right', '--heat-wrong'].map((name) => style.getPropertyValue(name));
    const context = canvas.getContext('2d');
    context.clearRect(0, 0, side, side);
    confusion.forEach((row, truth) => {
      const total = Math.max(1, row.reduce((sum, images) => sum + images, 0));
      row.forEach((images, predicted) => {
        if (images === 0) return;
        context.fillStyle = `rgba(${truth === predicted ? right : wrong}, ${0.3 + 0.7 * (images / total)})`;
        context.fillRect(predicted * scale, truth * scale, scale, scale);
      });
    });
  };
  const at = (/** @type {MouseEvent} */ event) => {
    const box = canvas.getBoundingClientRect();
    const place = (/** @type {number} */ offset, /** @type {number} */ size) => Math.min(labels.length - 1, Math.max(0, Math.floor((offset / size) * labels.length)));
    return { truth: place(event.clientY - box.top, box.height), predicted: place(event.clientX - box.left, box.width) };
  };
  canvas.addEventListener('mousemove', (/** @type {MouseEvent} */ event) => {
    const { truth, predicted } = at(event);
    said.textContent = t('look.cell', { n: confusion[truth][predicted], truth: labels[truth], predicted: labels[predicted] });
  });
  canvas.addEventListener('click', (/** @type {MouseEvent} */ event) => {
    const { truth, predicted } = at(event);
    if (confusion[truth][predicted] > 0) open(truth, predicted);
  });
  requestAnimationFrame(paint);
  return h('figure', null, canvas, said);
}

/** @param {string[]} labels @param {number[][]} confusion @param {{truth: number, predicted: number, images: number}[]} pairs @param {(truth: number, predicted: number) => void} open */
function pairList(labels, confusion, pairs, open) {
  if (pairs.length === 0) return h('p', null, t('look.no_pairs'));
  const row = (/** @type {{truth: number, predicted: number, images: number}} */ { truth, predicted, images }) => {
    const total = confusion[truth].reduce((sum, count) => sum + count, 0);
    return h('tr', null, h('td.wrap', null, labels[truth]), h('td.wrap', null, labels[predicted]), h('td.number', null, number(images)), h('td.number', null, percent(images / total)),
      h('td', null, h('button.small', { type: 'button', 'aria-label': t('look.cell', { n: images, truth: labels[truth], predicted: labels[predicted] }), onclick: () => open(truth, predicted) }, t('look.pictures'))));
  };
  const columns = ['look.truth', 'look.taken_for', 'look.images', 'look.share'];
  const body = h('tbody');
  fill(body, pairs.slice(0, PAIRS).map(row));
  return h('div.scroll.tall', { tabindex: 0, role: 'region', 'aria-label': t('look.pairs_name') },
    h('table', null, h('thead', null, h('tr', null, columns.map((key) => h('th', { scope: 'col' }, t(key))), h('td'))), body));
}
