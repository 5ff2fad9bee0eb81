/** Lines that classify a picture with a model of this server, as they stand. */

import { key } from '../api.js';
import { h } from '../dom.js';
import { notify } from '../notice.js';
import { t } from '../text.js';

/** @param {string} model */
function lines(model) {
  const url = `${location.origin}/classify?model=${encodeURIComponent(model)}`;
  const keyed = Boolean(key());
  const curl = ['curl', keyed && "-H \"Authorization: Bearer $GRAFT_KEY\"", '-F image=@picture.jpg', `'${url}'`].filter(Boolean).join(' ');
  const python = [
    keyed ? 'import os\nimport requests' : 'import requests', '',
    'with open("picture.jpg", "rb") as picture:',
    `    answer = requests.post("${url}", files={"image": picture}${keyed ? ', headers={"Authorization": "Bearer " + os.environ["GRAFT_KEY"]}' : ''})`,
    'answer.raise_for_status()',
    'for prediction in answer.json()["results"][0]["predictions"]:',
    '    print(f"{prediction[\'score\']:.1%} {prediction[\'label\']}")',
  ].join('\n');
  const javascript = [
    'import { readFile } from "node:fs/promises";', '',
    'const form = new FormData();',
    'form.append("image", new Blob([await readFile("picture.jpg")]), "picture.jpg");',
    `const answer = await fetch("${url}", { method: "POST", body: form${keyed ? ', headers: { authorization: `Bearer ${process.env.GRAFT_KEY}` }' : ''} });`,
    'if (!answer.ok) throw new Error(await answer.text());',
    'for (const { score, label } of (await answer.json()).results[0].predictions) console.log(score.toFixed(3), label);',
  ].join('\n');
  return { curl, Python: python, 'JavaScript (Node.js 18, .mjs)': javascript };
}

/** @param {string} model */
export function snippets(model) {
  return h('div.stack', null, Object.entries(lines(model)).map(([language, text]) => {
    const copy = async () => {
      try {
        await navigator.clipboard.writeText(text);
        notify(t('serve.copied'));
      } catch {
        notify(t('serve.not_copied'), { failed: true });
      }
    };
    return h('section', null,
      h('div.row', null, h('h3.grow', null, language), h('button.small', { type: 'button', 'aria-label': t('serve.copy_of', { language }), onclick: copy }, t('serve.copy'))),
      h('pre.code', { tabindex: 0 }, h('code', null, text)));
  }));
}
