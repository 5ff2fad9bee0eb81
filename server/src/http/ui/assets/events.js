/** Server-sent events, by `fetch`: an `EventSource` cannot send a key. */

import { problem, send } from './api.js';

const FIRST_WAIT = 1000;
const LONGEST_WAIT = 15000;

/**
 * Follows a stream until it has ended or the signal aborts. A stream that breaks is taken up again behind its last event.
 * @param {string} path
 * @param {{signal: AbortSignal, onMessage: (name: string, data: any) => void, onBroken?: () => void}} options
 */
export async function follow(path, { signal, onMessage, onBroken }) {
  let [last, wait] = ['', FIRST_WAIT];
  while (!signal.aborted) {
    try {
      /** @type {Record<string, string>} */
      const headers = { accept: 'text/event-stream' };
      if (last) headers['last-event-id'] = last;
      const response = await send('GET', path, { signal, headers });
      // There is nothing more to come.
      if (response.status === 204) return;
      if (!response.ok) throw await problem(response);
      wait = FIRST_WAIT;
      for await (const message of messages(response)) {
        if (message.id) last = message.id;
        onMessage(message.event, JSON.parse(message.data));
      }
    } catch (error) {
      if (signal.aborted) return;
      const status = /** @type {any} */ (error)?.status ?? 503;
      if (status < 500) throw error;
      onBroken?.();
    }
    await new Promise((resolve) => setTimeout(resolve, wait));
    wait = Math.min(wait * 2, LONGEST_WAIT);
  }
}

/**
 * The messages of a stream, as the HTML standard has them.
 * @param {Response} response
 */
async function* messages(response) {
  if (!response.body) return;
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = '';
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const blocks = (rest + value).split('\n\n');
    rest = blocks.pop() ?? '';
    for (const block of blocks) {
      const message = { id: '', event: 'message', data: '' };
      for (const line of block.split('\n')) {
        const colon = line.indexOf(':');
        const [field, text] = [line.slice(0, colon), line.slice(colon + 1).replace(/^ /, '')];
        if (field === 'id') message.id = text;
        if (field === 'event') message.event = text;
        if (field === 'data') message.data += text;
      }
      if (message.data) yield message;
    }
  }
}
