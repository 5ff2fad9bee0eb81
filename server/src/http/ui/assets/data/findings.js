/** What the doctor finds in a data set, with a button that mends each finding. */

import { get, part } from '../api.js';
import { fill, h } from '../dom.js';
import { failure, openDialog } from '../notice.js';
import { show } from '../pictures.js';
import { number, percent, t } from '../text.js';

/** Findings of a kind that are shown at once. */
const SHOWN = 50;

/**
 * @param {import('./board.js').Board} board
 * @param {string[]} bases Models whose features tell doubtful labels.
 */
export function openFindings(board, bases) {
  const results = h('div.stack', { 'aria-live': 'polite' });
  const base = h('select', null, h('option', { value: '' }, t('findings.no_labels')), bases.map((name) => h('option', { value: name }, name)));
  base.value = bases[0] ?? '';
  const life = new AbortController();
  const check = async () => {
    fill(results, h('p', null, t('findings.checking')), h('progress', { 'aria-label': t('findings.checking') }));
    try {
      const findings = await get(`/datasets/${part(board.dataset)}/findings`, {
        query: { base_model: base.value || undefined }, signal: life.signal, headers: { 'x-request-timeout-ms': '3600000' },
      });
      fill(results, render(board, findings, Boolean(base.value)));
    } catch (error) {
      if (!life.signal.aborted) fill(results, failure(error));
    }
  };
  const dialog = openDialog(t('findings.title'), () => [
    h('div.row.end', null,
      h('label.field', null, h('span', null, t('findings.by')), base),
      h('button.primary', { type: 'button', onclick: check }, t('findings.check'))),
    h('p.muted.small-text', null, t('findings.by_help')), results,
  ], 'wide');
  dialog.addEventListener('close', () => life.abort());
  check();
}

/** @param {import('./board.js').Board} board @param {any} findings @param {boolean} labels */
function render(board, findings, labels) {
  const sections = [
    section('findings.broken', findings.bad_files, (bad) => [
      picture(board, bad.id, bad.reason), h('p.small-text', null, bad.reason), fix(t('data.remove'), () => remove(board, [bad]))]),
    section('findings.copies', findings.copies, (group) => copies(board, group)),
    section('findings.suspects', findings.suspects ?? [], (suspect) => [
      picture(board, suspect.id, suspect.image),
      h('p.small-text', null, t('findings.suspect', {
        label: suspect.truth, own: percent(suspect.truth_score), rather: suspect.predicted, score: percent(suspect.score),
      })),
      fix(t('findings.relabel_as', { label: suspect.predicted }), () => board.relabel(suspect.predicted, [asImage(suspect, suspect.truth)])),
      fix(t('findings.is_right', { label: suspect.truth }), () => Promise.resolve())]),
    section('findings.tiny', findings.tiny, (tiny) => [
      picture(board, tiny.id, tiny.image), h('p.small-text', null, `${tiny.width} × ${tiny.height}`), fix(t('data.remove'), () => remove(board, [tiny]))]),
    imbalance(board, findings.imbalance),
    labels && !findings.suspects && h('p.muted', null, t('findings.too_few')),
  ].filter(Boolean);
  const found = sections.length > 0 ? null : h('p', null, t('findings.none'));
  return h('div.stack', null, h('p', null, t('findings.read', { n: findings.images, classes: findings.classes.length })), found, sections);
}

/**
 * @param {string} key
 * @param {any[]} items
 * @param {(item: any) => any[]} content
 */
function section(key, items, content) {
  if (items.length === 0) return null;
  const list = h('ul.findings', null, items.slice(0, SHOWN).map((item) => h('li.finding', null, content(item))));
  const more = items.length > SHOWN && h('button', {
    type: 'button',
    onclick: () => {
      list.append(...items.slice(SHOWN).map((item) => h('li.finding', null, content(item))));
      more.remove();
    },
  }, t('findings.more', { n: items.length - SHOWN }));
  return h('section', null, h('h3', null, `${t(key)} (${number(items.length)})`), h('p.muted.small-text', null, t(`${key}_help`)), list, more);
}

/** @param {import('./board.js').Board} board @param {any} group */
function copies(board, group) {
  const [first, ...others] = group.images;
  const note = group.across_classes ? t('findings.across_classes') : group.across_subsets ? t('findings.across_subsets') : '';
  return [
    h('div.row', null, group.images.map((/** @type {any} */ image) => h('figure.copy', null, picture(board, image.id, image.image), h('figcaption.small-text', null, image.class)))),
    note && h('p.small-text.error', null, note),
    fix(t('findings.keep_first', { label: first.class }), () => remove(board, others)),
    group.across_classes && others.map((/** @type {any} */ other) =>
      fix(t('findings.keep_as', { label: other.class }), () => remove(board, group.images.filter((/** @type {any} */ each) => each !== other)))),
  ];
}

/** @param {import('./board.js').Board} board @param {any} found */
function imbalance(board, found) {
  if (!found) return null;
  const balanced = `#/train/new/${part(board.dataset)}/balanced`;
  return h('section', null, h('h3', null, t('findings.imbalance')),
    h('p', null, t('findings.imbalance_text', {
      largest: found.largest, most: found.largest_images, smallest: found.smallest, fewest: found.smallest_images,
    })),
    h('a.button.small', { href: balanced, onclick: (/** @type {Event} */ event) => /** @type {any} */ (event.target).closest('dialog').close() }, t('findings.balance')));
}

/** A button that mends a finding and takes it off the list. @param {string} text @param {() => any} action */
function fix(text, action) {
  const button = h('button.small', {
    type: 'button',
    onclick: async () => {
      button.disabled = true;
      const item = button.closest('.finding');
      try {
        await action();
        const next = item.nextElementSibling ?? item.previousElementSibling;
        const dialog = item.closest('dialog');
        item.remove();
        (next ?? dialog).querySelector('button')?.focus();
      } catch (error) {
        button.disabled = false;
        button.after(failure(error));
      }
    },
  }, text);
  return button;
}

/** @param {import('./board.js').Board} board @param {any[]} images */
function remove(board, images) {
  board.remove(images.map((image) => asImage(image, image.class ?? '')));
}

/** @param {any} found @param {string} label @returns {any} */
function asImage(found, label) {
  return { id: found.id, label, labels: [label], file_name: found.image };
}

/** @param {import('./board.js').Board} board @param {string} id @param {string} alt */
function picture(board, id, alt) {
  const image = h('img', { alt, width: 98, height: 98 });
  image.addEventListener('error', () => image.replaceWith(h('div.no-picture.tiny', null, t('try.no_preview'))), { once: true });
  show(image, `/datasets/${part(board.dataset)}/images/${id}/thumbnail`, board.life.signal);
  return image;
}
