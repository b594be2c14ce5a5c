// What every reader is asked for: where the parts of each colour are, and whether they are shown.

/** Summary of one part of a file as a reader sees it: its box, and the place of each main colour. */
export function part(name, kind, points, colours, shown) {
  const low = [Infinity, Infinity, Infinity], high = [-Infinity, -Infinity, -Infinity];
  for (const p of points)
    for (let a = 0; a < 3; a++) {
      low[a] = Math.min(low[a], p[a]);
      high[a] = Math.max(high[a], p[a]);
    }
  const places = {};
  points.forEach((p, i) => {
    const c = colours && (colours.length === 1 ? colours[0] : colours[i]);
    const hue = c ? hueOf(c) : "none";
    const place = (places[hue] ??= { sum: [0, 0, 0], rgb: [0, 0, 0], count: 0 });
    for (let a = 0; a < 3; a++) place.sum[a] += p[a];
    if (c) for (let a = 0; a < 3; a++) place.rgb[a] += c[a];
    place.count += 1;
  });
  const hues = Object.fromEntries(
    Object.entries(places).map(([hue, { sum, rgb, count }]) => [
      hue,
      { centre: sum.map((v) => v / count), rgb: rgb.map((v) => v / count), count },
    ]),
  );
  return { name: name ?? "", kind, count: points.length, low, high, hues, shown };
}

/** sRGB of linear light, 0…1. */
export function encode(v) {
  return v <= 0.0031308 ? 12.92 * v : 1.055 * v ** (1 / 2.4) - 0.055;
}

function hueOf([r, g, b]) {
  const most = Math.max(r, g, b);
  if (most - Math.min(r, g, b) < 0.15) return "grey";
  return most === r ? "red" : most === g ? "green" : "blue";
}

/** Mean sRGB colour of a picture, in 0…1. */
export function meanColour(image) {
  const canvas = new OffscreenCanvas(image.width, image.height);
  const context = canvas.getContext("2d");
  context.drawImage(image, 0, 0);
  const { data } = context.getImageData(0, 0, image.width, image.height);
  const sum = [0, 0, 0];
  for (let i = 0; i < data.length; i += 4) for (let a = 0; a < 3; a++) sum[a] += data[i + a];
  return sum.map((v) => v / (data.length / 4) / 255);
}
