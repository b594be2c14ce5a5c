import { h } from './dom';

/** Ask before something that cannot be undone. Escape and Cancel mean no. */
export function confirmed(question: string, detail: string, yes: string): Promise<boolean> {
  const dialog = h(
    'dialog', { class: 'dialog', 'aria-labelledby': 'dialog-question' },
    h('form', { method: 'dialog' },
      h('h2', { id: 'dialog-question' }, question),
      h('p', {}, detail),
      h('div', { class: 'dialog-actions' },
        h('button', { class: 'button', value: '' }, 'Cancel'),
        h('button', { class: 'button danger', value: 'yes' }, yes))),
  );
  document.body.append(dialog);
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener('close', () => {
      dialog.remove();
      resolve(dialog.returnValue === 'yes');
    });
  });
}
