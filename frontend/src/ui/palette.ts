/**
 * Colours of objects, the same as in overlay.png: Okabe and Ito's (2008), told apart with every
 * common colour blindness, without the two that vanish on photos.
 */
const PALETTE: readonly [number, number, number][] = [
  [86, 180, 233],
  [230, 159, 0],
  [0, 158, 115],
  [204, 121, 167],
  [213, 94, 0],
  [0, 114, 178],
];

export function objectColor(index: number): [number, number, number] {
  return PALETTE[index % PALETTE.length] ?? [86, 180, 233];
}

export function css([r, g, b]: [number, number, number], alpha = 1): string {
  return `rgb(${r} ${g} ${b} / ${alpha})`;
}
