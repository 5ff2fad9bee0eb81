/** Pictures of the server's in `img` elements, also where it wants a key, which an `img` cannot send. */

import { key, send } from './api.js';

/**
 * Shows a picture. With a key it is fetched and shown from memory, which is freed when the element goes.
 * @param {HTMLImageElement} image
 * @param {string} path
 * @param {AbortSignal} [signal]
 */
export function show(image, path, signal) {
  image.decoding = 'async';
  if (!key()) {
    image.src = path;
    return;
  }
  send('GET', path, { signal })
    .then(async (response) => {
      if (!response.ok) throw new Error(`HTTP ${response.status}`);
      const address = URL.createObjectURL(await response.blob());
      const free = () => URL.revokeObjectURL(address);
      image.addEventListener('load', free, { once: true });
      image.addEventListener('error', free, { once: true });
      image.src = address;
    })
    .catch(() => image.dispatchEvent(new Event('error')));
}

/**
 * Shows a file of the reader's.
 * @param {HTMLImageElement} image
 * @param {Blob} file
 */
export function showFile(image, file) {
  const address = URL.createObjectURL(file);
  image.addEventListener('load', () => URL.revokeObjectURL(address), { once: true });
  image.src = address;
}

/**
 * Shows a picture that came within JSON, in base64.
 * @param {HTMLImageElement} image
 * @param {string} base64
 */
export function showBase64(image, base64) {
  const raw = atob(base64);
  const bytes = Uint8Array.from(raw, (letter) => letter.charCodeAt(0));
  showFile(image, new Blob([bytes], { type: 'image/png' }));
}

/** Endings of the picture formats that the server reads. */
const ENDINGS = /\.(jpe?g|jpe|jfif|png|gif|bmp|webp)$/i;
const ARCHIVES = /\.(zip|tar|tgz|tar\.gz)$/i;

/** @param {string} name */
export function isPicture(name) {
  return ENDINGS.test(name);
}

/** @param {string} name */
export function isArchive(name) {
  return ARCHIVES.test(name);
}
