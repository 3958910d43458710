// What is drawn between a graph's axes: lines, stacked areas, or a heatmap.
// 
// uPlot's own series cost an object, a clip and a path with per-point calls each, which is felt from some
// hundreds of series on. A layer draws all of them in one go.

import { formatTick, formatValue } from "../lib/format";
import { heatColour } from "./palette";
import type { Bucket } from "./range";

/** From values to pixels of the canvas. */
export interface Mapping {
  x: (time: number) => number;
  y: (value: number) => number;
  /** What `y` is made of, for loops over a million values: `height - (value - bottom) * perUnit`. */
  bottom: number;
  perUnit: number;
  width: number;
  height: number;
  /** Pixels of the canvas for each of the page. */
  density: number;
}

export interface DrawnLine {
  /** Index in the result: stays the same whatever is hidden. */
  index: number;
  values: Float64Array;
  colour: string;
}

/** What the pointer is nearest to. */
export interface Hit {
  /** The line's index in the result, or -1. */
  index: number;
  step: number;
  /** For heatmaps: the bucket. */
  bucket?: Bucket;
}

export interface Layer {
  /** The least and the greatest value, or null if there is none. */
  extent(): [number, number] | null;
  draw(context: CanvasRenderingContext2D | OffscreenCanvasRenderingContext2D, map: Mapping): void;
  /** Draws what stands out when the pointer is there. */
  emphasise(context: CanvasRenderingContext2D, map: Mapping, hit: Hit): void;
  /** What is nearest to a value at a step; `reach` is how far away it may be. */
  hit(step: number, value: number, reach: number): Hit | null;
  tick(value: number, distance: number): string;
}

/** More lines than this are drawn as hairlines, which is several times faster. */
const THICK_LINES_MAX = 60;

export class Lines implements Layer {
  private readonly reach: [number, number] | null;

  constructor(
    private readonly times: Float64Array,
    private readonly lines: DrawnLine[],
  ) {
    this.reach = extentOf(lines.map((line) => line.values));
  }

  extent(): [number, number] | null {
    return this.reach;
  }

  draw(context: CanvasRenderingContext2D | OffscreenCanvasRenderingContext2D, map: Mapping): void {
    context.lineWidth = this.lines.length > THICK_LINES_MAX ? 1 : 1.5 * map.density;
    context.lineJoin = "round";
    const xs = this.times.map((time) => map.x(time));
    for (const line of this.lines) {
      context.strokeStyle = line.colour;
      context.stroke(linePath(xs, line.values, map));
    }
  }

  emphasise(context: CanvasRenderingContext2D, map: Mapping, hit: Hit): void {
    const line = this.lines.find(({ index }) => index === hit.index);
    if (!line) return;
    const xs = this.times.map((time) => map.x(time));
    strokeEmphasised(context, linePath(xs, line.values, map), line.colour, map);
    const value = line.values[hit.step];
    if (value !== undefined && !Number.isNaN(value)) dot(context, xs[hit.step]!, map.y(value), line.colour, map);
  }

  hit(step: number, value: number, reach: number): Hit | null {
    return nearest(this.lines, step, value, reach);
  }

  tick(value: number, distance: number): string {
    return formatTick(value, distance);
  }
}

export class Stacked implements Layer {
  /** Sums up to each line, itself included. */
  private readonly tops: DrawnLine[];
  private readonly reach: [number, number];

  constructor(
    private readonly times: Float64Array,
    lines: DrawnLine[],
  ) {
    let below = new Float64Array(times.length);
    this.tops = lines.map((line) => {
      const top = below.map((sum, i) => sum + (Number.isNaN(line.values[i]!) ? 0 : line.values[i]!));
      below = top;
      return { ...line, values: top };
    });
    const [least, greatest] = extentOf(this.tops.map((top) => top.values)) ?? [0, 0];
    this.reach = [Math.min(0, least), Math.max(0, greatest)];
  }

  extent(): [number, number] | null {
    return this.tops.length === 0 ? null : this.reach;
  }

  draw(context: CanvasRenderingContext2D | OffscreenCanvasRenderingContext2D, map: Mapping): void {
    const xs = this.times.map((time) => map.x(time));
    const zero = new Float64Array(xs.length);
    context.lineWidth = map.density;
    this.tops.forEach((top, i) => {
      const below = this.tops[i - 1]?.values ?? zero;
      const area = new Path2D(linePath(xs, top.values, map));
      for (let step = xs.length - 1; step >= 0; step -= 1) area.lineTo(xs[step]!, map.y(below[step]!));
      context.fillStyle = top.colour;
      context.globalAlpha = 0.45;
      context.fill(area);
      context.globalAlpha = 1;
      context.strokeStyle = top.colour;
      context.stroke(linePath(xs, top.values, map));
    });
  }

  emphasise(context: CanvasRenderingContext2D, map: Mapping, hit: Hit): void {
    const top = this.tops.find(({ index }) => index === hit.index);
    if (!top) return;
    const xs = this.times.map((time) => map.x(time));
    strokeEmphasised(context, linePath(xs, top.values, map), top.colour, map);
    dot(context, xs[hit.step]!, map.y(top.values[hit.step]!), top.colour, map);
  }

  /** The area that the value is in. */
  hit(step: number, value: number): Hit | null {
    const found = this.tops.find((top) => value <= top.values[step]!);
    return found && value >= 0 ? { index: found.index, step } : null;
  }

  tick(value: number, distance: number): string {
    return formatTick(value, distance);
  }
}

/**
 * A histogram over time. Rows are the stretches between neighbouring bounds, all of the same height, so that
 * exponential buckets look as on a logarithmic axis, whatever their signs.
 */
export class Heatmap implements Layer {
  private readonly bounds: number[];
  private readonly fullest: number;

  constructor(
    private readonly times: Float64Array,
    private readonly steps: (Bucket[] | null)[],
    private readonly dark: boolean,
  ) {
    const bounds = new Set<number>();
    let fullest = 0;
    for (const buckets of steps) {
      for (const [lower, upper, count] of buckets ?? []) {
        bounds.add(lower).add(upper);
        fullest = Math.max(fullest, count);
      }
    }
    this.bounds = [...bounds].sort((a, b) => a - b);
    this.fullest = fullest;
  }

  extent(): [number, number] | null {
    return this.bounds.length < 2 ? null : [0, this.bounds.length - 1];
  }

  draw(context: CanvasRenderingContext2D | OffscreenCanvasRenderingContext2D, map: Mapping): void {
    const rows = new Map(this.bounds.map((bound, row) => [bound, row]));
    const half = this.halfStep();
    this.steps.forEach((buckets, i) => {
      const left = Math.round(map.x(this.times[i]! - half));
      const right = Math.round(map.x(this.times[i]! + half));
      for (const [lower, upper, count] of buckets ?? []) {
        if (count <= 0) continue;
        const bottom = Math.round(map.y(rows.get(lower)!));
        const top = Math.round(map.y(rows.get(upper)!));
        // The root shows that there is little where a linear scale would show nothing.
        context.fillStyle = heatColour(Math.sqrt(count / this.fullest), this.dark);
        context.fillRect(left, top, Math.max(1, right - left), Math.max(1, bottom - top));
      }
    });
  }

  emphasise(context: CanvasRenderingContext2D, map: Mapping, { bucket, step }: Hit): void {
    if (!bucket) return;
    const half = this.halfStep();
    const [left, right] = [map.x(this.times[step]! - half), map.x(this.times[step]! + half)];
    const [bottom, top] = [map.y(this.bounds.indexOf(bucket[0])), map.y(this.bounds.indexOf(bucket[1]))];
    context.lineWidth = 1.5 * map.density;
    context.strokeStyle = this.dark ? "#fff" : "#000";
    context.strokeRect(left, top, right - left, bottom - top);
  }

  hit(step: number, value: number): Hit | null {
    const bound = this.bounds[Math.floor(value)];
    const bucket = this.steps[step]?.find(([lower, upper]) => bound !== undefined && lower <= bound && bound < upper);
    return bucket ? { index: -1, step, bucket } : null;
  }

  tick(value: number): string {
    const bound = this.bounds[value];
    return bound === undefined ? "" : Number.isFinite(bound) ? formatTick(bound, Math.abs(bound) / 100) : formatValue(bound);
  }

  private halfStep(): number {
    return this.times.length > 1 ? (this.times[1]! - this.times[0]!) / 2 : 30;
  }
}

function extentOf(columns: Float64Array[]): [number, number] | null {
  let least = Infinity;
  let greatest = -Infinity;
  for (const values of columns) {
    for (let i = 0; i < values.length; i += 1) {
      const value = values[i]!;
      if (value < least) least = value;
      if (value > greatest) greatest = value;
    }
  }
  return least <= greatest ? [least, greatest] : null;
}

/** How long the stroke of a value is that has no neighbour, in pixels of the page. */
const LONE_STROKE = 3;

/** A line with gaps where there are no values; where several share a column of pixels, one stroke for them. */
function linePath(xs: Float64Array, values: Float64Array, map: Mapping): Path2D {
  if (xs.length > 2 * map.width) return condensedPath(xs, values, map);
  const { height, bottom, perUnit } = map;
  const lone = (LONE_STROKE * map.density) / 2;
  const path = new Path2D();
  let isDown = false;
  for (let i = 0; i < xs.length; i += 1) {
    const y = height - (values[i]! - bottom) * perUnit;
    if (isDown) {
      // NaN isn't equal to itself.
      if (y === y) path.lineTo(xs[i]!, y);
      else isDown = false;
    } else if (y === y) {
      const next = values[i + 1];
      const isLone = next === undefined || next !== next;
      path.moveTo(isLone ? xs[i]! - lone : xs[i]!, y);
      if (isLone) path.lineTo(xs[i]! + lone, y);
      isDown = true;
    }
  }
  return path;
}

function condensedPath(xs: Float64Array, values: Float64Array, map: Mapping): Path2D {
  const path = new Path2D();
  let isDown = false;
  let i = 0;
  while (i < xs.length) {
    const pixel = Math.floor(xs[i]!);
    let least = Infinity;
    let greatest = -Infinity;
    let hasGap = false;
    for (; i < xs.length && Math.floor(xs[i]!) === pixel; i += 1) {
      const value = values[i]!;
      if (Number.isNaN(value)) hasGap = true;
      if (value < least) least = value;
      if (value > greatest) greatest = value;
    }
    if (least > greatest) {
      isDown = false;
      continue;
    }
    if (isDown) path.lineTo(pixel, map.y(least));
    else path.moveTo(pixel, map.y(least));
    path.lineTo(pixel, map.y(greatest) + (least === greatest ? 0.5 : 0));
    isDown = !hasGap;
  }
  return path;
}

function strokeEmphasised(context: CanvasRenderingContext2D, path: Path2D, colour: string, map: Mapping): void {
  context.lineJoin = "round";
  context.lineWidth = 2.5 * map.density;
  context.strokeStyle = colour;
  context.stroke(path);
}

function dot(context: CanvasRenderingContext2D, x: number, y: number, colour: string, map: Mapping): void {
  context.beginPath();
  context.arc(x, y, 3.5 * map.density, 0, 2 * Math.PI);
  context.fillStyle = colour;
  context.fill();
}

function nearest(lines: DrawnLine[], step: number, value: number, reach: number): Hit | null {
  let best: DrawnLine | null = null;
  let distance = reach;
  for (const line of lines) {
    const away = Math.abs(line.values[step]! - value);
    if (away <= distance) [best, distance] = [line, away];
  }
  return best && { index: best.index, step };
}
