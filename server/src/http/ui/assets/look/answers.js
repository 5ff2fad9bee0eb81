/** Pictures of a report with what the model said to them. */

import { part } from '../api.js';
import { h } from '../dom.js';
import { openDialog } from '../notice.js';
import { show } from '../pictures.js';
import { percent, t } from '../text.js';

/** Whose pictures: of a version of a model, and of the data set that it was made of, if that is stored here. */
export class Gallery {
  /** @param {string} model @param {number} version @param {any} report @param {AbortSignal} signal */
  constructor(model, version, report, signal) {
    this.folder = `/models/${part(model)}/versions/${version}/pictures`;
    this.dataset = report.dataset?.snapshot?.dataset;
    this.report = report;
    this.signal = signal;
  }

  /** @param {any} answer */
  picture(answer) {
    const places = [
      answer.picture && `${this.folder}/${part(answer.picture)}`,
      answer.id && this.dataset && `/datasets/${part(this.dataset)}/images/${answer.id}/thumbnail`,
    ].filter(Boolean);
    const none = () => h('div.no-picture', null, t('look.no_picture'));
    if (places.length === 0) return none();
    const image = h('img', { alt: answer.image, loading: 'lazy' });
    image.addEventListener('error', () => {
      const next = places.shift();
      if (next) show(image, next, this.signal);
      else image.replaceWith(none());
    });
    show(image, /** @type {string} */ (places.shift()), this.signal);
    return image;
  }

  /** @param {any} answer */
  card(answer) {
    return h('li.picture', null, this.picture(answer), h('div', null,
      h('span', null, t('look.is', { label: answer.truth, score: percent(answer.truth_score) })), h('br'),
      answer.truth !== answer.predicted && h('strong', null, t('look.said', { label: answer.predicted, score: percent(answer.score) })),
      h('span.name', null, answer.image)));
  }

  /** @param {any[]} answers */
  list(answers) {
    return h('ul.pictures', null, answers.map((answer) => this.card(answer)));
  }

  /** The pictures behind a cell of the confusion matrix. @param {number} truth @param {number} predicted */
  openCell(truth, predicted) {
    const { labels, test, answers } = this.report;
    const images = test.confusion[truth][predicted];
    const cell = (answers.cells ?? []).find((/** @type {any} */ each) => each.truth === truth && each.predicted === predicted);
    const known = cell?.images ?? [...answers.mistakes, ...answers.uncertain].filter((answer) => answer.truth === labels[truth] && answer.predicted === labels[predicted]);
    openDialog(t('look.cell', { n: images, truth: labels[truth], predicted: labels[predicted] }), () => [
      known.length < images && h('p.muted', null, t('look.some', { n: known.length, of: images })),
      known.length > 0 ? this.list(known) : h('p', null, t('look.none_kept')),
    ].filter(Boolean), 'wide');
  }
}
