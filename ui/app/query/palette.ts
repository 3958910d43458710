// Colours of series, and of how full a bucket is.

/** Ten colours that stay apart, then hues a golden angle from each other. */
const LIGHT = ["#1f6fd0", "#d9480f", "#2b8a3e", "#a61e9a", "#b08900", "#0c8599", "#c2255c", "#5f3dc4", "#5c7a0a", "#7a4a24"];
const DARK = ["#6cb2ff", "#ff9257", "#69d17c", "#f08be4", "#f0c64a", "#4fd3e8", "#ff85ab", "#b39bff", "#b5d65a", "#d9a77e"];
const GOLDEN_ANGLE = 137.508;

export function seriesColour(index: number, dark: boolean): string {
  const colours = dark ? DARK : LIGHT;
  const colour = colours[index];
  if (colour !== undefined) return colour;
  const hue = Math.round((index * GOLDEN_ANGLE) % 360);
  return dark ? `hsl(${hue} 65% 68%)` : `hsl(${hue} 62% 40%)`;
}

/** Shades from empty to full: blue, green, yellow; dark ones first where the page is dark. */
const HEAT: [number, number, number][] = [
  [68, 24, 108],
  [59, 82, 139],
  [33, 145, 140],
  [94, 201, 98],
  [253, 231, 37],
];

/** The colour of a bucket that holds `part` of what the fullest holds. */
export function heatColour(part: number, dark: boolean): string {
  const at = Math.min(1, Math.max(0, dark ? part : 1 - part)) * (HEAT.length - 1);
  const [low, high] = [HEAT[Math.floor(at)]!, HEAT[Math.ceil(at)]!];
  const mixed = low.map((channel, i) => Math.round(channel + (high[i]! - channel) * (at % 1)));
  return `rgb(${mixed.join(" ")})`;
}
