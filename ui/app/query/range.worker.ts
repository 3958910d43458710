// Asks range queries and puts their answers into columns over the grid of steps.

import { type ApiError, describe, encodeParams, isAbort, request } from "../lib/api";
import type { HistogramSample, MatrixElement, QueryStats, Sample } from "../lib/types";
import type { Ask, Bucket, HistogramLine, Line, RangeResult, Told } from "./range";

const aborts = new Map<number, AbortController>();

addEventListener("message", ({ data }: MessageEvent<Ask | { abort: number }>) => {
  if ("abort" in data) aborts.get(data.abort)?.abort();
  else void answer(data);
});

async function answer(ask: Ask): Promise<void> {
  const abort = new AbortController();
  aborts.set(ask.id, abort);
  try {
    const result = await query(ask, abort.signal);
    const columns = [result.times.buffer, ...result.lines.map((line) => line.values.buffer)];
    tell({ id: ask.id, result }, columns as ArrayBuffer[]);
  } catch (cause) {
    if (isAbort(cause)) return;
    const { failure, kind, message }: ApiError = describe(cause);
    tell({ id: ask.id, error: { failure, kind, message } }, []);
  } finally {
    aborts.delete(ask.id);
  }
}

function tell(told: Told, transfer: Transferable[]): void {
  postMessage(told, { transfer });
}

async function query(ask: Ask, signal: AbortSignal): Promise<RangeResult> {
  type Data = { result: MatrixElement[]; stats?: QueryStats };
  const answer = await request<Data>(ask.url, { method: "POST", body: encodeParams(ask.params), signal });
  const { start, end, step } = ask.params as { start: number; end: number; step: number };
  const count = Math.floor((end - start) / step + 1e-6) + 1;
  const times = Float64Array.from({ length: count }, (_, i) => start + i * step);
  const index = (time: number) => Math.round((time - start) / step);
  const lines: Line[] = [];
  const histograms: HistogramLine[] = [];
  for (const { metric: labels, values, histograms: samples } of answer.data.result) {
    if (values) lines.push({ labels, values: column(values, count, index) });
    if (samples) histograms.push({ labels, steps: bucketColumn(samples, count, index) });
  }
  const { warnings, infos, tookMs, bytes } = answer;
  return { times, lines, histograms, warnings, infos, stats: answer.data.stats, tookMs, bytes };
}

function column(samples: Sample[], count: number, index: (time: number) => number): Float64Array<ArrayBuffer> {
  const values = new Float64Array(count).fill(NaN);
  for (const [time, text] of samples) {
    const value = Number(text);
    // "+Inf" and the like aren't numbers to JavaScript, and can't be drawn either.
    if (Number.isFinite(value)) values[index(time)] = value;
  }
  return values;
}

function bucketColumn(samples: HistogramSample[], count: number, index: (time: number) => number): (Bucket[] | null)[] {
  const steps: (Bucket[] | null)[] = new Array(count).fill(null);
  for (const [time, { buckets = [] }] of samples) {
    steps[index(time)] = buckets.map(([, lower, upper, amount]) => [bound(lower), bound(upper), Number(amount)]);
  }
  return steps;
}

function bound(text: string): number {
  return text === "+Inf" ? Infinity : text === "-Inf" ? -Infinity : Number(text);
}
