// What holds for every room: the public interface, the security policy, every width, motion, charts.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { assertAccessible, assertCalm, openBrowser, openPage, Server, TOO_LONG, visit } from './harness.mjs';
import { colored } from './pictures.mjs';
import { train, trainedColors } from './steps.mjs';

const NETWORK = process.env.NETWORK;
const ROOMS = ['try', 'data', 'data/colors', 'train', 'train/new/colors', 'look', 'serve', 'serve/colors', 'serve/add', 'feedback'];
let browser;

before(async () => {
  browser = await openBrowser();
});
after(() => browser?.close());

test('every room keeps to the rules', { timeout: TOO_LONG }, async (of) => {
  const server = await Server.start({ options: ['--collect', 'corrected'] });
  of.after(() => server.remove());
  const asked = new Map();
  const page = await openPage(browser);
  page.on('request', (request) => asked.set(`${request.method()} ${request.url()}`, request));
  await trainedColors(page, server, NETWORK, { versions: 2 });

  await of.test('the page asks for nothing that the description does not offer', async () => {
    for (const room of ROOMS) await visit(page, server.address, room);
    await visit(page, server.address, 'try/colors');
    await page.locator('#try-files').setInputFiles([{ name: 'red.png', mimeType: 'image/png', buffer: colored('red', 500) }]);
    await page.locator('.answer .bars').waitFor();
    await page.getByRole('button', { name: 'Why?' }).click();
    await page.getByRole('img', { name: /Heat map/ }).waitFor();
    const { paths } = await server.get('/openapi.json');
    const offered = Object.entries(paths).flatMap(([path, operations]) =>
      Object.keys(operations).map((method) => new RegExp(`^${method} ${path.replaceAll('.', '\\.').replace(/\{[^}]+\}/g, '[^/]+')}$`, 'i')));
    const own = /^GET (\/|\/ui\/[0-9a-f]{16}\/.*)$/;
    const requests = [...asked.values()].filter((request) => !request.url().startsWith('blob:'))
      .map((request) => `${request.method()} ${new URL(request.url()).pathname}`).filter((request) => !own.test(request));
    assert.ok(new Set(requests).size > 15, `${new Set(requests).size} requests`);
    assert.deepEqual(requests.filter((request) => !offered.some((each) => each.test(request))), []);
    assert.ok([...asked.values()].every((request) => request.url().startsWith(server.address) || request.url().startsWith('blob:')));
  });

  await of.test('nothing runs but the files of the server', async () => {
    const answer = await fetch(`${server.address}/`);
    const policy = answer.headers.get('content-security-policy');
    assert.match(policy, /default-src 'none'/);
    assert.match(policy, /script-src 'self';/);
    assert.match(policy, /style-src 'self';/);
    assert.doesNotMatch(policy, /unsafe/);
    // The browser takes it seriously.
    await visit(page, server.address, 'try');
    const ran = await page.evaluate(() => {
      const script = document.createElement('script');
      try {
        script.textContent = 'globalThis.inlineRan = true;';
        document.body.append(script);
      } catch {
        return 'refused';
      }
      return globalThis.inlineRan ?? 'refused';
    });
    assert.equal(ran, 'refused');
    page.problems = page.problems.filter((problem) => !/Content Security Policy|TrustedScript|This document requires/.test(problem));
  });

  await of.test('no room is wider than a screen from 320 px to 4K, and lines stay readable', async () => {
    for (const [width, height] of [[320, 640], [768, 1024], [1280, 800], [3840, 2160]]) {
      const screen = await openPage(browser, { viewport: { width, height } });
      for (const room of ROOMS) {
        await visit(screen, server.address, room);
        const wide = await screen.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
        assert.equal(wide, 0, `${room} at ${width} px`);
        const longest = await screen.evaluate(() => Math.max(0, ...[...document.querySelectorAll('main p')].map((element) => element.getBoundingClientRect().width)));
        assert.ok(longest <= 900, `a paragraph of ${longest} px in ${room} at ${width} px`);
      }
      assertCalm(screen);
      await screen.context().close();
    }
  });

  await of.test('axe finds nothing in light and dark', async () => {
    for (const colorScheme of ['light', 'dark']) {
      const screen = await openPage(browser, { colorScheme });
      for (const room of [...ROOMS, 'look/colors/2', 'try/colors/colors@2']) {
        await visit(screen, server.address, room);
        await assertAccessible(screen, `${room}, ${colorScheme}`);
      }
      assertCalm(screen);
      await screen.context().close();
    }
  });

  await of.test('nothing moves for people who want none of it', async () => {
    for (const [reducedMotion, some] of [['reduce', false], ['no-preference', true]]) {
      const screen = await openPage(browser, { reducedMotion });
      await visit(screen, server.address, 'try/colors');
      await screen.locator('#try-files').setInputFiles([{ name: 'red.png', mimeType: 'image/png', buffer: colored('red', 501) }]);
      await screen.locator('.answer .bars').waitFor();
      const moving = await screen.evaluate(() => [...document.querySelectorAll('*')].filter((element) => {
        const style = getComputedStyle(element);
        return style.animationName !== 'none' || style.transitionDuration !== '0s' || style.scrollBehavior === 'smooth';
      }).length);
      assert.equal(moving > 0, some, `${moving} elements move with ${reducedMotion}`);
      await screen.context().close();
    }
  });

  await of.test('each chart has a name that says what it shows, and its numbers in a table', async () => {
    await visit(page, server.address, 'look/colors/2');
    await page.locator('figcaption', { hasText: 'Versions over time' }).waitFor();
    const charts = page.locator('figure', { has: page.locator('svg[role=img]') });
    const count = await charts.count();
    assert.ok(count >= 2, `${count} charts`);
    for (const chart of await charts.all()) {
      const title = await chart.locator('figcaption').innerText();
      const name = await chart.locator('svg[role=img]').getAttribute('aria-label');
      assert.ok(name.startsWith(`${title}. `) && name.length > title.length + 10, name);
      await chart.getByText('The numbers as a table').click();
      const table = chart.getByRole('table', { name: title });
      const rows = await table.getByRole('row').count();
      assert.ok(rows > 1, `${title}: ${rows} rows`);
    }
    await assertAccessible(page, 'charts with their tables open');
  });

  await of.test('the report has what the report of the server has', async () => {
    const report = await (await fetch(`${server.address}/models/colors/versions/2/report`, { headers: { accept: 'application/json' } })).json();
    const table = page.getByRole('region', { name: 'Classes', exact: true }).getByRole('row');
    assert.equal(await table.count(), report.labels.length + 1);
    for (const [at, label] of report.labels.entries()) {
      const cells = await table.filter({ has: page.getByRole('rowheader', { name: label, exact: true }) }).getByRole('cell').allInnerTexts();
      assert.equal(cells.at(-1), String(report.test.classes[at].support));
    }
    const matrix = await page.locator('table.matrix tbody tr').evaluateAll((rows) => rows.map((row) => [...row.querySelectorAll('td')].map((cell) => Number(cell.querySelector('button, .visually-hidden').textContent))));
    assert.deepEqual(matrix, report.test.confusion);
    assert.equal(await page.getByRole('heading', { name: 'Worst mistakes' }).count(), report.answers.mistakes.length > 0 ? 1 : 0);
    assert.equal(await page.getByRole('heading', { name: 'Most uncertain answers' }).count(), report.answers.uncertain.length > 0 ? 1 : 0);
  });

  await of.test('a test picture with a wrong label is the worst mistake, and is shown', async () => {
    const form = new FormData();
    form.set('label', 'blue');
    form.set('image', new Blob([colored('red', 777)]), 'red-called-blue.png');
    assert.ok((await fetch(`${server.address}/datasets/colors/images`, { method: 'POST', body: form })).ok);
    const { data } = await server.get('/datasets/colors/images?limit=100');
    const tested = data.filter(({ file_name: name }) => name === 'red-called-blue.png' || /-[0-2]\.png$/.test(name)).map(({ id }) => id);
    assert.ok(tested.length > 3, `${tested.length} pictures to test with`);
    const moved = await fetch(`${server.address}/datasets/colors/move`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ images: tested, subset: 'test' }) });
    assert.ok(moved.ok, await moved.text());
    await visit(page, server.address, 'train/new/colors');
    await page.getByLabel('When it is ready').selectOption('none');
    await train(page);

    await visit(page, server.address, 'look/colors/3');
    const mistakes = page.locator('section', { has: page.getByRole('heading', { name: 'Worst mistakes' }) }).getByRole('listitem');
    await mistakes.first().waitFor();
    assert.equal(await mistakes.count(), 1);
    const text = await mistakes.innerText();
    assert.match(text, /Is blue/);
    assert.match(text, /red-called-blue\.png/);
    assert.match(text, /Taken for red/);
    await mistakes.scrollIntoViewIfNeeded();
    await page.waitForFunction(() => [...document.querySelectorAll('.pictures img')].some((image) => image.complete && image.naturalWidth > 0));
  });
  assertCalm(page);
});
