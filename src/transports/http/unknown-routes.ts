import { AppError } from '../../errors.ts';

/** The addresses that the server has, to tell a wrong method from a wrong address. */
export interface KnownRoutes {
  add(method: string | readonly string[], url: string): void;
  /** Methods that an address answers; empty when there is nothing. */
  methodsOf(address: string): readonly string[];
}

/** Creates an empty list of routes. */
export function createKnownRoutes(): KnownRoutes {
  const routes: { method: string; template: readonly string[] }[] = [];
  return {
    add(methods, url) {
      for (const method of [methods].flat()) routes.push({ method, template: url.split('/') });
    },
    methodsOf(address) {
      const path = (address.split('?', 1)[0] ?? '').split('/');
      return [...new Set(routes.filter(({ template }) => fits(template, path)).map(({ method }) => method))];
    },
  };
}

/** Why an address is not served; `allowed` is what `methodsOf` says of it. */
export function notServed(allowed: readonly string[]): AppError {
  if (allowed.length === 0) return new AppError('not_found', 'There is nothing at this address; see /docs.');
  return new AppError('method_not_allowed', `This address answers ${allowed.join(', ')}.`);
}

/** Templates are Fastify's: `:name` is one segment, `*` at the end is any number of them. */
function fits(template: readonly string[], path: readonly string[]): boolean {
  const isOpen = template.at(-1) === '*';
  if (isOpen ? path.length < template.length : path.length !== template.length) return false;
  return template.every(
    (part, at) => part === path[at] || (part.startsWith(':') && path[at] !== '') || (isOpen && part === '*'),
  );
}
