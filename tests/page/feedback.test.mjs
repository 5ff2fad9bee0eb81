// Feedback: what the server was asked about and was not sure of is confirmed, corrected or discarded, and goes into a snapshot.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { assertAccessible, assertCalm, openBrowser, openPage, Server, TOO_LONG, until, visit } from './harness.mjs';
import { colored, striped } from './pictures.mjs';
import { trainedColors } from './steps.mjs';

const NETWORK = process.env.NETWORK;
let browser;

before(async () => {
  browser = await openBrowser();
});
after(() => browser?.close());

test('uncertain pictures are confirmed, corrected and discarded, and train the next version', { timeout: TOO_LONG }, async (of) => {
  const server = await Server.start({ options: ['--collect', 'corrected', '--collect-policy', 'uncertain'] });
  of.after(() => server.remove());
  const page = await openPage(browser);
  await trainedColors(page, server, NETWORK);
  /** A client asks, and may allow that the picture is kept. */
  const ask = async (name, bytes, keep) => {
    const form = new FormData();
    form.append('image', new Blob([bytes]), name);
    const answer = await fetch(`${server.address}/classify?model=colors&keep=${keep}`, { method: 'POST', body: form });
    return (await answer.json()).results[0].predictions[0];
  };
  const sure = await ask('sure.png', colored('green', 400), true);
  assert.ok(sure.score > 0.7, 'a picture that the model is sure of');
  // Of stripes of two colors, three that this model is not sure of.
  const pairs = [['red', 'blue'], ['blue', 'red'], ['red', 'green'], ['green', 'red'], ['blue', 'green'], ['green', 'blue']];
  const names = ['first.png', 'second.png', 'third.png'];
  for (const picture of [4, 8, 2, 16].flatMap((width) => pairs.map((pair) => striped(pair, width)))) {
    if (names.length === 0) break;
    if ((await ask('maybe.png', picture, false)).score < 0.7) await ask(names.shift(), picture, true);
  }
  assert.deepEqual(names, [], 'three doubtful pictures');
  await visit(page, server.address, 'feedback');
  const card = (name) => page.locator('.inbox .card', { hasText: name });

  await of.test('what was uncertain waits, with the picture and what it was taken for', async () => {
    await page.getByText('3 pictures wait').waitFor();
    assert.equal(await card('sure.png').count(), 0);
    const image = card('first.png').locator('img');
    await until('the picture is shown', () => image.evaluate((element) => element.complete && element.naturalWidth === 64));
    await card('first.png').getByText(/^Taken for (red|green|blue) \(\d+\.\d%\)$/).waitFor();
    await assertAccessible(page, 'feedback that waits');
  });

  await of.test('one is confirmed, one corrected by keyboard, one discarded', async () => {
    await card('first.png').getByRole('button', { name: /^Yes, / }).click();
    await card('first.png').waitFor({ state: 'detached' });
    await page.getByLabel('What second.png shows').focus();
    await page.keyboard.type('stripes');
    await page.keyboard.press('Enter');
    await card('second.png').waitFor({ state: 'detached' });
    await card('third.png').getByRole('button', { name: 'Discard' }).click();
    await page.getByRole('heading', { name: 'Nothing waits' }).waitFor();
    await page.getByText('0 pictures wait · 2 answered').waitFor();
    const labels = (await server.get('/datasets/corrected/images')).data.map(({ label }) => label);
    assert.equal(labels.length, 2);
    assert.ok(labels.includes('stripes'));
  });

  await of.test('they go into the next snapshot, and a training is offered on them', async () => {
    await page.getByRole('link', { name: 'Open corrected' }).click();
    await page.getByRole('button', { name: 'Make a snapshot' }).click();
    await page.getByText('Snapshot 1 has 2 pictures.').waitFor();
    const snapshot = await server.get('/datasets/corrected/snapshots/1');
    assert.equal(snapshot.images, 2);
    await visit(page, server.address, 'feedback');
    await page.getByRole('link', { name: 'Train on what was said' }).click();
    await page.getByRole('heading', { name: 'Train a model' }).waitFor();
    assert.equal(await page.getByLabel('Data set').inputValue(), 'corrected');
  });
  assertCalm(page);
});

test('a server that keeps nothing says how it would', { timeout: TOO_LONG }, async (of) => {
  const server = await Server.start();
  of.after(() => server.remove());
  const page = await openPage(browser);
  await visit(page, server.address, 'feedback');
  await page.getByRole('heading', { name: 'This server keeps no pictures' }).waitFor();
  await page.getByText('graft serve --collect corrected').waitFor();
  await assertAccessible(page, 'feedback that is off');
  assertCalm(page);
});
