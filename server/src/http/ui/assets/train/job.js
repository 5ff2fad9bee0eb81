/** A fine-tune: how far it is, its curves as they grow, and what became of it. */

import { call, get, part } from '../api.js';
import { lineChart } from '../chart.js';
import { fill, h } from '../dom.js';
import { follow } from '../events.js';
import { complain } from '../notice.js';
import { date, duration, number, percent, t } from '../text.js';

const ENDED = ['succeeded', 'failed', 'cancelled'];
/** The most points of a curve; more would be less than a pixel apart. */
const POINTS = 400;
const NOTES = 60;

/** @param {import('../app.js').Visit} visit @param {string} id */
export async function openJob({ main, life }, id) {
  const job = await get(`/finetune/${part(id)}`);
  await new JobView(main, life, job).start();
}

class JobView {
  /** @param {HTMLElement} main @param {import('../dom.js').Lifetime} life @param {any} job */
  constructor(main, life, job) {
    this.life = life;
    this.job = job;
    this.path = `/finetune/${part(job.id)}`;
    this.state = h('span.tag', { role: 'status' });
    this.buttons = h('div.row');
    this.bar = h('progress', { max: 1, 'aria-label': t('train.progress') });
    this.phase = h('p.progress-line');
    this.progress = h('section.card', { hidden: true }, this.bar, this.phase);
    this.outcome = h('div');
    this.curves = h('div.figures');
    this.notes = h('ol.notes', { lang: 'en' });
    /** @type {[number, number][]} */ this.steps = [];
    /** @type {[number, number][]} */ this.train = [];
    /** @type {[number, number][]} */ this.validation = [];
    /** @type {[number, number][]} */ this.accuracy = [];
    fill(main,
      h('div.page-head', null,
        h('div', null, h('p.small-text', null, h('a', { href: '#/train' }, t('train.title'))), h('h1', null, job.name),
          h('p.muted', null, t('train.of', { base: job.base_model, dataset: job.dataset.name ?? job.dataset.path, date: date(job.created_at) }))),
        this.state),
      h('div.stack', null, this.buttons, this.progress, this.outcome, this.curves,
        h('details', null, h('summary', null, t('train.notes')), this.notes)));
  }

  async start() {
    this.show();
    follow(`${this.path}/events`, {
      signal: this.life.signal,
      onMessage: (name, data) => this.message(name, data),
      onBroken: () => this.refresh().catch(() => {}),
    }).then(() => this.refresh()).catch(complain);
  }

  /** @param {string} name @param {any} data */
  message(name, data) {
    if (name === 'progress') {
      this.job.progress = data;
      this.showProgress();
    } else if (name === 'state') {
      this.refresh().catch(complain);
    } else if (name === 'event') {
      this.event(data.event);
    }
  }

  /** @param {any} event */
  event(event) {
    if (event.type === 'step') extend(this.steps, event.step, event.loss);
    if (event.type === 'epoch') {
      extend(this.train, event.epoch, event.train_loss);
      extend(this.validation, event.epoch, event.validation_loss);
      extend(this.accuracy, event.epoch, event.validation_top1);
    }
    if (event.type === 'note' || event.type === 'warning') {
      this.notes.append(h('li', null, event.type === 'warning' ? `⚠ ${event.message}` : event.message));
      while (this.notes.childElementCount > NOTES) this.notes.firstElementChild?.remove();
    }
    if (this.drawing) return;
    // Many events come at once when the page is opened again.
    this.drawing = setTimeout(() => {
      this.drawing = 0;
      this.draw();
    }, 150);
  }

  async refresh() {
    this.job = await get(this.path, { signal: this.life.signal });
    this.show();
  }

  show() {
    const { job } = this;
    this.state.textContent = t(`job.${job.state}`);
    this.state.className = `tag ${{ succeeded: 'good', failed: 'bad' }[/** @type {string} */ (job.state)] ?? ''}`;
    const act = (/** @type {string} */ action, /** @type {string} */ kind = '') => h('button', {
      type: 'button', class: kind,
      onclick: () => call('POST', `${this.path}/${action}`).then(() => this.refresh(), complain),
    }, t(`train.${action}`));
    const asked = job.pause_requested || job.cancel_requested;
    fill(this.buttons,
      ['queued', 'running'].includes(job.state) && !asked && act('pause'), job.state === 'paused' && act('resume', 'primary'),
      ['queued', 'running', 'paused'].includes(job.state) && !job.cancel_requested && act('cancel', 'danger'),
      ['failed', 'cancelled'].includes(job.state) && act('retry', 'primary'),
      job.pause_requested && h('span.muted', null, t('train.pausing')), job.cancel_requested && h('span.muted', null, t('train.cancelling')));
    this.progress.hidden = ENDED.includes(job.state);
    this.showProgress();
    this.showOutcome();
  }

  showProgress() {
    const { state, progress } = this.job;
    if (state === 'queued') this.phase.textContent = t('train.waits');
    if (state === 'paused') this.phase.textContent = t('train.paused_help');
    if (!progress || state !== 'running') {
      if (state === 'running') this.phase.textContent = t('train.begins');
      this.bar.removeAttribute('value');
      if (state === 'paused') this.bar.value = progress?.fraction ?? 0;
      return;
    }
    if (progress.fraction !== undefined) this.bar.value = progress.fraction;
    this.phase.textContent = [
      progress.fraction !== undefined && percent(progress.fraction, 0),
      t('train.phase', { phase: t(`phase.${progress.phase}`), done: progress.done, total: progress.total }),
      progress.images_per_second !== undefined && t('train.speed', { speed: number(progress.images_per_second, { maximumSignificantDigits: 3 }) }),
      progress.seconds_left !== undefined && t('train.left', { time: duration(progress.seconds_left) }),
    ].filter(Boolean).join(' · ');
  }

  showOutcome() {
    const { job } = this;
    if (job.state === 'failed') {
      fill(this.outcome, h('div.failure', { role: 'alert' }, h('h2', null, t('train.failed')),
        h('p', { lang: 'en' }, job.error?.message ?? ''), h('p.small-text.muted', null, h('code', null, job.error?.code ?? '')),
        h('p', null, t('train.failed_help'))));
      return;
    }
    if (job.state !== 'succeeded' || !job.result) {
      fill(this.outcome, job.state === 'cancelled' && h('p', null, t('train.cancelled_help')));
      return;
    }
    const { model, version, metrics } = job.result;
    const top1 = metrics.test_top1 ?? metrics.top1;
    fill(this.outcome, h('section.card', null,
      h('h2', null, t('train.done', { model, version: String(version) })),
      typeof top1 === 'number' && h('p', null, t('train.result', { top1: percent(top1) })),
      this.deployment(),
      h('div.actions', null,
        h('a.button.primary', { href: `#/look/${part(model)}/${version}` }, t('train.to_look')),
        h('a.button', { href: `#/try/${part(model)}` }, t('train.to_try')),
        h('a.button', { href: `#/serve/${part(model)}` }, t('train.to_serve')))));
  }

  /** What became of the wish to let the version answer. */
  deployment() {
    const { deployment } = this.job.result;
    return deployment && h('p', { lang: 'en' }, deployment.reason);
  }

  draw() {
    const thin = (/** @type {[number, number][]} */ points) => {
      const every = Math.ceil(points.length / POINTS);
      return points.filter((_, at) => at % every === 0 || at === points.length - 1);
    };
    const last = (/** @type {[number, number][]} */ points) => number(points.at(-1)?.[1] ?? 0, { maximumSignificantDigits: 3 });
    const loss = [
      this.train.length > 0 && { name: t('train.train_loss'), points: thin(this.train) },
      this.validation.length > 0 && { name: t('train.validation_loss'), points: thin(this.validation) },
    ].filter(Boolean);
    const charts = [];
    if (loss.length > 0) {
      charts.push(lineChart({ title: t('train.loss'), summary: t('chart.last', { value: last(this.train) }), series: /** @type {any} */ (loss), x: t('train.epoch') }));
    } else if (this.steps.length > 0) {
      charts.push(lineChart({ title: t('train.loss'), summary: t('chart.last', { value: last(this.steps) }), series: [{ name: t('train.train_loss'), points: thin(this.steps) }], x: t('train.step') }));
    }
    if (this.accuracy.length > 0) {
      charts.push(lineChart({
        title: t('train.accuracy'), summary: t('chart.last', { value: percent(this.accuracy.at(-1)?.[1]) }), yRange: [0, 1],
        series: [{ name: t('train.accuracy'), points: thin(this.accuracy) }], x: t('train.epoch'), format: (value) => percent(value, 0),
      }));
    }
    fill(this.curves, charts);
  }
}

/**
 * Adds a point to a curve. An attempt goes on from a checkpoint, or from the beginning: what the one before had from there on is
 * not part of the model any more.
 * @param {[number, number][]} points
 * @param {number} place
 * @param {number | undefined} value
 */
function extend(points, place, value) {
  while (points.length > 0 && points[points.length - 1][0] >= place) points.pop();
  if (value !== undefined) points.push([place, value]);
}
