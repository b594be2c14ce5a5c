// Bundle pages/*.mjs for the browser into the folder that is named: node bundle.mjs OUT
import { copyFileSync, writeFileSync } from "node:fs";
import { build } from "esbuild";

const out = process.argv[2];
const names = ["three", "babylon", "playcanvas", "spark"];
await build({
  entryPoints: names.map((name) => `pages/${name}.mjs`),
  outdir: out,
  bundle: true,
  format: "esm",
  loader: { ".wasm": "binary" },
  logLevel: "error",
});
for (const name of names)
  writeFileSync(`${out}/${name}.html`, `<!doctype html><meta charset="utf-8"><script type="module" src="${name}.js"></script>`);
// Babylon fetches its reader of SPZ at run time.
copyFileSync("node_modules/@adobe/spz/dist/spz.js", `${out}/spz.js`);
