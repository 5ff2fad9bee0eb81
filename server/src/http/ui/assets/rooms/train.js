/** Train: fine-tunes that run and have run, and new ones. */

import { get, part } from '../api.js';
import { fill, h } from '../dom.js';
import { emptyState } from '../notice.js';
import { date, percent, t } from '../text.js';
import { openForm } from '../train/form.js';
import { openJob } from '../train/job.js';

const PAGE = 50;

/** @param {import('../app.js').Visit} visit */
export async function open(visit) {
  const [first, ...rest] = visit.path;
  if (first === 'new') await openForm(visit, rest[0], rest[1]);
  else if (first) await openJob(visit, first);
  else await openList(visit);
}

/** @param {import('../app.js').Visit} visit */
async function openList({ main, life }) {
  const list = h('div.stack');
  const fresh = () => h('a.button.primary', { href: '#/train/new' }, t('train.new'));
  fill(main, h('div.page-head', null, h('div', null, h('h1', null, t('train.title')), h('p.muted', null, t('train.lead'))), fresh()), list);
  const refresh = async () => {
    const { data } = await get('/finetune', { query: { limit: PAGE }, signal: life.signal });
    fill(list, data.length === 0 ? emptyState(t('train.none'), t('train.none_help'), fresh()) : data.map(row));
  };
  await refresh();
  life.every(3000, async () => {
    // What has the focus is not taken away.
    if (!list.contains(document.activeElement)) await refresh();
  });
}

/** @param {any} job */
function row(job) {
  const top1 = job.result?.metrics?.test_top1;
  return h('article.card.job', null,
    h('h2', null, h('a', { href: `#/train/${part(job.id)}` }, job.name)),
    h('span.tag', { class: { succeeded: 'good', failed: 'bad' }[/** @type {string} */ (job.state)] ?? '' }, t(`job.${job.state}`)),
    h('p.muted', null, t('train.of', { base: job.base_model, dataset: job.dataset.name ?? job.dataset.path, date: date(job.created_at) })),
    job.state === 'running' && job.progress?.fraction !== undefined
      && h('progress', { max: 1, value: job.progress.fraction, 'aria-label': t('train.progress') }),
    typeof top1 === 'number' && h('p', null, t('train.result', { top1: percent(top1) })),
    job.error && h('p.error', { lang: 'en' }, job.error.message));
}
