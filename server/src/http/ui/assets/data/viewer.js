/** An image of a data set in full, with its neighbors a key away. */

import { part } from '../api.js';
import { fill, h, icon } from '../dom.js';
import { complain, openDialog } from '../notice.js';
import { show } from '../pictures.js';
import { bytes, date, t } from '../text.js';

/**
 * @param {import('./board.js').Board} board
 * @param {import('./column.js').Column} column
 * @param {number} start
 */
export function openViewer(board, column, start) {
  let at = start;
  const content = h('div.viewer');
  const step = async (/** @type {number} */ by) => {
    at = Math.max(0, Math.min(column.count - 1, at + by));
    await column.point(at);
    draw();
  };
  const draw = () => {
    const item = column.items[at];
    if (!item) {
      dialog.close();
      return;
    }
    const image = h('img', { alt: item.file_name ?? item.id });
    show(image, `/datasets/${part(board.dataset)}/images/${item.id}`, board.life.signal);
    const label = h('select', { 'aria-label': t('data.label') },
      [...new Set([...board.columns.keys(), item.label])].map((name) => h('option', { value: name }, name)));
    label.value = item.label;
    label.addEventListener('change', () => {
      board.relabel(label.value, [item]).then(() => column.load(at + 1)).then(draw).catch(complain);
    });
    const fact = (/** @type {string} */ name, /** @type {any} */ value) => [h('dt', null, t(name)), h('dd', null, value)];
    fill(content, image, h('div', null,
      h('p.muted.small-text', { role: 'status' }, t('data.image_of', { at: at + 1, of: column.count })),
      h('dl.facts', null,
        fact('data.file', item.file_name ?? '–'), fact('data.size', `${item.width} × ${item.height}, ${bytes(item.bytes)}`),
        fact('data.subset', item.subset ? t(`subset.${item.subset}`) : t('subset.none')), fact('data.added_at', date(item.added_at)),
        h('dt', null, t('data.label')), h('dd', null, label)),
      h('div.row', null,
        h('button.icon-only', { type: 'button', 'aria-label': t('data.previous'), onclick: () => step(-1) }, icon('left')),
        h('button.icon-only', { type: 'button', 'aria-label': t('data.next'), onclick: () => step(1) }, icon('right')),
        h('button.small.danger', {
          type: 'button',
          onclick: () => {
            board.remove([item]);
            column.load(at + 1).then(() => step(0)).catch(complain);
          },
        }, t('data.remove')))));
  };
  const dialog = openDialog(column.label, () => [content], 'wide');
  dialog.addEventListener('keydown', (/** @type {KeyboardEvent} */ event) => {
    if (/** @type {HTMLElement} */ (event.target).closest('select')) return;
    if (event.key === 'ArrowLeft') step(-1);
    if (event.key === 'ArrowRight') step(1);
  });
  dialog.addEventListener('close', () => column.body.focus());
  draw();
}
