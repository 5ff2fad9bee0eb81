/** Resumable uploads (tus 1.0): in pieces, which go on where the server has got to, also in another visit of the page. */

import { call, part, problem, send } from '../api.js';

const PIECE = 4 << 20;
const TRIES = 8;
const VERSION = { 'tus-resumable': '1.0.0' };

/**
 * @typedef {object} Upload
 * @property {Blob} blob
 * @property {string} name
 * @property {string} dataset
 * @property {AbortSignal} signal
 * @property {(sent: number) => void} progress
 * @property {(waiting: boolean) => void} broken Called when the connection is gone, and when it is back.
 */

/**
 * Sends an archive and answers the address of the upload, whose import then runs.
 * @param {Upload} upload
 * @returns {Promise<string>}
 */
export async function upload(upload) {
  const { blob, signal } = upload;
  const address = (await earlier(upload)) ?? (await create(upload));
  let [offset, tries] = [await offsetOf(address, signal), 0];
  while (offset === null || offset < blob.size) {
    signal.throwIfAborted();
    try {
      offset ??= await offsetOf(address, signal);
      if (offset === null) throw new Error('the upload is gone');
      upload.progress(offset);
      offset = await piece(upload, address, offset);
      tries = 0;
      upload.broken(false);
    } catch (error) {
      signal.throwIfAborted();
      const status = /** @type {any} */ (error).status ?? 503;
      tries += 1;
      if ((status < 500 && status !== 408 && status !== 409 && status !== 423 && status !== 429) || tries >= TRIES) throw error;
      upload.broken(true);
      await new Promise((resolve) => setTimeout(resolve, Math.min(500 * 2 ** tries, 10000)));
      // Where to go on, only the server knows.
      offset = null;
    }
  }
  upload.progress(blob.size);
  localStorage.removeItem(memory(upload));
  return address;
}

/** @param {Upload} upload @param {string} address @param {number} offset */
async function piece({ blob, signal }, address, offset) {
  const response = await send('PATCH', address, {
    signal,
    headers: { ...VERSION, 'upload-offset': String(offset), 'content-type': 'application/offset+octet-stream' },
    body: blob.slice(offset, offset + PIECE),
  });
  if (!response.ok) throw await problem(response);
  return Number(response.headers.get('upload-offset'));
}

/** @param {Upload} upload */
async function create(upload) {
  const { blob, name, dataset, signal } = upload;
  const encoded = btoa(String.fromCharCode(...new TextEncoder().encode(name)));
  const response = await send('POST', `/datasets/${part(dataset)}/uploads`, {
    signal, headers: { ...VERSION, 'upload-length': String(blob.size), 'upload-metadata': `filename ${encoded}` },
  });
  if (!response.ok) throw await problem(response);
  const address = response.headers.get('location') ?? '';
  localStorage.setItem(memory(upload), address);
  return address;
}

/** The address of the same upload of an earlier visit that never saw its end, if the server still knows it. @param {Upload} upload */
async function earlier(upload) {
  const address = localStorage.getItem(memory(upload));
  if (!address) return null;
  const offset = await offsetOf(address, upload.signal).catch(() => null);
  return offset === null ? null : address;
}

/** How much the server has; `null` if it knows no such upload. @param {string} address @param {AbortSignal} signal */
async function offsetOf(address, signal) {
  const response = await send('HEAD', address, { signal, headers: VERSION });
  if (response.status === 404 || response.status === 410) return null;
  if (!response.ok) throw await problem(response);
  return Number(response.headers.get('upload-offset'));
}

/** Where the address of an upload is kept between visits. @param {Upload} upload */
function memory({ dataset, name, blob }) {
  return `graft.upload/${dataset}/${name}/${blob.size}`;
}

/**
 * Waits until the images of an upload are in the data set, or are not.
 * @param {string} address
 * @param {AbortSignal} signal
 */
export async function imported(address, signal) {
  for (let wait = 200; ; wait = Math.min(wait * 1.5, 3000)) {
    const upload = await call('GET', address, { signal });
    if (upload.outcome) return upload.outcome;
    await new Promise((resolve) => setTimeout(resolve, wait));
    signal.throwIfAborted();
  }
}
