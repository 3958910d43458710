// One expression: its editor, and its value as a table, a graph or a plan.

import { useEffect, useRef, useState } from "preact/hooks";
import { describe, get, isAbort } from "../lib/api";
import { formatBytes, formatCount, humanDuration, plural } from "../lib/format";
import { useNow } from "../lib/hooks";
import { phase } from "../lib/server";
import { useStore } from "../lib/store";
import { Ago, Choice, Empty, Loading, SearchField, Text } from "../parts/basics";
import { Dialog } from "../parts/dialog";
import { ErrorBoundary } from "../parts/boundary";
import { icons } from "../parts/icons";
import { PromQL } from "../parts/promql";
import { type Annotation, annotation } from "./annotation";
import { Editor } from "./editor";
import { Explain } from "./explain";
import { Explorer } from "./explorer";
import { DisplayChoice, Graph } from "./graph";
import { asked, remember } from "./history";
import { EndField, RangeField, ResolutionField } from "./range-controls";
import { type Outcome, type Run, useRun } from "./run";
import type { Panel, Tab } from "./state";
import { Table } from "./table";

interface Props {
  panel: Panel;
  number: number;
  onChange: (change: Partial<Panel>) => void;
  onDuplicate: () => void;
  onRemove: (() => void) | null;
}

export function QueryPanel({ panel, number, onChange, onDuplicate, onRemove }: Props) {
  const [draft, setDraft] = useState(panel.expr);
  const [turn, setTurn] = useState(0);
  const [problem, setProblem] = useState<string | null>(null);
  const isReady = useStore(phase) !== "starting";
  const run = useRun(panel, turn, isReady);
  const [open, setOpen] = useState<"explorer" | "history" | null>(null);
  const editor = useRef<Editor | null>(null);
  const annotations = annotationsOf(run, panel.expr);
  useEffect(() => {
    editor.current?.annotate(draft === panel.expr ? annotations : []);
  }, [run.outcome, run.error]);
  useEffect(() => editor.current?.set(panel.expr), [panel.expr]);
  const submit = useRef(() => {});
  submit.current = () => {
    setProblem(null);
    if (draft.trim() !== "") remember(draft);
    if (draft === panel.expr) setTurn(turn + 1);
    else onChange({ expr: draft });
  };
  const format = async () => {
    try {
      const { data } = await get<string>("format_query", { query: draft });
      editor.current?.set(data);
      setProblem(null);
    } catch (cause) {
      if (!isAbort(cause)) setProblem(describe(cause).message);
    }
  };
  return (
    <section class="panel" aria-label={`Query ${number}`}>
      <div class="ask">
        <EditorBox doc={panel.expr} label={`Expression ${number}`} editor={editor} onChange={setDraft} onSubmit={() => submit.current()} />
        {run.since === null ? (
          <button class="button primary execute" onClick={() => submit.current()}>Execute</button>
        ) : (
          <CancelButton since={run.since} onCancel={run.cancel} />
        )}
      </div>
      <div class="panel-bar">
        <Choice<Tab> label="View" value={panel.tab} options={[["table", "Table"], ["graph", "Graph"], ["explain", "Explain"]]} onChange={(tab) => onChange({ tab })} />
        <span class="grow" />
        <button class="button quiet" aria-label="Metrics" onClick={() => setOpen("explorer")}><icons.explore /><span>Metrics</span></button>
        <button class="button quiet" aria-label="History" onClick={() => setOpen("history")}><icons.history /><span>History</span></button>
        <button class="button quiet" aria-label="Format" onClick={format} disabled={draft.trim() === ""}><icons.format /><span>Format</span></button>
        <button class="button quiet" aria-label="Duplicate the panel" title="Duplicate the panel" onClick={onDuplicate}><icons.duplicate /></button>
        {onRemove && <button class="button quiet" aria-label="Remove the panel" title="Remove the panel" onClick={onRemove}><icons.close /></button>}
      </div>
      {problem !== null && <div class="note bad" role="alert"><Text text={problem} /></div>}
      <Annotations annotations={annotations} query={panel.expr} onGo={(at) => editor.current?.focus(at)} />
      <ViewControls panel={panel} run={run} onChange={onChange} />
      <div class="view" aria-busy={run.since !== null}>
        <ErrorBoundary key={panel.tab}>
          <View run={run} panel={panel} onChange={onChange} onSpan={(span) => draft === panel.expr && editor.current?.highlight(span)} />
        </ErrorBoundary>
      </div>
      {open === "explorer" && <Explorer onClose={() => setOpen(null)} onInsert={(text) => editor.current?.insert(text)} />}
      {open === "history" && <History onClose={() => setOpen(null)} onChoose={(expr) => { setOpen(null); editor.current?.set(expr); editor.current?.focus(); }} />}
    </section>
  );
}

function EditorBox(props: { doc: string; label: string; editor: { current: Editor | null }; onChange: (text: string) => void; onSubmit: () => void }) {
  const host = useRef<HTMLDivElement>(null);
  useEffect(() => {
    const editor = new Editor(host.current!, props);
    props.editor.current = editor;
    if (props.doc === "" && matchMedia("(hover: hover)").matches) editor.focus();
    return () => editor.destroy();
  }, []);
  return <div class="editor" ref={host} />;
}

function CancelButton({ since, onCancel }: { since: number; onCancel: () => void }) {
  const now = useNow(100);
  const seconds = Math.max(0, now - since) / 1000;
  return (
    <button class="button execute" onClick={onCancel}>
      <span class="spinner" aria-hidden="true" /> Cancel {seconds >= 1 && <span class="dim number">{seconds.toFixed(1)} s</span>}
    </button>
  );
}

function annotationsOf(run: Run, query: string): Annotation[] {
  if (run.error) return [annotation("bad", run.error.message, query)];
  const { outcome } = run;
  if (!outcome) return [];
  const { warnings, infos } = outcome.tab === "graph" ? outcome.result : outcome.answer;
  return [...warnings.map((text) => annotation("warn", text, query)), ...infos.map((text) => annotation("plain", text, query))];
}

function Annotations({ annotations, query, onGo }: { annotations: Annotation[]; query: string; onGo: (at: number) => void }) {
  return (
    <>
      {annotations.map(({ tone, text, at }) => (
        <div class={`note ${tone}`} key={text} role={tone === "bad" ? "alert" : "status"}>
          <Text text={text} />
          {at !== null && at <= query.length && <button class="more" onClick={() => onGo(at)}>show in the expression</button>}
        </div>
      ))}
    </>
  );
}

function ViewControls({ panel, run, onChange }: { panel: Panel; run: Run; onChange: (change: Partial<Panel>) => void }) {
  const result = run.outcome?.tab === "graph" ? run.outcome.result : null;
  return (
    <div class="view-bar">
      {panel.tab !== "table" && <RangeField panel={panel} onChange={onChange} />}
      <EndField panel={panel} onChange={onChange} label={panel.tab === "table" ? "Time" : "End"} />
      {panel.tab !== "table" && <ResolutionField panel={panel} onChange={onChange} />}
      {panel.tab === "graph" && (
        <>
          <DisplayChoice result={result} value={panel.display} onChange={(display) => onChange({ display })} />
          <Check label="From zero" checked={panel.zero} onChange={(zero) => onChange({ zero })} />
          <Check label="Exemplars" checked={panel.exemplars} onChange={(exemplars) => onChange({ exemplars })} />
        </>
      )}
      <span class="grow" />
      <Facts outcome={run.outcome} />
    </div>
  );
}

function Check({ label, checked, onChange }: { label: string; checked: boolean; onChange: (checked: boolean) => void }) {
  return (
    <label class="check">
      <input type="checkbox" checked={checked} onChange={(event) => onChange(event.currentTarget.checked)} />
      {label}
    </label>
  );
}

/** What the answer cost. */
function Facts({ outcome }: { outcome: Outcome | null }) {
  if (!outcome) return null;
  const { tookMs, bytes } = outcome.tab === "graph" ? outcome.result : outcome.answer;
  const facts = [humanDuration(tookMs), formatBytes(bytes)];
  const stats = outcome.tab === "graph" ? outcome.result.stats : outcome.tab === "table" ? outcome.answer.data.stats : undefined;
  if (stats) facts.unshift(`${formatCount(stats.samples.totalQueryableSamples)} samples`);
  if (outcome.tab === "graph") facts.unshift(plural(outcome.result.lines.length + outcome.result.histograms.length, "series", "series"));
  return <span class="dim small facts">{facts.map((fact) => <span key={fact}>{fact}</span>)}</span>;
}

interface ViewProps {
  run: Run;
  panel: Panel;
  onChange: (change: Partial<Panel>) => void;
  onSpan: (span: [number, number] | null) => void;
}

function View({ run, panel, onChange, onSpan }: ViewProps) {
  const { outcome } = run;
  if (!outcome || outcome.tab !== panel.tab) {
    if (run.since !== null) return <Loading what="Asking" />;
    return run.error ? null : <Empty>{panel.expr.trim() === "" ? "Write an expression and press Enter, or look through the metrics." : "Nothing has been asked yet. Press Execute."}</Empty>;
  }
  if (outcome.tab === "table") return <Table data={outcome.answer.data} />;
  if (outcome.tab === "explain") return <Explain plan={outcome.plan} query={outcome.query} onSpan={onSpan} />;
  const show = (start: number, end: number) => onChange(span(start, end));
  const { start, end } = outcome;
  return (
    <Graph
      result={outcome.result}
      exemplars={outcome.exemplars}
      start={start}
      end={end}
      display={panel.display}
      zero={panel.zero}
      onZoom={show}
      onPan={(seconds) => show(start + seconds, end + seconds)}
    />
  );
}

/** The shortest range that one can zoom to. */
const RANGE_MIN_MS = 1000;

/** A range and its end, from seconds; an end that is about now follows the time. */
function span(start: number, end: number): Partial<Panel> {
  const rangeMs = Math.max(RANGE_MIN_MS, Math.round(end - start) * 1000);
  const endMs = Math.round(end) * 1000;
  return { rangeMs, endMs: endMs >= Date.now() ? null : endMs };
}

function History({ onChoose, onClose }: { onChoose: (expr: string) => void; onClose: () => void }) {
  const all = useStore(asked);
  const [search, setSearch] = useState("");
  const shown = all.filter(({ expr }) => expr.toLowerCase().includes(search.toLowerCase()));
  return (
    <Dialog title="History" onClose={onClose}>
      <div class="tools">
        <SearchField label="Search what was asked" value={search} onInput={setSearch} autofocus />
        {all.length > 0 && <button class="button quiet" onClick={() => asked.set([])}>Forget all</button>}
      </div>
      {shown.length === 0 ? (
        <Empty>{all.length === 0 ? "Nothing has been asked in this browser yet." : "Nothing that was asked has this in it."}</Empty>
      ) : (
        <ul class="history">
          {shown.map(({ expr, at }) => (
            <li key={expr}>
              <button onClick={() => onChoose(expr)}><PromQL text={expr} /></button>
              <span class="dim small"><Ago ms={at} /></span>
            </li>
          ))}
        </ul>
      )}
    </Dialog>
  );
}
