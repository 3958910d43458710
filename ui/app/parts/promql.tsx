// PromQL as text in colours.

import { parser } from "@prometheus-io/lezer-promql";
import { highlightTree, tagHighlighter } from "@lezer/highlight";
import { promQLTags } from "./promql-tags";
import type { ComponentChildren } from "preact";

const highlighter = tagHighlighter(promQLTags);

/** Longer queries are shown in one colour. */
const COLOURED_CHARS_MAX = 20_000;

export function PromQL({ text }: { text: string }) {
  return <code class="promql">{text.length > COLOURED_CHARS_MAX ? text : coloured(text)}</code>;
}

function coloured(text: string): ComponentChildren[] {
  const parts: ComponentChildren[] = [];
  let at = 0;
  highlightTree(parser.parse(text), highlighter, (from, to, classes) => {
    if (from > at) parts.push(text.slice(at, from));
    parts.push(<span class={classes}>{text.slice(from, to)}</span>);
    at = to;
  });
  parts.push(text.slice(at));
  return parts;
}
