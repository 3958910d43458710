// Numbers, durations and times as people read them.

const UNITS: [string, number][] = [
  ["y", 365 * 86_400_000],
  ["w", 7 * 86_400_000],
  ["d", 86_400_000],
  ["h", 3_600_000],
  ["m", 60_000],
  ["s", 1000],
  ["ms", 1],
];

const DURATION = /^(?:(\d+)y)?(?:(\d+)w)?(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?(?:(\d+)ms)?$/;

/** Milliseconds of a duration as PromQL writes it, or null. */
export function parseDuration(text: string): number | null {
  const found = DURATION.exec(text.trim());
  if (!found || found[0] === "") return null;
  return UNITS.reduce((sum, [, ms], i) => sum + Number(found[i + 1] ?? 0) * ms, 0);
}

/** A duration as PromQL writes it: `1h30m`. Weeks only where nothing else is left. */
export function promDuration(ms: number): string {
  if (ms === 0) return "0s";
  let rest = Math.round(ms);
  let text = "";
  for (const [unit, size] of UNITS) {
    if ((unit === "w" || unit === "y") && rest % size !== 0) continue;
    const count = Math.floor(rest / size);
    if (count > 0) text += `${count}${unit}`;
    rest -= count * size;
  }
  return text;
}

/** A duration in its two largest units: `3d 4h`; below a second with three digits. */
export function humanDuration(ms: number): string {
  if (!Number.isFinite(ms)) return "–";
  if (ms < 0) return `-${humanDuration(-ms)}`;
  if (ms < 1) return ms === 0 ? "0 ms" : `${significant(ms * 1000)} µs`;
  if (ms < 1000) return `${significant(ms)} ms`;
  if (ms < 60_000) return `${significant(ms / 1000)} s`;
  const parts: string[] = [];
  let rest = Math.round(ms / 1000) * 1000;
  for (const [unit, size] of UNITS) {
    if (unit === "w" || unit === "ms") continue;
    const count = Math.floor(rest / size);
    if (count > 0 || parts.length > 0) parts.push(`${count}${unit}`);
    rest -= count * size;
    if (parts.length === 2) break;
  }
  return parts.filter((part) => !part.startsWith("0")).join(" ");
}

function significant(value: number): string {
  return Number(value.toPrecision(3)).toString();
}

/** The time that the API writes for "never". */
const ZERO_TIME = "0001-01-01T00:00:00Z";

/** Milliseconds of a time as the API writes it, or null for "never". */
export function parseTime(text: string | undefined): number | null {
  if (!text || text === ZERO_TIME) return null;
  const ms = Date.parse(text);
  return Number.isNaN(ms) ? null : ms;
}

/** A time with seconds, in the zone that the user chose. */
export function formatTime(ms: number, utc: boolean): string {
  if (!Number.isFinite(ms) || Math.abs(ms) > 8.64e15) return "–";
  const date = new Date(ms);
  if (utc) return date.toISOString().slice(0, 19).replace("T", " ");
  const two = (n: number) => String(n).padStart(2, "0");
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  return `${day} ${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
}

/** Milliseconds of a time as `formatTime` writes it, or null. */
export function parseLocalTime(text: string, utc: boolean): number | null {
  const normal = text.trim().replace(" ", "T");
  if (!/^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}/.test(normal)) return null;
  const ms = Date.parse(utc ? `${normal.replace(/Z$/, "")}Z` : normal);
  return Number.isNaN(ms) ? null : ms;
}

const BYTE_UNITS = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];

export function formatBytes(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (Math.abs(value) >= 1024 && unit < BYTE_UNITS.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${unit === 0 ? value : significant(value)} ${BYTE_UNITS[unit]}`;
}

const INTEGER = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });

/** A count with separators between thousands. */
export function formatCount(count: number): string {
  return INTEGER.format(count);
}

/** `1 series`, `2 targets`. */
export function plural(count: number, one: string, many = `${one}s`): string {
  return `${formatCount(count)} ${count === 1 ? one : many}`;
}

const SI: [number, string][] = [
  [1e12, "T"],
  [1e9, "G"],
  [1e6, "M"],
  [1e3, "k"],
];

/** A value on an axis: short, as exact as the distance between two ticks needs. */
export function formatTick(value: number, step: number): string {
  if (value === 0) return "0";
  const magnitude = Math.abs(value);
  if (magnitude >= 1e15 || magnitude < 1e-6) return value.toExponential(2).replace("e+", "e");
  for (const [size, suffix] of SI) {
    if (magnitude >= size) return trimZeros((value / size).toFixed(decimals(step / size))) + suffix;
  }
  return trimZeros(value.toFixed(decimals(step)));
}

function decimals(step: number): number {
  if (!(step > 0)) return 2;
  return Math.min(10, Math.max(0, Math.ceil(-Math.log10(step) + 0.000_001) + 1));
}

function trimZeros(text: string): string {
  return text.includes(".") ? text.replace(/\.?0+$/, "") : text;
}

/** A sample's value, as exact as a label has room for. */
export function formatValue(value: number): string {
  if (!Number.isFinite(value)) return Number.isNaN(value) ? "NaN" : value > 0 ? "+Inf" : "-Inf";
  if (value !== 0 && (Math.abs(value) >= 1e15 || Math.abs(value) < 1e-4)) return value.toExponential(5);
  return Number.isInteger(value) ? formatCount(value) : Number(value.toPrecision(8)).toString();
}
