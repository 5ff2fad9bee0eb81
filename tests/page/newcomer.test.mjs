// Somebody has just started graft: there is a model that came with it, to try and to graft upon.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { assertAccessible, assertCalm, openBrowser, openPage, Server, TOO_LONG, visit } from './harness.mjs';
import { colored } from './pictures.mjs';
import { addColors, makeDataset, train } from './steps.mjs';

let browser;

before(async () => {
  browser = await openBrowser();
});
after(() => browser?.close());

test('a newcomer tries the model that came with graft, and trains one upon it', { timeout: TOO_LONG }, async (of) => {
  const server = await Server.start({ newcomer: true });
  of.after(() => server.remove());
  const page = await openPage(browser);
  const { address } = server;
  const [builtIn] = (await server.get('/models')).data;
  assert.ok(builtIn.built_in);
  const ask = async () => {
    await page.locator('#try-files').setInputFiles([{ name: 'red.png', mimeType: 'image/png', buffer: colored('red', 600) }]);
    await page.locator('.answer .bars').first().waitFor();
  };

  await of.test('the first page answers a picture, and says what to do next', async () => {
    await page.goto(address);
    await page.getByText(`${builtIn.name} came with graft`).waitFor();
    await ask();
    await assertAccessible(page, 'the first page of a newcomer');
    await page.getByRole('link', { name: 'Make a data set' }).click();
    await page.getByRole('heading', { name: 'There is no data set yet' }).waitFor();
  });

  await of.test('there is no report to look at yet', async () => {
    await visit(page, address, 'look');
    await page.getByRole('heading', { name: 'There is no model to look at yet' }).waitFor();
  });

  await of.test('it is marked, and nothing about it can be changed', async () => {
    await visit(page, address, 'serve');
    const card = page.getByRole('article').filter({ hasText: builtIn.name });
    await card.getByText('built in').waitFor();
    await card.getByRole('link').click();
    await page.getByText('It came with graft, and can be neither changed nor deleted.').waitFor();
    for (const name of ['Delete', 'Add a note', 'Edit']) assert.equal(await page.getByRole('button', { name, exact: true }).count(), 0, name);
    await page.getByRole('button', { name: 'ONNX' }).waitFor();
    await assertAccessible(page, 'the model that came with graft');
  });

  await of.test('a training starts from it, and cannot take its name', async () => {
    await makeDataset(page, address, 'colors');
    await addColors(page, server, 8);
    await page.getByRole('link', { name: 'Train on it' }).click();
    assert.equal(await page.getByLabel('Base', { exact: true }).inputValue(), builtIn.name);
    await page.getByLabel('Name of the new model').fill(builtIn.name);
    await page.locator('#train-name-help').getByText('Choose another name').waitFor();
    assert.equal(await page.getByLabel('Name of the new model').evaluate((field) => field.validity.valid), false);
    await page.getByLabel('Name of the new model').fill('colors');
    await page.getByText(/on this machine\./).waitFor();
    await train(page);
  });

  await of.test('the new model is the one to try from now on', async () => {
    await visit(page, address, 'try');
    assert.equal(await page.getByLabel('Model', { exact: true }).inputValue(), 'colors');
    assert.equal(await page.getByText(`${builtIn.name} came with graft`).count(), 0);
    await ask();
    assert.equal(await page.locator('.answer').first().getByRole('heading').innerText(), 'red');
  });

  await of.test('the next training starts from what was chosen last', async () => {
    await visit(page, address, 'train/new/colors');
    assert.equal(await page.getByLabel('Base', { exact: true }).inputValue(), builtIn.name);
    await visit(page, address, 'look');
    await page.getByRole('heading', { name: 'Confusion matrix' }).waitFor();
  });
  assertCalm(page);
});
