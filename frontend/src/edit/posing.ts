/** Poses as people put them: degrees, per cent, upright, on the ground. */
import { Euler, Quaternion, Vector3 } from 'three';

import type { Manifest, Pose } from '../viewer/manifest';
import { reachAlong } from '../viewer/reach';

export function quaternionOf({ rotation: [w, x, y, z] }: Pose): Quaternion {
  return new Quaternion(x, y, z, w).normalize();
}

export function poseOf(position: Vector3, turn: Quaternion, scale: number): Pose {
  const q = turn.clone().normalize();
  if (q.w < 0) q.set(-q.x, -q.y, -q.z, -q.w);
  return { rotation: [q.w, q.x, q.y, q.z], translation: [position.x, position.y, position.z], scale };
}

/** Turns about the scene's x, y and z in degrees. */
export function degreesOf(pose: Pose): [number, number, number] {
  const { x, y, z } = new Euler().setFromQuaternion(quaternionOf(pose), 'XYZ');
  return [x, y, z].map((angle) => (angle * 180) / Math.PI) as [number, number, number];
}

export function turnedTo(pose: Pose, degrees: readonly number[]): Pose {
  const [x, y, z] = degrees.map((angle) => (angle * Math.PI) / 180) as [number, number, number];
  const turn = new Quaternion().setFromEuler(new Euler(x, y, z, 'XYZ'));
  return poseOf(new Vector3(...pose.translation), turn, pose.scale);
}

/**
 * Against gravity: as the scene tells it, where a floor was seen; else as most objects stand, whose own
 * y is up; else y of the photo.
 */
export function upOf(manifest: Manifest): Vector3 {
  if (manifest.up && manifest.levels?.length) return new Vector3(...manifest.up).normalize();
  const ups = manifest.objects.map((o) => new Vector3(0, 1, 0).applyQuaternion(quaternionOf(o.pose)));
  const mean = ups.reduce((sum, up) => sum.add(up), new Vector3());
  const agree = ups.length > 0 && mean.length() > 0.9 * ups.length;
  return agree ? mean.normalize() : new Vector3(0, 1, 0);
}

/** The pose with the object's own y turned up, by the shortest way. */
export function upright(pose: Pose, up: Vector3): Pose {
  const turn = quaternionOf(pose);
  const own = new Vector3(0, 1, 0).applyQuaternion(turn);
  const fix = new Quaternion().setFromUnitVectors(own, up);
  return poseOf(new Vector3(...pose.translation), fix.multiply(turn), pose.scale);
}

/** From where to where points of an object's frame reach along a direction of the scene. */
export function reach(points: Float32Array, pose: Pose, along: Vector3): [low: number, high: number] {
  const own = along.clone().applyQuaternion(quaternionOf(pose).invert()).multiplyScalar(pose.scale);
  const [low, high] = reachAlong(points, own), from = along.dot(new Vector3(...pose.translation));
  return [low + from, high + from];
}

/**
 * The height that an object is put on: of the levels that are known, the nearest; else where the
 * others stand (the middle one of them).
 */
export function groundFor(bottom: number, levels: readonly number[], others: readonly number[]): number | null {
  const heights = levels.length > 0 ? [...levels] : null;
  if (heights) return heights.sort((a, b) => Math.abs(a - bottom) - Math.abs(b - bottom))[0] ?? null;
  const sorted = [...others].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? null;
}

export function movedAlong(pose: Pose, direction: Vector3, by: number): Pose {
  const place = new Vector3(...pose.translation).addScaledVector(direction, by);
  return { ...pose, translation: [place.x, place.y, place.z] };
}
