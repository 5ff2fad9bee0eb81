/** Try: pictures in, answers out. */

import { call, get, part, Problem } from '../api.js';
import { fill, h } from '../dom.js';
import { complain, emptyState, notify } from '../notice.js';
import { isPicture } from '../pictures.js';
import { t } from '../text.js';
import { AnswerCard } from '../try/answer.js';
import { openCamera } from '../try/camera.js';

/** Pictures that are classified at a time. */
const AT_A_TIME = 2;

/** Milliseconds after which a model that is being loaded is asked again. */
const AGAIN = 1000;

/** @param {import('../app.js').Visit} visit */
export async function open({ main, path, life }) {
  const models = (await get('/models')).data;
  const classifiers = models.filter((/** @type {any} */ model) => model.state !== 'BACKBONE');
  const head = h('div.page-head', null, h('div', null, h('h1', null, t('try.title')), h('p.muted', null, t('try.lead'))));
  if (classifiers.length === 0) {
    fill(main, head, emptyState(t('try.none'), t('try.none_help'),
      h('a.button.primary', { href: '#/data' }, t('try.to_data')),
      models.length > 0 && h('a.button', { href: '#/train' }, t('try.to_train'))));
    return;
  }
  const builtIn = classifiers.every((/** @type {any} */ model) => model.built_in);
  if (builtIn) {
    head.firstElementChild.append(h('p', null, t('try.built_in', { name: classifiers[0].name }), ' ', h('a', { href: '#/data' }, t('try.to_data'))));
  }
  const collects = await get('/inbox', { query: { limit: 1 } }).then((inbox) => Boolean(inbox.dataset), () => false);
  new Trial({ main, life, classifiers, collects }).show(head, path);
}

/** The room with its answers. */
export class Trial {
  /** @param {{main: HTMLElement, life: import('../dom.js').Lifetime, classifiers: any[], collects: boolean}} of */
  constructor({ main, life, classifiers, collects }) {
    this.main = main;
    this.life = life;
    this.classifiers = classifiers;
    this.collects = collects;
    /** @type {(() => Promise<void>)[]} */
    this.waiting = [];
    this.running = 0;
    this.answers = h('div.answers', { role: 'list', 'aria-label': t('try.answers') });
    this.said = h('p.visually-hidden', { role: 'status' });
    this.clear = h('button', { type: 'button', hidden: true, onclick: () => this.empty() }, t('try.clear'));
  }

  /** @param {HTMLElement} head @param {string[]} path */
  show(head, path) {
    this.first = this.choice(t('try.model'), false);
    this.second = this.choice(t('try.second'), true);
    // The address may name the model, and after it another to compare it with.
    const first = path[0] ?? (this.classifiers.find((model) => model.default) ?? this.classifiers.find((model) => !model.built_in))?.name;
    for (const [select, asked] of [[this.first, first], [this.second, path[1]]]) {
      const options = [.../** @type {any} */ (select).options];
      if (asked && options.some((option) => option.value === asked)) /** @type {any} */ (select).value = asked;
    }
    this.keep = h('input', { type: 'checkbox', checked: this.collects });
    fill(this.main, head,
      h('div.try-bar.row.end', null,
        h('label.field', null, h('span', null, t('try.model')), this.first),
        h('label.field', null, h('span', null, t('try.second')), this.second),
        this.collects && h('label.check', null, this.keep, t('try.keep')),
        h('span.grow'), this.clear),
      this.dropZone(), this.said, this.answers);
    this.listen();
  }

  /** A list of models, and of the versions of each that are not the live one. @param {string} label @param {boolean} none */
  choice(label, none) {
    const option = (/** @type {any} */ model) => {
      const state = model.state === 'READY' || model.state === 'UNLOADED' ? '' : ` (${t(`state.${model.state}`)})`;
      const live = h('option', { value: model.name, disabled: model.state === 'FAILED' }, `${model.name}${state}`);
      const others = model.versions.filter((/** @type {number} */ version) => version !== model.version);
      return [live, ...others.reverse().map((/** @type {number} */ version) =>
        h('option', { value: `${model.name}@${version}` }, t('try.version', { model: model.name, version: String(version) })))];
    };
    return h('select', { 'aria-label': label, onchange: () => this.again() },
      none && h('option', { value: '' }, t('try.no_second')), this.classifiers.flatMap(option));
  }

  dropZone() {
    const input = h('input', {
      type: 'file', accept: 'image/*', multiple: true, id: 'try-files',
      onchange: () => { this.take([...input.files]); input.value = ''; },
    });
    const photograph = () => openCamera((picture) => this.take([picture]), this.life);
    return h('div.drop', { id: 'try-drop' },
      h('p', null, t('try.drop')),
      h('div.row.center', null, input, h('label.button.primary', { for: 'try-files' }, t('try.choose')),
        h('button', { type: 'button', onclick: photograph }, t('try.photograph'))),
      h('p.muted.small-text', null, t('try.paste')));
  }

  /** Pictures come by the clipboard and from anywhere on the page. */
  listen() {
    const { signal } = this.life;
    const zone = /** @type {HTMLElement} */ (document.getElementById('try-drop'));
    document.addEventListener('paste', (event) => {
      const files = [...(event.clipboardData?.files ?? [])];
      if (files.length > 0) this.take(files);
    }, { signal });
    document.addEventListener('dragover', (event) => {
      event.preventDefault();
      zone.classList.add('over');
    }, { signal });
    document.addEventListener('dragleave', (event) => {
      if (!event.relatedTarget) zone.classList.remove('over');
    }, { signal });
    document.addEventListener('drop', (event) => {
      event.preventDefault();
      zone.classList.remove('over');
      this.take([...(event.dataTransfer?.files ?? [])]);
    }, { signal });
  }

  /** @param {File[]} files */
  take(files) {
    const pictures = files.filter((file) => file.type.startsWith('image/') || isPicture(file.name));
    if (pictures.length < files.length) notify(t('try.not_pictures', { n: files.length - pictures.length }), { failed: true });
    for (const file of pictures) {
      const card = new AnswerCard(file, this);
      this.answers.prepend(card.element);
      this.ask(card);
    }
    this.clear.hidden = this.answers.childElementCount === 0;
  }

  /** Has a picture classified by what is chosen now. @param {AnswerCard} card */
  ask(card) {
    const chosen = [this.first?.value, this.second?.value].filter(Boolean);
    card.begin(chosen);
    this.waiting.push(async () => {
      await Promise.all(chosen.map(async (model, place) => {
        const answer = await this.classify(card.file, model).catch((error) => ({ error }));
        card.answered(place, answer);
      }));
      this.said.textContent = card.summary();
    });
    this.work();
  }

  /**
   * @param {File} file
   * @param {string} chosen A model, with `@` and a version where it is not the live one.
   * @param {boolean} [explain]
   */
  async classify(file, chosen, explain = false) {
    const [model, version] = chosen.split('@');
    const form = new FormData();
    form.append('image', file, file.name);
    const keep = !explain && !version && this.collects && this.keep.checked ? true : undefined;
    const query = { model, version, top_k: 5, keep, explain: explain ? 'cam' : undefined };
    const { signal } = this.life;
    for (;;) {
      try {
        return await call('POST', version ? '/classify/version' : '/classify', { body: form, signal, query });
      } catch (error) {
        // Whoever has just started the server is here before its models are.
        if (!(error instanceof Problem) || error.code !== 'model_loading') throw error;
        await new Promise((resolve) => setTimeout(resolve, AGAIN));
      }
    }
  }

  /** The classes of a model. @param {string} chosen */
  async labels(chosen) {
    return (await get(`/models/${part(chosen.split('@')[0])}`)).labels ?? [];
  }

  async work() {
    if (this.running >= AT_A_TIME) return;
    const next = this.waiting.shift();
    if (!next) return;
    this.running += 1;
    await next().catch(complain);
    this.running -= 1;
    this.work();
  }

  /** Another model was chosen. */
  again() {
    this.waiting = [];
    for (const element of this.answers.children) this.ask(/** @type {any} */ (element).card);
  }

  empty() {
    this.waiting = [];
    this.answers.replaceChildren();
    this.clear.hidden = true;
  }
}

