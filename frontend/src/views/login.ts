import { api } from '../api/client';
import { h } from '../ui/dom';
import { problemBox, problemOf } from '../ui/problem';
import type { View } from './view';

/** Asks for the server's token; the server keeps it in a cookie that scripts cannot read. */
export function loginView(onDone: () => void): View {
  const token = h('input', { id: 'token', type: 'password', autocomplete: 'current-password', required: true });
  const problem = h('div', { class: 'form-problem' });
  const submit = async (e: Event) => {
    e.preventDefault();
    try {
      await api.login(token.value);
      onDone();
    } catch (error) {
      problem.replaceChildren(problemBox(problemOf(error)));
    }
  };
  return {
    element: h('form', { class: 'login', onsubmit: submit as EventListener },
      h('h1', {}, 'Sign in'),
      h('p', { class: 'hint' }, 'Whoever runs this server has its token (SCENELIFT_TOKEN).'),
      h('div', { class: 'field' }, h('label', { for: 'token' }, 'Token'), token),
      problem,
      h('button', { type: 'submit', class: 'button primary wide' }, 'Sign in')),
  };
}
