// A server with an empty folder, a browser, and what the tests do with both.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';

/** A test takes seconds; this is how long one may on a machine that builds and trains at the same time. */
export const TOO_LONG = 900_000;
/** The same for one thing that the page does. */
const PATIENCE = 120_000;
const HERE = dirname(fileURLToPath(import.meta.url));
export const GRAFT = resolve(process.env.GRAFT ?? join(HERE, '../../target/debug/graft'));
const CHROMIUM = process.env.CHROMIUM ?? ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find(existsSync);
const AXE = readFileSync(join(HERE, 'node_modules/axe-core/axe.min.js'), 'utf8');

async function freePort() {
  const probe = createServer();
  await new Promise((done) => probe.listen(0, '127.0.0.1', done));
  const { port } = probe.address();
  await new Promise((done) => probe.close(done));
  return port;
}

/** A server on a folder of its own, which holds what the test puts there and nothing else, unless a newcomer is at it. */
export class Server {
  static async start({ options = [], keys = null, newcomer = false } = {}) {
    const server = new Server();
    server.folder = mkdtempSync(join(tmpdir(), 'graft-page-'));
    server.data = join(server.folder, 'data');
    server.port = await freePort();
    server.address = `http://127.0.0.1:${server.port}`;
    server.options = options;
    server.environment = { ...process.env, ...(!newcomer && { GRAFT_NO_STARTER: 'true' }), ...(keys && { GRAFT_KEYS: keys }) };
    await server.run();
    return server;
  }

  async run() {
    const all = ['serve', '--data-dir', this.data, '--port', String(this.port), ...this.options];
    this.process = spawn(GRAFT, all, { env: this.environment, stdio: ['ignore', 'ignore', 'pipe'] });
    this.log = '';
    this.process.stderr.on('data', (text) => { this.log += text; });
    for (let left = 300; left > 0; left -= 1) {
      const answer = await fetch(`${this.address}/health/live`).catch(() => null);
      if (answer?.ok) return;
      assert.equal(this.process.exitCode, null, `the server has ended: ${this.log}`);
      await new Promise((done) => setTimeout(done, 100));
    }
    throw new Error(`the server does not answer: ${this.log}`);
  }

  async end(signal = 'SIGTERM') {
    if (this.process.exitCode !== null || this.process.signalCode) return;
    const ended = new Promise((done) => this.process.once('exit', done));
    this.process.kill(signal);
    await ended;
  }

  async remove() {
    await this.end('SIGKILL');
    rmSync(this.folder, { recursive: true, force: true });
  }

  async get(path, headers = {}) {
    const answer = await fetch(this.address + path, { headers });
    assert.ok(answer.ok, `${path}: ${answer.status} ${await answer.clone().text()}`);
    return answer.json();
  }
}

/** A key of a role, and its line for the server. */
export function newKey(role) {
  const secret = `graft_${randomBytes(32).toString('hex')}`;
  return { secret, line: `${role}:${role}:${createHash('sha256').update(secret).digest('hex')}` };
}

/** Flags of a browser with a camera that shows a test picture, which every page may use. */
const CAMERA = ['--use-fake-device-for-media-stream', '--use-fake-ui-for-media-stream'];

export async function openBrowser(flags = CAMERA) {
  assert.ok(CHROMIUM, 'no Chromium is installed; install the package chromium, or name one in CHROMIUM');
  return chromium.launch({ executablePath: CHROMIUM, args: ['--no-sandbox', '--disable-dev-shm-usage', ...flags] });
}

/** A page whose every error is one of the test. */
export async function openPage(browser, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, locale: 'en-US', ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(PATIENCE);
  page.problems = [];
  page.on('pageerror', (error) => page.problems.push(`script: ${error.message}`));
  page.on('console', (message) => {
    // Chromium logs every status from 400 on; what that means is for the test of the page.
    if (message.type() === 'error' && !message.text().startsWith('Failed to load resource')) page.problems.push(message.text());
  });
  return page;
}

/** Goes to a room and waits until it is there. */
export async function visit(page, address, room) {
  await page.goto(`${address}/#/${room}`);
  await page.waitForSelector('.room[data-ready]');
}

/** That nothing went wrong in the page that a reader would not see. */
export function assertCalm(page) {
  assert.deepEqual(page.problems, []);
}

/** That axe finds nothing by the rules of WCAG 2.2 AA and of good practice. */
export async function assertAccessible(page, name) {
  await page.evaluate(AXE);
  const { violations } = await page.evaluate(() => globalThis.axe.run(document, {
    runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'],
  }));
  const found = violations.map(({ id, help, nodes }) => `${id}: ${help}: ${nodes.map(({ target }) => target.join(' ')).slice(0, 4).join(', ')}`);
  assert.deepEqual(found, [], name);
}

/** Asks until something is so. */
export async function until(what, question, seconds = PATIENCE / 1000) {
  const end = Date.now() + seconds * 1000;
  for (;;) {
    const answer = await question();
    if (answer) return answer;
    assert.ok(Date.now() < end, `${what} did not happen within ${seconds} s`);
    await new Promise((done) => setTimeout(done, 150));
  }
}
