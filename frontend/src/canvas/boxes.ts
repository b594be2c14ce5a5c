import type { Box } from '../api/types';

export interface Point {
  x: number;
  y: number;
}

/** Sides shorter than this share of the photo's longer side are a slip of the hand, not a box. */
const SMALLEST = 0.015;
/** One press of an arrow key moves by this share of it. */
const STEP = 1 / 60;
const DIRECTIONS: Record<string, readonly [number, number]> = {
  ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1],
};

/** The box between two corners of a drag, inside the photo; null where it is too small. */
export function boxOfDrag(from: Point, to: Point, width: number, height: number): Box | null {
  const clamp = (value: number, most: number) => Math.min(Math.max(value, 0), most);
  const box: Box = [
    clamp(Math.min(from.x, to.x), width),
    clamp(Math.min(from.y, to.y), height),
    clamp(Math.max(from.x, to.x), width),
    clamp(Math.max(from.y, to.y), height),
  ];
  const least = SMALLEST * Math.max(width, height);
  if (box[2] - box[0] < least || box[3] - box[1] < least) return null;
  return box.map((v) => Math.round(v * 10) / 10) as Box;
}

/**
 * A box after an arrow key, still in the photo: moved, or with `resize` its lower right corner.
 *
 * Null for other keys.
 */
export function nudge(
  key: string, box: Box, width: number, height: number, resize: boolean,
): Box | null {
  const direction = DIRECTIONS[key];
  if (!direction) return null;
  const side = Math.max(width, height);
  const [dx, dy] = [direction[0] * STEP * side, direction[1] * STEP * side];
  const [x0, y0, x1, y1] = box;
  if (resize) {
    const least = SMALLEST * side;
    return [
      x0, y0,
      Math.min(Math.max(x1 + dx, x0 + least), width),
      Math.min(Math.max(y1 + dy, y0 + least), height),
    ];
  }
  const moveX = Math.min(Math.max(dx, -x0), width - x1);
  const moveY = Math.min(Math.max(dy, -y0), height - y1);
  return [x0 + moveX, y0 + moveY, x1 + moveX, y1 + moveY];
}
