// What a person does on the page, for tests that need it done.

import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { GRAFT, visit } from './harness.mjs';
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

/** Adds a network from a file: on the page, or by the command where the server takes none over HTTP. */
export async function addModel(page, server, file, name) {
  const { address } = server;
  if (!(await server.offers('post', '/models'))) {
    execFileSync(GRAFT, ['import', '--data-dir', server.data, file, '--name', name], { stdio: 'ignore' });
    await visit(page, address, 'serve');
    await page.getByRole('link', { name, exact: true }).waitFor();
    return;
  }
  await visit(page, address, 'serve/add');
  await page.locator('#add-file').setInputFiles(file);
  await page.getByLabel('Name', { exact: true }).fill(name);
  await page.getByRole('button', { name: 'Add a model from a file' }).click();
  await page.getByRole('heading', { name, level: 1 }).waitFor();
}

/** Starts the fine-tune that the form describes, and waits until it is done. */
export async function train(page) {
  await page.getByRole('button', { name: 'Start', exact: true }).click();
  await page.getByRole('heading', { name: /has a version/ }).waitFor({ timeout: 120000 });
}

/** The numbers of pictures in the classes, by their names. */
export async function counts(page) {
  const columns = await page.locator('.column').all();
  const pairs = await Promise.all(columns.map(async (column) => [await column.locator('h2').innerText(), Number(await column.locator('.column-head .number').innerText())]));
  return Object.fromEntries(pairs);
}
