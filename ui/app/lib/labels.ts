// Label sets as PromQL writes them.

import type { Labels } from "./types";

const LEGACY_METRIC = /^[a-zA-Z_:][a-zA-Z0-9_:]*$/;
const LEGACY_LABEL = /^[a-zA-Z_][a-zA-Z0-9_]*$/;

/** Characters that aren't seen, or that turn the direction of those around them. */
const UNSEEN = /[\u0000-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g;

/** Text as a PromQL string. What wouldn't be seen is written as an escape. */
export function quote(text: string): string {
  const escaped = text.replace(/\\/g, "\\\\").replace(/"/g, '\\"').replace(/\n/g, "\\n");
  return `"${escaped.replace(UNSEEN, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`)}"`;
}

export function labelName(name: string): string {
  return LEGACY_LABEL.test(name) ? name : quote(name);
}

/** The series' name and labels, as a selector that finds it. */
export function seriesText(labels: Labels): string {
  const { __name__: name, ...rest } = labels;
  const pairs = Object.entries(rest).map(([label, value]) => `${labelName(label)}=${quote(value)}`);
  if (name === undefined) return `{${pairs.join(", ")}}`;
  if (!LEGACY_METRIC.test(name)) return `{${[quote(name), ...pairs].join(", ")}}`;
  return pairs.length === 0 ? name : `${name}{${pairs.join(", ")}}`;
}

/** A metric's name as it stands in a query. */
export function metricSelector(name: string, matchers: string[] = []): string {
  if (LEGACY_METRIC.test(name)) return matchers.length === 0 ? name : `${name}{${matchers.join(", ")}}`;
  return `{${[quote(name), ...matchers].join(", ")}}`;
}

/** All words, lower-case, that a text must contain to pass a filter. */
export function filterWords(text: string): string[] {
  return text.toLowerCase().split(/\s+/).filter(Boolean);
}

export function passes(words: string[], haystack: string): boolean {
  return words.every((word) => haystack.includes(word));
}
