// Range queries, asked and decoded by a worker, so that the page doesn't stand still while a long answer is
// read.

import { ApiError, type Failure, PREFIX, type Params } from "../lib/api";
import { serverSeen } from "../lib/server";
import type { Labels, QueryStats } from "../lib/types";

/** A series over the grid of steps. */
export interface Line {
  labels: Labels;
  /** NaN where there is no value, or none that can be drawn. */
  values: Float64Array;
}

/** A bucket: its bounds, and how much is in it. */
export type Bucket = [lower: number, upper: number, count: number];

export interface HistogramLine {
  labels: Labels;
  /** The buckets of each step; null where there is none. */
  steps: (Bucket[] | null)[];
}

export interface RangeResult {
  /** Times of the steps, in seconds. */
  times: Float64Array;
  lines: Line[];
  histograms: HistogramLine[];
  warnings: string[];
  infos: string[];
  stats?: QueryStats;
  tookMs: number;
  bytes: number;
}

export interface Ask {
  id: number;
  url: string;
  params: Params;
}

export type Told =
  | { id: number; result: RangeResult }
  | { id: number; error: { failure: Failure; kind: string; message: string } };

interface Waiting {
  resolve: (result: RangeResult) => void;
  reject: (error: unknown) => void;
}

let worker: Worker | null = null;
const waiting = new Map<number, Waiting>();
let lastId = 0;

function start(): Worker {
  const started = new Worker(new URL("./range.worker.ts", import.meta.url), { type: "module" });
  started.onmessage = ({ data }: MessageEvent<Told>) => {
    const one = waiting.get(data.id);
    waiting.delete(data.id);
    if ("result" in data) one?.resolve(data.result);
    else one?.reject(new ApiError(data.error.failure, data.error.kind, data.error.message));
  };
  started.onerror = () => {
    for (const one of waiting.values()) one.reject(new ApiError("answer", "page", "The page's worker failed: the answer may be too large for this browser."));
    waiting.clear();
    worker = null;
  };
  return started;
}

/** Asks a range query. `start`, `end` and `step` are in seconds. */
export async function queryRange(params: { query: string; start: number; end: number; step: number }, signal: AbortSignal): Promise<RangeResult> {
  worker ??= start();
  const here = worker;
  const id = (lastId += 1);
  const url = new URL(`${PREFIX}/api/v1/query_range`, location.href).href;
  const ask: Ask = { id, url, params: { ...params, stats: "true" } };
  try {
    const result = await new Promise<RangeResult>((resolve, reject) => {
      waiting.set(id, { resolve, reject });
      signal.addEventListener("abort", () => {
        waiting.delete(id);
        here.postMessage({ abort: id });
        reject(new DOMException("aborted", "AbortError"));
      });
      here.postMessage(ask);
    });
    serverSeen(null);
    return result;
  } catch (error) {
    if (error instanceof ApiError) serverSeen(error);
    throw error;
  }
}
