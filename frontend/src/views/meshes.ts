import type { Config, MeshWishes, Range } from '../api/types';
import { h } from '../ui/dom';
import { count } from '../ui/format';

/** What becomes of the meshes; starts with what the server takes for granted. */
export function meshFields({ faces, texture_size, vertex_colors }: Config['meshes']): {
  element: HTMLElement; wishes: () => MeshWishes;
} {
  const most = h('input', {
    id: 'faces', type: 'number', required: true, inputmode: 'numeric',
    min: faces.minimum, max: faces.maximum, value: faces.default,
  });
  const side = h('select', { id: 'texture' }, ...sides(texture_size).map((n) =>
    h('option', { value: n, selected: n === texture_size.default }, `${count(n)} px`)));
  const colors = h('input', { type: 'checkbox', id: 'colors', checked: vertex_colors.default });
  const noTexture = () => (side.disabled = colors.checked);
  colors.addEventListener('change', noTexture);
  noTexture();
  const element = h('fieldset', {},
    h('legend', {}, 'Mesh of an object'),
    h('div', { class: 'pair' },
      h('div', { class: 'field' }, h('label', { for: 'faces' }, 'Most faces'), most),
      h('div', { class: 'field' }, h('label', { for: 'texture' }, 'Texture'), side)),
    h('label', { class: 'check', for: 'colors' }, colors, 'Vertex colours, no texture'));
  return {
    element,
    wishes: () => ({
      faces: Number(most.value), texture_size: Number(side.value), vertex_colors: colors.checked,
    }),
  };
}

/** Powers of two within a range, and its default. */
export function sides({ minimum, maximum, default: usual }: Range): number[] {
  const found = new Set([usual]);
  for (let n = 1; n <= maximum; n *= 2) if (n >= minimum) found.add(n);
  return [...found].sort((a, b) => a - b);
}
