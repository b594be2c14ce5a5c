/** Where in the page one is, as the URL's fragment: "#job=ID", or nothing for a new scene. */
export type Route = { page: 'new' } | { page: 'job'; id: string };

export function parse(hash: string): Route {
  const id = new URLSearchParams(hash.replace(/^#/, '')).get('job');
  return id ? { page: 'job', id } : { page: 'new' };
}

export function format(route: Route): string {
  return route.page === 'job' ? `#${new URLSearchParams({ job: route.id })}` : '#';
}
