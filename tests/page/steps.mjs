// What a person does on the page, for tests that need it done.

import { join } from 'node:path';
import { visit } from './harness.mjs';
import { colorFolder } from './pictures.mjs';

/** Makes a data set by its button. */
export async function makeDataset(page, address, name) {
  await visit(page, address, 'data');
  await page.getByRole('button', { name: 'New data set' }).first().click();
  await page.getByLabel('Name', { exact: true }).fill(name);
  await page.getByRole('button', { name: 'Make it' }).click();
  await page.getByRole('heading', { name, level: 1 }).waitFor();
}

/** Adds a folder of pictures of colors, as a person who chooses a folder does. */
export async function addColors(page, server, count) {
  const folder = colorFolder(join(server.folder, `colors-${count}`), count);
  await page.locator('#add-folder').setInputFiles(folder);
  await page.getByText(`${3 * count} added`).waitFor();
}

/** Adds a network from a file. */
export async function addModel(page, server, file, name) {
  await visit(page, server.address, 'serve/add');
  await page.locator('#add-file').setInputFiles(file);
  await page.getByLabel('Name', { exact: true }).fill(name);
  await page.getByRole('button', { name: 'Add a model from a file' }).click();
  await page.getByRole('heading', { name, level: 1 }).waitFor();
}

/** Starts the fine-tune that the form describes, and waits until it is done. */
export async function train(page) {
  await page.getByRole('button', { name: 'Start', exact: true }).click();
  await page.getByRole('heading', { name: /has a version/ }).waitFor();
}

/** A data set `colors` of 36 pictures, and a model of that name with so many versions, of which the first answers. */
export async function trainedColors(page, server, network, { versions = 1 } = {}) {
  await addModel(page, server, network, 'tiny');
  await makeDataset(page, server.address, 'colors');
  await addColors(page, server, 12);
  for (let version = 1; version <= versions; version += 1) {
    await visit(page, server.address, 'train/new/colors');
    if (version > 1) await page.getByLabel('When it is ready').selectOption('none');
    await train(page);
  }
}

/** Drops files and folders of this machine on a place of the page, as the window system does. */
export async function dropFiles(page, files, { x, y }) {
  const session = await page.context().newCDPSession(page);
  const data = { items: [], files, dragOperationsMask: 1 };
  for (const type of ['dragEnter', 'dragOver', 'drop']) await session.send('Input.dispatchDragEvent', { type, x, y, data });
  await session.detach();
}

/** Presses Tab until what is so called has the focus. */
export async function tabTo(page, name) {
  const focused = () => page.evaluate(() => {
    const element = document.activeElement;
    const label = element?.getAttribute('aria-label') ?? (element?.labels?.length ? element.labels[0].textContent : element?.textContent);
    return (label ?? '').trim();
  });
  for (let left = 80; left > 0; left -= 1) {
    const now = await focused();
    if (name instanceof RegExp ? name.test(now) : now === name) return;
    await page.keyboard.press('Tab');
  }
  throw new Error(`Tab does not reach ${name}`);
}

/** The numbers of pictures in the classes, by their names. */
export async function counts(page) {
  const columns = await page.locator('.column').all();
  const pairs = await Promise.all(columns.map(async (column) => [await column.locator('h2').innerText(), Number((await column.locator('.column-head .number').innerText()).replaceAll(',', ''))]));
  return Object.fromEntries(pairs);
}
