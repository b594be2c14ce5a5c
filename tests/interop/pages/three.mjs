// What three's own loaders make of a file: meshes with GLTFLoader, splats with its addons.
import * as THREE from "three";
import { GLTFLoader } from "three/examples/jsm/loaders/GLTFLoader.js";
import { GLTFGaussianSplatLoaderExtension } from "three/examples/jsm/loaders/GLTFGaussianSplatLoaderExtension.js";
import { GaussianSplatPLYLoader } from "three/examples/jsm/loaders/GaussianSplatPLYLoader.js";
import { SPLATLoader } from "three/examples/jsm/loaders/SPLATLoader.js";
import { SPZLoader } from "three/examples/jsm/loaders/SPZLoader.js";
import { OBJLoader } from "three/examples/jsm/loaders/OBJLoader.js";
import { MTLLoader } from "three/examples/jsm/loaders/MTLLoader.js";
import { STLLoader } from "three/examples/jsm/loaders/STLLoader.js";
import { ThreeMFLoader } from "three/examples/jsm/loaders/3MFLoader.js";
import { meanColour, part } from "./report.mjs";

const SPLATS = { ply: GaussianSplatPLYLoader, splat: SPLATLoader, spz: SPZLoader };

function visible(node) {
  for (let at = node; at; at = at.parent) if (!at.visible) return false;
  return true;
}

function splatsOf(geometry, matrix, shown, name) {
  const position = geometry.getAttribute("position");
  const colour = geometry.getAttribute("color");
  const points = [], colours = [], p = new THREE.Vector3();
  const bytes = new Uint8Array(colour.array.buffer, colour.array.byteOffset, colour.array.byteLength);
  for (let i = 0; i < bytes.length / 4; i++) {
    p.fromArray(position.array, i * (position.itemSize ?? 3)).applyMatrix4(matrix);
    points.push(p.toArray());
    colours.push([bytes[4 * i] / 255, bytes[4 * i + 1] / 255, bytes[4 * i + 2] / 255]);
  }
  return part(name, "splats", points, colours, shown);
}

function meshOf(node) {
  const position = node.geometry.getAttribute("position");
  const points = [], p = new THREE.Vector3();
  for (let i = 0; i < position.count; i++) {
    p.fromBufferAttribute(position, i).applyMatrix4(node.matrixWorld);
    points.push(p.toArray());
  }
  const vertexColour = node.geometry.getAttribute("color");
  let colours = null;
  if (vertexColour && (node.isPoints || node.material.vertexColors)) {
    colours = points.map((_, i) => {
      const c = new THREE.Color(vertexColour.getX(i), vertexColour.getY(i), vertexColour.getZ(i));
      return c.convertLinearToSRGB().toArray();
    });
  } else if (node.material.map) colours = [meanColour(node.material.map.image)];
  else if (node.material.color) colours = [node.material.color.clone().convertLinearToSRGB().toArray()];
  return part(node.name || node.parent?.name, node.isPoints ? "points" : "mesh", points, colours, visible(node));
}

function partsOf(root) {
  const parts = [];
  root.updateMatrixWorld(true);
  root.traverse((node) => {
    if (node.isGaussianSplat)
      parts.push(splatsOf(node.splatGeometry, node.matrixWorld, visible(node), node.name));
    else if (node.isMesh || node.isPoints) parts.push(meshOf(node));
  });
  return parts;
}

window.read = async (url, kind, options = {}) => {
  if (kind === "glb") {
    const loader = new GLTFLoader();
    if (options.splats) loader.register((parser) => new GLTFGaussianSplatLoaderExtension(parser));
    return partsOf((await loader.loadAsync(url)).scene);
  }
  if (kind === "obj") {
    const loader = new OBJLoader();
    if (options.mtl) {
      const materials = await new MTLLoader().loadAsync(url.replace(/obj$/, "mtl"));
      materials.preload();
      await new Promise((done) => {
        THREE.DefaultLoadingManager.onLoad = done;
        setTimeout(done, 3000);
      });
      loader.setMaterials(materials);
    }
    return partsOf(await loader.loadAsync(url));
  }
  if (kind === "stl") return partsOf(new THREE.Mesh(await new STLLoader().loadAsync(url)));
  if (kind === "3mf") return partsOf(await new ThreeMFLoader().loadAsync(url));
  const geometry = await new SPLATS[kind]().loadAsync(url);
  return [splatsOf(geometry, new THREE.Matrix4(), true, "splats")];
};
