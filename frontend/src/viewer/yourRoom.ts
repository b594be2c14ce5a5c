import { h } from '../ui/dom';

const PICTURE = `data:image/svg+xml,${encodeURIComponent(
  '<svg xmlns="http://www.w3.org/2000/svg" width="120" height="40"><rect width="120" height="40" rx="10" fill="#4353d9"/>' +
  '<text x="60" y="25" text-anchor="middle" font-family="system-ui" font-size="13" fill="#fff">In your room</text></svg>')}`;

/** Whether this browser shows a USDZ file in the room around it: phones and headsets of one maker do. */
export function showsRooms(): boolean {
  return document.createElement('a').relList.supports('ar');
}

/** Let a link show its USDZ file in one's room in place of saving it. */
export function standInRoom(link: HTMLAnchorElement): void {
  link.rel = 'ar';
  link.removeAttribute('download');
  // Safari wants one picture, and nothing else, in such a link.
  link.replaceChildren(h('img', { src: PICTURE, alt: 'See it in your room', width: 120, height: 40 }));
}
