/** Asks for the server's key. */

import { h } from './dom.js';
import { t } from './text.js';

/** @type {Promise<string> | null} */
let asking = null;

/**
 * Asks once, however many requests wait for the key.
 * @param {boolean} refused Whether a key was sent and not taken.
 * @returns {Promise<string>}
 */
export function askForKey(refused) {
  asking ??= ask(refused).finally(() => {
    asking = null;
  });
  return asking;
}

/**
 * @param {boolean} refused
 * @returns {Promise<string>}
 */
function ask(refused) {
  return new Promise((resolve) => {
    const input = h('input', {
      type: 'password', name: 'key', id: 'key-input', required: true, autocomplete: 'off', spellcheck: 'false',
      'aria-describedby': 'key-help',
    });
    const form = h('form', { method: 'dialog' },
      h('h2', { id: 'key-title' }, t('key.title')),
      h('p', { id: 'key-help' }, t('key.help')),
      refused && h('p.error', { role: 'alert' }, t('key.refused')),
      h('label', { for: 'key-input' }, t('key.label')),
      input,
      h('div.actions', null, h('button.primary', { type: 'submit' }, t('key.use'))));
    const dialog = h('dialog', { 'aria-labelledby': 'key-title' }, form);
    form.addEventListener('submit', (/** @type {Event} */ event) => {
      event.preventDefault();
      dialog.close();
      dialog.remove();
      resolve(input.value.trim());
    });
    // Without a key there is nothing to show behind it.
    dialog.addEventListener('cancel', (/** @type {Event} */ event) => event.preventDefault());
    document.body.append(dialog);
    dialog.showModal();
    input.focus();
  });
}
