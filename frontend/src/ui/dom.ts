type Child = Node | string | null | undefined | false;
type Attributes = Record<string, string | number | boolean | null | undefined | EventListener>;

/**
 * An element: `h('button', { class: 'primary', onclick: save }, 'Save')`.
 *
 * Keys that start with "on" are listeners; true sets an empty attribute; false and null set none.
 * Strings become text nodes, so nothing that came from a user is ever read as HTML.
 */
export function h<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Attributes = {},
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  for (const [key, value] of Object.entries(attributes)) {
    if (typeof value === 'function') element.addEventListener(key.slice(2), value);
    // The server's Content-Security-Policy allows no style attributes; through the object they pass.
    else if (key === 'style') element.style.cssText = String(value ?? '');
    else if (value === true) element.setAttribute(key, '');
    else if (value !== false && value !== null && value !== undefined) {
      element.setAttribute(key, String(value));
    }
  }
  element.append(...children.filter((c): c is Node | string => !!c));
  return element;
}

/** A button with an icon, and a label that is read out and shown as its tooltip. */
export function iconButton(
  icon: Node, label: string, onclick: () => void, attributes: Attributes = {},
): HTMLButtonElement {
  return h(
    'button',
    { type: 'button', class: 'icon', 'aria-label': label, title: label, onclick, ...attributes },
    icon,
  );
}

/** Save a blob under a name. */
export function save(blob: Blob, name: string): void {
  const url = URL.createObjectURL(blob);
  h('a', { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
