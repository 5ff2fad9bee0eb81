// Try: how pictures come in, and what is said to them.

import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { assertAccessible, assertCalm, openBrowser, openPage, Server, TOO_LONG, until, visit } from './harness.mjs';
import { colored, striped } from './pictures.mjs';
import { addModel, dropFiles, trainedColors } from './steps.mjs';

const NETWORK = process.env.NETWORK;
let browser;

before(async () => {
  browser = await openBrowser();
});
after(() => browser?.close());

/** Puts a picture into the clipboard of the page and presses what pastes it, as a browser does. */
function paste(page, bytes) {
  return page.evaluate((base64) => {
    const raw = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
    const clipboardData = new DataTransfer();
    clipboardData.items.add(new File([raw], 'image.png', { type: 'image/png' }));
    document.dispatchEvent(new ClipboardEvent('paste', { clipboardData, bubbles: true }));
  }, bytes.toString('base64'));
}

test('pictures come by choice, by drag and drop, from the clipboard and from the camera', { timeout: TOO_LONG }, async (of) => {
  const server = await Server.start();
  of.after(() => server.remove());
  const page = await openPage(browser, { permissions: ['camera'] });
  await trainedColors(page, server, NETWORK);
  await visit(page, server.address, 'try/colors');
  const answer = (place) => page.locator('.answer').nth(place).getByRole('heading');

  await of.test('several are chosen, and the answers appear as they come', async () => {
    const files = ['red', 'green', 'blue'].map((color, seed) => ({ name: `${color}.png`, mimeType: 'image/png', buffer: colored(color, 200 + seed) }));
    // The second answer is held back, and the others do not wait for it.
    let release = () => {};
    const held = new Promise((done) => { release = done; });
    await page.route('**/classify?*', async (route) => {
      if (route.request().postData()?.includes('green.png')) await held;
      await route.continue();
    });
    await page.locator('#try-files').setInputFiles(files);
    await until('two answers', async () => (await page.locator('.answer .bars').count()) === 2);
    assert.equal(await page.getByRole('heading', { name: 'Asking…' }).count(), 1);
    release();
    await until('three answers', async () => (await page.locator('.answer .bars').count()) === 3);
    // The last that was chosen is on top.
    assert.deepEqual(await Promise.all([0, 1, 2].map((place) => answer(place).innerText())), ['blue', 'green', 'red']);
    await page.unroute('**/classify?*');
    await page.getByRole('button', { name: 'Clear the answers' }).click();
    assert.equal(await page.locator('.answer').count(), 0);
  });

  await of.test('a model that is still being loaded is asked again', async () => {
    let refused = 0;
    await page.route('**/classify?*', async (route) => {
      if (refused === 2) return route.continue();
      refused += 1;
      return route.fulfill({ status: 503, contentType: 'application/problem+json', json: { code: 'model_loading', detail: 'it is being loaded' } });
    });
    await page.locator('#try-files').setInputFiles([{ name: 'early.png', mimeType: 'image/png', buffer: colored('red', 230) }]);
    await page.locator('.answer .bars').waitFor();
    assert.deepEqual([refused, await answer(0).innerText()], [2, 'red']);
    await page.unroute('**/classify?*');
    await page.getByRole('button', { name: 'Clear the answers' }).click();
  });

  await of.test('a file is dropped anywhere on the page', async () => {
    const file = join(server.folder, 'dropped.png');
    writeFileSync(file, colored('green', 210));
    await dropFiles(page, [file], { x: 640, y: 500 });
    await page.locator('.answer').getByText('dropped.png').waitFor();
    await page.locator('.answer .bars').waitFor();
    assert.equal(await answer(0).innerText(), 'green');
  });

  await of.test('a picture is pasted', async () => {
    await paste(page, colored('blue', 211));
    await until('two answers', async () => (await page.locator('.answer .bars').count()) === 2);
    assert.equal(await answer(0).innerText(), 'blue');
  });

  await of.test('a photograph is taken, and the camera is off afterwards', async () => {
    await page.getByRole('button', { name: 'Take a photograph' }).click();
    const dialog = page.getByRole('dialog', { name: 'Take a photograph' });
    const video = dialog.locator('video');
    await until('the camera shows something', () => video.evaluate((element) => element.videoWidth > 0 && element.currentTime > 0));
    await assertAccessible(page, 'the camera');
    const tracks = await video.evaluateHandle((element) => element.srcObject.getTracks());
    await dialog.getByRole('button', { name: 'Take', exact: true }).click();
    await page.locator('.answer').getByText('photograph-1.jpg').waitFor();
    await dialog.getByRole('button', { name: 'Done' }).click();
    await until('three answers', async () => (await page.locator('.answer .bars').count()) === 3);
    // A dialog says that it is closed in a task of its own, a moment after the click.
    await until('the camera is off', () => tracks.evaluate((all) => all.length === 1 && all[0].readyState === 'ended'));
    const picture = page.locator('.answer').first().locator('img').first();
    await until('the photograph is shown', () => picture.evaluate((image) => image.complete && image.naturalWidth > 0));
  });

  await of.test('what is no picture is left out, and that is said', async () => {
    await page.locator('#try-files').setInputFiles([{ name: 'notes.txt', mimeType: 'text/plain', buffer: Buffer.from('words') }]);
    await page.getByText('1 file is no picture and was left out.').waitFor();
    assert.equal(await page.locator('.answer').count(), 3);
  });

  await of.test('a damaged picture is answered with what is wrong with it', async () => {
    await page.locator('#try-files').setInputFiles([{ name: 'damaged.png', mimeType: 'image/png', buffer: Buffer.from('\x89PNG but no more') }]);
    const card = page.locator('.answer').first();
    await card.locator('.error').waitFor();
    await card.getByText('No preview').waitFor();
    assert.ok((await card.locator('.error').innerText()).length > 10);
  });
  assertCalm(page);
});

test('a camera that is refused, or that is not there, is told with what to do', { timeout: TOO_LONG }, async (of) => {
  const server = await Server.start();
  of.after(() => server.remove());
  // A browser that asks its user, and whose user says no; and one without a camera.
  for (const [flags, told] of [[['--use-fake-device-for-media-stream'], /was not allowed to use the camera\. Allow it/], [[], /There is no camera/]]) {
    const other = await openBrowser(flags);
    of.after(() => other.close());
    const page = await openPage(other, flags.length === 0 ? { permissions: ['camera'] } : {});
    await addModel(page, server, NETWORK, `tiny${flags.length}`);
    await visit(page, server.address, 'try');
    await page.getByRole('button', { name: 'Take a photograph' }).click();
    const notice = page.getByRole('alert').locator('.notice');
    await notice.waitFor();
    assert.match(await notice.innerText(), told);
    await assertAccessible(page, 'no camera');
    assertCalm(page);
    await other.close();
  }
});

test('two versions answer side by side, and one that is not sure says so', { timeout: TOO_LONG }, async (of) => {
  const server = await Server.start();
  of.after(() => server.remove());
  const page = await openPage(browser);
  await trainedColors(page, server, NETWORK, { versions: 2 });
  await visit(page, server.address, 'try/colors');
  await page.getByLabel('Compare with').selectOption('colors@2');
  const file = { name: 'green.png', mimeType: 'image/png', buffer: colored('green', 220) };
  await page.locator('#try-files').setInputFiles([file]);
  const views = page.locator('.answer-view');
  await until('both answer', async () => (await views.locator('.bars').count()) === 2);
  assert.deepEqual(await views.locator('p').first().innerText(), 'colors, version 1');
  assert.deepEqual(await views.nth(1).locator('p').first().innerText(), 'colors, version 2');
  // Beside each other, not below.
  const [left, right] = await Promise.all([0, 1].map((place) => views.nth(place).boundingBox()));
  assert.ok(Math.abs(left.y - right.y) < 2 && right.x > left.x + left.width - 1, JSON.stringify([left, right]));
  // What is shown is what the server answers.
  for (const [place, version] of [[0, 1], [1, 2]]) {
    const form = new FormData();
    form.append('image', new Blob([file.buffer]), file.name);
    const asked = version === 1 ? '/classify?model=colors' : '/classify/version?model=colors&version=2';
    const { predictions } = (await (await fetch(server.address + asked, { method: 'POST', body: form })).json()).results[0];
    const shown = await views.nth(place).locator('.bar-value').first().innerText();
    assert.equal(shown, `${(100 * predictions[0].score).toFixed(1)}%`);
  }
  await assertAccessible(page, 'two versions side by side');

  await of.test('below 70% the words are "Not sure", with both classes that it may be', async () => {
    const halves = { name: 'halves.png', mimeType: 'image/png', buffer: striped(['red', 'blue']) };
    await page.getByLabel('Compare with').selectOption('');
    await page.locator('#try-files').setInputFiles([halves]);
    const card = page.locator('.answer').first();
    await card.locator('.bars').waitFor();
    const best = Number.parseFloat(await card.locator('.bar-value').first().innerText());
    const [first, second] = await card.locator('.bar-label').allInnerTexts();
    assert.ok(best < 70, `the picture is meant to be doubtful, and the model gives ${best}% to ${first}`);
    assert.equal(await card.getByRole('heading').innerText(), `Not sure: ${first} or ${second}`);
  });

  await of.test('what the model doubts has the reason below its heading, and what it is sure of has none', async () => {
    const ask = async (picture) => {
      const form = new FormData();
      form.append('image', new Blob([picture]), 'picture.png');
      const answer = await fetch(`${server.address}/classify?model=colors`, { method: 'POST', body: form });
      return (await answer.json()).results[0].uncertain;
    };
    const words = {
      low_score: 'Uncertain: at such a score too many answers for this class are wrong.',
      unfamiliar: 'Uncertain: the picture is unlike those that the model was trained on.',
    };
    const pictures = [colored('green', 220), ...[2, 4, 8, 16, 32].map((width) => striped(['red', 'blue', 'green'], width))];
    const seen = { doubted: 0, sure: 0 };
    for (const buffer of pictures) {
      const doubt = await ask(buffer);
      await page.getByRole('button', { name: 'Clear the answers' }).click();
      await page.locator('#try-files').setInputFiles([{ name: 'picture.png', mimeType: 'image/png', buffer }]);
      const card = page.locator('.answer').first();
      await card.locator('.bars').waitFor();
      const shown = await card.getByText(/^Uncertain: /).allInnerTexts();
      assert.deepEqual(shown, doubt ? [words[doubt]] : []);
      assert.equal(await card.locator('h2.unsure').count(), doubt ? 1 : await card.getByRole('heading', { name: /^Not sure/ }).count());
      seen[doubt ? 'doubted' : 'sure'] += 1;
    }
    assert.ok(seen.doubted > 0 && seen.sure > 0, JSON.stringify(seen));
  });
  assertCalm(page);
});
