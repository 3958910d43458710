// The panels of the query page, as the URL has them. The parameters are Prometheus's own: `g0.expr=…&g0.tab=…`,
// so that links lead from either page to the other.

import { formatTime, parseDuration, parseLocalTime, promDuration } from "../lib/format";

export type Tab = "table" | "graph" | "explain";
export type Display = "lines" | "stacked" | "heatmap";
export type Density = "low" | "medium" | "high";
export type Resolution = { type: "auto"; density: Density } | { type: "fixed"; stepMs: number };

export interface Panel {
  expr: string;
  tab: Tab;
  rangeMs: number;
  /** The end of the graph and the time of the table; null is now. */
  endMs: number | null;
  resolution: Resolution;
  display: Display;
  exemplars: boolean;
  /** Whether the vertical axis begins at zero. */
  zero: boolean;
}

export const NEW_PANEL: Panel = {
  expr: "",
  tab: "table",
  rangeMs: 3_600_000,
  endMs: null,
  resolution: { type: "auto", density: "medium" },
  display: "lines",
  exemplars: false,
  zero: false,
};

/** More panels than a page can be asked for by hand. */
const PANELS_MAX = 50;

export function parsePanels(search: string): Panel[] {
  const params = new URLSearchParams(search);
  const panels: Panel[] = [];
  for (let i = 0; i < PANELS_MAX && params.has(`g${i}.expr`); i += 1) {
    panels.push(parsePanel((name) => params.get(`g${i}.${name}`)));
  }
  return panels.length > 0 ? panels : [NEW_PANEL];
}

type Read = (name: string) => string | null;

function parsePanel(read: Read): Panel {
  const range = parseDuration(read("range_input") ?? "");
  return {
    expr: read("expr") ?? "",
    tab: parseTab(read("tab")),
    rangeMs: range !== null && range > 0 ? range : NEW_PANEL.rangeMs,
    endMs: parseLocalTime(read("end_input") ?? read("moment_input") ?? "", true),
    resolution: parseResolution(read),
    display: parseDisplay(read),
    exemplars: read("show_exemplars") === "1",
    zero: read("y_axis_min") === "0",
  };
}

/** Numbers are those of Prometheus 2. */
function parseTab(text: string | null): Tab {
  if (text === "0" || text === "graph") return "graph";
  return text === "explain" ? "explain" : "table";
}

function parseDisplay(read: Read): Display {
  const mode = read("display_mode");
  if (mode === "lines" || mode === "stacked" || mode === "heatmap") return mode;
  return read("stacked") === "1" ? "stacked" : "lines";
}

function parseResolution(read: Read): Resolution {
  const step = Number(read("res_step") ?? read("step_input") ?? "");
  const density = read("res_density");
  if (read("res_type") !== "auto" && Number.isFinite(step) && step > 0) return { type: "fixed", stepMs: step * 1000 };
  return { type: "auto", density: density === "low" || density === "high" ? density : "medium" };
}

export function encodePanels(panels: Panel[]): string {
  const params = new URLSearchParams();
  panels.forEach((panel, i) => {
    const set = (name: string, value: string) => params.set(`g${i}.${name}`, value);
    set("expr", panel.expr);
    set("tab", panel.tab);
    set("range_input", promDuration(panel.rangeMs));
    if (panel.endMs !== null) set("end_input", formatTime(panel.endMs, true));
    if (panel.display !== "lines") set("display_mode", panel.display);
    if (panel.exemplars) set("show_exemplars", "1");
    if (panel.zero) set("y_axis_min", "0");
    if (panel.resolution.type === "fixed") {
      set("res_type", "fixed");
      set("res_step", String(panel.resolution.stepMs / 1000));
    } else if (panel.resolution.density !== "medium") {
      set("res_type", "auto");
      set("res_density", panel.resolution.density);
    }
  });
  return params.toString();
}

/** How many points a graph has at each density. */
const POINTS: Record<Density, number> = { low: 100, medium: 250, high: 1000 };
/** The server's limit on the points of a series. */
const POINTS_MAX = 11_000;

/** The step in milliseconds, whole seconds where that is fine enough. */
export function stepMs(resolution: Resolution, rangeMs: number): number {
  const least = Math.ceil(rangeMs / POINTS_MAX);
  if (resolution.type === "fixed") return Math.max(resolution.stepMs, 1);
  const wanted = rangeMs / POINTS[resolution.density];
  return Math.max(least, wanted >= 1000 ? Math.round(wanted / 1000) * 1000 : Math.max(1, Math.round(wanted)));
}
