// A range query as a graph, with its legend.

import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { formatTime, formatValue, plural } from "../lib/format";
import { filterWords, passes, seriesText } from "../lib/labels";
import { dark, useStore, utc } from "../lib/store";
import type { ExemplarSeries, Labels } from "../lib/types";
import { Choice, Empty, SearchField, Series } from "../parts/basics";
import { VirtualList } from "../parts/list";
import { type DrawnLine, Heatmap, type Hit, type Layer, Lines, Stacked } from "./layers";
import { seriesColour } from "./palette";
import { Plot, type PlotExemplar } from "./plot";
import type { Bucket, Line, RangeResult } from "./range";
import type { Display } from "./state";

const HEIGHT = 380;
/** On a phone the legend has to be in sight as well. */
const NARROW_HEIGHT = 260;
const NARROW_WIDTH = 600;

interface Props {
  result: RangeResult;
  exemplars: ExemplarSeries[];
  start: number;
  end: number;
  display: Display;
  zero: boolean;
  onZoom: (start: number, end: number) => void;
  onPan: (seconds: number) => void;
}

interface Tip {
  hit: Hit | null;
  exemplar: PlotExemplar | null;
  x: number;
  y: number;
}

export function Graph(props: Props) {
  const { result, display } = props;
  const isDark = useStore(dark);
  const inUtc = useStore(utc);
  const [filter, setFilter] = useState("");
  const [chosen, setChosen] = useState<ReadonlySet<number>>(new Set());
  useEffect(() => setChosen(new Set()), [result]);
  const shape = useMemo(() => shapeOf(result, display), [result, display]);
  const { labels } = shape;
  const haystacks = useMemo(() => labels.map((set) => seriesText(set).toLowerCase()), [labels]);
  const words = filterWords(filter);
  const listed = labels.map((_, i) => i).filter((i) => passes(words, haystacks[i]!));
  const isShown = (i: number) => (chosen.size === 0 ? passes(words, haystacks[i]!) : chosen.has(i));
  const key = `${filter}|${[...chosen].join()}`;
  const layer = useMemo(() => layerOf(result, shape, isShown, isDark), [result, shape, key, isDark]);
  const exemplars = useMemo(() => props.exemplars.flatMap((series, index) => series.exemplars.map((one) => ({ time: one.timestamp, value: Number(one.value), index }))), [props.exemplars]);
  const plot = useRef<Plot | null>(null);
  const host = useRef<HTMLDivElement>(null);
  const [tip, setTip] = useState<Tip | null>(null);
  useEffect(() => {
    if (!host.current) return;
    const height = host.current.clientWidth < NARROW_WIDTH ? NARROW_HEIGHT : HEIGHT;
    plot.current = new Plot(host.current, {
      layer, times: result.times, start: props.start, end: props.end, zero: props.zero, exemplars, utc: inUtc, height,
      onZoom: props.onZoom,
      onPan: props.onPan,
      onHit: (hit, exemplar, x, y) => setTip(hit || exemplar ? { hit, exemplar, x, y } : null),
    });
    return () => {
      setTip(null);
      plot.current?.destroy();
    };
  }, [layer, exemplars, inUtc, props.zero, props.start, props.end]);
  const toggle = (i: number, add: boolean) => setChosen(nextChosen(chosen, i, add));
  return (
    <div class="graph">
      <div class="plot" ref={host} role="img" aria-label={`Graph of ${plural(labels.length, "series", "series")}. The table view has the same values as text.`} onKeyDown={(event) => keyboard(event, props)} tabIndex={0}>
        {labels.length === 0 && <div class="nothing"><Empty>The result is empty: no series has values in this range.</Empty></div>}
        {tip && <Tooltip tip={tip} result={result} shape={shape} exemplars={props.exemplars} dark={isDark} utc={inUtc} />}
      </div>
      <p class="dim small hint">Drag to zoom, Shift-drag to move, double-click to zoom out.</p>
      {labels.length > 0 && <div class="legend-head">
        <span class="dim">{plural(labels.length, "series", "series")}{(chosen.size > 0 || words.length > 0) && `, ${labels.filter((_, i) => isShown(i)).length} shown`}</span>
        {labels.length > 5 && <SearchField label="Filter series" value={filter} onInput={(text) => { setChosen(new Set()); setFilter(text); }} />}
        {chosen.size > 0 && <button class="button quiet" onClick={() => setChosen(new Set())}>Show all</button>}
      </div>}
      <div class="legend" style={{ height: `${Math.min(8, listed.length) * 28}px` }} onPointerLeave={() => plot.current?.emphasise(null)}>
        <VirtualList boxed label="Series" items={listed} itemKey={(i) => String(i)} height={() => 28}>
          {(i) => (
            <button
              class={`legend-row ${isShown(i) ? "" : "off"}`}
              aria-pressed={chosen.has(i)}
              title="Show only this; with Ctrl, this as well"
              onClick={(event) => toggle(i, event.ctrlKey || event.metaKey || event.shiftKey)}
              onPointerEnter={() => isShown(i) && plot.current?.emphasise(i)}
              onFocus={() => isShown(i) && plot.current?.emphasise(i)}
              onBlur={() => plot.current?.emphasise(null)}
            >
              <span class="swatch" style={{ background: seriesColour(i, isDark) }} />
              <span class="legend-name"><Series labels={labels[i]!} /></span>
            </button>
          )}
        </VirtualList>
      </div>
    </div>
  );
}

/** A click shows one alone, or all again; with a key held it adds and takes away. */
function nextChosen(chosen: ReadonlySet<number>, i: number, add: boolean): ReadonlySet<number> {
  if (!add) return chosen.size === 1 && chosen.has(i) ? new Set() : new Set([i]);
  const next = new Set(chosen);
  if (!next.delete(i)) next.add(i);
  return next;
}

/** Arrows move by a quarter of the range; plus and minus zoom. */
function keyboard(event: KeyboardEvent, { start, end, onPan, onZoom }: Props): void {
  const range = end - start;
  const actions: Record<string, () => void> = {
    ArrowLeft: () => onPan(-range / 4),
    ArrowRight: () => onPan(range / 4),
    "+": () => onZoom(start + range / 4, end - range / 4),
    "-": () => onZoom(start - range / 2, end + range / 2),
  };
  const action = actions[event.key];
  if (!action) return;
  event.preventDefault();
  action();
}

/** What is drawn: lines, or one histogram over time. */
interface Shape {
  display: Display;
  labels: Labels[];
  lines: Line[];
  /** For heatmaps: the buckets of each series over time. */
  heat: (Bucket[] | null)[][];
}

function shapeOf(result: RangeResult, display: Display): Shape {
  if (result.histograms.length > 0) {
    const labels = result.histograms.map((line) => line.labels);
    return { display: "heatmap", labels, lines: [], heat: result.histograms.map((line) => line.steps) };
  }
  const classic = display === "heatmap" ? classicHistograms(result) : null;
  if (classic) return { display, lines: [], ...classic };
  const shown = display === "heatmap" ? "lines" : display;
  return { display: shown, labels: result.lines.map((line) => line.labels), lines: result.lines, heat: [] };
}

/** Series with `le` labels as histograms; null if there are others. */
function classicHistograms(result: RangeResult): { labels: Labels[]; heat: (Bucket[] | null)[][] } | null {
  const groups = new Map<string, { labels: Labels; buckets: { upper: number; line: Line }[] }>();
  for (const line of result.lines) {
    const { le, ...labels } = line.labels;
    const upper = le === "+Inf" ? Infinity : Number(le ?? NaN);
    if (Number.isNaN(upper)) return null;
    const key = seriesText(labels);
    const group = groups.get(key) ?? { labels, buckets: [] };
    group.buckets.push({ upper, line });
    groups.set(key, group);
  }
  const all = [...groups.values()];
  return {
    labels: all.map((group) => group.labels),
    heat: all.map(({ buckets }) => {
      buckets.sort((a, b) => a.upper - b.upper);
      return Array.from(result.times, (_, step) => differences(buckets, step));
    }),
  };
}

function differences(buckets: { upper: number; line: Line }[], step: number): Bucket[] {
  return buckets.map(({ upper, line }, i): Bucket => {
    const below = buckets[i - 1];
    const count = (line.values[step] || 0) - (below?.line.values[step] || 0);
    return [below?.upper ?? (upper > 0 ? 0 : -Infinity), upper, Math.max(0, count)];
  });
}

function layerOf(result: RangeResult, shape: Shape, isShown: (i: number) => boolean, isDark: boolean): Layer {
  if (shape.display === "heatmap") {
    const shown = shape.heat.filter((_, i) => isShown(i));
    return new Heatmap(result.times, sumOf(shown, result.times.length), isDark);
  }
  const lines = shape.lines
    .map((line, index): DrawnLine => ({ index, values: line.values, colour: seriesColour(index, isDark) }))
    .filter(({ index }) => isShown(index));
  return shape.display === "stacked" ? new Stacked(result.times, lines) : new Lines(result.times, lines);
}

/** All histograms as one: counts of buckets with the same bounds together. */
function sumOf(histograms: (Bucket[] | null)[][], count: number): (Bucket[] | null)[] {
  if (histograms.length === 1) return histograms[0]!;
  return Array.from({ length: count }, (_, step) => {
    const sums = new Map<string, Bucket>();
    for (const [lower, upper, amount] of histograms.flatMap((one) => one[step] ?? [])) {
      const sum = sums.get(`${lower} ${upper}`);
      if (sum) sum[2] += amount;
      else sums.set(`${lower} ${upper}`, [lower, upper, amount]);
    }
    return sums.size === 0 ? null : [...sums.values()];
  });
}

function Tooltip({ tip, result, shape, exemplars, dark, utc }: { tip: Tip; result: RangeResult; shape: Shape; exemplars: ExemplarSeries[]; dark: boolean; utc: boolean }) {
  const { hit, exemplar, x, y } = tip;
  const onLeft = x > 420;
  const place = onLeft ? { right: `calc(100% - ${x - 14}px)` } : { left: `${x + 14}px` };
  const series = exemplar && exemplars[exemplar.index];
  const one = series?.exemplars.find(({ timestamp, value }) => timestamp === exemplar!.time && Number(value) === exemplar!.value);
  return (
    <div class="tooltip" style={{ ...place, top: `${Math.max(0, y - 24)}px` }} aria-hidden="true">
      {series && one && (
        <>
          <div class="when">Exemplar at {formatTime(one.timestamp * 1000, utc)}</div>
          <div class="what"><strong>{formatValue(Number(one.value))}</strong> <Series labels={one.labels} /></div>
          <div class="dim"><Series labels={series.seriesLabels} /></div>
        </>
      )}
      {!series && hit && (
        <>
          <div class="when">{formatTime((result.times[hit.step] ?? 0) * 1000, utc)}</div>
          {hit.bucket ? (
            <div class="what"><strong>{formatValue(hit.bucket[2])}</strong> in ({formatValue(hit.bucket[0])}, {formatValue(hit.bucket[1])}]</div>
          ) : (
            <div class="what">
              <span class="swatch" style={{ background: seriesColour(hit.index, dark) }} />
              <strong>{formatValue(shape.lines[hit.index]?.values[hit.step] ?? NaN)}</strong>
              <Series labels={shape.labels[hit.index] ?? {}} />
            </div>
          )}
        </>
      )}
    </div>
  );
}

/** Which displays suit a result. */
export function DisplayChoice({ result, value, onChange }: { result: RangeResult | null; value: Display; onChange: (display: Display) => void }) {
  if (result && result.histograms.length > 0) return <span class="dim small">Histogram over time</span>;
  const isClassic = value === "heatmap" || (result !== null && result.lines.length > 1 && classicNames(result.lines));
  const options: [Display, string][] = [["lines", "Lines"], ["stacked", "Stacked"], ...(isClassic ? [["heatmap", "Heatmap"] as [Display, string]] : [])];
  return <Choice label="Display" value={value} options={options} onChange={onChange} />;
}

function classicNames(lines: Line[]): boolean {
  return lines.every((line) => "le" in line.labels);
}
