// What the navigation tells of targets and alerts: two short queries, as cheap for 20,000 targets as for one.

import { get } from "./api";
import { phase } from "./server";
import { Store } from "./store";
import type { VectorElement } from "./types";

export interface Summary {
  firing: number;
  down: number;
}

export const summary = new Store<Summary>({ firing: 0, down: 0 });

const REFRESH_MS = 30_000;

async function count(query: string): Promise<number> {
  const { data } = await get<{ result: VectorElement[] }>("query", { query });
  return Number(data.result[0]?.value?.[1] ?? 0);
}

async function refresh(): Promise<void> {
  if (document.hidden || phase.get() !== "ready") return;
  try {
    const [firing, down] = await Promise.all([
      count('count(ALERTS{alertstate="firing"})'),
      count("count(up == 0)"),
    ]);
    summary.set({ firing, down });
  } catch {
    // The page that is seen tells of a server that doesn't answer.
  }
}

export function watchSummary(): void {
  void refresh();
  setInterval(() => void refresh(), REFRESH_MS);
  phase.subscribe((now) => {
    if (now === "ready") void refresh();
  });
}
