// Small pieces that every page is made of.

import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import type { ApiError, Answer } from "../lib/api";
import { formatTime, humanDuration } from "../lib/format";
import { useNow } from "../lib/hooks";
import { labelName, quote } from "../lib/labels";
import type { Loaded } from "../lib/hooks";
import { useStore, utc } from "../lib/store";
import type { Labels } from "../lib/types";

export type Tone = "good" | "bad" | "warn" | "plain" | "accent";

export function Badge({ tone, children }: { tone: Tone; children: ComponentChildren }) {
  return <span class={`badge ${tone}`}>{children}</span>;
}

interface LinkProps {
  to: string;
  class?: string;
  "aria-label"?: string;
  "aria-current"?: "page";
  children: ComponentChildren;
}

/** A link to a page of this server. */
export function Link({ to, children, ...rest }: LinkProps) {
  return (
    <a {...rest} href={`./${to}`} data-page>
      {children}
    </a>
  );
}

/** How many characters of a value are shown at first. */
const SHOWN_CHARS = 200;

/** Text from outside, of any length. `bdi` keeps its direction to itself. */
export function Text({ text }: { text: string }) {
  const [whole, setWhole] = useState(false);
  if (whole || text.length <= SHOWN_CHARS) return <bdi class="text">{text}</bdi>;
  return (
    <bdi class="text">
      {text.slice(0, SHOWN_CHARS)}…
      <button class="more" onClick={() => setWhole(true)}>
        show all {text.length.toLocaleString("en")} characters
      </button>
    </bdi>
  );
}

/** A label set as chips. */
export function LabelSet({ labels, skip = [] }: { labels: Labels; skip?: string[] }) {
  const pairs = Object.entries(labels).filter(([name]) => !skip.includes(name));
  if (pairs.length === 0) return <span class="dim">no labels</span>;
  return (
    <span class="labels">
      {pairs.map(([name, value]) => (
        <span class="label" key={name}>
          <span class="name">
            <Text text={labelName(name)} />
          </span>
          =
          <span class="value">
            <Text text={quote(value)} />
          </span>
        </span>
      ))}
    </span>
  );
}

/** A series: its name, then its labels. */
export function Series({ labels }: { labels: Labels }) {
  const { __name__: name, ...rest } = labels;
  const pairs = Object.entries(rest);
  return (
    <span class="series">
      {name !== undefined && <Text text={name} />}
      {(name === undefined || pairs.length > 0) && <span class="punct">{"{"}</span>}
      {pairs.map(([label, value], i) => (
        <span key={label}>
          {i > 0 && <span class="punct">, </span>}
          <span class="name">
            <Text text={labelName(label)} />
          </span>
          <span class="punct">=</span>
          <span class="value">
            <Text text={quote(value)} />
          </span>
        </span>
      ))}
      {(name === undefined || pairs.length > 0) && <span class="punct">{"}"}</span>}
    </span>
  );
}

/** A time, told as how long ago it was. */
export function Ago({ ms }: { ms: number | null }) {
  const now = useNow();
  const inUtc = useStore(utc);
  if (ms === null) return <span class="dim">never</span>;
  const past = now - ms;
  const text = Math.abs(past) < 1000 ? "just now" : past > 0 ? `${wholeSeconds(past)} ago` : `in ${wholeSeconds(-past)}`;
  return (
    <time dateTime={new Date(ms).toISOString()} title={formatTime(ms, inUtc)}>
      {text}
    </time>
  );
}

function wholeSeconds(ms: number): string {
  return ms < 60_000 ? `${Math.floor(ms / 1000)}s` : humanDuration(ms);
}

export function Time({ ms }: { ms: number | null }) {
  const inUtc = useStore(utc);
  if (ms === null) return <span class="dim">never</span>;
  return <time dateTime={new Date(ms).toISOString()}>{formatTime(ms, inUtc)}</time>;
}

export function ErrorNote({ error, title }: { error: ApiError | string; title?: string }) {
  const text = typeof error === "string" ? error : error.message;
  return (
    <div class="note bad" role="alert">
      {title !== undefined && <strong>{title} </strong>}
      <Text text={text} />
    </div>
  );
}

export function Warnings({ answer }: { answer: Answer<unknown> }) {
  return (
    <>
      {answer.warnings.map((text) => (
        <div class="note warn" key={text}>
          <Text text={text} />
        </div>
      ))}
      {answer.infos.map((text) => (
        <div class="note plain" key={text}>
          <Text text={text} />
        </div>
      ))}
    </>
  );
}

/** What is shown of an answer while it loads, when it fails, and when it is there. */
export function Showing<T>({ loaded, children }: { loaded: Loaded<T>; children: (data: T) => ComponentChildren }) {
  return (
    <>
      {loaded.error !== null && <ErrorNote error={loaded.error} title={loaded.answer ? "Not refreshed:" : undefined} />}
      {loaded.answer !== null && children(loaded.answer.data)}
      {loaded.answer === null && loaded.loading && <Loading />}
    </>
  );
}

export function Loading({ what = "Loading" }: { what?: string }) {
  return (
    <div class="loading" role="status">
      <span class="spinner" aria-hidden="true" />
      {what}…
    </div>
  );
}

export function Empty({ children }: { children: ComponentChildren }) {
  return <div class="empty">{children}</div>;
}

export function SearchField(props: { value: string; label: string; onInput: (text: string) => void; autofocus?: boolean }) {
  return (
    <input
      type="search"
      class="field search"
      value={props.value}
      placeholder={props.label}
      aria-label={props.label}
      autofocus={props.autofocus}
      autocomplete="off"
      spellcheck={false}
      onInput={(event) => props.onInput(event.currentTarget.value)}
    />
  );
}

/** One of a few, all of which are seen. */
export function Choice<T extends string>(props: {
  label: string;
  value: T;
  options: [T, ComponentChildren][];
  onChange: (value: T) => void;
}) {
  const move = (event: KeyboardEvent) => {
    const by = event.key === "ArrowRight" ? 1 : event.key === "ArrowLeft" ? -1 : 0;
    if (by === 0) return;
    event.preventDefault();
    const at = props.options.findIndex(([value]) => value === props.value);
    const next = props.options[(at + by + props.options.length) % props.options.length]!;
    props.onChange(next[0]);
    const group = event.currentTarget as HTMLElement;
    requestAnimationFrame(() => group.querySelector<HTMLElement>("[aria-checked=true]")?.focus());
  };
  return (
    <div class="choice" role="radiogroup" aria-label={props.label} onKeyDown={move}>
      {props.options.map(([value, text]) => (
        <button
          key={value}
          type="button"
          role="radio"
          aria-checked={value === props.value}
          tabIndex={value === props.value ? 0 : -1}
          onClick={() => props.onChange(value)}
        >
          {text}
        </button>
      ))}
    </div>
  );
}

export function Copy({ text, label = "Copy" }: { text: string; label?: string }) {
  const [done, setDone] = useState(false);
  const copy = async () => {
    await copyText(text);
    setDone(true);
    setTimeout(() => setDone(false), 1500);
  };
  return (
    <button type="button" class="button quiet" onClick={copy}>
      {done ? "Copied" : label}
    </button>
  );
}

/** The clipboard is there only where the connection is secure; a selection works everywhere. */
async function copyText(text: string): Promise<void> {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  const area = document.createElement("textarea");
  area.value = text;
  document.body.append(area);
  area.select();
  document.execCommand("copy");
  area.remove();
}

/** A part of a whole as a bar. */
export function Bar({ part, tone = "accent" }: { part: number; tone?: Tone }) {
  const width = `${Math.min(100, Math.max(0, part * 100))}%`;
  return (
    <span class={`bar ${tone}`} aria-hidden="true">
      <span style={{ width }} />
    </span>
  );
}

export function Pairs({ pairs }: { pairs: [string, ComponentChildren][] }) {
  return (
    <dl class="pairs">
      {pairs.map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}
