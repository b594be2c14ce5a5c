// What the PlayCanvas engine makes of a file, and where SuperSplat shows it: turned by 180° about z.
import * as pc from "playcanvas";
import { encode, part } from "./report.mjs";

function splatsOf(data, matrix, name, shown) {
  const x = data.getProp("x"), y = data.getProp("y"), z = data.getProp("z");
  const dc = [0, 1, 2].map((a) => data.getProp(`f_dc_${a}`));
  const points = [], colours = [], p = new pc.Vec3();
  for (let i = 0; i < x.length; i++) {
    matrix.transformPoint(new pc.Vec3(x[i], y[i], z[i]), p);
    points.push([p.x, p.y, p.z]);
    colours.push(dc.map((v) => 0.5 + 0.28209479177387814 * v[i]));
  }
  return part(name, "splats", points, colours, shown);
}

window.read = async (url, kind, options = {}) => {
  const canvas = document.createElement("canvas");
  const app = new pc.Application(canvas, { graphicsDeviceOptions: { antialias: false } });
  app.start();
  const type = kind === "glb" ? "container" : "gsplat";
  const asset = new pc.Asset(url, type, { url, filename: url });
  await new Promise((done, fail) => {
    asset.on("load", done);
    asset.on("error", fail);
    app.assets.add(asset);
    app.assets.load(asset);
  });
  const parts = [];
  if (type === "gsplat") {
    const turned = new pc.Mat4();
    if (options.turned) turned.setFromEulerAngles(0, 0, 180);
    let data = asset.resource.gsplatData;
    if (data.decompress) data = await data.decompress();
    parts.push(splatsOf(data, turned, "splats", true));
    return parts;
  }
  const root = asset.resource.instantiateRenderEntity();
  app.root.addChild(root);
  root.forEach((entity) => {
    if (entity.gsplat?.resource || entity.gsplat?.asset || entity.gsplat) {
      const resource = entity.gsplat.resource ?? app.assets.get(entity.gsplat.asset)?.resource;
      if (resource) parts.push(splatsOf(resource.gsplatData, entity.getWorldTransform(), entity.name, entity.enabled));
    }
    for (const instance of entity.render?.meshInstances ?? []) {
      const positions = [];
      instance.mesh.getPositions(positions);
      const points = [], p = new pc.Vec3(), colours = [];
      const raw = [];
      const coloured = instance.mesh.getColors(raw) > 0 && raw.length;
      const whole = raw.some((v) => v > 255) ? 65535 : raw.some((v) => v > 1) ? 255 : 1;
      for (let i = 0; i < positions.length / 3; i++) {
        entity.getWorldTransform().transformPoint(new pc.Vec3(...positions.slice(3 * i, 3 * i + 3)), p);
        points.push([p.x, p.y, p.z]);
        if (coloured) colours.push([0, 1, 2].map((a) => encode(raw[4 * i + a] / whole)));
      }
      const diffuse = instance.material?.diffuse;
      if (!coloured && diffuse) colours.push([diffuse.r, diffuse.g, diffuse.b]);
      const drawn = instance.mesh.primitive[0].type === pc.PRIMITIVE_POINTS ? "points" : "mesh";
      parts.push(part(entity.name, drawn, points, colours.length ? colours : null, entity.enabled && instance.visible));
    }
  });
  return parts;
};
