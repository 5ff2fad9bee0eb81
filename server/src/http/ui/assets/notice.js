/** What the page tells beside its content: notices with a way back, questions, failures. */

import { h, icon } from './dom.js';
import { aborted, reason } from './api.js';
import { t } from './text.js';

/** How long a notice stays. One with a way back stays longer (WCAG 2.2.1), and as long as it has the focus or the pointer. */
const STAYS = 6000;
const STAYS_UNDO = 12000;

/**
 * Says something and offers to undo it.
 * @param {string} text
 * @param {{undo?: () => void, gone?: () => void, failed?: boolean}} [options]
 */
export function notify(text, options = {}) {
  const region = document.getElementById(options.failed ? 'alerts' : 'notices');
  // Nothing outside a window can be reached while it is open.
  if (region) ([...document.querySelectorAll('dialog[open]')].at(-1) ?? document.body).append(region);
  let over = false;
  const remove = (/** @type {boolean} */ undone) => {
    if (over) return;
    over = true;
    clearTimeout(timer);
    notice.remove();
    if (undone) options.undo?.();
    else options.gone?.();
  };
  const undo = options.undo && h('button.quiet', { type: 'button', onclick: () => remove(true) }, t('notice.undo'));
  const close = h('button.icon-only', { type: 'button', 'aria-label': t('notice.close'), onclick: () => remove(false) }, icon('close'));
  const notice = h(options.failed ? 'div.notice.failed' : 'div.notice', null, h('span', null, text), undo, close);
  let timer = 0;
  const wait = () => {
    timer = setTimeout(() => remove(false), options.undo ? STAYS_UNDO : STAYS);
  };
  for (const event of ['pointerenter', 'focusin']) notice.addEventListener(event, () => clearTimeout(timer));
  for (const event of ['pointerleave', 'focusout']) notice.addEventListener(event, wait);
  if (!options.failed) wait();
  region?.append(notice);
  return { end: () => remove(false), undo: () => remove(true) };
}

/** Says that something failed, unless nobody waits for it. @param {unknown} error */
export function complain(error) {
  if (!aborted(error)) notify(reason(error), { failed: true });
}

/**
 * A window over the page. Closes by Escape and by its buttons, and gives the focus back.
 * @param {string} title
 * @param {(close: () => void) => any[]} content
 * @param {string} [kind] A class of the window.
 */
export function openDialog(title, content, kind = '') {
  const id = `dialog-${Math.random().toString(36).slice(2)}`;
  const dialog = h('dialog', { 'aria-labelledby': id, class: kind });
  const close = () => dialog.close();
  const cross = h('button.icon-only', { type: 'button', 'aria-label': t('dialog.close'), onclick: close }, icon('close'));
  dialog.append(h('div.dialog-head', null, h('h2', { id }, title), cross), ...content(close));
  dialog.addEventListener('close', () => {
    document.body.append(...dialog.querySelectorAll('.notices'));
    dialog.remove();
  });
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}

/**
 * Asks before something that cannot be undone.
 * @param {{title: string, text: string, action: string}} question
 * @returns {Promise<boolean>}
 */
export function confirmed({ title, text, action }) {
  return new Promise((resolve) => {
    let answer = false;
    const dialog = openDialog(title, (close) => [
      h('p', null, text),
      h('div.actions', null,
        h('button', { type: 'button', onclick: close }, t('dialog.cancel')),
        h('button.danger', { type: 'button', onclick: () => { answer = true; close(); } }, action)),
    ]);
    dialog.addEventListener('close', () => resolve(answer));
  });
}

/**
 * A box in the place of content that is not there: what is missing and what to do.
 * @param {string} title
 * @param {string} text
 * @param {...any} actions
 */
export function emptyState(title, text, ...actions) {
  return h('div.empty', null, h('h2', null, title), h('p', null, text), actions.length > 0 && h('div.actions', null, actions));
}

/** A box that says why a part of the page is missing. @param {unknown} error */
export function failure(error) {
  return h('div.failure', { role: 'alert' }, h('strong', null, t('failure.title')), ' ', reason(error));
}
