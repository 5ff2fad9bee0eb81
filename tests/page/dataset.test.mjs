// Data: pictures come in by folder and archive, are put in order by keyboard, and findings are mended by one click each.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { assertAccessible, assertCalm, openBrowser, openPage, Server, TOO_LONG, until, visit } from './harness.mjs';
import { colored, colorFolder, png } from './pictures.mjs';
import { addColors, addModel, counts, dropFiles, makeDataset, tabTo } from './steps.mjs';

const NETWORK = process.env.NETWORK;
/** More than a page of the list has, and more than are seen at once. */
const MANY = 2000;
let browser;

before(async () => {
  browser = await openBrowser();
});
after(() => browser?.close());

/** A picture of one color for each number; the smallest file there is. */
function dot(number) {
  return png(32, () => [number & 255, (number >> 8) & 255, 128]);
}

test('folders and archives are dragged in, by thousands', { timeout: TOO_LONG }, async (of) => {
  const server = await Server.start();
  of.after(() => server.remove());
  const page = await openPage(browser);

  await of.test('a folder with a folder for each class', async () => {
    await makeDataset(page, server.address, 'dropped');
    await dropFiles(page, [colorFolder(join(server.folder, 'garden'), 4)], { x: 640, y: 400 });
    await page.getByText('12 added').waitFor();
    await until('the classes', async () => Object.keys(await counts(page)).length === 3);
    assert.deepEqual(await counts(page), { blue: 4, green: 4, red: 4 });
  });

  await of.test('pictures on a class', async () => {
    const file = join(server.folder, 'one-more.png');
    writeFileSync(file, colored('red', 50));
    const box = await page.locator('.column', { hasText: 'red' }).boundingBox();
    await dropFiles(page, [file], { x: box.x + box.width / 2, y: box.y + box.height / 2 });
    await until('red has one more', async () => (await counts(page)).red === 5);
  });

  await of.test('a zip', async () => {
    await makeDataset(page, server.address, 'packed');
    colorFolder(join(server.folder, 'packed'), 5);
    execFileSync('python3', ['-m', 'zipfile', '-c', join(server.folder, 'packed.zip'), 'packed/'], { cwd: server.folder });
    await dropFiles(page, [join(server.folder, 'packed.zip')], { x: 640, y: 400 });
    await page.getByText('15 added').waitFor();
    await until('the classes', async () => Object.keys(await counts(page)).length === 3);
    assert.deepEqual(await counts(page), { blue: 5, green: 5, red: 5 });
  });

  await of.test('thousands of files show how far they are, and few of them are in the document', async () => {
    const folder = join(server.folder, 'many');
    for (const [place, name] of ['few', 'most'].entries()) {
      mkdirSync(join(folder, name), { recursive: true });
      for (let number = 0; number < (place === 0 ? 100 : MANY); number += 1) writeFileSync(join(folder, name, `${number}.png`), dot(10000 * place + number));
    }
    await makeDataset(page, server.address, 'many');
    const said = new Set();
    await page.exposeFunction('heard', (text) => said.add(text.replace(/[\d.,]+/g, '#')));
    await page.evaluate(() => new MutationObserver(() => {
      const line = document.querySelector('.upload span.muted');
      if (line) globalThis.heard(line.textContent);
    }).observe(document.querySelector('.uploads'), { childList: true, subtree: true, characterData: true }));
    await dropFiles(page, [folder], { x: 640, y: 400 });
    await page.getByText(`${(MANY + 100).toLocaleString('en')} added`).waitFor();
    assert.ok([...said].some((text) => text.startsWith('Reading # file')), [...said].join('; '));
    assert.ok([...said].some((text) => /^#.* of #.* sent/.test(text)), [...said].join('; '));
    const body = page.getByRole('listbox', { name: /^most/ });
    await until('the class is there', async () => (await counts(page)).most === MANY);
    // To the last one and back, by the wheel and by a key.
    await body.focus();
    await page.keyboard.press('End');
    const last = body.locator(`[aria-posinset="${MANY}"]`);
    await last.waitFor();
    await until('its thumbnail is shown', () => last.locator('img').evaluate((image) => image.complete && image.naturalWidth > 0));
    assert.equal(await body.getAttribute('aria-activedescendant'), await last.getAttribute('id'));
    const cells = await page.locator('.cell').count();
    assert.ok(cells < 150, `${cells} thumbnails of ${MANY + 100} are in the document`);
    of.diagnostic(`${cells} of ${MANY + 100} thumbnails are in the document`);
  });

  await of.test('a class of hundreds is found by its name', async () => {
    const folder = join(server.folder, 'classes');
    for (let number = 0; number < 200; number += 1) {
      const name = join(folder, `class-${String(number).padStart(3, '0')}`);
      mkdirSync(name, { recursive: true });
      writeFileSync(join(name, 'a.png'), dot(30000 + number));
    }
    await makeDataset(page, server.address, 'classes');
    await dropFiles(page, [folder], { x: 640, y: 400 });
    await page.getByText('200 added').waitFor();
    await until('the classes', async () => (await page.locator('.column').count()) === 200);
    await page.getByRole('searchbox', { name: 'Find a class' }).fill('-137');
    await until('one is left', async () => (await page.locator('.column:visible').count()) === 1);
    await assertAccessible(page, 'two hundred classes');
  });
  assertCalm(page);
});

test('a data set is made, filled and put in order by keyboard alone', { timeout: TOO_LONG }, async (of) => {
  const server = await Server.start();
  of.after(() => server.remove());
  const page = await openPage(browser);
  const { keyboard } = page;
  const folder = colorFolder(join(server.folder, 'colors'), 6);
  // Whoever uses the mouse here would not know that it is not needed.
  page.mouse.click = () => assert.fail('no mouse');
  page.on('filechooser', (chooser) => chooser.setFiles(folder));

  await of.test('it is made and filled', async () => {
    await visit(page, server.address, 'data');
    await tabTo(page, 'New data set');
    await keyboard.press('Enter');
    await keyboard.type('colors');
    await keyboard.press('Enter');
    await page.getByRole('heading', { name: 'colors', level: 1 }).waitFor();
    await tabTo(page, 'Add a folder');
    await keyboard.press('Enter');
    await page.getByText('18 added').waitFor();
    await until('the classes', async () => Object.keys(await counts(page)).length === 3);
  });

  await of.test('pictures are selected, get another class, and that is undone', async () => {
    await tabTo(page, /^red/);
    await keyboard.press('Space');
    await keyboard.press('Shift+ArrowRight');
    await keyboard.press('Shift+ArrowRight');
    await page.getByText('3 pictures selected').waitFor();
    await keyboard.press('l');
    await keyboard.type('green');
    await keyboard.press('Enter');
    await until('three go', async () => (await counts(page)).green === 9);
    await keyboard.press('Control+z');
    await until('they are back', async () => (await counts(page)).green === 6);
  });

  await of.test('they are moved to a subset by its letter, and that is undone', async () => {
    await tabTo(page, /^blue/);
    await keyboard.press('Control+a');
    await page.getByText('6 pictures selected').waitFor();
    await keyboard.press('m');
    await page.getByRole('dialog', { name: 'Move 6 pictures' }).waitFor();
    await assertAccessible(page, 'moving pictures');
    // From "drawn for each run", which they are, one up.
    await keyboard.press('ArrowUp');
    await keyboard.press('Enter');
    await page.getByText('6 pictures moved: test.').waitFor();
    const tested = async () => (await server.get('/datasets/colors/images?limit=1000')).data.filter(({ subset }) => subset === 'test').length;
    assert.equal(await tested(), 6);
    await keyboard.press('Control+z');
    await until('they are back', async () => (await tested()) === 0);
    // The keys that follow are for the cells that the page draws then.
    await until('the page shows it', async () => (await page.locator('.cell .subset').count()) === 0);
  });

  await of.test('they are removed, and that is undone', async () => {
    await tabTo(page, /^blue/);
    await keyboard.press('Space');
    await keyboard.press('Delete');
    await until('one goes', async () => (await counts(page)).blue === 5);
    await keyboard.press('Control+z');
    await until('it is back', async () => (await counts(page)).blue === 6);
    assert.equal((await server.get('/datasets/colors')).images, 18);
  });

  await of.test('one is opened in full, and the next, and closed again', async () => {
    await tabTo(page, /^green/);
    await keyboard.press('Enter');
    const dialog = page.getByRole('dialog', { name: 'green' });
    await dialog.getByText('1 of 6').waitFor();
    await keyboard.press('ArrowRight');
    await dialog.getByText('2 of 6').waitFor();
    await assertAccessible(page, 'a picture in full');
    await keyboard.press('Escape');
    await dialog.waitFor({ state: 'detached' });
    assert.match(await page.evaluate(() => document.activeElement?.getAttribute('aria-label') ?? ''), /^green/, 'the focus is where it was');
  });
  assertCalm(page);
});

test('each finding of the doctor is mended by one click', { timeout: TOO_LONG }, async (of) => {
  const server = await Server.start();
  of.after(() => server.remove());
  const page = await openPage(browser);
  await addModel(page, server, NETWORK, 'tiny');
  await makeDataset(page, server.address, 'colors');
  const folder = colorFolder(join(server.folder, 'colors'), 12);
  // The same picture as another file, in a class that it does not show.
  writeFileSync(join(folder, 'green', 'copy.png'), colored('red', 3, 0));
  // A red picture among the blue ones.
  writeFileSync(join(folder, 'blue', 'wrong.png'), colored('red', 90));
  writeFileSync(join(folder, 'red', 'tiny.png'), png(12, () => [200, 40, 40]));
  for (let seed = 100; seed < 130; seed += 1) writeFileSync(join(folder, 'green', `more-${seed}.png`), colored('green', seed));
  await page.locator('#add-folder').setInputFiles(folder);
  await page.getByText('69 added').waitFor();
  // A disk that forgets: one file is damaged behind the server's back.
  const images = join(server.data, 'datasets', 'colors', 'images');
  const files = readdirSync(images, { recursive: true }).map((name) => join(images, String(name))).filter((file) => statSync(file).isFile());
  const { data } = await server.get('/datasets/colors/images?label=green&limit=1000');
  const damaged = data.find(({ file_name: name }) => name.endsWith('more-129.png'));
  writeFileSync(files.find((file) => file.includes(damaged.id)), 'damaged');

  await page.getByRole('button', { name: 'Check', exact: true }).click();
  await page.getByText('69 pictures of 3 classes were read.').waitFor();
  await assertAccessible(page, 'findings');
  const of_ = (name) => page.getByRole('dialog').locator('section').filter({ has: page.getByRole('heading', { name }) });
  const stored = async () => (await server.get('/datasets/colors/images?limit=1000')).data;
  const names = async () => (await stored()).map(({ file_name: name, label }) => `${label}: ${name.split('/').pop()}`);
  /** Whoever goes on has not undone it. */
  const settled = () => page.locator('.notice').filter({ hasText: 'removed' }).getByRole('button', { name: 'Close' }).click();

  await of.test('a file that cannot be used is removed', async () => {
    const broken = of_(/^Files that cannot be used \(1\)/);
    await broken.getByRole('button', { name: 'Remove' }).click();
    await settled();
    await until('it is gone', async () => !(await names()).includes('green: more-129.png'));
  });

  await of.test('of two copies in two classes the right one is kept', async () => {
    const copies = of_(/^Copies \(1\)/);
    await copies.getByText('In several classes: at least one is wrong.').waitFor();
    await copies.getByRole('button', { name: /Keep.* red$/ }).click();
    await settled();
    await until('the copy is gone', async () => !(await names()).includes('green: copy.png'));
    assert.ok((await names()).includes('red: red-3.png'));
  });

  await of.test('a wrong class is put right', async () => {
    const wrong = of_(/^Classes that may be wrong/).locator('.finding').filter({ hasText: /blue .*rather red/ }).first();
    await wrong.getByRole('button', { name: 'It is red' }).click();
    await until('it is red', async () => (await names()).includes('red: wrong.png'));
  });

  await of.test('a tiny picture is removed', async () => {
    await of_(/^Tiny pictures \(1\)/).getByRole('button', { name: 'Remove' }).click();
    await settled();
    await until('it is gone', async () => !(await names()).includes('red: tiny.png'));
  });

  await of.test('classes of very different size are balanced in training', async () => {
    await of_('Classes of very different size').getByRole('link', { name: 'Train with balanced classes' }).click();
    assert.ok(await page.getByLabel('Let all classes count alike').isChecked());
    assert.equal(await page.getByLabel('Data set').inputValue(), 'colors');
  });

  await of.test('nothing is left to mend', async () => {
    const findings = await server.get('/datasets/colors/findings');
    assert.deepEqual([findings.bad_files, findings.copies, findings.tiny].map((list) => list.length), [0, 0, 0]);
  });
  assertCalm(page);
});
