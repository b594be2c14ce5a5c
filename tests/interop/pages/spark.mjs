// What Spark makes of a file.
import * as THREE from "three";
import { SplatMesh } from "@sparkjsdev/spark";
import { part } from "./report.mjs";

window.read = async (url) => {
  const mesh = new SplatMesh({ url });
  await Promise.race([
    mesh.initialized,
    new Promise((_, fail) => setTimeout(() => fail(new Error("Spark did not answer")), 20000)),
  ]);
  mesh.updateMatrixWorld(true);
  const points = [], colours = [];
  mesh.forEachSplat((i, centre, scales, quaternion, opacity, colour) => {
    points.push(centre.clone().applyMatrix4(mesh.matrixWorld).toArray());
    colours.push(colour.toArray());
  });
  return [part("splats", "splats", points, colours, true)];
};
