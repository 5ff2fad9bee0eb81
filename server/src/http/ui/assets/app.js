/** Starts the page, and shows the room that the address names. */

import { call, key, setKey } from './api.js';
import { Lifetime, fill, h, icon } from './dom.js';
import { failure } from './notice.js';
import { loadTexts, t } from './text.js';

/**
 * @typedef {object} Visit
 * @property {HTMLElement} main Where the room builds its content.
 * @property {string[]} path What the address names in the room.
 * @property {Lifetime} life Ends when the room is left.
 */

/** @type {Record<string, () => Promise<{open: (visit: Visit) => Promise<void>}>>} */
const ROOMS = {
  try: () => import('./rooms/try.js'),
  data: () => import('./rooms/data.js'),
  train: () => import('./rooms/train.js'),
  look: () => import('./rooms/look.js'),
  serve: () => import('./rooms/serve.js'),
  feedback: () => import('./rooms/feedback.js'),
};

const LANGUAGES = { en: 'English', zh: '中文' };
/** The page is not loaded anew again within this time, in milliseconds. */
const RELOADS = 30000;
const THEMES = ['auto', 'light', 'dark'];

const main = /** @type {HTMLElement} */ (document.getElementById('main'));
let life = new Lifetime();

/** Shows the room of the address. @param {boolean} first */
async function visit(first) {
  life.end();
  life = new Lifetime();
  const current = life;
  const [room = 'try', ...path] = location.hash.replace(/^#\/?/, '').split('/').map(decodeURIComponent);
  const name = room in ROOMS ? room : 'try';
  document.title = `${t(`room.${name}`)} · graft`;
  for (const link of document.querySelectorAll('[data-room]')) {
    if (link.getAttribute('data-room') === name) link.setAttribute('aria-current', 'page');
    else link.removeAttribute('aria-current');
  }
  // A room builds into an element of its own, so that one that is slow cannot write into the next.
  const content = h('div.room', { class: `room-${name}` });
  fill(main, content);
  if (!first) main.focus({ preventScroll: true });
  window.scrollTo(0, 0);
  try {
    const { open } = await ROOMS[name]().catch(newPage);
    await open({ main: content, path, life: current });
  } catch (error) {
    if (!current.signal.aborted) fill(content, h('h1', null, t(`room.${name}`)), failure(error));
  }
  content.dataset.ready = 'true';
}

/**
 * A room that cannot be loaded is one of an older program's page: the page is asked for anew, once.
 * @param {unknown} error
 * @returns {Promise<never>}
 */
function newPage(error) {
  const last = Number(sessionStorage.getItem('graft.reloaded') ?? 0);
  if (Date.now() - last < RELOADS) throw error;
  sessionStorage.setItem('graft.reloaded', String(Date.now()));
  location.reload();
  return new Promise(() => {});
}

function showTools() {
  const languages = h('select', {
    'aria-label': t('shell.language'),
    onchange: (/** @type {Event} */ event) => {
      localStorage.setItem('graft.language', /** @type {HTMLSelectElement} */ (event.target).value);
      document.cookie = `graft_language=${localStorage.getItem('graft.language')};path=/;samesite=strict;max-age=31536000`;
      location.reload();
    },
  }, Object.entries(LANGUAGES).map(([code, name]) => h('option', { value: code, lang: code }, name)));
  languages.value = document.documentElement.lang;
  const theme = h('button.icon-only', {
    type: 'button',
    onclick: () => {
      const at = THEMES.indexOf(localStorage.getItem('graft.theme') ?? 'auto');
      localStorage.setItem('graft.theme', THEMES[(at + 1) % THEMES.length]);
      applyTheme();
      nameTheme();
    },
  }, icon('theme'));
  const nameTheme = () => {
    const name = t(`theme.${localStorage.getItem('graft.theme') ?? 'auto'}`);
    theme.setAttribute('aria-label', t('theme.label', { theme: name }));
    theme.title = t('theme.label', { theme: name });
  };
  nameTheme();
  const forget = key() && h('button.icon-only', {
    type: 'button', 'aria-label': t('key.forget'), title: t('key.forget'),
    onclick: () => {
      setKey(null);
      location.reload();
    },
  }, icon('key'));
  fill(/** @type {Element} */ (document.getElementById('tools')), languages, theme, forget);
}

function applyTheme() {
  const theme = localStorage.getItem('graft.theme') ?? 'auto';
  if (theme === 'auto') document.documentElement.removeAttribute('data-theme');
  else document.documentElement.setAttribute('data-theme', theme);
}

async function start() {
  applyTheme();
  await loadTexts(document.documentElement.lang);
  for (const link of document.querySelectorAll('[data-room]')) {
    link.prepend(icon(/** @type {any} */ (link.getAttribute('data-room'))));
  }
  document.getElementById('skip')?.addEventListener('click', (event) => {
    event.preventDefault();
    main.focus();
  });
  showTools();
  // The first answer tells whether the server wants a key, before a room builds anything.
  await call('GET', '/models').catch(() => {});
  showTools();
  window.addEventListener('hashchange', () => visit(false));
  await visit(true);
  performance.mark('graft-interactive');
}

start().catch((error) => fill(main, failure(error)));
