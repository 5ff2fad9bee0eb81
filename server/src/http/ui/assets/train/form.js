/** What to train: base, data set, strategy; how long that takes is said before it starts. */

import { aborted, call, get, part } from '../api.js';
import { fill, h } from '../dom.js';
import { emptyState, failure } from '../notice.js';
import { bytes, duration, percent, t } from '../text.js';
import { optionFields } from './options.js';

const STRATEGIES = ['auto', 'head', 'last_stage', 'staged', 'full'];
const DEPLOYMENTS = ['none', 'on_success', 'shadow'];
/** Typing goes on for a while; a plan takes seconds. */
const SETTLE = 700;

/** @param {import('../app.js').Visit} visit @param {string} [dataset] @param {string} [preset] */
export async function openForm({ main, life }, dataset, preset) {
  const [models, datasets, schema, jobs] = await Promise.all([
    get('/models'), get('/datasets'), get('/finetune/schema'), get('/finetune', { query: { limit: 1 } }),
  ]);
  const head = h('div.page-head', null, h('div', null, h('p.small-text', null, h('a', { href: '#/train' }, t('train.title'))), h('h1', null, t('train.new'))));
  const bases = [...models.data].filter((model) => model.state !== 'FAILED').sort((a, b) => rank(a) - rank(b));
  const filled = datasets.data.filter((/** @type {any} */ each) => each.images > 0);
  if (bases.length === 0 || filled.length === 0) {
    fill(main, head, bases.length === 0
      ? emptyState(t('train.no_base'), t('train.no_base_help'), h('a.button.primary', { href: '#/serve/add' }, t('serve.add')))
      : emptyState(t('train.no_data'), t('train.no_data_help'), h('a.button.primary', { href: '#/data' }, t('try.to_data'))));
    return;
  }
  const form = new Form({ bases, datasets: filled, schema, life });
  form.choose({ dataset, preset, base: jobs.data[0]?.base_model });
  fill(main, head, form.element);
  form.changed();
}

/** The base that graft comes with, then those that are made to be bases; models that were fine-tuned themselves come last. @param {any} model */
function rank(model) {
  if (model.built_in) return 0;
  return model.state === 'BACKBONE' ? 1 : 2;
}

/** @param {any} model */
function baseName(model) {
  const name = model.classes ? t('train.base_classes', { name: model.name, n: model.classes }) : model.name;
  return model.built_in ? `${name}, ${t('serve.built_in')}` : name;
}

class Form {
  /** @param {{bases: any[], datasets: any[], schema: any, life: import('../dom.js').Lifetime}} of */
  constructor({ bases, datasets, schema, life }) {
    this.life = life;
    this.known = new Map(bases.map((model) => [model.name, model]));
    this.base = select('base', bases.map((model) => [model.name, baseName(model)]));
    this.dataset = select('dataset', datasets.map((each) => [each.name, `${each.name} (${t('data.images', { n: each.images })})`]));
    this.name = h('input', { type: 'text', id: 'train-name', required: true, maxlength: 64, pattern: '[A-Za-z0-9_\\-][A-Za-z0-9._\\-]*', 'aria-describedby': 'train-name-help' });
    this.nameHelp = h('span.small-text', { id: 'train-name-help' });
    this.balanced = h('input', { type: 'checkbox' });
    this.skip = h('input', { type: 'checkbox', checked: true });
    this.options = optionFields(schema);
    this.deploy = select('deploy', DEPLOYMENTS.map((name) => [name, t(`deploy.${name}`)]));
    this.deploy.value = 'on_success';
    this.deployField = h('div.field', { hidden: true }, h('label', { for: 'train-deploy' }, t('train.deploy')), this.deploy);
    this.plan = h('div.plan', { 'aria-live': 'polite' });
    this.error = h('div');
    this.strategies = h('fieldset.strategies', null, h('legend', null, t('train.strategy')), STRATEGIES.map((name) => h('label.strategy', null,
      h('input', { type: 'radio', name: 'strategy', value: name, checked: name === 'auto' }),
      h('span', null, h('strong', null, t(`strategy.${name}`)), h('span.small-text.muted', null, t(`strategy.${name}_help`))))));
    this.element = h('form.train-form', null,
      h('div.stack', null,
        h('div.fields', null,
          h('div.field', null, h('label', { for: 'train-dataset' }, t('train.dataset')), this.dataset),
          h('div.field', null, h('label', { for: 'train-base' }, t('train.base')), this.base),
          h('div.field', null, h('label', { for: 'train-name' }, t('train.name')), this.name, this.nameHelp),
          this.deployField),
        this.strategies,
        h('details', null, h('summary', null, t('train.more')),
          h('div.stack', null,
            h('label.check', null, this.balanced, t('train.balanced')), h('label.check', null, this.skip, t('train.skip_bad')),
            this.options.element)),
        this.error,
        h('div.row', null, h('button.primary', { type: 'submit' }, t('train.start')))),
      h('aside.card', { 'aria-label': t('train.plan') }, h('h2', null, t('train.plan')), this.plan));
    this.element.addEventListener('submit', (/** @type {Event} */ event) => this.submit(event));
    this.element.addEventListener('change', () => this.changed());
    this.name.addEventListener('input', () => this.changed());
    this.dataset.addEventListener('change', () => { this.name.value = this.dataset.value; });
    life.onEnd(() => this.planning?.abort());
  }

  /**
   * What is chosen at first: what the address names, and the base of the last training; without one the first in the list.
   * @param {{dataset?: string, preset?: string, base?: string}} wish
   */
  choose({ dataset, preset, base }) {
    const chosen = (/** @type {any} */ list, /** @type {string | undefined} */ value) => {
      if ([...list.options].some((option) => option.value === value)) list.value = value;
    };
    chosen(this.dataset, dataset);
    chosen(this.base, base);
    this.name.value = this.dataset.value;
    this.balanced.checked = preset === 'balanced';
    if (preset === 'balanced') this.element.querySelector('details').open = true;
  }

  request() {
    /** @type {Record<string, any>} */
    const options = { strategy: this.element.elements.strategy.value, ...this.options.value() };
    if (this.balanced.checked) options.class_weights = 'balanced';
    if (this.skip.checked) options.bad_files = 'skip';
    return { base_model: this.base.value, dataset: { kind: 'stored', name: this.dataset.value }, name: this.name.value, options };
  }

  /** Says what the name means, and has the plan made anew. */
  changed() {
    const taken = this.known.get(this.name.value);
    this.name.setCustomValidity(taken?.built_in ? t('train.name_built_in', { name: taken.name }) : '');
    this.nameHelp.textContent = taken?.built_in ? t('train.name_built_in', { name: taken.name }) : taken
      ? t('train.name_taken', { version: String(Math.max(...taken.versions) + 1), name: taken.name })
      : t('train.name_help');
    this.deployField.hidden = !taken || taken.built_in;
    clearTimeout(this.timer);
    this.planning?.abort();
    const invalid = [...this.element.elements].find((each) => !each.validity.valid);
    if (invalid) {
      const missing = invalid === this.name && this.name.value === '';
      fill(this.plan, h('p.muted', null, missing ? t('train.incomplete') : `${invalid.labels[0]?.textContent}: ${invalid.validationMessage}`));
      return;
    }
    fill(this.plan, h('p', null, t('train.planning')), h('progress', { 'aria-label': t('train.planning') }));
    const controller = new AbortController();
    this.planning = controller;
    this.timer = setTimeout(() => this.makePlan(controller), SETTLE);
  }

  /** @param {AbortController} controller */
  async makePlan(controller) {
    for (;;) {
      try {
        const plan = await call('POST', '/finetune/plan', { json: this.request(), signal: controller.signal, headers: { 'x-request-timeout-ms': '3600000' } });
        if (!controller.signal.aborted) fill(this.plan, showPlan(plan));
        return;
      } catch (error) {
        if (aborted(error)) return;
        if (/** @type {any} */ (error).code !== 'planner_busy') {
          fill(this.plan, failure(error));
          return;
        }
        // The plan before this one is being given up.
        await new Promise((resolve) => setTimeout(resolve, 1000));
        if (controller.signal.aborted) return;
      }
    }
  }

  /** @param {Event} event */
  async submit(event) {
    event.preventDefault();
    this.planning?.abort();
    const taken = this.known.has(this.name.value);
    const json = { ...this.request(), ...(taken && { deploy: this.deployment() }) };
    try {
      const job = await call('POST', '/finetune', { json, headers: { 'idempotency-key': crypto.randomUUID?.() ?? String(Math.random()) } });
      location.hash = `#/train/${part(job.id)}`;
    } catch (error) {
      fill(this.error, failure(error));
    }
  }

  deployment() {
    // As good as the live version, on the same pictures.
    return this.deploy.value === 'on_success' ? { mode: 'on_success', max_drop: 0 } : { mode: this.deploy.value };
  }
}

/** @param {string} name @param {[string, string][]} choices */
function select(name, choices) {
  return h('select', { id: `train-${name}` }, choices.map(([value, text]) => h('option', { value }, text)));
}

/** @param {any} plan */
function showPlan(plan) {
  const { dataset } = plan;
  const chosen = plan.options.find((/** @type {any} */ option) => option.option === 'strategy');
  const sum = (/** @type {string} */ subset) => dataset.classes.reduce((/** @type {number} */ total, /** @type {any} */ each) => total + each[subset], 0);
  const problems = dataset.bad_files.length + dataset.copies.length;
  return [
    h('p.estimate', null, h('strong', null, t('train.about', { time: duration(plan.seconds) })), ' ', t('train.memory', { memory: bytes(plan.memory_bytes) })),
    chosen && h('p', null, t(`strategy.${chosen.value}`), h('span.muted', { lang: 'en' }, `: ${chosen.reason}`)),
    h('p', null, t('train.split', { train: sum('train'), validation: sum('validation'), test: sum('test'), classes: dataset.classes.length })),
    dataset.warnings.map((/** @type {string} */ warning) => h('p.small-text', { lang: 'en' }, `⚠ ${warning}`)),
    problems > 0 && h('p', null, t('train.findings', { n: problems })),
    h('details', null, h('summary', null, t('train.phases')), h('table', null, h('tbody', null, plan.phases.map((/** @type {any} */ phase) =>
      h('tr', null, h('th', { scope: 'row' }, t(`phase.${phase.phase}`)), h('td.number', null, duration(phase.seconds)), h('td.number', null, percent(phase.seconds / plan.seconds, 0))))))),
    h('details', null, h('summary', null, t('train.all_options')),
      h('dl.plan-options', { lang: 'en' }, plan.options.flatMap((/** @type {any} */ option) => [
        h('dt', null, h('code', null, `${option.option} = ${JSON.stringify(option.value)}`)), h('dd.small-text.muted', null, option.reason)]))),
  ];
}

