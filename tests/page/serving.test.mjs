// Serve: which version answers, what a shadow says, and lines that work as they stand.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { assertAccessible, assertCalm, newKey, openBrowser, openPage, Server, TOO_LONG, until, visit } from './harness.mjs';
import { colored } from './pictures.mjs';
import { addModel, trainedColors } from './steps.mjs';

const { NETWORK, PYTHON } = process.env;
let browser;

before(async () => {
  browser = await openBrowser();
});
after(() => browser?.close());

/** Asks a model about a picture, as a client does. */
async function classify(server, bytes) {
  const form = new FormData();
  form.append('image', new Blob([bytes]), 'picture.png');
  const answer = await fetch(`${server.address}/classify?model=colors`, { method: 'POST', body: form });
  assert.ok(answer.ok);
  return answer.json();
}

/** Gives all pictures of a class another, as a client does. */
async function relabel(server, from, to) {
  const { data } = await server.get(`/datasets/colors/images?label=${from}&limit=1000`);
  const body = JSON.stringify({ images: data.map(({ id }) => id), label: to });
  const answer = await fetch(`${server.address}/datasets/colors/move`, { method: 'POST', headers: { 'content-type': 'application/json' }, body });
  assert.ok(answer.ok);
}

/** The number of a tile by what it says. */
function tile(page, name) {
  return page.locator('.tile', { hasText: name }).locator('b').innerText();
}

test('a shadow is begun, what it says is counted, and it is promoted by one click', { timeout: TOO_LONG }, async (of) => {
  const server = await Server.start();
  of.after(() => server.remove());
  const page = await openPage(browser);
  await trainedColors(page, server, NETWORK);
  // The second version has learned that red is blue and blue is red: of these two it always says something else.
  for (const [from, to] of [['red', 'spare'], ['blue', 'red'], ['spare', 'blue']]) await relabel(server, from, to);
  await visit(page, server.address, 'train/new/colors');
  await page.getByLabel('When it is ready').selectOption('none');
  await page.getByRole('button', { name: 'Start', exact: true }).click();
  await page.getByRole('heading', { name: /has a version/ }).waitFor();
  await visit(page, server.address, 'serve/colors');
  const row = (version) => page.getByRole('row').filter({ has: page.getByRole('rowheader', { name: String(version), exact: true }) });

  const begin = async () => {
    await row(2).getByRole('button', { name: 'Shadow' }).click();
    const dialog = page.getByRole('dialog', { name: 'Run version 2 as a shadow' });
    await dialog.getByLabel('Share of the images, in percent').fill('100');
    await dialog.getByRole('button', { name: 'Start' }).click();
    await page.getByRole('heading', { name: 'Shadow: version 2, 100% of the images' }).waitFor();
    await until('the shadow runs', async () => (await server.get('/models/colors/shadow')).state === 'running');
  };

  await of.test('it answers copies, and the page counts where both agree', async () => {
    await begin();
    await row(2).getByText('Shadow', { exact: true }).first().waitFor();
    for (const [place, color] of ['red', 'red', 'blue', 'green'].entries()) {
      const answer = await classify(server, colored(color, 300 + place));
      assert.equal(answer.version, 1, 'clients hear the live version');
    }
    await until('four are compared', async () => (await tile(page, 'images compared')) === '4');
    // Green alone is called the same: one of four.
    assert.equal(await tile(page, 'agree'), '25.0%');
    assert.match(await tile(page, 'mean time, live'), /^[\d.]+ ms$/);
    assert.match(await tile(page, 'mean time, shadow'), /^[\d.]+ ms$/);
    await page.getByText('3 pictures with different answers').click();
    const differences = await page.getByRole('region', { name: 'Different answers' }).getByRole('row').allInnerTexts();
    assert.equal(differences.length, 4, 'a heading and three pictures');
    assert.match(differences[1], /blue \([\d.]+%\)\s+red \([\d.]+%\)/, 'the newest first');
    await assertAccessible(page, 'a shadow');
  });

  await of.test('it is ended, and nothing but the live version answers', async () => {
    await page.getByRole('button', { name: 'End the shadow' }).click();
    await page.getByRole('heading', { name: /^Shadow: version 2/ }).waitFor({ state: 'detached' });
    assert.equal((await fetch(`${server.address}/models/colors/shadow`)).status, 404);
    assert.equal((await server.get('/models/colors')).version, 1);
  });

  await of.test('one click makes it the live version', async () => {
    await begin();
    const box = page.locator('section').filter({ has: page.getByRole('heading', { name: /^Shadow: version 2/ }) }).last();
    await box.getByRole('button', { name: 'Promote' }).click();
    await until('version 2 answers', async () => (await server.get('/models/colors')).version === 2);
    await row(2).getByText('live', { exact: true }).waitFor();
    const [best] = (await classify(server, colored('red', 310))).results[0].predictions;
    assert.equal(best.label, 'blue', 'the version that has learned it so');
  });
  assertCalm(page);
});

test('a model says which version is live, on which engine, at which precision and why', { timeout: TOO_LONG }, async (of) => {
  const server = await Server.start();
  of.after(() => server.remove());
  const page = await openPage(browser);
  await trainedColors(page, server, NETWORK, { versions: 2 });
  await visit(page, server.address, 'serve/colors');
  const model = await server.get('/models/colors');
  const row = (version) => page.getByRole('row').filter({ has: page.getByRole('rowheader', { name: String(version), exact: true }) });

  await of.test('the words are the server\'s', async () => {
    assert.match(await row(1).innerText(), /live/);
    const facts = await page.locator('section').filter({ has: page.getByRole('heading', { name: 'What answers, and why' }) }).locator('dl').innerText();
    const { engine, version, plan } = model;
    assert.match(facts, new RegExp(`Version\\s+${version}\\s`));
    assert.ok(facts.includes(engine.reason) && facts.includes(`${engine.threads} thread`), facts);
    assert.ok(facts.includes(`(${plan?.variant ?? 'f32'})`), facts);
    if (plan) assert.ok(facts.includes(plan.reason), facts);
  });

  await of.test('what goes on now is counted', async () => {
    assert.equal(await tile(page, 'images since the start'), '0');
    for (let seed = 0; seed < 5; seed += 1) await classify(server, colored('green', 320 + seed));
    await until('five images', async () => (await tile(page, 'images since the start')) === '5');
    assert.match(await tile(page, 'mean time of an image'), /^[\d.]+ ms$/);
    await until('the rate falls again', async () => (await tile(page, 'images a second')) === '0');
  });

  await of.test('the ONNX file of a version is downloaded', async () => {
    const [download] = await Promise.all([page.waitForEvent('download'), row(2).getByRole('button', { name: 'ONNX' }).click()]);
    assert.equal(download.suggestedFilename(), 'colors-2.onnx');
    const [, second] = (await server.get('/models/colors/versions')).data.sort((a, b) => a.version - b.version);
    assert.equal(readFileSync(await download.path()).length, second.bytes);
  });

  await of.test('a version is noted on, and deleted when it is not live', async () => {
    await row(2).getByRole('button', { name: 'Add a note' }).click();
    await page.getByRole('textbox', { name: 'Notes' }).fill('Without the pictures of March.');
    await page.getByRole('button', { name: 'Save' }).click();
    await row(2).getByText('Without the pictures of March.').waitFor();
    assert.equal(await row(1).getByRole('button', { name: 'Delete' }).count(), 0, 'the live version stays');
    await row(2).getByRole('button', { name: 'Delete' }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Delete' }).click();
    await row(2).waitFor({ state: 'detached' });
    assert.deepEqual((await server.get('/models/colors')).versions, [1]);
  });
  assertCalm(page);
});

test('the lines for curl, Python and JavaScript work as they stand', { timeout: TOO_LONG }, async (of) => {
  const key = newKey('admin');
  for (const keys of [null, key.line]) {
    const server = await Server.start({ keys });
    of.after(() => server.remove());
    const page = await openPage(browser);
    if (keys) {
      await page.goto(server.address);
      await page.getByRole('dialog').getByLabel('Key').fill(key.secret);
      await page.getByRole('dialog').getByRole('button').click();
    }
    await addModel(page, server, NETWORK, 'tiny');
    writeFileSync(join(server.folder, 'picture.jpg'), colored('red', 330));
    const lines = await page.locator('section:has(> pre.code)').evaluateAll((sections) => sections.map((section) => [section.querySelector('h3').textContent, section.querySelector('code').textContent]));
    assert.deepEqual(lines.map(([language]) => language), ['curl', 'Python', 'JavaScript (Node.js 18, .mjs)']);
    const [curl, python, javascript] = lines.map(([, text]) => text);
    const options = { cwd: server.folder, env: { ...process.env, ...(keys && { GRAFT_KEY: key.secret }) }, encoding: 'utf8' };
    const answer = JSON.parse(execFileSync('bash', ['-c', curl], { ...options, stdio: ['ignore', 'pipe', 'ignore'] }));
    const { predictions } = answer.results[0];
    writeFileSync(join(server.folder, 'classify.mjs'), javascript);
    assert.equal(execFileSync(process.execPath, ['classify.mjs'], options), predictions.map(({ score, label }) => `${score.toFixed(3)} ${label}\n`).join(''));
    if (PYTHON) {
      const printed = execFileSync(PYTHON, ['-c', python], options);
      assert.equal(printed, predictions.map(({ score, label }) => `${(100 * score).toFixed(1)}% ${label}\n`).join(''));
    } else of.diagnostic('PYTHON names no interpreter: its lines were not run');
    assert.ok(![curl, python, javascript].some((text) => text.includes(key.secret)), 'no key is shown');
    assertCalm(page);
  }
});
