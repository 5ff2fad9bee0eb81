/** Texts in the reader's language, and numbers as the reader writes them. */

/** @type {Record<string, string>} */
let texts = {};
let language = 'en';
/** @type {Intl.PluralRules} */
let plurals = new Intl.PluralRules('en');

/** @param {string} lang */
export async function loadTexts(lang) {
  language = lang;
  plurals = new Intl.PluralRules(lang);
  const response = await fetch(new URL(`strings/${lang}.json`, import.meta.url));
  texts = await response.json();
}

/**
 * The text of a key; `{name}` in it becomes the value of `name`. With a number `n` the form of the key for that number is
 * taken, where there is one.
 * @param {string} key
 * @param {Record<string, string | number>} [values]
 * @returns {string}
 */
export function t(key, values) {
  const count = values?.n;
  const form = typeof count === 'number' ? texts[`${key}.${plurals.select(count)}`] : undefined;
  const text = form ?? texts[key];
  if (text === undefined) return key;
  return text.replace(/\{(\w+)\}/g, (whole, name) => {
    const value = values?.[name];
    if (value === undefined) return whole;
    return typeof value === 'number' ? number(value) : value;
  });
}

/** @param {string} key */
export function has(key) {
  return key in texts;
}

/**
 * @param {number} value
 * @param {Intl.NumberFormatOptions} [options]
 */
export function number(value, options) {
  return new Intl.NumberFormat(language, options).format(value);
}

/**
 * A share as a percentage.
 * @param {number | null | undefined} share
 * @param {number} [digits]
 */
export function percent(share, digits = 1) {
  if (share === null || share === undefined || !Number.isFinite(share)) return '–';
  return number(share, { style: 'percent', minimumFractionDigits: digits, maximumFractionDigits: digits });
}

/** @param {number} count */
export function bytes(count) {
  const units = ['byte', 'kilobyte', 'megabyte', 'gigabyte', 'terabyte'];
  let [value, unit] = [count, 0];
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return number(value, { style: 'unit', unit: units[unit], unitDisplay: 'short', maximumFractionDigits: value < 10 && unit > 0 ? 1 : 0 });
}

/** @param {number} seconds */
export function duration(seconds) {
  const unit = (/** @type {number} */ value, /** @type {string} */ name) =>
    number(value, { style: 'unit', unit: name, unitDisplay: 'short', maximumFractionDigits: 0 });
  if (seconds < 1) return t('time.under_second');
  if (seconds < 90) return unit(Math.round(seconds), 'second');
  const minutes = Math.round(seconds / 60);
  if (minutes < 90) return unit(minutes, 'minute');
  return `${unit(Math.floor(minutes / 60), 'hour')} ${unit(minutes % 60, 'minute')}`;
}

/** @param {string} timestamp */
export function date(timestamp) {
  return new Intl.DateTimeFormat(language, { dateStyle: 'medium', timeStyle: 'short' }).format(new Date(timestamp));
}
