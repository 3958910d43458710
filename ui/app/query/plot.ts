// The frame of a graph: uPlot draws axes and grid and follows the pointer; what is between the axes is a
// layer's, kept as a bitmap, so that moving the graph costs a copy however many series there are.

import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import type { Hit, Layer, Mapping } from "./layers";

export interface PlotExemplar {
  time: number;
  value: number;
  index: number;
}

export interface PlotOptions {
  layer: Layer;
  times: Float64Array;
  /** What is shown, in seconds. */
  start: number;
  end: number;
  zero: boolean;
  exemplars: PlotExemplar[];
  utc: boolean;
  height: number;
  onZoom: (start: number, end: number) => void;
  onPan: (seconds: number) => void;
  onHit: (hit: Hit | null, exemplar: PlotExemplar | null, x: number, y: number) => void;
}

/** How near the pointer has to be, in pixels of the page. */
const REACH = 24;
const EXEMPLAR_REACH = 9;
const EXEMPLAR_SIZE = 4.5;

export class Plot {
  private readonly plot: uPlot;
  private bitmap: OffscreenCanvas | null = null;
  /** By how many seconds the graph has been moved so far. */
  private moved = 0;
  private hit: Hit | null = null;
  private readonly resizing: ResizeObserver;

  constructor(
    private readonly host: HTMLElement,
    private readonly options: PlotOptions,
  ) {
    this.plot = new uPlot(this.uplotOptions(), [[options.start, options.end], [null, null]], host);
    this.resizing = new ResizeObserver(() => this.resize());
    this.resizing.observe(host);
    this.plot.over.addEventListener("pointerdown", this.beginPan);
    this.plot.over.addEventListener("pointerleave", this.leave);
  }

  /** Lets a line stand out, as the pointer would. */
  emphasise(index: number | null): void {
    this.hit = index === null ? null : { index, step: -1 };
    this.plot.redraw(false, false);
  }

  destroy(): void {
    this.resizing.disconnect();
    this.plot.destroy();
  }

  private uplotOptions(): uPlot.Options {
    const style = getComputedStyle(this.host);
    const [text, line] = [style.getPropertyValue("--dim"), style.getPropertyValue("--grid")];
    const font = `12px ${style.fontFamily}`;
    const axis = { stroke: text, font, grid: { stroke: line, width: 1 }, ticks: { stroke: line, width: 1, size: 4 } };
    return {
      width: this.host.clientWidth,
      height: this.options.height,
      padding: [12, 12, 0, 0],
      legend: { show: false },
      cursor: { y: false, points: { show: false }, drag: { x: true, y: false, setScale: false }, bind: this.bindings() },
      tzDate: (seconds) => (this.options.utc ? uPlot.tzDate(new Date(seconds * 1000), "Etc/UTC") : new Date(seconds * 1000)),
      scales: { x: { time: true, auto: false, range: () => this.xRange() }, y: { range: () => this.yRange() } },
      axes: [
        { ...axis, values: TIME_FORMATS },
        { ...axis, size: yAxisWidth, values: (_, splits) => splits.map((value) => this.options.layer.tick(value, (splits[1] ?? 1) - (splits[0] ?? 0))) },
      ],
      series: [{}, {}],
      hooks: { draw: [() => this.draw()], setSelect: [() => this.zoom()], setCursor: [() => this.point()] },
    };
  }

  /** A plain drag selects; with Shift it moves the graph. A double click shows twice as much. */
  private bindings(): uPlot.Cursor.Bind {
    return {
      mousedown: (_plot, _target, select) => (event) => (event.shiftKey ? null : select(event)),
      dblclick: () => () => {
        const half = (this.options.end - this.options.start) / 2;
        this.options.onZoom(this.options.start - half, this.options.end + half);
        return null;
      },
    };
  }

  private xRange(): [number, number] {
    return [this.options.start - this.moved, this.options.end - this.moved];
  }

  private yRange(): [number, number] {
    const [least, greatest] = this.options.layer.extent() ?? [0, 1];
    const low = this.options.zero ? Math.min(0, least) : least;
    const high = this.options.zero ? Math.max(0, greatest) : greatest;
    if (low === high) return low === 0 ? [-1, 1] : [low - Math.abs(low) / 2, high + Math.abs(high) / 2];
    const room = Number.isInteger(low) && low === 0 ? 0 : (high - low) * 0.05;
    return [low - room, high + (high - low) * 0.05];
  }

  private mapping(): Mapping {
    const { width, height } = this.plot.bbox;
    const { start, end } = this.options;
    const { min, max } = this.plot.scales.y!;
    const bottom = min ?? 0;
    const perUnit = height / ((max ?? 1) - bottom);
    return {
      x: (time) => ((time - start) / (end - start)) * width,
      y: (value) => height - (value - bottom) * perUnit,
      bottom,
      perUnit,
      width,
      height,
      density: uPlot.pxRatio,
    };
  }

  private draw(): void {
    const { left, top, width, height } = this.plot.bbox;
    const map = this.mapping();
    this.bitmap ??= this.render(map);
    const context = this.plot.ctx;
    context.save();
    context.beginPath();
    context.rect(left, top, width, height);
    context.clip();
    const dx = (this.moved / (this.options.end - this.options.start)) * width;
    if (this.hit) context.globalAlpha = 0.35;
    context.drawImage(this.bitmap, left + dx, top);
    context.globalAlpha = 1;
    context.translate(left + dx, top);
    if (this.hit) this.options.layer.emphasise(context, map, this.hit);
    this.drawExemplars(context, map);
    context.restore();
  }

  private render(map: Mapping): OffscreenCanvas {
    const canvas = new OffscreenCanvas(Math.max(1, Math.round(map.width)), Math.max(1, Math.round(map.height)));
    this.options.layer.draw(canvas.getContext("2d")!, map);
    return canvas;
  }

  private drawExemplars(context: CanvasRenderingContext2D, map: Mapping): void {
    const size = EXEMPLAR_SIZE * map.density;
    const style = getComputedStyle(this.host);
    context.fillStyle = style.getPropertyValue("--raised");
    context.strokeStyle = style.getPropertyValue("--text");
    context.lineWidth = 1.2 * map.density;
    for (const { time, value } of this.options.exemplars) {
      const [x, y] = [map.x(time), this.exemplarY(value, map)];
      context.beginPath();
      context.moveTo(x, y - size);
      context.lineTo(x + size, y);
      context.lineTo(x, y + size);
      context.lineTo(x - size, y);
      context.closePath();
      context.fill();
      context.stroke();
    }
  }

  /** Exemplars of another magnitude than the graph's values stand at its edges. */
  private exemplarY(value: number, map: Mapping): number {
    const room = EXEMPLAR_SIZE * map.density;
    return Math.min(map.height - room, Math.max(room, map.y(value)));
  }

  private point(): void {
    const { left, top } = this.plot.cursor;
    if (left === undefined || top === undefined || left < 0) return this.tell(null, null, 0, 0);
    const map = this.mapping();
    const exemplar = this.options.exemplars.find(({ time, value }) => {
      const [x, y] = [map.x(time) / map.density, this.exemplarY(value, map) / map.density];
      return Math.hypot(x - left, y - top) <= EXEMPLAR_REACH;
    });
    const time = this.plot.posToVal(left, "x");
    const value = this.plot.posToVal(top, "y");
    const reach = Math.abs(this.plot.posToVal(top + REACH, "y") - value);
    const hit = this.options.layer.hit(this.stepAt(time), value, reach);
    this.tell(hit, exemplar ?? null, left, top);
  }

  private stepAt(time: number): number {
    const { times } = this.options;
    const step = times.length > 1 ? times[1]! - times[0]! : 1;
    return Math.min(times.length - 1, Math.max(0, Math.round((time - (times[0] ?? 0)) / step)));
  }

  private tell(hit: Hit | null, exemplar: PlotExemplar | null, x: number, y: number): void {
    const isSame = hit?.index === this.hit?.index && hit?.step === this.hit?.step && hit?.bucket === this.hit?.bucket;
    this.hit = hit;
    if (!isSame) this.plot.redraw(false, false);
    this.options.onHit(hit, exemplar, x + this.plot.over.offsetLeft, y + this.plot.over.offsetTop);
  }

  private readonly leave = () => this.tell(null, null, 0, 0);

  private zoom(): void {
    const { left, width } = this.plot.select;
    if (width < 4) return;
    const [from, to] = [this.plot.posToVal(left, "x"), this.plot.posToVal(left + width, "x")];
    this.plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
    this.options.onZoom(from, to);
  }

  /** With Shift, or with the middle button, the graph moves with the pointer. */
  private readonly beginPan = (event: PointerEvent) => {
    if (!event.shiftKey && event.button !== 1) return;
    event.preventDefault();
    event.stopPropagation();
    const { over } = this.plot;
    const begin = event.clientX;
    const secondsPerPixel = (this.options.end - this.options.start) / over.clientWidth;
    const move = (at: PointerEvent) => this.moveBy((at.clientX - begin) * secondsPerPixel);
    const end = () => {
      over.removeEventListener("pointermove", move);
      if (this.moved !== 0) this.options.onPan(-this.moved);
    };
    over.setPointerCapture(event.pointerId);
    over.addEventListener("pointermove", move);
    over.addEventListener("pointerup", end, { once: true });
    over.addEventListener("pointercancel", end, { once: true });
  };

  private moveBy(seconds: number): void {
    this.moved = seconds;
    this.hit = null;
    this.plot.setScale("x", { min: this.xRange()[0], max: this.xRange()[1] });
  }

  private resize(): void {
    const width = this.host.clientWidth;
    if (width === 0 || width === this.plot.width) return;
    this.bitmap = null;
    this.plot.setSize({ width, height: this.options.height });
  }
}

/** As wide as the widest value on the axis. */
function yAxisWidth(plot: uPlot, values: string[] | null, axisIndex: number): number {
  const least = 46;
  if (!values) return least;
  plot.ctx.font = plot.axes[axisIndex]!.font![0]!;
  const widths = values.map((value) => plot.ctx.measureText(value).width / uPlot.pxRatio);
  return Math.ceil(Math.max(least, ...widths.map((width) => width + 16)));
}

/** How the time axis is labelled at each distance between ticks: format, then what is added where the day changes. */
const TIME_FORMATS: uPlot.Axis.Values = [
  [3600 * 24 * 365, "{YYYY}", null, null, null, null, null, null, 1],
  [3600 * 24 * 28, "{MMM}", "\n{YYYY}", null, null, null, null, null, 1],
  [3600 * 24, "{MM}-{DD}", "\n{YYYY}", null, null, null, null, null, 1],
  [3600, "{HH}:{mm}", "\n{YYYY}-{MM}-{DD}", null, "\n{MM}-{DD}", null, null, null, 1],
  [60, "{HH}:{mm}", "\n{YYYY}-{MM}-{DD}", null, "\n{MM}-{DD}", null, null, null, 1],
  [1, "{HH}:{mm}:{ss}", "\n{YYYY}-{MM}-{DD}", null, "\n{MM}-{DD}", null, null, null, 1],
  [0.001, ":{ss}.{fff}", "\n{YYYY}-{MM}-{DD} {HH}:{mm}", null, "\n{MM}-{DD} {HH}:{mm}", null, "\n{HH}:{mm}", null, 1],
];
