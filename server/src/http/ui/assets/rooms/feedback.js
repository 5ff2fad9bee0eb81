/** Feedback: pictures that the server was asked about and is not sure of; what people say of them goes into the next snapshot. */

import { call, get, part } from '../api.js';
import { fill, h } from '../dom.js';
import { complain, emptyState, notify } from '../notice.js';
import { show } from '../pictures.js';
import { date, percent, t } from '../text.js';

const PAGE = 60;

/** @param {import('../app.js').Visit} visit */
export async function open({ main, life }) {
  const head = h('div.page-head', null, h('div', null, h('h1', null, t('feedback.title')), h('p.muted', null, t('feedback.lead'))));
  const inbox = await get('/inbox', { query: { limit: PAGE } });
  if (!inbox.dataset) {
    fill(main, head, emptyState(t('feedback.off'), t('feedback.off_help')), h('pre.code.narrow', { tabindex: 0 }, h('code', null, 'graft serve --collect corrected --collect-policy uncertain')));
    return;
  }
  await new Inbox(main, head, life, inbox).show();
}

class Inbox {
  /** @param {HTMLElement} main @param {HTMLElement} head @param {import('../dom.js').Lifetime} life @param {any} page */
  constructor(main, head, life, page) {
    this.main = main;
    this.head = head;
    this.life = life;
    this.page = page;
    /** @type {Map<string, Promise<string[]>>} */
    this.labels = new Map();
    this.list = h('ul.inbox', { 'aria-label': t('feedback.waiting') });
    this.count = h('p', { role: 'status' });
    this.told = 0;
  }

  async show() {
    const { dataset } = this.page;
    fill(this.main, this.head,
      h('div.row', null, this.count, h('span.grow'),
        h('a.button', { href: `#/data/${part(dataset)}` }, t('feedback.to_data', { dataset })),
        h('a.button.primary', { href: `#/train/new/${part(dataset)}` }, t('feedback.train'))),
      this.list);
    await this.add(this.page.data);
    if (this.page.has_more) this.main.append(this.moreButton());
    this.counted();
  }

  moreButton() {
    const more = h('button', {
      type: 'button',
      onclick: async () => {
        const after = Number(/** @type {HTMLElement | null} */ (this.list.lastElementChild)?.dataset.id ?? 0);
        const page = await get('/inbox', { query: { limit: PAGE, after } });
        await this.add(page.data);
        if (!page.has_more) more.remove();
        this.counted();
      },
    }, t('feedback.more'));
    return more;
  }

  counted() {
    const n = this.list.childElementCount;
    this.count.textContent = t('feedback.count', { n }) + (this.told > 0 ? ` · ${t('feedback.told', { n: this.told })}` : '');
    if (n === 0 && !this.main.querySelector('.empty')) this.main.append(emptyState(t('feedback.none'), t('feedback.none_help')));
  }

  /** @param {any[]} entries */
  async add(entries) {
    for (const entry of entries) {
      if (!this.labels.has(entry.model)) {
        this.labels.set(entry.model, get(`/models/${part(entry.model)}`).then((model) => model.labels ?? [], () => []));
      }
      this.list.append(this.card(entry, await /** @type {Promise<string[]>} */ (this.labels.get(entry.model))));
    }
  }

  /** @param {any} entry @param {string[]} labels */
  card(entry, labels) {
    const name = entry.file_name ?? String(entry.id);
    const image = h('img', { alt: name, loading: 'lazy' });
    image.addEventListener('error', () => image.replaceWith(h('div.no-picture', null, t('try.no_preview'))), { once: true });
    show(image, `/inbox/${entry.id}`, this.life.signal);
    const list = `labels-${entry.id}`;
    const other = h('input', { type: 'text', list, 'aria-label': t('feedback.correct_of', { name }), placeholder: t('feedback.other'), maxlength: 200 });
    const say = (/** @type {string} */ label) => this.leave(card, async () => {
      const { dataset } = await call('POST', '/feedback', { json: { request_id: entry.request_id, image: entry.image, label } });
      this.told += 1;
      notify(t('try.told', { label, dataset }));
    });
    const form = h('form.row', null, other, h('datalist', { id: list }, labels.map((label) => h('option', { value: label }))), h('button.small', { type: 'submit' }, t('feedback.correct')));
    form.addEventListener('submit', (/** @type {Event} */ event) => {
      event.preventDefault();
      if (other.value.trim()) say(other.value.trim());
    });
    const card = h('li.card', { 'data-id': entry.id }, image,
      h('div.stack.tight', null,
        h('p', null, t('feedback.took', { label: entry.predicted, score: percent(entry.score) })),
        h('p.small-text.muted', null, `${name} · ${t('try.version', { model: entry.model, version: String(entry.version) })} · ${date(entry.kept_at)}`),
        h('div.row', null,
          h('button.small.primary', { type: 'button', onclick: () => say(entry.predicted) }, t('feedback.confirm', { label: entry.predicted })),
          h('button.small', { type: 'button', onclick: () => this.leave(card, () => call('DELETE', `/inbox/${entry.id}`)) }, t('feedback.discard'))),
        form));
    return card;
  }

  /** Takes a picture off the list when the server has done what is asked of it. @param {HTMLElement} card @param {() => Promise<any>} action */
  async leave(card, action) {
    try {
      await action();
      const next = card.nextElementSibling ?? card.previousElementSibling;
      card.remove();
      /** @type {HTMLElement | null | undefined} */ (next?.querySelector('button'))?.focus();
      this.counted();
    } catch (error) {
      complain(error);
    }
  }
}
