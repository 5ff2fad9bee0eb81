/** A picture with what the models say to it. */

import { aborted, call, reason } from '../api.js';
import { fill, h } from '../dom.js';
import { complain } from '../notice.js';
import { showBase64, showFile } from '../pictures.js';
import { percent, t } from '../text.js';

/** The server counts answers below as uncertain, too. */
const CERTAIN = 0.7;

export class AnswerCard {
  /**
   * @param {File} file
   * @param {import('../rooms/try.js').Trial} trial
   */
  constructor(file, trial) {
    this.file = file;
    this.trial = trial;
    this.picture = h('img', { alt: t('try.picture', { name: file.name }) });
    this.picture.addEventListener('error', () => this.picture.replaceWith(h('div.no-picture', null, t('try.no_preview'))), { once: true });
    showFile(this.picture, file);
    this.views = h('div.answer-views');
    this.element = h('div.answer.card', { role: 'listitem' },
      h('div.answer-picture', null, this.picture, h('p.small-text.muted.file-name', null, file.name)), this.views);
    this.element.card = this;
    /** @type {string[]} */
    this.sayings = [];
  }

  /** @param {string[]} models */
  begin(models) {
    this.models = models;
    this.sayings = [];
    fill(this.views, models.map((model) => h('section.answer-view', { 'aria-label': model },
      h('h2', null, models.length > 1 ? model : t('try.asking')), models.length > 1 && h('p.muted', null, t('try.asking')))));
  }

  /**
   * @param {number} place
   * @param {any} answer
   */
  answered(place, answer) {
    const view = this.views.children[place];
    const model = this.models?.[place];
    if (!view || !model || aborted(answer.error)) return;
    const title = this.models && this.models.length > 1 && h('p.small-text.muted', null, t('try.version', { model: answer.model ?? model, version: String(answer.version ?? '') }));
    if (answer.error) {
      this.sayings[place] = reason(answer.error);
      fill(view, title, h('p.error', null, reason(answer.error)));
      return;
    }
    const result = answer.results[0];
    const { text, sure } = verdict(answer, result.predictions);
    this.sayings[place] = text;
    // Versions that do not answer explain nothing.
    const why = !model.includes('@') && h('button.small', { type: 'button', onclick: () => this.explain(model, why) }, t('try.why'));
    fill(view, title,
      h('h2', { class: sure && !result.uncertain ? '' : 'unsure' }, text),
      result.uncertain && h('p.small-text', null, t(`try.uncertain.${result.uncertain}`)),
      bars(answer, result.predictions),
      h('div.row', null, why, h('span.muted.small-text', null, t('try.took', { ms: Math.round(answer.timings_ms.total) }))),
      result.kept && this.feedback(answer, model, result.predictions[0].label));
  }

  /** What a screen reader hears of the answers. */
  summary() {
    return `${this.file.name}: ${this.sayings.filter(Boolean).join('; ')}`;
  }

  /** Shows where the model saw the class, over the picture. @param {string} model @param {HTMLButtonElement} button */
  async explain(model, button) {
    const shown = button.parentElement?.parentElement?.querySelector('.why');
    if (shown) {
      shown.remove();
      button.setAttribute('aria-expanded', 'false');
      return;
    }
    button.disabled = true;
    try {
      const answer = await this.trial.classify(this.file, model, true);
      const { explanation, predictions } = answer.results[0];
      const label = predictions.find((/** @type {any} */ each) => each.class === explanation.class)?.label ?? '';
      const map = h('img', { alt: t('try.why_alt', { label, places: hottest(explanation.values) }) });
      showBase64(map, explanation.overlay_png);
      button.parentElement?.before(h('figure.why', null, map, h('figcaption.small-text.muted', null, t('try.why_legend', { label }))));
      button.setAttribute('aria-expanded', 'true');
    } catch (error) {
      complain(error);
    }
    button.disabled = false;
  }

  /** Asks what the picture shows, of which the server keeps a copy. @param {any} answer @param {string} model @param {string} label */
  feedback(answer, model, label) {
    const box = h('div.feedback-line');
    const say = async (/** @type {string} */ truth) => {
      try {
        const { dataset } = await call('POST', '/feedback', { json: { request_id: answer.request_id, image: 0, label: truth } });
        fill(box, h('p.small-text', { role: 'status' }, t('try.told', { label: truth, dataset })));
      } catch (error) {
        complain(error);
      }
    };
    const correct = async () => {
      const labels = await this.trial.labels(model);
      const select = h('select', { 'aria-label': t('try.it_is') }, labels.map((/** @type {string} */ each) => h('option', null, each)));
      fill(box, select, h('button.small', { type: 'button', onclick: () => say(select.value) }, t('try.tell')));
      select.focus();
    };
    fill(box, h('span.small-text.muted', null, t('try.is_right', { label })),
      h('button.small', { type: 'button', onclick: () => say(label) }, t('try.yes')),
      h('button.small', { type: 'button', onclick: () => correct().catch(complain) }, t('try.no')));
    return box;
  }
}

/**
 * What an answer comes to, in words.
 * @param {any} answer
 * @param {any[]} predictions
 */
function verdict(answer, predictions) {
  if (answer.scores === 'sigmoid') {
    const present = predictions.filter((each) => each.present);
    if (present.length === 0) return { text: t('try.shows_none'), sure: false };
    return { text: present.map((each) => each.label).join(', '), sure: true };
  }
  const [best, second] = predictions;
  if (answer.scores !== 'softmax' || best.score >= CERTAIN) return { text: best.label, sure: true };
  const text = second
    ? t('try.unsure', { first: best.label, second: second.label })
    : t('try.unsure_one', { first: best.label });
  return { text, sure: false };
}

/**
 * @param {any} answer
 * @param {any[]} predictions
 */
function bars(answer, predictions) {
  return h('ol.bars', null, predictions.map((each) => {
    const score = answer.scores === 'none' ? each.score.toPrecision(4) : percent(each.score);
    const share = Math.max(0, Math.min(1, each.score));
    return h('li', { class: each.present === false ? 'absent' : '' },
      h('span.bar-label', null, each.label), h('span.bar-value.number', null, score),
      answer.scores !== 'none' && h('span.bar', { 'aria-hidden': 'true' }, h('i', { share })));
  }));
}

/** Where the map is hottest, for people who do not see it. @param {number[][]} values */
function hottest(values) {
  let best = { row: 0, column: 0, value: -Infinity };
  values.forEach((line, row) => line.forEach((value, column) => {
    if (value > best.value) best = { row, column, value };
  }));
  const third = (/** @type {number} */ at, /** @type {number} */ of) => Math.min(2, Math.floor((at * 3) / of));
  const row = ['top', 'middle', 'bottom'][third(best.row, values.length)];
  const column = ['left', 'center', 'right'][third(best.column, values[0].length)];
  return t(`place.${row}_${column}`);
}

