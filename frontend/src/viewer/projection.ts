import type { Camera } from './manifest';

export interface Size {
  width: number;
  height: number;
}

/** Where a photo lies in a viewport that shows all of it, centred: scale and top-left corner. */
export function contain(photo: Size, viewport: Size): { scale: number; x: number; y: number } {
  const scale = Math.min(viewport.width / photo.width, viewport.height / photo.height);
  return {
    scale,
    x: (viewport.width - scale * photo.width) / 2,
    y: (viewport.height - scale * photo.height) / 2,
  };
}

/**
 * The photo's camera as a projection onto a viewport that shows the whole photo, centred in what
 * `covered` pixels at the bottom leave free.
 *
 * With the eye at the photo's camera a point lands exactly on its pixel of the photo.
 * Returns OpenGL's 4×4 matrix, column by column, and the vertical field of view in degrees.
 */
export function photoProjection(
  camera: Camera,
  viewport: Size,
  near: number,
  far: number,
  covered = 0,
): { matrix: number[]; fov: number } {
  const { width, height } = viewport;
  const { scale, x, y } = contain(camera, { width, height: Math.max(1, height - covered) });
  const cx = scale * camera.cx + x;
  const cy = scale * camera.cy + y;
  // prettier-ignore
  const matrix = [
    (2 * scale * camera.fx) / width, 0, 0, 0,
    0, (2 * scale * camera.fy) / height, 0, 0,
    1 - (2 * cx) / width, (2 * cy) / height - 1, -(far + near) / (far - near), -1,
    0, 0, (-2 * far * near) / (far - near), 0,
  ];
  const fov = (2 * Math.atan(height / (2 * scale * camera.fy)) * 180) / Math.PI;
  return { matrix, fov };
}

/** Half of a view's opening on each side of its axis, as slopes: x/z, y/z. */
export interface Opening {
  left: number;
  right: number;
  top: number;
  bottom: number;
}

/** What a projection sees above `covered` pixels at the bottom of a viewport. */
export function opening(matrix: readonly number[], viewport: Size, covered: number): Opening {
  const [sx = 1, sy = 1, ox = 0, oy = 0] = [matrix[0], matrix[5], matrix[8], matrix[9]];
  const floor = -1 + (2 * covered) / viewport.height;
  return {
    left: (1 - ox) / sx,
    right: (1 + ox) / sx,
    top: (1 + oy) / sy,
    bottom: -(floor + oy) / sy,
  };
}

/**
 * How far from the origin a camera must stand to have points in sight.
 *
 * The camera looks at the origin along −z; points are in its axes, with z towards it.
 */
export function fitDistance(
  points: readonly (readonly [number, number, number])[], view: Opening,
): number {
  let distance = 0;
  for (const [x, y, z] of points) {
    const across = Math.max(x / view.right, -x / view.left);
    const up = Math.max(y / view.top, -y / view.bottom);
    distance = Math.max(distance, z + Math.max(across, up));
  }
  return distance;
}

/**
 * Whether a matrix differs from another by more than rounding. A camera at the least or the
 * greatest distance is put there anew for each picture, to within the last digits.
 */
export function differs(before: readonly number[], after: readonly number[]): boolean {
  return before.some((value, k) => {
    const other = after[k] ?? value;
    return Math.abs(value - other) > 1e-9 * Math.max(1, Math.abs(value));
  });
}
