// The value of a query at one time, as a table.

import { useMemo, useState } from "preact/hooks";
import { formatTime, formatValue, plural } from "../lib/format";
import { filterWords, passes, seriesText } from "../lib/labels";
import { useStore, utc } from "../lib/store";
import type { Bucketed, Labels, MatrixElement, QueryData, VectorElement } from "../lib/types";
import { Choice, Copy, Empty, SearchField, Series, Text } from "../parts/basics";
import { VirtualList } from "../parts/list";

/** Samples of a range vector that are shown for each series. */
const SAMPLES_SHOWN = 100;
/** With more labels than this, columns are too narrow to be read. */
const COLUMNS_MAX = 12;
/** So many series at least before there is a filter. */
const FILTER_FROM = 8;

type Element = VectorElement & MatrixElement;
type Order = "none" | "up" | "down";

export function Table({ data }: { data: QueryData }) {
  if (data.resultType === "scalar" || data.resultType === "string") {
    return (
      <div class="card flush">
        <div class="result-row">
          <span class="dim">{data.resultType}</span>
          <span class="mono value-cell"><Text text={data.result[1]} /></span>
        </div>
      </div>
    );
  }
  return data.result.length === 0 ? <Empty>The result is empty: no series has a value at this time.</Empty> : <Elements elements={data.result as Element[]} />;
}

function Elements({ elements }: { elements: Element[] }) {
  const [order, setOrder] = useState<Order>("none");
  const [shape, setShape] = useState<"series" | "columns">("series");
  const [filter, setFilter] = useState("");
  const keys = useMemo(() => elements.map((element) => seriesText(element.metric)), [elements]);
  const words = filterWords(filter);
  const shown = useMemo(() => {
    const indexes = elements.map((_, i) => i).filter((i) => passes(words, keys[i]!.toLowerCase()));
    const sign = order === "down" ? -1 : 1;
    return order === "none" ? indexes : indexes.sort((a, b) => sign * compare(sortValue(elements[a]!), sortValue(elements[b]!)));
  }, [elements, order, words.join(" ")]);
  const names = useMemo(() => labelNames(elements), [elements]);
  const columns = shape === "columns" ? names : null;
  const next: Record<Order, Order> = { none: "down", down: "up", up: "none" };
  return (
    <>
      <div class="legend-head">
        <span class="dim">{plural(shown.length, "series", "series")}{shown.length < elements.length && ` of ${elements.length}`}</span>
        {elements.length >= FILTER_FROM && <SearchField label="Filter series" value={filter} onInput={setFilter} />}
        <span class="grow" />
        {names.length <= COLUMNS_MAX && names.length > 0 && <Choice label="Labels" value={shape} options={[["series", "Series"], ["columns", "Columns"]]} onChange={setShape} />}
        <button class="button quiet" onClick={() => setOrder(next[order])} aria-label={`Sort by value: ${ORDER_NAMES[order]}`}>
          Value {order === "down" ? "↓" : order === "up" ? "↑" : "↕"}
        </button>
        <Copy label="Copy" text={shown.map((i) => `${keys[i]} ${elements[i]!.value?.[1] ?? ""}`).join("\n")} />
      </div>
      <div class={`card flush ${columns ? "scroll-x" : ""}`}>
        {columns && (
          <div class="result-row columns-head" style={gridOf(columns)}>
            {columns.map((name) => <span key={name}><Text text={name} /></span>)}
            <span class="value-cell">value</span>
          </div>
        )}
        <VirtualList label="Result" items={shown} itemKey={(i) => String(i)} height={() => 35}>
          {(i) => (columns ? <Cells element={elements[i]!} columns={columns} /> : <ElementRow element={elements[i]!} />)}
        </VirtualList>
      </div>
    </>
  );
}

const ORDER_NAMES: Record<Order, string> = { none: "as the query has it", up: "least first", down: "greatest first" };

function labelNames(elements: Element[]): string[] {
  const names = new Set<string>();
  for (const { metric } of elements) for (const name of Object.keys(metric)) names.add(name);
  return [...names];
}

function gridOf(columns: string[]) {
  return { gridTemplateColumns: `repeat(${columns.length}, minmax(7rem, 1fr)) minmax(7rem, auto)` };
}

function sortValue(element: Element): number {
  const [, text] = element.value ?? element.values?.at(-1) ?? [0, element.histogram?.[1].count ?? "NaN"];
  return text === "+Inf" ? Infinity : text === "-Inf" ? -Infinity : Number(text);
}

/** Values that aren't numbers come last. */
function compare(a: number, b: number): number {
  if (Number.isNaN(a) || Number.isNaN(b)) return Number(Number.isNaN(a)) - Number(Number.isNaN(b));
  return a < b ? -1 : a > b ? 1 : 0;
}

function ElementRow({ element }: { element: Element }) {
  return (
    <div class="result-row">
      <span class="grow"><Series labels={element.metric} /></span>
      <Value element={element} />
    </div>
  );
}

function Cells({ element, columns }: { element: Element; columns: string[] }) {
  const metric: Labels = element.metric;
  return (
    <div class="result-row" style={gridOf(columns)}>
      {columns.map((name) => <span key={name} class="mono">{metric[name] === undefined ? <span class="dim">–</span> : <Text text={metric[name]} />}</span>)}
      <Value element={element} />
    </div>
  );
}

function Value({ element }: { element: Element }) {
  if (element.value) return <span class="mono value-cell">{element.value[1]}</span>;
  if (element.histogram) return <Histogram histogram={element.histogram[1]} />;
  return <Samples element={element} />;
}

function Samples({ element }: { element: Element }) {
  const inUtc = useStore(utc);
  const samples = (element.values ?? []).map(([at, text]) => ({ at, text }));
  const histograms = (element.histograms ?? []).map(([at, { count, sum }]) => ({ at, text: `count ${count}, sum ${sum}` }));
  const all = [...samples, ...histograms].sort((a, b) => a.at - b.at);
  return (
    <span class="samples mono">
      {all.slice(-SAMPLES_SHOWN).map(({ at, text }) => (
        <span key={at}>{text} <span class="dim">@ {formatTime(at * 1000, inUtc)}</span></span>
      ))}
      {all.length > SAMPLES_SHOWN && <span class="dim">{plural(all.length - SAMPLES_SHOWN, "earlier sample")} not shown</span>}
    </span>
  );
}

/** A native histogram: what it holds, and a bar for each bucket. */
function Histogram({ histogram }: { histogram: Bucketed }) {
  const buckets = histogram.buckets ?? [];
  const fullest = Math.max(...buckets.map(([, , , count]) => Number(count)), 1e-300);
  const mean = Number(histogram.sum) / Number(histogram.count);
  return (
    <span class="histogram">
      <span class="facts mono">
        <span>count {formatValue(Number(histogram.count))}</span>
        <span>sum {formatValue(Number(histogram.sum))}</span>
        {Number(histogram.count) > 0 && <span>mean {formatValue(mean)}</span>}
      </span>
      <span class="buckets" role="img" aria-label={plural(buckets.length, "bucket")}>
        {buckets.map(([kind, lower, upper, count]) => (
          <span key={`${lower} ${upper}`} title={`${kind === 1 || kind === 3 ? "[" : "("}${lower}, ${upper}${kind === 0 || kind === 3 ? "]" : ")"}: ${count}`} style={{ height: `${Math.max(3, (Number(count) / fullest) * 100)}%` }} />
        ))}
      </span>
    </span>
  );
}
