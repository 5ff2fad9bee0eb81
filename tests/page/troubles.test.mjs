// What goes wrong, and how the page tells it.

import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { assertAccessible, assertCalm, openBrowser, openPage, Server, TOO_LONG, until, visit } from './harness.mjs';
import { noise } from './pictures.mjs';
import { addColors, addModel, makeDataset } from './steps.mjs';

const NETWORK = process.env.NETWORK;
/** The page sends pieces of this size. */
const PIECE = 4 << 20;
let browser;

before(async () => {
  browser = await openBrowser();
});
after(() => browser?.close());

/** Two classes of pictures of 2.8 MB each: three pieces together. */
function largeFolder(server) {
  const folder = join(server.folder, 'large');
  for (const [place, name] of ['calm', 'wild'].entries()) {
    mkdirSync(join(folder, name), { recursive: true });
    for (let seed = 0; seed < 2; seed += 1) writeFileSync(join(folder, name, `${seed}.png`), noise(960, 10 * place + seed));
  }
  return folder;
}

/** The offsets at which pieces were sent. */
function watchPieces(page) {
  const offsets = [];
  page.on('request', (request) => {
    if (request.method() === 'PATCH') offsets.push(Number(request.headers()['upload-offset']));
  });
  return offsets;
}

test('an upload goes on after a connection broke, and after the server was killed', { timeout: TOO_LONG }, async (of) => {
  const server = await Server.start();
  of.after(() => server.remove());
  const page = await openPage(browser);
  await makeDataset(page, server.address, 'large');
  const offsets = watchPieces(page);
  let broken = 0;
  await page.route('**/uploads/*', async (route) => {
    if (route.request().method() === 'PATCH' && offsets.at(-1) === PIECE && broken < 2) {
      broken += 1;
      // The second time nobody answers for a while.
      if (broken === 2) {
        await server.end('SIGKILL');
        await server.run();
      }
      await route.abort('connectionreset');
      return;
    }
    await route.continue();
  });
  await page.locator('#add-folder').setInputFiles(largeFolder(server));
  await page.getByText('4 added').waitFor();
  assert.equal(broken, 2);
  assert.deepEqual(offsets, [0, PIECE, PIECE, PIECE, 2 * PIECE], 'only what broke off is sent again');
  assert.equal((await server.get('/datasets/large')).images, 4);
});

test('an upload goes on in another visit of the page', { timeout: TOO_LONG }, async (of) => {
  const server = await Server.start();
  of.after(() => server.remove());
  const folder = largeFolder(server);
  const page = await openPage(browser);
  await makeDataset(page, server.address, 'large');
  const offsets = watchPieces(page);
  await page.route('**/uploads/*', (route) => {
    // The third piece never gets through, and the reader leaves.
    if (route.request().method() === 'PATCH' && offsets.length >= 3) route.abort('connectionreset');
    else route.continue();
  });
  await page.locator('#add-folder').setInputFiles(folder);
  await until('two pieces are sent', () => offsets.length >= 3);
  const next = await page.context().newPage();
  await page.close();
  const rest = watchPieces(next);
  await visit(next, server.address, 'data/large');
  await next.locator('#add-folder').setInputFiles(folder);
  await next.getByText('4 added').waitFor();
  assert.deepEqual(rest, [2 * PIECE], 'what had come is not sent again');
});

test('files that are no pictures are named, and the others are added', { timeout: TOO_LONG }, async (of) => {
  const server = await Server.start();
  of.after(() => server.remove());
  const page = await openPage(browser);
  await makeDataset(page, server.address, 'mixed');
  const good = { name: 'good.png', mimeType: 'image/png', buffer: noise(48, 1) };
  const bad = { name: 'bad.png', mimeType: 'image/png', buffer: Buffer.from('no picture at all') };
  await page.locator('#add-files').setInputFiles([good, bad]);
  await page.getByLabel(/They show/).fill('things');
  await page.getByRole('button', { name: 'Add', exact: true }).click();
  await page.getByText('1 added, 1 refused').waitFor();
  await page.getByText('1 file was refused').click();
  await page.getByText(/bad\.png: /).waitFor();
  await assertAccessible(page, 'refusals');
  assertCalm(page);
});

test('a job that fails says why and what to do, and is tried again', { timeout: TOO_LONG }, async (of) => {
  const server = await Server.start();
  of.after(() => server.remove());
  const page = await openPage(browser);
  await addModel(page, server, NETWORK, 'tiny');
  await makeDataset(page, server.address, 'colors');
  await addColors(page, server, 8);
  // A disk that forgets: one file of the data set is damaged behind the server's back.
  const folder = join(server.data, 'datasets', 'colors', 'images');
  const files = readdirSync(folder, { recursive: true }).map((name) => join(folder, String(name))).filter((file) => statSync(file).isFile());
  const original = files[0];
  writeFileSync(original, 'damaged');
  await visit(page, server.address, 'train/new/colors');
  await page.getByText('More options').click();
  await page.getByLabel('Leave out pictures that cannot be read').uncheck();
  await page.getByRole('button', { name: 'Start', exact: true }).click();
  await page.getByRole('heading', { name: 'It failed' }).waitFor();
  const told = await page.locator('.failure').innerText();
  assert.match(told, /\.png/, 'the file is named');
  assert.match(told, /Nothing was published/);
  await assertAccessible(page, 'a failed job');
  assert.equal((await server.get('/models')).data.some((model) => model.name === 'colors'), false);
  await page.getByRole('button', { name: 'Try again' }).click();
  await until('the second attempt ends', async () => {
    const [job] = (await server.get('/finetune')).data;
    return job.attempt > 1 && job.state === 'failed';
  });
  // The doctor names the file, and one click takes it out.
  await visit(page, server.address, 'data/colors');
  await page.getByRole('button', { name: 'Check', exact: true }).click();
  const broken = page.getByRole('region').or(page.locator('section')).filter({ hasText: 'Files that cannot be used' }).last();
  await broken.getByRole('button', { name: 'Remove' }).click();
  await page.keyboard.press('Escape');
  await page.locator('.notice').filter({ hasText: 'removed' }).getByRole('button', { name: 'Close' }).click();
  await until('the file is removed', async () => (await server.get('/datasets/colors')).images === 23);
  assertCalm(page);
});
