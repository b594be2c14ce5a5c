// What assimp makes of a file, and of the files beside it: node assimp.mjs FILE
import { readdirSync, readFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import assimpjs from "assimpjs";
import { encode, part } from "./pages/report.mjs";

const path = process.argv[2];
const ajs = await assimpjs();
const files = new ajs.FileList();
files.AddFile(basename(path), new Uint8Array(readFileSync(path)));
for (const name of readdirSync(dirname(path)))
  if (name !== basename(path) && /\.(mtl|png)$/.test(name))
    files.AddFile(name, new Uint8Array(readFileSync(join(dirname(path), name))));
const result = ajs.ConvertFileList(files, "assjson");
if (!result.IsSuccess()) {
  console.error(result.GetErrorCode());
  process.exit(1);
}
const scene = JSON.parse(new TextDecoder().decode(result.GetFile(0).GetContent()));

const multiply = (a, b) => a.map((_, i) => {
  let sum = 0;
  for (let k = 0; k < 4; k++) sum += a[4 * Math.floor(i / 4) + k] * b[4 * k + (i % 4)];
  return sum;
});
const parts = [];
function visit(node, above) {
  const matrix = multiply(above, node.transformation);
  for (const index of node.meshes ?? []) {
    const mesh = scene.meshes[index];
    const points = [], colours = [];
    for (let i = 0; i < mesh.vertices.length / 3; i++) {
      const [x, y, z] = mesh.vertices.slice(3 * i, 3 * i + 3);
      points.push([0, 4, 8].map((r) => matrix[r] * x + matrix[r + 1] * y + matrix[r + 2] * z + matrix[r + 3]));
      // glTF's colours are linear light, and assimp hands them on.
      const rgb = mesh.colors?.[0].slice(4 * i, 4 * i + 3);
      if (rgb) colours.push(/\.glb$/.test(path) ? rgb.map(encode) : rgb);
    }
    parts.push(part(node.name, mesh.primitivetypes === 1 ? "points" : "mesh", points, colours.length ? colours : null, true));
  }
  for (const child of node.children ?? []) visit(child, matrix);
}
visit(scene.rootnode, [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1]);
console.log(JSON.stringify(parts));
