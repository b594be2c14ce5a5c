/** The parts of `scene.json` (docs/scene.schema.json) that the viewer reads. */
export interface Manifest {
  /** Of the run that made it. */
  fingerprint: string;
  generator: string;
  prompt: { phrases: string[] };
  seed: number;
  quality: string;
  units: string;
  camera: Camera;
  scene_from_camera: number[][];
  objects: SceneObject[];
  /** Against gravity, and the heights of what the photo shows of floor and table tops. */
  up?: [number, number, number];
  levels?: number[];
  failed: { index: number; label: string; reason: string }[];
  notes: string[];
  files: SceneFile[];
  /** What was changed by hand after the run. */
  edited?: { scale: number | null } | null;
}

/** Pinhole camera of input.png, in pixels; at the origin of its frame, looking along −z, y up. */
export interface Camera {
  fx: number;
  fy: number;
  cx: number;
  cy: number;
  width: number;
  height: number;
}

export interface SceneObject {
  index: number;
  name: string;
  label: string;
  score: number;
  pose: Pose;
  notes: string[];
  gaussians: number;
  faces: number;
  files: { mask?: string; splats?: string; mesh?: string };
}

/** scene_from_object; the quaternion is w, x, y, z. */
export interface Pose {
  rotation: [number, number, number, number];
  translation: [number, number, number];
  scale: number;
}

export interface SceneFile {
  path: string;
  bytes: number;
}
