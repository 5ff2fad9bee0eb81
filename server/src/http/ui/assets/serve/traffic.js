/** What goes on now: requests a second, refusals and times, from the server's metrics. */

import { problem, send } from '../api.js';
import { fill, h } from '../dom.js';
import { number, percent, t } from '../text.js';

/** @typedef {{name: string, labels: Record<string, string>, value: number}} Sample */

/**
 * The samples of a text in the format of OpenMetrics.
 * @param {string} text
 * @returns {Sample[]}
 */
export function samples(text) {
  return text.split('\n').flatMap((line) => {
    const found = /^([a-z_:]+)(?:\{(.*)\})? ([0-9.eE+-]+|NaN|\+Inf)/i.exec(line);
    if (!found) return [];
    /** @type {Record<string, string>} */
    const labels = {};
    for (const [, name, value] of (found[2] ?? '').matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)) labels[name] = value;
    return [{ name: found[1], labels, value: Number(found[3]) }];
  });
}

/** Shows the traffic of a model until its element goes. @param {string} model @param {AbortSignal} signal */
export class Traffic {
  /** @param {string} model @param {AbortSignal} signal */
  constructor(model, signal) {
    this.model = model;
    this.signal = signal;
    this.element = h('div.tiles', { 'aria-label': t('serve.traffic'), role: 'group' });
    /** @type {{at: number, samples: Sample[]} | null} */
    this.before = null;
  }

  async update() {
    const response = await send('GET', '/metrics', { signal: this.signal });
    if (!response.ok) throw await problem(response);
    const now = { at: performance.now(), samples: samples(await response.text()).filter(({ labels }) => labels.model === this.model) };
    const { before } = this;
    this.before = now;
    const since = (/** @type {(sample: Sample) => boolean} */ of) => {
      const total = (/** @type {Sample[]} */ list) => list.filter(of).reduce((sum, { value }) => sum + value, 0);
      return total(now.samples) - (before ? total(before.samples) : 0);
    };
    const images = (/** @type {Sample} */ sample) => sample.name === 'graft_images_total';
    const requests = (/** @type {string[]} */ ...outcomes) => (/** @type {Sample} */ sample) => sample.name === 'graft_requests_total' && outcomes.includes(sample.labels.outcome);
    const seconds = before ? (now.at - before.at) / 1000 : null;
    const [bad, all] = [since(requests('shed', 'failed')), since(requests('shed', 'failed', 'answered', 'abandoned'))];
    const tile = (/** @type {string} */ key, /** @type {string} */ value) => h('div.tile', null, h('b', null, value), h('span', null, t(key)));
    fill(this.element,
      tile('serve.rate', seconds ? number(since(images) / seconds, { maximumFractionDigits: 1 }) : '–'),
      tile('serve.total', number(now.samples.filter(images).reduce((sum, { value }) => sum + value, 0))),
      tile('serve.refused', all > 0 ? percent(bad / all, 1) : '–'),
      tile('serve.latency', latency(now.samples, before?.samples ?? [])),
      tile('serve.waiting', number(now.samples.find(({ name }) => name === 'graft_queue_images')?.value ?? 0)));
  }
}

/** The mean time of the stages of a request between two looks, or of all time where nothing came. @param {Sample[]} now @param {Sample[]} before */
function latency(now, before) {
  const mean = (/** @type {string} */ stage) => {
    const of = (/** @type {Sample[]} */ list, /** @type {string} */ name) =>
      list.filter((sample) => sample.name === name && sample.labels.stage === stage).reduce((sum, { value }) => sum + value, 0);
    const [sum, count] = ['graft_stage_seconds_sum', 'graft_stage_seconds_count'].map((name) => of(now, name) - of(before, name));
    if (count > 0) return sum / count;
    const all = of(now, 'graft_stage_seconds_count');
    return all > 0 ? of(now, 'graft_stage_seconds_sum') / all : 0;
  };
  const total = ['decode', 'queue', 'inference'].reduce((sum, stage) => sum + mean(stage), 0);
  return total > 0 ? `${number(total * 1000, { maximumSignificantDigits: 3 })} ms` : '–';
}
