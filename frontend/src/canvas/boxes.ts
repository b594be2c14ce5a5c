import type { Box } from '../api/types';

export interface Point {
  x: number;
  y: number;
}

/** Sides shorter than this share of the photo's longer side are a slip of the hand, not a box. */
const SMALLEST = 0.015;

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

/** Move (or, with `resize`, move only the lower right corner of) a box, staying in the photo. */
export function nudge(
  box: Box, dx: number, dy: number, width: number, height: number, resize: boolean,
): Box {
  const [x0, y0, x1, y1] = box;
  if (resize) {
    const least = SMALLEST * Math.max(width, height);
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
