// The whole path of a person who never opens a terminal: from an empty server to a model that answers.

import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { assertAccessible, assertCalm, newKey, openBrowser, openPage, Server, TOO_LONG, until, visit } from './harness.mjs';
import { colored } from './pictures.mjs';
import { addColors, addModel, counts, makeDataset, train } from './steps.mjs';

const NETWORK = process.env.NETWORK;
let browser;

before(async () => {
  assert.ok(NETWORK, 'NETWORK names an ONNX file to start from; `python tests/interop/tiny.py FOLDER` writes tiny.onnx');
  browser = await openBrowser();
});
after(() => browser?.close());

test('a person makes a data set, trains, looks, tries, promotes and corrects', { timeout: TOO_LONG }, async (of) => {
  const server = await Server.start({ options: ['--collect', 'corrected'] });
  of.after(() => server.remove());
  const page = await openPage(browser);
  const { address } = server;

  await of.test('a server without a data set says what to do', async () => {
    await visit(page, address, 'data');
    await page.getByRole('heading', { name: 'There is no data set yet' }).waitFor();
    await assertAccessible(page, 'no data set');
  });

  await of.test('a network is added from a file', () => addModel(page, server, NETWORK, 'tiny'));

  await of.test('a folder becomes classes', async () => {
    await makeDataset(page, address, 'colors');
    await addColors(page, server, 12);
    await until('the classes', async () => Object.keys(await counts(page)).length === 3);
    assert.deepEqual(await counts(page), { blue: 12, green: 12, red: 12 });
  });

  await of.test('pictures change their class by keyboard, and that is undone', async () => {
    const list = page.getByRole('listbox', { name: /^red/ });
    await list.focus();
    await page.keyboard.press('Space');
    await page.keyboard.press('Shift+ArrowRight');
    await page.getByText('2 pictures selected').waitFor();
    await page.keyboard.press('l');
    await page.getByLabel('New class').fill('green');
    await page.keyboard.press('Enter');
    await page.getByText('2 pictures are green now.').waitFor();
    await until('two go', async () => (await counts(page)).green === 14);
    assert.deepEqual(await counts(page), { blue: 12, green: 14, red: 10 });
    await page.keyboard.press('Control+z');
    await until('they are back', async () => (await counts(page)).green === 12);
    assert.equal((await server.get('/datasets/colors/images?label=red')).data.length, 12);
  });

  await of.test('pictures that are removed come back by Undo, and are gone once nobody undoes it', async () => {
    const first = page.getByRole('listbox', { name: /^blue/ }).getByRole('option').first();
    await first.click();
    await page.keyboard.press('Delete');
    await until('one goes', async () => (await counts(page)).blue === 11);
    await page.getByRole('button', { name: 'Undo' }).click();
    await until('it is back', async () => (await counts(page)).blue === 12);
    assert.equal((await server.get('/datasets/colors')).images, 36);
    await page.getByRole('listbox', { name: /^blue/ }).getByRole('option').last().click();
    await page.keyboard.press('Delete');
    await page.locator('.notice').filter({ hasText: 'removed' }).getByRole('button', { name: 'Close' }).click();
    await until('the server removes it', async () => (await server.get('/datasets/colors')).images === 35);
  });

  await of.test('the doctor reads every picture', async () => {
    await page.getByRole('button', { name: 'Check', exact: true }).click();
    await page.getByText('35 pictures of 3 classes were read.').waitFor();
    await assertAccessible(page, 'findings');
    await page.keyboard.press('Escape');
    await assertAccessible(page, 'a data set');
  });

  await of.test('the time is said before the training starts, and curves and result after', async () => {
    await page.getByRole('link', { name: 'Train on it' }).click();
    await page.getByText(/on this machine\./).waitFor();
    await assertAccessible(page, 'a new training');
    await train(page);
    await page.getByText('of the test pictures are right').waitFor();
    await assertAccessible(page, 'a training');
  });

  await of.test('the report opens the pictures behind a cell', async () => {
    await page.getByRole('link', { name: 'Look at the report' }).click();
    await page.getByRole('heading', { name: 'Confusion matrix' }).waitFor();
    await assertAccessible(page, 'a report');
    await page.locator('.matrix button').first().click();
    const picture = page.getByRole('dialog').locator('.picture img').first();
    await until('the picture is shown', () => picture.evaluate((image) => image.complete && image.naturalWidth > 0));
    await page.keyboard.press('Escape');
  });

  await of.test('the model answers pictures and says why', async () => {
    await visit(page, address, 'try/colors');
    const file = join(server.folder, 'new-red.png');
    writeFileSync(file, colored('red', 77));
    await page.locator('#try-files').setInputFiles(file);
    const answer = page.locator('.answer').first();
    await answer.getByRole('heading', { name: /red/ }).waitFor();
    await answer.getByRole('button', { name: 'Why?' }).click();
    await answer.getByRole('img', { name: /Heat map for/ }).waitFor();
    await assertAccessible(page, 'answers');
  });

  await of.test('what came in waits for feedback, and goes into a data set', async () => {
    await visit(page, address, 'feedback');
    await page.getByRole('button', { name: /^Yes, / }).waitFor();
    await assertAccessible(page, 'feedback');
    await page.getByRole('button', { name: /^Yes, / }).click();
    await page.getByRole('heading', { name: 'Nothing waits' }).waitFor();
    assert.equal((await server.get('/datasets/corrected')).images, 1);
  });

  await of.test('a second version is promoted and rolled back', async () => {
    await visit(page, address, 'train/new/colors');
    await page.getByText('Becomes version 2 of colors.').waitFor();
    await page.getByLabel('When it is ready').selectOption('none');
    await train(page);
    assert.equal((await server.get('/models/colors')).version, 1);
    await page.getByRole('link', { name: 'Serve it' }).click();
    const row = (version) => page.getByRole('row').filter({ has: page.getByRole('rowheader', { name: String(version), exact: true }) });
    await row(2).getByRole('button', { name: 'Promote' }).click();
    await until('version 2 answers', async () => (await server.get('/models/colors')).version === 2);
    await row(2).getByText('live').waitFor();
    await assertAccessible(page, 'a model');
    await row(1).getByRole('button', { name: 'Roll back to it' }).click();
    await until('version 1 answers again', async () => (await server.get('/models/colors')).version === 1);
    await visit(page, address, 'look/colors/2');
    await page.locator('figcaption', { hasText: 'Versions over time' }).waitFor();
  });

  await of.test('every room is accessible in Chinese, in the dark, on a phone', async () => {
    const phone = await openPage(browser, { locale: 'zh-CN', colorScheme: 'dark', viewport: { width: 320, height: 640 } });
    for (const room of ['try', 'data', 'data/colors', 'train', 'train/new', 'look', 'serve', 'serve/colors', 'serve/add', 'feedback']) {
      await visit(phone, address, room);
      await assertAccessible(phone, room);
      const wide = await phone.evaluate(() => document.documentElement.scrollWidth > document.documentElement.clientWidth);
      assert.ok(!wide, `${room} is wider than the phone`);
    }
    assertCalm(phone);
  });
  assertCalm(page);
});

test('a server with keys asks for one, and a wrong one is told', { timeout: TOO_LONG }, async (of) => {
  const key = newKey('admin');
  const server = await Server.start({ keys: key.line });
  of.after(() => server.remove());
  const page = await openPage(browser);
  await page.goto(server.address);
  const dialog = page.getByRole('dialog', { name: 'This server asks for a key' });
  await dialog.getByLabel('Key').fill('wrong');
  await dialog.getByRole('button').click();
  await dialog.getByText('does not know this key').waitFor();
  await assertAccessible(page, 'asking for a key');
  await dialog.getByLabel('Key').fill(key.secret);
  await dialog.getByRole('button').click();
  await addModel(page, server, NETWORK, 'tiny');
  await makeDataset(page, server.address, 'colors');
  await addColors(page, server, 8);
  const thumbnail = page.locator('.cell img').first();
  await until('a thumbnail is shown', () => thumbnail.evaluate((image) => image.complete && image.naturalWidth > 0));
  await visit(page, server.address, 'train/new/colors');
  await train(page);
  // The key is this tab's: it goes with it.
  assert.equal(await page.evaluate(() => localStorage.length), 0);
  const other = await openPage(browser);
  await other.goto(server.address);
  await other.getByRole('dialog', { name: 'This server asks for a key' }).waitFor();
  assertCalm(page);
});
