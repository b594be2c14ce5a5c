import type { OptionSchema, Options } from '../api/types';
import { h } from '../ui/dom';
import { count } from '../ui/format';

/** Those that have a place of their own in the form. */
const ELSEWHERE = ['quality', 'seed', 'max_objects'];

interface Field { element: HTMLElement; value: () => string }

/** Fields of every option of a job, as the server describes them; they start with its defaults. */
export function optionFields(options: Options): { element: HTMLElement; values: () => Record<string, string> } {
  const names = Object.keys(options).filter((name) => !ELSEWHERE.includes(name));
  const fields = new Map<string, Field>(names.map((name) => [name, optionField(name, options[name]!)]));
  const headings = [...new Set(names.map((name) => options[name]!.group))];
  const groups = headings.map((heading) => h('fieldset', {}, h('legend', {}, heading),
    ...names.filter((name) => options[name]!.group === heading).map((name) => fields.get(name)!.element)));
  noTextureWithColours(fields);
  return {
    element: h('div', { class: 'options' }, ...groups),
    // What is left as it was is not sent: the server knows its defaults.
    values: () => Object.fromEntries([...fields]
      .map(([name, field]) => [name, field.value()] as const)
      .filter(([name, value]) => value !== usual(options[name]!))),
  };
}

function noTextureWithColours(fields: Map<string, Field>): void {
  const colours = fields.get('vertex_colors')?.element.querySelector('input');
  const side = fields.get('texture_size')?.element.querySelector('select');
  if (!colours || !side) return;
  const follow = () => (side.disabled = colours.checked);
  colours.addEventListener('change', follow);
  follow();
}

function optionField(name: string, schema: OptionSchema): Field {
  const id = `option-${name}`;
  const [input, value] = control(name, id, schema);
  return { element: field(id, schema, input), value };
}

/** A field with the words that `scenelift run --help` has for it. */
export function field(id: string, schema: OptionSchema, input: HTMLElement): HTMLElement {
  input.setAttribute('aria-describedby', `${id}-help`);
  const help = h('small', { id: `${id}-help` }, schema.description);
  return input instanceof HTMLInputElement && input.type === 'checkbox'
    ? h('div', { class: 'field' }, h('label', { class: 'check', for: id }, input, schema.title), help)
    : h('div', { class: 'field' }, h('label', { for: id }, schema.title), input, help);
}

function control(name: string, id: string, schema: OptionSchema): [HTMLElement, () => string] {
  if (schema.type === 'boolean' && schema.default === null) {
    const words: [string, string][] = [['', 'as it suits'], ['true', 'yes'], ['false', 'no']];
    const select = h('select', { id }, ...words.map(([value, label]) => h('option', { value }, label)));
    return [select, () => select.value];
  }
  if (schema.type === 'boolean') {
    const box = h('input', { type: 'checkbox', id, checked: schema.default === true });
    return [box, () => String(box.checked)];
  }
  const input = name === 'texture_size' || schema.enum ? choice(id, schema) : entry(id, schema);
  return [input, () => input.value.trim()];
}

function choice(id: string, schema: OptionSchema): HTMLSelectElement {
  const choices: [string, string][] = schema.enum
    ? schema.enum.map((word) => [word, word])
    : sides(schema).map((n) => [String(n), `${count(n)} px`]);
  return h('select', { id }, ...choices.map(([value, label]) =>
    h('option', { value, selected: value === usual(schema) }, label)));
}

function entry(id: string, schema: OptionSchema): HTMLInputElement {
  const number = schema.type === 'integer' || schema.type === 'number';
  const input = h('input', {
    id, type: number ? 'number' : 'text', value: usual(schema), required: number && schema.default !== null,
    min: schema.minimum, max: schema.maximum, step: schema.type === 'number' ? 'any' : null,
    inputmode: schema.type === 'integer' ? 'numeric' : null, placeholder: schema.type === 'array' ? 'none' : null,
  });
  const least = schema.least_positive;
  if (least) {
    const check = () => {
      const few = input.value !== '' && Number(input.value) > 0 && Number(input.value) < least;
      input.setCustomValidity(few ? `Give ${least} or more, or 0 for all.` : '');
    };
    input.addEventListener('input', check);
  }
  return input;
}

/** The default as its field shows it. */
function usual({ default: value }: OptionSchema): string {
  return Array.isArray(value) ? value.join('; ') : value === null ? '' : String(value);
}

/** Powers of two within a range, and its default. */
export function sides({ minimum, maximum, default: standard }: Pick<OptionSchema, 'minimum' | 'maximum' | 'default'>): number[] {
  const lengths = new Set([Number(standard)]);
  for (let n = 1; n <= (maximum ?? 0); n *= 2) if (n >= (minimum ?? 1)) lengths.add(n);
  return [...lengths].sort((a, b) => a - b);
}
