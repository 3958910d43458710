// The head of a page that lists things: its name, what is counted, and the fields that filter.

import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import { place, setParams } from "../lib/router";
import { useStore } from "../lib/store";

export function PageHead({ title, summary, children }: { title: string; summary?: ComponentChildren; children?: ComponentChildren }) {
  return (
    <div class="page-head">
      <div class="titles">
        <h1>{title}</h1>
        {summary !== undefined && <div class="summary">{summary}</div>}
      </div>
      {children !== undefined && <div class="tools">{children}</div>}
    </div>
  );
}

/** A parameter of the page's URL. */
export function useParam(name: string, initial = ""): [string, (value: string) => void] {
  const { search } = useStore(place);
  const value = new URLSearchParams(search).get(name) ?? initial;
  return [value, (next) => setParams({ [name]: next === initial ? null : next })];
}

/** Which rows are open, by their keys. */
export function useOpen(): [(key: string) => boolean, (key: string) => void] {
  const [open, setOpen] = useState<ReadonlySet<string>>(new Set());
  const toggle = (key: string) => {
    const next = new Set(open);
    if (!next.delete(key)) next.add(key);
    setOpen(next);
  };
  return [(key) => open.has(key), toggle];
}

/** A list of names to choose one from, or none. */
export function Select(props: { label: string; all: string; value: string; options: string[]; onChange: (value: string) => void }) {
  const options = props.value === "" || props.options.includes(props.value) ? props.options : [props.value, ...props.options];
  return (
    <select class="field" aria-label={props.label} value={props.value} onChange={(event) => props.onChange(event.currentTarget.value)}>
      <option value="">{props.all}</option>
      {options.map((option) => (
        <option key={option} value={option}>
          {option.length > 60 ? `${option.slice(0, 60)}…` : option}
        </option>
      ))}
    </select>
  );
}
