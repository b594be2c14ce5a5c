import { Box3, type Matrix4, Vector3 } from 'three';

/**
 * From where to where points reach along a direction. Points are x, y, z by turns; asked for at each
 * move of a drag, so nothing is made for any of them.
 */
export function reachAlong(points: Float32Array, { x, y, z }: Vector3): [low: number, high: number] {
  let low = Infinity, high = -Infinity;
  for (let k = 0; k + 2 < points.length; k += 3) {
    const at = points[k]! * x + points[k + 1]! * y + points[k + 2]! * z;
    if (at < low) low = at;
    if (at > high) high = at;
  }
  return [low, high];
}

/** The box along the scene's axes around points that a matrix puts there. */
export function boundsOf(points: Float32Array, matrix: Matrix4): Box3 {
  const box = new Box3(), row = new Vector3(), place = new Vector3().setFromMatrixPosition(matrix);
  const rows = matrix.clone().transpose();
  for (let axis = 0; axis < 3; axis++) {
    const [low, high] = reachAlong(points, row.setFromMatrixColumn(rows, axis));
    box.min.setComponent(axis, low + place.getComponent(axis));
    box.max.setComponent(axis, high + place.getComponent(axis));
  }
  return box;
}
