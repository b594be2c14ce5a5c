import type { Bits } from './bits';

/** Masks as pictures to lay over a photo, and as places to click. */

const TINT = 0.42;

export interface MaskPicture {
  /** Tinted inside, solid on the outline. */
  picture: HTMLCanvasElement;
  /** Whether the mask covers a point; x and y in 0…1 of the photo. */
  covers(x: number, y: number): boolean;
  area: number;
}

/** A mask of the server's at another size. */
export async function loadBits(url: string, width: number, height: number): Promise<Bits> {
  const image = new Image();
  image.src = url;
  await image.decode();
  const context = contextOf(width, height);
  context.drawImage(image, 0, 0, width, height);
  const pixels = context.getImageData(0, 0, width, height);
  const data = new Uint8Array(width * height);
  for (let i = 0; i < data.length; i++) data[i] = (pixels.data[4 * i] ?? 0) > 127 ? 1 : 0;
  return { width, height, data };
}

export async function loadMask(
  url: string, color: [number, number, number], width: number, height: number,
): Promise<MaskPicture> {
  const { data: inside } = await loadBits(url, width, height);
  const context = contextOf(width, height);
  const pixels = new ImageData(width, height);
  paint(pixels.data, inside, width, height, color);
  context.putImageData(pixels, 0, 0);
  return {
    picture: context.canvas,
    covers: (x, y) => inside[Math.floor(y * height) * width + Math.floor(x * width)] === 1,
    area: inside.reduce((sum, v) => sum + v, 0),
  };
}

function contextOf(width: number, height: number): CanvasRenderingContext2D {
  const canvas = document.createElement('canvas');
  canvas.width = width;
  canvas.height = height;
  const context = canvas.getContext('2d', { willReadFrequently: true });
  if (!context) throw new Error('This browser draws no pictures.');
  return context;
}

/** Fill RGBA pixels from a mask: the colour, opaque within `line` pixels of the outline. */
export function paint(
  rgba: Uint8ClampedArray, inside: Uint8Array, width: number, height: number,
  [r, g, b]: [number, number, number],
): void {
  const line = Math.max(1, Math.round(Math.max(width, height) / 500));
  const at = (x: number, y: number) =>
    x >= 0 && y >= 0 && x < width && y < height ? inside[y * width + x] : 0;
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const i = y * width + x;
      const edge =
        inside[i] &&
        !(at(x - line, y) && at(x + line, y) && at(x, y - line) && at(x, y + line));
      rgba[4 * i] = r;
      rgba[4 * i + 1] = g;
      rgba[4 * i + 2] = b;
      rgba[4 * i + 3] = inside[i] ? (edge ? 255 : 255 * TINT) : 0;
    }
  }
}
