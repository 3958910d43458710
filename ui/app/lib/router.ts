// Which page is seen: the last segment of the path, with its parameters.

import { PREFIX } from "./api";
import { Store } from "./store";

export interface Place {
  /** Such as `targets`. */
  page: string;
  search: string;
}

function here(): Place {
  return { page: location.pathname.slice(PREFIX.length + 1), search: location.search };
}

export const place = new Store<Place>(here());

addEventListener("popstate", () => place.set(here()));

/** Goes to a page, with an entry in the browser's history unless `replace` is set. */
export function go(to: string, replace = false): void {
  const url = `${PREFIX}/${to}`;
  if (`${location.pathname}${location.search}` !== url) {
    if (replace) history.replaceState(null, "", url);
    else history.pushState(null, "", url);
  }
  const before = place.get().page;
  place.set(here());
  if (here().page !== before) scrollTo(0, 0);
}

/** Changes parameters of the page that is seen; null takes one away. */
export function setParams(changes: Record<string, string | null>): void {
  const params = new URLSearchParams(location.search);
  for (const [name, value] of Object.entries(changes)) {
    if (value === null || value === "") params.delete(name);
    else params.set(name, value);
  }
  const text = params.toString();
  go(`${here().page}${text && "?"}${text}`, true);
}

/** Follows links to pages of this server without loading the document again. */
export function followLinks(): void {
  document.addEventListener("click", (event) => {
    if (event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey) return;
    const link = (event.target as Element).closest?.("a[data-page]");
    if (!(link instanceof HTMLAnchorElement)) return;
    event.preventDefault();
    go(link.href.slice(location.origin.length + PREFIX.length + 1));
  });
}

/** A link to a query's graph or table. */
export function queryLink(expr: string, tab: "graph" | "table" = "graph", extra: Record<string, string> = {}): string {
  const params = new URLSearchParams({ "g0.expr": expr, "g0.tab": tab });
  for (const [name, value] of Object.entries(extra)) params.set(`g0.${name}`, value);
  return `query?${params}`;
}
