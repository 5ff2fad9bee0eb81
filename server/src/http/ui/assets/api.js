/** The server's interface, with the key of this session. */

import { askForKey } from './key.js';

const KEY = 'graft.key';

/** What the server answers in the place of what was asked for. */
export class Problem extends Error {
  /**
   * @param {number} status
   * @param {{code?: string, detail?: string, title?: string}} body
   */
  constructor(status, body) {
    super(body.detail ?? body.title ?? `HTTP ${status}`);
    this.status = status;
    this.code = body.code ?? '';
  }
}

/** The key of this session, if one was given. */
export function key() {
  return sessionStorage.getItem(KEY);
}

/** @param {string | null} value */
export function setKey(value) {
  if (value) sessionStorage.setItem(KEY, value);
  else sessionStorage.removeItem(KEY);
}

/**
 * @typedef {object} Options
 * @property {Record<string, string | number | boolean | undefined | null>} [query]
 * @property {any} [json]
 * @property {BodyInit} [body]
 * @property {Record<string, string>} [headers]
 * @property {AbortSignal} [signal]
 * @property {boolean} [keepalive]
 */

/**
 * Sends a request and answers the response, whatever its status. A server that wants a key is given one: the reader is asked
 * for it.
 * @param {string} method
 * @param {string} path
 * @param {Options} [options]
 * @returns {Promise<Response>}
 */
export async function send(method, path, options = {}) {
  for (;;) {
    const sent = key();
    const headers = new Headers(options.headers);
    if (sent) headers.set('authorization', `Bearer ${sent}`);
    if (options.json !== undefined) headers.set('content-type', 'application/json');
    const body = options.json === undefined ? options.body : JSON.stringify(options.json);
    const response = await fetch(address(path, options.query), {
      method, headers, body, signal: options.signal, keepalive: options.keepalive,
    });
    if (response.status !== 401) return response;
    // Another request may have been given a key meanwhile.
    if (sent !== key()) continue;
    setKey(await askForKey(sent !== null));
  }
}

/**
 * Sends a request and answers the JSON of the response; `null` if it has none.
 * @param {string} method
 * @param {string} path
 * @param {Options} [options]
 * @returns {Promise<any>}
 */
export async function call(method, path, options) {
  const response = await send(method, path, options);
  if (!response.ok) throw await problem(response);
  if (response.status === 204) return null;
  const type = response.headers.get('content-type') ?? '';
  return type.includes('json') ? response.json() : null;
}

/**
 * @param {string} path
 * @param {Options} [options]
 */
export function get(path, options) {
  return call('GET', path, options);
}

/** @param {Response} response */
export async function problem(response) {
  const body = await response.json().catch(() => ({}));
  return new Problem(response.status, body);
}

/**
 * @param {string} path
 * @param {Options['query']} [query]
 */
export function address(path, query) {
  const pairs = Object.entries(query ?? {}).filter(([, value]) => value !== undefined && value !== null);
  if (pairs.length === 0) return path;
  return `${path}?${new URLSearchParams(pairs.map(([name, value]) => [name, String(value)]))}`;
}

/** A part of a path. @param {string} text */
export function part(text) {
  return encodeURIComponent(text);
}

/** What went wrong, for people. @param {unknown} error */
export function reason(error) {
  return error instanceof Error ? error.message : String(error);
}

/** Whether something failed because nobody waits for it any more. @param {unknown} error */
export function aborted(error) {
  return error instanceof DOMException && error.name === 'AbortError';
}
