// Measures how smoothly a class of thousands of thumbnails scrolls; docs/page.md has the figures.
//
//     GRAFT=target/debug/graft node scrolling.mjs ADDRESS DATASET CLASS [PIXELS-A-SECOND]
//
// ADDRESS is that of a server with the data set. A finger pulls the class down twice by the same way: the first pass fetches what
// it sees, the second finds it in the browser.

import { openBrowser, openPage, visit } from './harness.mjs';

const [address, dataset, label, speed = '2000'] = process.argv.slice(2);
/** How far a pass goes, in pixels. */
const WAY = 12000;

const browser = await openBrowser();
const page = await openPage(browser);
await visit(page, address, `data/${dataset}`);
const body = page.getByRole('listbox', { name: new RegExp(`^${label},`) });
await body.locator('img').first().waitFor();
await page.waitForTimeout(2000);
const box = await body.boundingBox();
const session = await page.context().newCDPSession(page);

/** Frames, the main thread's long tasks, and how many of the pictures in view were there, while the class is pulled. */
async function pass(name) {
  await body.evaluate((element) => {
    element.scrollTop = 0;
    const seen = { frames: [], long: 0, cells: 0, shown: 0, most: 0, on: true };
    globalThis.seen = seen;
    new PerformanceObserver((list) => { seen.long += list.getEntries().length; }).observe({ type: 'longtask' });
    let last = performance.now();
    const frame = (now) => {
      if (!seen.on) return;
      seen.frames.push(now - last);
      last = now;
      const view = element.getBoundingClientRect();
      const cells = [...element.querySelectorAll('.cell')];
      seen.most = Math.max(seen.most, cells.length);
      for (const cell of cells) {
        const place = cell.getBoundingClientRect();
        if (place.bottom < view.top || place.top > view.bottom) continue;
        seen.cells += 1;
        const image = cell.querySelector('img');
        if (image.complete && image.naturalWidth > 0) seen.shown += 1;
      }
      requestAnimationFrame(frame);
    };
    requestAnimationFrame(frame);
  });
  await session.send('Input.synthesizeScrollGesture', {
    x: box.x + box.width / 2, y: box.y + box.height / 2, yDistance: -WAY, speed: Number(speed), gestureSourceType: 'mouse', preventFling: true,
  });
  const { frames, long, cells, shown, most, way } = await body.evaluate((element) => {
    globalThis.seen.on = false;
    return { ...globalThis.seen, way: element.scrollTop };
  });
  frames.splice(0, 3);
  frames.sort((a, b) => a - b);
  const at = (share) => frames[Math.min(frames.length - 1, Math.floor(frames.length * share))].toFixed(1);
  console.log(`${name}: ${Math.round(way)} px in ${frames.length} frames, median ${at(0.5)} ms, 95% below ${at(0.95)} ms, longest ${at(1)} ms, `
    + `${long} tasks above 50 ms, ${(100 * shown / cells).toFixed(0)}% of the thumbnails in view were shown, at most ${most} in the document`);
}

await pass('first pass');
await pass('second pass');
console.log(`${await page.evaluate(() => document.querySelectorAll('*').length)} elements in the document`);
await browser.close();
