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
 * The photo's camera as a projection onto a viewport that shows the whole photo, centred.
 *
 * With the eye at the photo's camera a point lands exactly on its pixel of the photo.
 * Returns OpenGL's 4×4 matrix, column by column, and the vertical field of view in degrees.
 */
export function photoProjection(
  camera: Camera,
  viewport: Size,
  near: number,
  far: number,
): { matrix: number[]; fov: number } {
  const { scale, x, y } = contain(camera, viewport);
  const cx = scale * camera.cx + x;
  const cy = scale * camera.cy + y;
  const { width, height } = viewport;
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
