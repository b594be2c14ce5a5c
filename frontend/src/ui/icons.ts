/** Line icons on a 24 × 24 grid, drawn for this page. */
const PATHS = {
  upload: 'M12 16V5m0 0L7.5 9.5M12 5l4.5 4.500M4.5 16.500V18a2 2 0 0 0 2 2h11a2 2 0 0 0 2-2v-1.5',
  camera: 'M4 8.500A1.5 1.5 0 0 1 5.5 7h2L9 4.500h6L16.5 7h2A1.5 1.5 0 0 1 20 8.500v9a1.5 1.5 0 0 1-1.5 1.500h-13A1.5 1.5 0 0 1 4 17.500ZM12 16.200a3.4 3.4 0 1 0 0-6.8 3.4 3.4 0 0 0 0 6.800Z',
  photo: 'M4 6.500A1.5 1.5 0 0 1 5.5 5h13A1.5 1.5 0 0 1 20 6.500v11a1.5 1.5 0 0 1-1.5 1.500h-13A1.5 1.5 0 0 1 4 17.500ZM4.5 16l4.5-4.5 3.5 3.5 2.5-2.5 4.5 4.500M15.5 9h.01',
  turn: 'M20 12c0 2.2-3.6 4-8 4s-8-1.8-8-4 3.6-4 8-4c2 0 3.8.4 5.2 1M17.5 5.500v3.700h-3.7',
  frame: 'M4 9V5.500A1.5 1.5 0 0 1 5.5 4H9M15 4h3.500A1.5 1.5 0 0 1 20 5.500V9M20 15v3.500a1.5 1.5 0 0 1-1.5 1.500H15M9 20H5.500A1.5 1.5 0 0 1 4 18.500V15M12 9.500v5M9.5 12h5',
  move: 'M12 4v16M4 12h16M12 4 9.500 6.500M12 4l2.500 2.500M12 20l-2.500-2.500M12 20l2.500-2.500M4 12l2.500-2.500M4 12l2.500 2.500M20 12l-2.500-2.500M20 12l-2.500 2.500',
  full: 'M14 4h6v6M20 4l-7 7M10 20H4v-6M4 20l7-7',
  download: 'M12 4v11m0 0 4.5-4.500M12 15l-4.5-4.500M4.5 19.500h15',
  eye: 'M2.5 12S6 5.5 12 5.5 21.5 12 21.5 12 18 18.5 12 18.5 2.5 12 2.5 12ZM12 15a3 3 0 1 0 0-6 3 3 0 0 0 0 6Z',
  eyeOff: 'M4 4l16 16M9.9 5.700A9 9 0 0 1 12 5.500c6 0 9.5 6.5 9.5 6.500a17 17 0 0 1-3 3.700M6.3 7.400A16 16 0 0 0 2.5 12S6 18.5 12 18.500a9 9 0 0 0 4.3-1.100M9.9 9.900a3 3 0 0 0 4.2 4.2',
  only: 'M12 4.500a7.5 7.5 0 1 0 0 15 7.5 7.5 0 0 0 0-15ZM12 10a2 2 0 1 0 0 4 2 2 0 0 0 0-4Z',
  target: 'M12 2.500v4M12 17.500v4M2.5 12h4M17.5 12h4M12 7.500a4.5 4.5 0 1 0 0 9 4.5 4.5 0 0 0 0-9Z',
  trash: 'M4.5 7h15M9.5 7V4.500h5V7M6.5 7l.8 12.500h9.400L17.5 7M10 11v5M14 11v5',
  close: 'M6 6l12 12M18 6 6 18',
  check: 'M5 12.5 10 17.5 19.5 7',
  plus: 'M12 5v14M5 12h14',
  again: 'M19.5 12a7.5 7.5 0 1 1-2.2-5.300M19.5 4v4.500H15',
  history: 'M4.5 12a7.5 7.5 0 1 0 2.2-5.300M4.5 4v4.500H9M12 8v4.500l3 2',
  warning: 'M12 4 2.8 19.500h18.400ZM12 10v4.500M12 17h.01',
  cube: 'M12 3.5 4.5 7.700v8.600L12 20.500l7.5-4.200V7.700ZM4.5 7.7 12 12l7.5-4.300M12 12v8.5',
} as const;

export type IconName = keyof typeof PATHS;

export function icon(name: IconName): SVGSVGElement {
  const svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
  svg.setAttribute('viewBox', '0 0 24 24');
  svg.setAttribute('aria-hidden', 'true');
  svg.classList.add('glyph');
  const path = document.createElementNS('http://www.w3.org/2000/svg', 'path');
  path.setAttribute('d', PATHS[name]);
  svg.append(path);
  return svg;
}
