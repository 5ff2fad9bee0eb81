/**
 * The options of a fine-tune, as the server's schema describes them: bounds, defaults and choices. What they are called and what
 * they mean is in the reader's language, and as the schema says it where an option is newer than the texts.
 */

import { h } from '../dom.js';
import { has, t } from '../text.js';

/** Options that the form has above, or that are no single value. */
const LEFT_OUT = ['strategy', 'bad_files', 'class_weights', 'max_megapixels'];

/** @typedef {{path: string, element: HTMLElement, read: () => any}} Field */

/**
 * Fields for all options; empty ones take their default.
 * @param {any} schema
 */
export function optionFields(schema) {
  const resolve = (/** @type {any} */ property) => {
    const name = property.$ref?.split('/').pop();
    return name ? { ...schema.$defs[name], ...property } : property;
  };
  /** @type {(type: any, prefix: string) => Field[]} */
  const fields = (type, prefix) => Object.entries(type.properties)
    .filter(([name]) => !LEFT_OUT.includes(name))
    .flatMap(([name, property]) => {
      const known = resolve(property);
      if (known.type === 'object') return fields(known, `${prefix}${name}.`);
      const input = field(`${prefix}${name}`, known);
      return input ? [input] : [];
    });
  // The options of the head, then those of the base's layers.
  const all = fields(schema.$defs.FinetuneOptions, '').sort((a, b) => Number(a.path.includes('.')) - Number(b.path.includes('.')));
  const element = h('div.option-fields', null, all.map((each) => each.element));
  /** What was set, as the request has it. */
  const value = () => {
    /** @type {Record<string, any>} */
    const options = {};
    for (const { path, read } of all) {
      const set = read();
      if (set === undefined) continue;
      const [outer, inner] = path.split('.');
      if (inner) options[outer] = { ...options[outer], [inner]: set };
      else options[outer] = set;
    }
    return options;
  };
  return { element, value };
}

/** @param {string} path @param {any} property @returns {Field | null} */
function field(path, property) {
  const id = `option-${path.replace('.', '-')}`;
  const title = has(`option.${path}`) ? t(`option.${path}`) : path.replace('.', ' · ').replaceAll('_', ' ');
  const told = has(`option.${path}.help`);
  const help = told ? t(`option.${path}.help`) : property.description?.split('\n').join(' ');
  const named = (/** @type {string} */ choice) => (has(`option.${path}.${choice}`) ? t(`option.${path}.${choice}`) : choice);
  /** @type {any} */
  let input;
  let read;
  if (property.enum) {
    input = h('select', { id, 'aria-describedby': `${id}-help` },
      h('option', { value: '' }, t('train.default', { value: named(String(property.default)) })),
      property.enum.map((/** @type {string} */ choice) => h('option', { value: choice }, named(choice))));
    read = () => input.value || undefined;
  } else if (property.type === 'integer' || property.type === 'number') {
    input = h('input', {
      type: 'number', id, min: property.minimum ?? property.exclusiveMinimum, max: property.maximum ?? property.exclusiveMaximum,
      step: property.type === 'integer' ? 1 : 'any', placeholder: String(property.default ?? ''), 'aria-describedby': `${id}-help`,
    });
    read = () => (input.value === '' ? undefined : Number(input.value));
  } else return null;
  const element = h('div.field', null, h('label', { for: id }, title), input, h('span.small-text', { id: `${id}-help`, lang: told ? null : 'en' }, help));
  return { path, element, read };
}
