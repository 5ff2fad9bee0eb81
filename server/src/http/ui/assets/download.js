/** Files of the server's for the reader's disk. */

import { key, problem, send } from './api.js';
import { h } from './dom.js';

/**
 * Without a key the browser fetches the file by itself, whatever its size. A link cannot send a key, so that with one the file goes
 * through memory.
 * @param {string} path
 * @param {string} name
 */
export async function download(path, name) {
  let address = path;
  if (key()) {
    const response = await send('GET', path);
    if (!response.ok) throw await problem(response);
    address = URL.createObjectURL(await response.blob());
  }
  h('a', { href: address, download: name }).click();
  if (address !== path) setTimeout(() => URL.revokeObjectURL(address), 60000);
}
