/** A version that answers copies of live requests: how it begins, and what it has found. */

import { call, get, part } from '../api.js';
import { h } from '../dom.js';
import { complain, openDialog } from '../notice.js';
import { number, percent, t } from '../text.js';

/** @param {string} path @param {number} version @param {() => Promise<void>} changed */
export function openShadow(path, version, changed) {
  const share = h('input', { type: 'number', id: 'shadow-share', min: 1, max: 100, value: 10, required: true });
  openDialog(t('serve.shadow_title', { version: String(version) }), (close) => {
    const form = h('form', null, h('p', null, t('serve.shadow_help')),
      h('label', { for: 'shadow-share' }, t('serve.shadow_share')), share,
      h('div.actions', null, h('button', { type: 'button', onclick: close }, t('dialog.cancel')), h('button.primary', { type: 'submit' }, t('serve.shadow_start'))));
    form.addEventListener('submit', (/** @type {Event} */ event) => {
      event.preventDefault();
      close();
      call('PUT', `${path}/shadow`, { json: { version, share: Number(share.value) / 100 } }).then(changed, complain);
    });
    return [form];
  });
}

/** What a shadow has found so far; nothing without one. @param {any} model @param {() => Promise<void>} changed */
export async function shadowReport(model, changed) {
  const path = `/models/${part(model.name)}`;
  const shadow = await get(`${path}/shadow`).catch((error) => {
    if (error.status === 404) return null;
    throw error;
  });
  if (!shadow) return null;
  const stop = () => call('DELETE', `${path}/shadow`).then(changed, complain);
  const promote = () => call('PUT', `${path}/live`, { json: { version: shadow.version } }).then(changed, complain);
  const tile = (/** @type {string} */ key, /** @type {any} */ value) => h('div.tile', null, h('b', null, value), h('span', null, t(key)));
  const milliseconds = (/** @type {any} */ value) => (typeof value === 'number' ? `${value.toFixed(1)} ms` : '–');
  return h('section.card', null,
    h('h2', null, t('serve.shadow_of', { version: String(shadow.version), share: percent(shadow.share, 0) })),
    shadow.state !== 'running' && h('p', { lang: 'en' }, shadow.reason ?? shadow.state),
    h('div.tiles', null, tile('serve.shadow_images', number(shadow.images.compared)), tile('serve.agreement', percent(shadow.agreement)),
      tile('serve.latency_live', milliseconds(shadow.latency_ms.live?.mean)), tile('serve.latency_shadow', milliseconds(shadow.latency_ms.shadow?.mean))),
    shadow.disagreements.length > 0 && h('details', null, h('summary', null, t('serve.disagreements', { n: shadow.disagreements.length })),
      h('div.scroll', { tabindex: 0, role: 'region', 'aria-label': t('serve.disagreements_name') }, h('table', null,
        h('thead', null, h('tr', null, [t('serve.request'), t('serve.live'), t('serve.shadow')].map((head) => h('th', { scope: 'col' }, head)))),
        h('tbody', null, shadow.disagreements.map((/** @type {any} */ each) => h('tr', null, h('td.wrap', null, `${each.request_id} (${each.image})`),
          h('td.wrap', null, answer(each.live)), h('td.wrap', null, answer(each.shadow)))))))),
    h('div.actions', null, h('button.primary', { type: 'button', onclick: promote }, t('serve.promote')), h('button', { type: 'button', onclick: stop }, t('serve.shadow_stop'))));
}

/** @param {any} side */
function answer(side) {
  return `${side.labels.join(', ') || t('try.shows_none')} (${percent(side.score)})`;
}
