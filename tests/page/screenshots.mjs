// Takes the pictures of docs/page.md: every room, light, dark and on a phone.
//
//     GRAFT=target/debug/graft node screenshots.mjs FOLDER ADDRESS DATASET MODEL [ROOM…]
//
// ADDRESS is that of a server with a data set and a model that was trained on it.

import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { openBrowser, openPage, visit } from './harness.mjs';

const [folder, address, dataset, model, ...only] = process.argv.slice(2);
const LOOKS = {
  light: { viewport: { width: 1280, height: 800 }, colorScheme: 'light' },
  dark: { viewport: { width: 1280, height: 800 }, colorScheme: 'dark' },
  phone: { viewport: { width: 390, height: 780 }, colorScheme: 'light' },
};
const QUALITY = 62;

/** Asks the model about some pictures of the data set, so that there is something to see. */
async function askAboutPictures(page) {
  const { data } = await (await fetch(`${address}/datasets/${dataset}/images?limit=1000`)).json();
  const chosen = [0.1, 0.35, 0.6, 0.9].map((place) => data[Math.floor(place * data.length)]);
  const files = await Promise.all(chosen.map(async ({ id, file_name: name }) => ({
    name: name ?? `${id.slice(0, 12)}.jpg`, mimeType: 'image/jpeg', buffer: Buffer.from(await (await fetch(`${address}/datasets/${dataset}/images/${id}`)).arrayBuffer()),
  })));
  await page.locator('#try-files').setInputFiles(files);
  await page.waitForFunction((count) => document.querySelectorAll('.answer .bars').length === count, files.length);
  await page.getByRole('button', { name: 'Why?' }).first().click();
  await page.locator('.why img').waitFor({ timeout: 5000 }).catch(() => {});
}

const ROOMS = {
  try: { path: `try/${model}`, prepare: askAboutPictures },
  data: { path: `data/${dataset}` },
  train: { path: `train/new/${dataset}`, prepare: (page) => page.getByText(/on this machine\./).waitFor() },
  look: { path: `look/${model}` },
  // The rate is that of two looks.
  serve: { path: `serve/${model}`, prepare: (page) => page.waitForFunction(() => !/^–/.test(document.querySelector('.tile b')?.textContent ?? '–')) },
  feedback: { path: 'feedback' },
};

const browser = await openBrowser();
mkdirSync(folder, { recursive: true });
for (const [look, options] of Object.entries(LOOKS)) {
  const page = await openPage(browser, options);
  const session = await page.context().newCDPSession(page);
  for (const [room, { path, prepare }] of Object.entries(ROOMS)) {
    if (only.length > 0 && !only.includes(room)) continue;
    await visit(page, address, path);
    await prepare?.(page);
    // Those in view: the others are not fetched yet.
    await page.waitForFunction(() => [...document.images].every((image) => image.getBoundingClientRect().top > innerHeight || (image.complete && image.src !== '')));
    await page.waitForTimeout(800);
    await page.evaluate(() => window.scrollTo(0, 0));
    const { data } = await session.send('Page.captureScreenshot', { format: 'webp', quality: QUALITY });
    writeFileSync(join(folder, `${room}-${look}.webp`), Buffer.from(data, 'base64'));
  }
  await page.context().close();
}
await browser.close();
