/** What was dropped on the page: files, and folders with all that is in them. */

import { isArchive, isPicture } from '../pictures.js';

/** @typedef {import('./zip.js').NamedFile} NamedFile */

/**
 * Everything that was dropped. Must be called while the event is handled: the browser forgets its items behind it.
 * @param {DataTransfer} transfer
 * @returns {Promise<NamedFile[]>}
 */
export async function droppedFiles(transfer) {
  const items = [...transfer.items].filter((item) => item.kind === 'file');
  const entries = items.map((item) => ({ entry: item.webkitGetAsEntry?.() ?? null, file: item.getAsFile() }));
  /** @type {NamedFile[]} */
  const files = [];
  for (const { entry, file } of entries) {
    if (entry) await walk(entry, '', files);
    else if (file) files.push({ path: file.name, file });
  }
  return files;
}

/**
 * @param {any} entry
 * @param {string} above
 * @param {NamedFile[]} files
 */
async function walk(entry, above, files) {
  const path = above + entry.name;
  if (entry.isFile) {
    const file = await new Promise((resolve, reject) => entry.file(resolve, reject));
    files.push({ path, file });
    return;
  }
  const reader = entry.createReader();
  for (;;) {
    // A reader gives some entries at a time, 100 in Chromium, and none at the end.
    const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (some.length === 0) return;
    for (const child of some) await walk(child, `${path}/`, files);
  }
}

/**
 * The files of an input, with their paths where a folder was chosen.
 * @param {FileList} list
 * @returns {NamedFile[]}
 */
export function chosenFiles(list) {
  return [...list].map((file) => ({ path: file.webkitRelativePath || file.name, file }));
}

/**
 * How files are sent: an archive as it is; a folder that holds pictures and nothing else as a class of its name; folders with
 * folders as an archive that the server understands; pictures without a folder in a class that the reader says.
 * @param {NamedFile[]} files
 * @returns {{archives: File[], folders: NamedFile[], pictures: Map<string, File[]>}}
 */
export function sorted(files) {
  const seen = files.filter(({ path }) => !path.split('/').some((name) => name.startsWith('.')));
  const archives = seen.filter(({ path }) => !path.includes('/') && isArchive(path)).map(({ file }) => file);
  const rest = seen.filter(({ path }) => path.includes('/') || !isArchive(path));
  const tables = rest.some(({ path }) => /\.(csv|tsv|jsonl?)$/i.test(path));
  const deepest = Math.max(0, ...rest.map(({ path }) => path.split('/').length));
  /** @type {Map<string, File[]>} */
  const pictures = new Map();
  if (tables || deepest > 2) return { archives, folders: rest, pictures };
  for (const { path, file } of rest) {
    if (!isPicture(path) && !file.type.startsWith('image/')) continue;
    const label = path.includes('/') ? path.split('/')[0] : '';
    pictures.set(label, [...(pictures.get(label) ?? []), file]);
  }
  return { archives, folders: [], pictures };
}
