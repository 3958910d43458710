// What a panel asks, and what came of it.

import { useEffect, useRef, useState } from "preact/hooks";
import { type Answer, type ApiError, describe, get, isAbort, post } from "../lib/api";
import { serverSeen } from "../lib/server";
import type { ExemplarSeries, PlanNode, QueryData } from "../lib/types";
import { queryRange, type RangeResult } from "./range";
import { type Panel, stepMs } from "./state";

/** What was asked for, and the answer to that. */
export type Outcome =
  | { tab: "table"; query: string; answer: Answer<QueryData> }
  | { tab: "graph"; query: string; result: RangeResult; exemplars: ExemplarSeries[]; start: number; end: number }
  | { tab: "explain"; query: string; plan: PlanNode; answer: Answer<unknown> };

export interface Run {
  outcome: Outcome | null;
  error: ApiError | null;
  /** When the question was asked that isn't answered yet; null if none is open. */
  since: number | null;
  cancel: () => void;
}

/** Asks what the panel says, again when that changes or `turn` does. */
export function useRun(panel: Panel, turn: number, isReady: boolean): Run {
  const [state, setState] = useState<Omit<Run, "cancel">>({ outcome: null, error: null, since: null });
  const abort = useRef<AbortController | null>(null);
  const { expr, tab, rangeMs, endMs, resolution, exemplars } = panel;
  const asked = JSON.stringify([expr, tab, endMs, tab === "table" ? null : [rangeMs, resolution, exemplars]]);
  useEffect(() => {
    if (expr.trim() === "") return setState({ outcome: null, error: null, since: null });
    if (!isReady) return;
    const controller = new AbortController();
    abort.current = controller;
    setState((old) => ({ outcome: old.outcome?.tab === tab ? old.outcome : null, error: null, since: Date.now() }));
    ask(panel, controller.signal).then(
      (outcome) => setState({ outcome, error: null, since: null }),
      (cause: unknown) => {
        if (isAbort(cause)) return;
        const error = describe(cause);
        serverSeen(error);
        setState((old) => ({ outcome: null, error: error.failure === "starting" ? old.error : error, since: null }));
      },
    );
    return () => controller.abort();
  }, [asked, turn, isReady]);
  const cancel = () => {
    abort.current?.abort();
    setState((old) => ({ ...old, since: null }));
  };
  return { ...state, cancel };
}

async function ask(panel: Panel, signal: AbortSignal): Promise<Outcome> {
  const { expr: query, tab } = panel;
  const now = panel.endMs ?? Date.now();
  if (tab === "table") {
    const answer = await post<QueryData>("query", { query, time: now / 1000, stats: "true" }, signal);
    serverSeen(null);
    return { tab, query, answer };
  }
  const grid = gridOf(panel, now);
  if (tab === "explain") {
    const answer = await get<{ plan: PlanNode }>("explain", { query, ...grid, analyze: true }, signal);
    return { tab, query, plan: answer.data.plan, answer };
  }
  const [result, exemplars] = await Promise.all([
    queryRange({ query, ...grid }, signal),
    panel.exemplars ? askExemplars(query, grid.start, grid.end, signal) : [],
  ]);
  return { tab, query, result, exemplars, start: grid.start, end: grid.end };
}

/** The steps of a graph, in seconds. Both ends lie on multiples of the step, so that a value doesn't jump when time goes on. */
function gridOf(panel: Panel, now: number): { start: number; end: number; step: number } {
  const step = stepMs(panel.resolution, panel.rangeMs);
  const start = now - panel.rangeMs;
  const first = panel.rangeMs > step * 4 ? Math.floor(start / step) * step : start;
  const last = first + Math.floor((now - first) / step) * step;
  return { start: first / 1000, end: Math.max(last, first) / 1000, step: step / 1000 };
}

async function askExemplars(query: string, start: number, end: number, signal: AbortSignal): Promise<ExemplarSeries[]> {
  const answer = await get<ExemplarSeries[] | undefined>("query_exemplars", { query, start, end }, signal);
  return answer.data ?? [];
}
