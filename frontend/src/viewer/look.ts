import { h, save } from '../ui/dom';
import type { LiveView } from './liveView';

const WIDTHS: readonly [number, string][] = [[0, 'as shown'], [1280, '1280 px'], [1920, '1920 px'], [3840, '3840 px']];

/** How the scene is looked at: against its photo, brighter, before a colour, over a grid. */
export function lookSection(view: LiveView): HTMLElement {
  const range = (id: string, label: string, most: number, value: number, act: (value: number) => void) => {
    const input = h('input', { type: 'range', id, min: 0, max: most, value });
    input.addEventListener('input', () => act(Number(input.value)));
    return h('div', { class: 'field brush' }, h('label', { for: id }, label), input);
  };
  const color = h('input', { type: 'color', id: 'look-color', value: '#8b9098' });
  color.addEventListener('input', () => view.stage.setBackground(color.value));
  const grid = h('input', { type: 'checkbox', id: 'look-grid' });
  grid.addEventListener('change', () => view.showGrid(grid.checked));
  const width = h('select', { id: 'look-width', 'aria-label': 'Width of the picture' },
    ...WIDTHS.map(([pixels, name]) => h('option', { value: pixels }, name)));
  const back = h('button', { type: 'button', class: 'button', onclick: () => view.stage.lookFrom(stored()) }, 'Go back to it');
  const place = `scenelift view ${view.source.manifest.fingerprint}`;
  const stored = (): number[] | null => {
    try {
      const numbers: unknown = JSON.parse(localStorage.getItem(place) ?? 'null');
      return Array.isArray(numbers) && numbers.length === 9 && numbers.every(Number.isFinite) ? (numbers as number[]) : null;
    } catch {
      return null;
    }
  };
  back.disabled = stored() === null;
  const keep = h('button', { type: 'button', class: 'button', onclick: () => {
    try {
      localStorage.setItem(place, JSON.stringify(view.stage.viewpoint));
    } catch {
      return; // this browser stores nothing for pages
    }
    back.disabled = false;
  } }, 'Keep this view');
  const picture = h('button', { type: 'button', class: 'button', onclick: () => {
    void view.stage.picture(Number(width.value) || undefined).then((blob) => save(blob, 'scene.png'));
  } }, 'Save a picture');
  return h('section', { class: 'look' },
    h('details', {},
      h('summary', {}, 'View'),
      view.source.manifest.files.some((f) => f.path === 'input.png') &&
        range('look-photo', 'From the scene to the photo', 100, 0, (value) => view.mixPhoto(value / 100)),
      range('look-bright', 'Brightness', 200, 100, (value) => view.stage.setBrightness(value / 100)),
      h('div', { class: 'look-row' },
        h('label', { class: 'check', for: 'look-grid' }, grid, 'Grid on the ground'),
        h('label', { class: 'check', for: 'look-color' }, color, 'Background')),
      h('div', { class: 'selection-tools' }, keep, back),
      h('div', { class: 'selection-tools' }, width, picture)));
}
