// Train: what is said before and while it goes on, and how it is stopped and goes on.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { assertAccessible, assertCalm, openBrowser, openPage, Server, TOO_LONG, until, visit } from './harness.mjs';
import { addColors, addModel, makeDataset } from './steps.mjs';

const NETWORK = process.env.NETWORK;
let browser;

before(async () => {
  browser = await openBrowser();
});
after(() => browser?.close());

/** Opens the form with a training that takes minutes: all layers, and far too many epochs. */
async function describeLongTraining(page, server) {
  await visit(page, server.address, 'train/new/colors');
  await page.getByRole('radio', { name: /^All layers/ }).check();
  await page.getByText('More options').click();
  await page.getByLabel('Epochs of the layers').fill('20000');
  // What is typed counts when the field is left.
  await page.keyboard.press('Tab');
}

/** The job that was made last. */
async function job(server) {
  return (await server.get('/finetune')).data[0];
}

test('a training is watched, paused, resumed and cancelled, and goes on when nobody looks', { timeout: TOO_LONG }, async (of) => {
  const server = await Server.start();
  of.after(() => server.remove());
  let page = await openPage(browser);
  await addModel(page, server, NETWORK, 'tiny');
  await makeDataset(page, server.address, 'colors');
  await addColors(page, server, 12);
  const state = (name) => until(name, async () => (await job(server)).state === name);
  const button = (name) => page.getByRole('button', { name, exact: true });
  /** How many epochs the curve has, which the table behind it tells. */
  const epochs = () => page.locator('figure', { hasText: 'Loss' }).first().locator('tbody tr').count();

  await of.test('the time is that of what is described', async () => {
    await visit(page, server.address, 'train/new/colors');
    const estimate = () => page.locator('.estimate strong').innerText();
    await page.getByText(/on this machine\./).waitFor();
    const short = await estimate();
    await describeLongTraining(page, server);
    await until('the estimate is made anew', async () => /(min|hr)/.test(await estimate().catch(() => '')));
    assert.notEqual(await estimate(), short);
    await page.getByText('Where the time goes').click();
    await page.getByRole('rowheader', { name: 'Training layers of the base' }).waitFor();
  });

  await of.test('curves, speed and time left are shown as it goes', async () => {
    await button('Start').click();
    await page.getByText(/Training layers of the base: [\d,]+ of [\d,]+ · [\d.,]+ images a second · .+ left/).waitFor();
    await until('there is a curve', async () => (await epochs()) > 2);
    const before = await epochs();
    await until('it grows', async () => (await epochs()) > before);
    await page.getByText('runs', { exact: true }).waitFor();
    await assertAccessible(page, 'a training that runs');
  });

  await of.test('it is paused, also for a server that ends meanwhile, and resumed', async () => {
    await button('Pause').click();
    await page.getByText('It goes on from its checkpoint when you resume it.').waitFor();
    await state('paused');
    await assertAccessible(page, 'a training that is paused');
    await server.end('SIGKILL');
    await server.run();
    await page.reload();
    await page.waitForSelector('.room[data-ready]');
    const { done } = (await job(server)).progress ?? { done: 0 };
    await button('Resume').click();
    await state('running');
    await page.getByText(/images a second/).waitFor();
    await until('it goes on where it was', async () => ((await job(server)).progress?.done ?? 0) >= done);
  });

  await of.test('a tab that is closed changes nothing, and a new one shows what was missed', async () => {
    const { done } = (await job(server)).progress;
    const { id } = await job(server);
    const context = page.context();
    await page.close();
    await until('it goes on', async () => (await job(server)).progress.done > done);
    page = await context.newPage();
    page.problems = [];
    await visit(page, server.address, 'train');
    await page.getByRole('progressbar').waitFor();
    await page.getByRole('link', { name: 'colors' }).click();
    await page.getByText(/images a second/).waitFor();
    assert.ok(page.url().endsWith(id));
    await until('the curve is there from its beginning', async () => {
      const rows = page.locator('figure', { hasText: 'Loss' }).first().locator('tbody th');
      return (await rows.count()) > 2 && Number(await rows.first().evaluate((cell) => cell.textContent)) <= 1;
    });
  });

  await of.test('it is cancelled, and nothing is published', async () => {
    await button('Cancel').click();
    await page.getByText('It was cancelled, and nothing was published.').waitFor();
    await state('cancelled');
    assert.equal((await server.get('/models')).data.some(({ name }) => name === 'colors'), false);
    await button('Try again').waitFor();
    await assertAccessible(page, 'a training that was cancelled');
  });

  await of.test('one that waits for another is cancelled before it begins', async () => {
    for (let count = 0; count < 2; count += 1) {
      await describeLongTraining(page, server);
      await button('Start').click();
      await page.getByRole('status').getByText(/^(runs|waits)$/).waitFor();
    }
    await page.getByText('Waits for its turn. You can close this page.').waitFor();
    await button('Cancel').click();
    await page.getByText('It was cancelled, and nothing was published.').waitFor();
    await visit(page, server.address, 'train');
    await page.getByRole('article').filter({ hasText: 'runs' }).getByRole('link').click();
    await button('Cancel').click();
    await page.getByText('It was cancelled, and nothing was published.').waitFor();
  });
  assertCalm(page);
});

test('every option of a training has a field with an explanation, in each language or as the schema says it', { timeout: TOO_LONG }, async (of) => {
  const server = await Server.start();
  of.after(() => server.remove());
  const { $defs: types } = await server.get('/finetune/schema');
  const resolve = (property) => ({ ...types[property.$ref?.split('/').pop()], ...property });
  const paths = (type, above) => Object.entries(type.properties).flatMap(([name, property]) => {
    const known = resolve(property);
    return known.type === 'object' ? paths(known, `${above}${name}.`) : [[`${above}${name}`, known]];
  });
  // What the form asks otherwise, or not at all.
  const elsewhere = ['strategy', 'bad_files', 'class_weights', 'max_megapixels'];
  const options = paths(types.FinetuneOptions, '').filter(([path]) => !elsewhere.includes(path));
  assert.ok(options.length > 15);
  const page = await openPage(browser);
  await addModel(page, server, NETWORK, 'tiny');
  await makeDataset(page, server.address, 'colors');
  await addColors(page, server, 2);
  await page.context().close();
  for (const [locale, more] of [['en-US', 'More options'], ['zh-CN', '更多选项']]) {
    const reader = await openPage(browser, { locale });
    const strings = reader.waitForResponse(/strings\/\w+\.json/).then((answer) => answer.json());
    await visit(reader, server.address, 'train/new/colors');
    const texts = await strings;
    await reader.getByText(more).click();
    for (const [path, { enum: choices = [], description }] of options) {
      // An option that is newer than the texts is called as the schema calls it.
      const field = reader.getByLabel(texts[`option.${path}`] ?? path.replace('.', ' · ').replaceAll('_', ' '), { exact: true });
      assert.equal(await field.count(), 1, `${locale}: ${path}`);
      const help = texts[`option.${path}.help`] ?? description.split('\n').join(' ');
      await reader.getByText(help, { exact: true }).first().waitFor();
      for (const choice of choices) {
        const named = texts[`option.${path}.${choice}`] ?? choice;
        assert.equal(await field.getByText(named, { exact: true }).count(), 1, `${locale}: ${path} = ${choice}`);
      }
    }
    await assertAccessible(reader, `the options, ${locale}`);
    assertCalm(reader);
  }
});
