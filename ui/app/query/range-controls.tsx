// The range of a graph: how long, until when, and how fine.

import { useEffect, useState } from "preact/hooks";
import { formatTime, parseDuration, parseLocalTime, promDuration } from "../lib/format";
import { useStore, utc } from "../lib/store";
import { icons } from "../parts/icons";
import type { Panel, Resolution } from "./state";
import { stepMs } from "./state";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
/** The ranges that plus and minus go through. */
const RANGES = [MINUTE, 5 * MINUTE, 15 * MINUTE, 30 * MINUTE, HOUR, 2 * HOUR, 6 * HOUR, 12 * HOUR, DAY, 2 * DAY, 7 * DAY, 14 * DAY, 28 * DAY, 56 * DAY, 182 * DAY, 365 * DAY, 730 * DAY];

interface Props {
  panel: Panel;
  onChange: (change: Partial<Panel>) => void;
}

export function RangeField({ panel, onChange }: Props) {
  const shorter = RANGES.findLast((range) => range < panel.rangeMs);
  const longer = RANGES.find((range) => range > panel.rangeMs);
  const set = (text: string) => {
    const rangeMs = parseDuration(text);
    if (rangeMs !== null && rangeMs > 0) onChange({ rangeMs });
  };
  return (
    <div class="joined" role="group" aria-label="Range">
      <button class="button" aria-label="Shorter range" disabled={shorter === undefined} onClick={() => shorter && onChange({ rangeMs: shorter })}><icons.minus /></button>
      <TextField label="Range" value={promDuration(panel.rangeMs)} isRight={(text) => parseDuration(text) !== null} onSet={set} width="4.5rem" list="ranges" />
      <datalist id="ranges">{RANGES.map((range) => <option key={range} value={promDuration(range)} />)}</datalist>
      <button class="button" aria-label="Longer range" disabled={longer === undefined} onClick={() => longer && onChange({ rangeMs: longer })}><icons.plus /></button>
    </div>
  );
}

/** The end of the graph, or the time of the table. */
export function EndField({ panel, onChange, label }: Props & { label: string }) {
  const inUtc = useStore(utc);
  const end = panel.endMs ?? Date.now();
  const [picking, setPicking] = useState(false);
  const set = (text: string) => {
    if (text.trim() === "") return onChange({ endMs: null });
    const endMs = parseLocalTime(text, inUtc);
    if (endMs !== null) onChange({ endMs });
  };
  return (
    <div class="joined" role="group" aria-label={label}>
      <button class="button" aria-label="Earlier" onClick={() => onChange({ endMs: end - panel.rangeMs / 2 })}><icons.left /></button>
      {picking ? (
        <input
          class="field"
          type="datetime-local"
          step={1}
          aria-label={label}
          autofocus
          value={formatTime(end, inUtc).replace(" ", "T")}
          onChange={(event) => set(event.currentTarget.value)}
          onBlur={() => setPicking(false)}
        />
      ) : (
        <button class="button time" aria-label={`${label}: ${panel.endMs === null ? "now" : formatTime(panel.endMs, inUtc)}. Choose another`} onClick={() => setPicking(true)}>
          {panel.endMs === null ? "now" : formatTime(panel.endMs, inUtc)}
        </button>
      )}
      {panel.endMs !== null && <button class="button" aria-label="Back to now" onClick={() => onChange({ endMs: null })}><icons.close /></button>}
      <button class="button" aria-label="Later" disabled={panel.endMs === null} onClick={() => onChange(later(end + panel.rangeMs / 2))}><icons.right /></button>
    </div>
  );
}

/** Beyond now there is nothing to see. */
function later(endMs: number): Partial<Panel> {
  return { endMs: endMs >= Date.now() ? null : endMs };
}

export function ResolutionField({ panel, onChange }: Props) {
  const { resolution } = panel;
  const step = promDuration(stepMs(resolution, panel.rangeMs));
  const choose = (value: string) => {
    const next: Resolution = value === "fixed" ? { type: "fixed", stepMs: stepMs(resolution, panel.rangeMs) } : { type: "auto", density: value as "low" | "medium" | "high" };
    onChange({ resolution: next });
  };
  const setStep = (text: string) => {
    const ms = parseDuration(text);
    if (ms !== null && ms > 0) onChange({ resolution: { type: "fixed", stepMs: ms } });
  };
  return (
    <div class="joined" role="group" aria-label="Resolution">
      <select class="field" aria-label="Resolution" value={resolution.type === "auto" ? resolution.density : "fixed"} onChange={(event) => choose(event.currentTarget.value)}>
        <option value="low">Low resolution{resolution.type === "auto" && resolution.density === "low" ? `, ${step}` : ""}</option>
        <option value="medium">Medium resolution{resolution.type === "auto" && resolution.density === "medium" ? `, ${step}` : ""}</option>
        <option value="high">High resolution{resolution.type === "auto" && resolution.density === "high" ? `, ${step}` : ""}</option>
        <option value="fixed">Step of …</option>
      </select>
      {resolution.type === "fixed" && <TextField label="Step" value={promDuration(resolution.stepMs)} isRight={(text) => parseDuration(text) !== null} onSet={setStep} width="4.5rem" />}
    </div>
  );
}

/** A text that takes effect on Enter, or when it is left, and shows when it isn't right. */
function TextField(props: { label: string; value: string; isRight: (text: string) => boolean; onSet: (text: string) => void; width: string; list?: string }) {
  const [text, setText] = useState(props.value);
  useEffect(() => setText(props.value), [props.value]);
  const isRight = props.isRight(text);
  const set = () => (isRight ? text !== props.value && props.onSet(text) : setText(props.value));
  return (
    <input
      class="field"
      aria-label={props.label}
      aria-invalid={!isRight}
      title={isRight ? undefined : "A duration, such as 90s, 1h30m or 2d"}
      value={text}
      list={props.list}
      style={{ width: props.width }}
      onInput={(event) => setText(event.currentTarget.value)}
      onKeyDown={(event) => event.key === "Enter" && set()}
      onBlur={set}
    />
  );
}
