import { h } from '../ui/dom';

/** Whose edits go on, where two tabs saved: ours (true), theirs (false), or nobody says (null). */
export function askWhose(): Promise<boolean | null> {
  const dialog = h('dialog', { class: 'dialog', 'aria-labelledby': 'dialog-question' },
    h('form', { method: 'dialog' },
      h('h2', { id: 'dialog-question' }, 'Somebody else saved in between'),
      h('p', {}, 'Another tab or person changed this scene since you opened it. Take their edits (yours can be redone with Undo), or save yours in place of them.'),
      h('div', { class: 'dialog-actions' },
        h('button', { class: 'button', value: '' }, 'Cancel'),
        h('button', { class: 'button', value: 'theirs' }, 'Take theirs'),
        h('button', { class: 'button danger', value: 'ours' }, 'Save mine'))));
  document.body.append(dialog);
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener('close', () => {
      dialog.remove();
      resolve(dialog.returnValue === '' ? null : dialog.returnValue === 'ours');
    });
  });
}
