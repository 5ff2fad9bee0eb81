/** Fetches the thumbnails of a data set, those first that are seen now. */

import { part } from '../api.js';
import { show } from '../pictures.js';

/** Pictures that are fetched at a time: the six connections that browsers open to a server, and some that wait for one. */
const AT_A_TIME = 10;

export class Thumbnails {
  /** @param {string} dataset @param {AbortSignal} signal */
  constructor(dataset, signal) {
    this.dataset = dataset;
    this.signal = signal;
    /** @type {{image: HTMLImageElement, id: string}[]} */
    this.waiting = [];
    this.running = 0;
    /** Those that the browser has. @type {Set<string>} */
    this.fetched = new Set();
  }

  /**
   * Has a picture shown, unless its element is out of the document by its turn. One that is being fetched is not given up: a
   * connection that breaks off costs more than a thumbnail, and the browser keeps it for when the reader comes back.
   * @param {HTMLImageElement} image
   * @param {string} id
   */
  want(image, id) {
    if (this.fetched.has(id)) this.show(image, id);
    else this.waiting.push({ image, id });
    this.next();
  }

  /** @param {HTMLImageElement} image @param {string} id */
  show(image, id) {
    show(image, `/datasets/${part(this.dataset)}/images/${id}/thumbnail`, this.signal);
  }

  next() {
    while (this.running < AT_A_TIME) {
      const last = this.waiting.pop();
      if (!last) return;
      // Cells are put into the document in the task that wants their pictures; those that were scrolled past are out of it.
      if (!last.image.isConnected) continue;
      this.running += 1;
      const done = () => {
        this.running -= 1;
        this.next();
      };
      last.image.addEventListener('load', () => { this.fetched.add(last.id); done(); }, { once: true });
      last.image.addEventListener('error', done, { once: true });
      this.show(last.image, last.id);
    }
  }
}
