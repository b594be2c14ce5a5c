// What Babylon.js makes of a file.
import { Engine, Scene, Vector3, FreeCamera, ImportMeshAsync } from "@babylonjs/core";
import "@babylonjs/loaders";
import * as fflate from "fflate";
import { encode, part } from "./report.mjs";

window.read = async (url, kind) => {
  const engine = new Engine(document.createElement("canvas"));
  const scene = new Scene(engine);
  scene.useRightHandedSystem = true;
  new FreeCamera("camera", new Vector3(0, 0, 5), scene);
  await ImportMeshAsync(url, scene, { pluginExtension: `.${kind}`, pluginOptions: { splat: { keepInRam: true, fflate, spzLibraryUrl: new URL("spz.js", location).href } } });
  const parts = [];
  for (const mesh of scene.meshes) {
    if (mesh.name.includes("_cameraMesh")) continue; // Babylon's own, for sorting splats
    const matrix = mesh.computeWorldMatrix(true);
    const points = [], colours = [];
    if (mesh.getClassName().startsWith("GaussianSplatting")) {
      const data = mesh.splatsData ?? mesh._splatsData;
      const floats = new Float32Array(data), bytes = new Uint8Array(data);
      for (let i = 0; i < floats.length / 8; i++) {
        const p = Vector3.TransformCoordinates(new Vector3(floats[8 * i], floats[8 * i + 1], floats[8 * i + 2]), matrix);
        points.push([p.x, p.y, p.z]);
        colours.push([0, 1, 2].map((a) => bytes[32 * i + 24 + a] / 255));
      }
      if (points.length) parts.push(part(mesh.name, "splats", points, colours, mesh.isVisible && mesh.isEnabled()));
      continue;
    }
    const positions = mesh.getVerticesData("position");
    if (!positions) continue;
    const vertexColours = mesh.getVerticesData("color");
    for (let i = 0; i < positions.length / 3; i++) {
      const p = Vector3.TransformCoordinates(Vector3.FromArray(positions, 3 * i), matrix);
      points.push([p.x, p.y, p.z]);
      if (vertexColours) colours.push([0, 1, 2].map((a) => encode(vertexColours[4 * i + a])));
    }
    const albedo = mesh.material?.albedoColor;
    if (!vertexColours && albedo) colours.push([albedo.r, albedo.g, albedo.b].map(encode));
    const drawn = mesh.material?.pointsCloud || mesh.material?.fillMode === 2 ? "points" : "mesh";
    parts.push(part(mesh.name, drawn, points, colours.length ? colours : null, mesh.isVisible && mesh.isEnabled()));
  }
  engine.dispose();
  return parts;
};
