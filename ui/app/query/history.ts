// Queries that were run in this browser.

import { keptStore } from "../lib/store";

/** So many are kept, the last first. */
const KEPT = 200;

export interface Asked {
  expr: string;
  at: number;
}

function isHistory(value: unknown): boolean {
  const isAsked = (one: unknown) => typeof (one as Asked)?.expr === "string" && typeof (one as Asked)?.at === "number";
  return Array.isArray(value) && value.every(isAsked);
}

export const asked = keptStore<Asked[]>("history", [], isHistory);

export function remember(expr: string): void {
  const rest = asked.get().filter((one) => one.expr !== expr);
  asked.set([{ expr, at: Date.now() }, ...rest].slice(0, KEPT));
}
