// Alerts: what is wrong now, and what was lately.

import { useMemo } from "preact/hooks";
import { formatTime, formatValue, humanDuration, parseTime, plural } from "../lib/format";
import { useApi, useDebounced } from "../lib/hooks";
import { filterWords, passes, seriesText } from "../lib/labels";
import { queryLink } from "../lib/router";
import { useStore, utc } from "../lib/store";
import type { Alert, AlertingRule, Block, MatrixElement, RuleGroup, TsdbStatus } from "../lib/types";
import { Ago, Badge, Choice, Empty, ErrorNote, LabelSet, Link, SearchField, Showing, Text, type Tone } from "../parts/basics";
import { icons } from "../parts/icons";
import { VirtualList } from "../parts/list";
import { PromQL } from "../parts/promql";
import { PageHead, useOpen, useParam } from "../parts/toolbar";

const REFRESH_MS = 15_000;
const SETTLE_MS = 120;
/** The strip's cells, and what they span together. */
const CELLS = 48;
const STRIP_SPANS = { "1h": 3600, "6h": 6 * 3600, "24h": 24 * 3600, "7d": 7 * 24 * 3600 };

type State = AlertingRule["state"];
type Span = keyof typeof STRIP_SPANS;

const STATE_TONE: Record<State, Tone> = { inactive: "good", pending: "warn", firing: "bad" };
const STATE_ORDER: Record<State, number> = { firing: 0, pending: 1, inactive: 2 };

interface Entry {
  rule: AlertingRule;
  group: RuleGroup;
  haystack: string;
  key: string;
}

export default function AlertsPage() {
  const loaded = useApi<{ groups: RuleGroup[] }>("rules", { type: "alert" }, REFRESH_MS);
  const [state, setState] = useParam("state");
  const [search, setSearch] = useParam("search");
  const [span, setSpan] = useParam("span", "6h");
  const words = filterWords(useDebounced(search, SETTLE_MS));
  const entries = useMemo(() => (loaded.answer?.data.groups ?? []).flatMap(entriesOf).sort(worstFirst), [loaded.answer]);
  const shown = entries.filter(({ rule, haystack }) => (state === "" || rule.state === state) && passes(words, haystack));
  const count = (of: State) => entries.filter(({ rule }) => rule.state === of).length;
  const history = useHistory(STRIP_SPANS[span as Span] ? (span as Span) : "6h", loaded.answer !== null);
  const [isOpen, toggle] = useOpen();
  return (
    <>
      <PageHead title="Alerts" summary={loaded.answer && plural(entries.length, "alerting rule")}>
        <Choice
          label="State"
          value={state}
          options={[["", "All"], ["firing", `Firing ${count("firing")}`], ["pending", `Pending ${count("pending")}`], ["inactive", `Inactive ${count("inactive")}`]]}
          onChange={setState}
        />
        <Choice label="History of" value={span} options={(Object.keys(STRIP_SPANS) as Span[]).map((name) => [name, name])} onChange={setSpan} />
        <SearchField label="Filter by name, label or expression" value={search} onInput={setSearch} />
      </PageHead>
      {history.error && <ErrorNote error={history.error} title="The history isn't there:" />}
      <Showing loaded={loaded}>
        {() =>
          shown.length === 0 ? (
            <Empty>{entries.length === 0 ? "The configuration has no alerting rules." : "No alert passes the filter."}</Empty>
          ) : (
            <VirtualList label="Alerts" items={shown} itemKey={(entry) => entry.key} height={() => 45}>
              {(entry) => (
                <AlertRow entry={entry} cells={history.cells} open={isOpen(entry.key) !== (entry.rule.state === "firing" && shown.length <= FEW)} toggle={() => toggle(entry.key)} />
              )}
            </VirtualList>
          )
        }
      </Showing>
    </>
  );
}

/** So few alerts that those that fire are shown with everything at once. */
const FEW = 20;

function entriesOf(group: RuleGroup): Entry[] {
  return group.rules.flatMap((rule, i) => {
    if (rule.type !== "alerting") return [];
    const sets = [rule.labels, ...(rule.alerts ?? []).map((alert) => alert.labels)];
    const pairs = sets.flatMap((labels) => Object.entries(labels).map(([name, value]) => `${name}="${value}"`));
    const haystack = [rule.name, rule.query, group.name, group.file, ...pairs].join(" ").toLowerCase();
    return [{ rule, group, haystack, key: `${group.file};${group.name};${i}` }];
  });
}

function worstFirst(a: Entry, b: Entry): number {
  return STATE_ORDER[a.rule.state] - STATE_ORDER[b.rule.state] || a.rule.name.localeCompare(b.rule.name);
}

interface Cells {
  /** Ends of the cells in seconds. */
  times: number[];
  /** What ends before this, in seconds, isn't stored. */
  storedFrom: number;
  byName: Map<string, Counts>;
}

/** How many alerts of a name there were in each cell. */
interface Counts {
  firing: Float64Array;
  pending: Float64Array;
}

/** How many alerts of each name there were lately: one query for all. */
function useHistory(span: Span, wanted: boolean): { cells: Cells | null; error: string | null } {
  const seconds = STRIP_SPANS[span];
  const step = seconds / CELLS;
  // Rounded to the step, so that cells stay the same from one refresh to the next.
  const end = Math.ceil(Date.now() / 1000 / step) * step;
  const start = end - seconds + step;
  const query = `count by (alertname, alertstate) (max_over_time(ALERTS[${Math.max(1, Math.round(step))}s]))`;
  const loaded = useApi<{ result: MatrixElement[] }>(wanted ? "query_range" : null, { query, start, end, step });
  const storedFrom = useOldest();
  const cells = useMemo(() => {
    if (!loaded.answer) return null;
    const times = Array.from({ length: CELLS }, (_, i) => start + i * step);
    const byName: Cells["byName"] = new Map();
    for (const { metric, values = [] } of loaded.answer.data.result) {
      const name = metric.alertname ?? "";
      let counts = byName.get(name);
      if (!counts) byName.set(name, (counts = { firing: new Float64Array(CELLS), pending: new Float64Array(CELLS) }));
      const column = metric.alertstate === "firing" ? counts.firing : counts.pending;
      for (const [at, value] of values) column[Math.round((at - start) / step)] = Number(value);
    }
    return { times, byName, storedFrom };
  }, [loaded.answer, storedFrom]);
  return { cells, error: loaded.error?.message ?? null };
}

/** The time of the oldest sample that is stored, in seconds. */
function useOldest(): number {
  const head = useApi<TsdbStatus>("status/tsdb", { limit: 1 });
  const blocks = useApi<{ blocks: Block[] }>("status/tsdb/blocks");
  const times = [head.answer?.data.headStats.minTime, ...(blocks.answer?.data.blocks ?? []).map((block) => block.minTime)];
  return Math.min(...times.filter((time) => time !== undefined)) / 1000;
}

function AlertRow({ entry, cells, open, toggle }: { entry: Entry; cells: Cells | null; open: boolean; toggle: () => void }) {
  const { rule, group } = entry;
  const alerts = rule.alerts ?? [];
  return (
    <div class={`row ${open ? "open" : ""}`}>
      <div class="line alerts-grid">
        <button class="disclose" aria-expanded={open} aria-label={`Details of ${rule.name}`} onClick={toggle}><icons.chevron /></button>
        <Badge tone={STATE_TONE[rule.state]}>{rule.state}</Badge>
        <strong class="rule-name"><Text text={rule.name} /></strong>
        <span class="dim small">{alerts.length > 0 && plural(alerts.length, "alert")}</span>
        <LabelSet labels={rule.labels} />
        <Strip name={rule.name} cells={cells} />
      </div>
      {rule.health === "err" && <div class="error-line"><Text text={rule.lastError ?? "The evaluation failed."} /></div>}
      {open && (
        <div class="details">
          <div class="expr"><PromQL text={rule.query} /></div>
          <p class="facts dim small">
            <span>{rule.duration > 0 ? `for ${humanDuration(rule.duration * 1000)}` : "fires at once"}</span>
            {rule.keepFiringFor > 0 && <span>keeps firing for {humanDuration(rule.keepFiringFor * 1000)}</span>}
            <span>group <Text text={group.name} />, evaluated <Ago ms={parseTime(rule.lastEvaluation)} /> in {humanDuration(rule.evaluationTime * 1000)}</span>
            <span class="links"><Link to={queryLink(rule.query)}>Graph of the expression</Link> <Link to={queryLink(`ALERTS{alertname=${JSON.stringify(rule.name)}}`)}>Graph of its alerts</Link></span>
          </p>
          {alerts.map((alert) => <AlertDetails key={seriesText(alert.labels)} alert={alert} />)}
          {alerts.length === 0 && Object.keys(rule.annotations).length > 0 && <Annotations annotations={rule.annotations} />}
        </div>
      )}
    </div>
  );
}

function AlertDetails({ alert }: { alert: Alert }) {
  const { alertname: _, ...labels } = alert.labels;
  return (
    <div class="alert">
      <div class="line">
        <Badge tone={STATE_TONE[alert.state]}>{alert.state}</Badge>
        <LabelSet labels={labels} />
        <span class="grow" />
        <span class="dim small">since <Ago ms={parseTime(alert.activeAt)} />{alert.keepFiringSince && ", kept firing"}</span>
        <span class="mono number">{formatValue(Number(alert.value))}</span>
      </div>
      <Annotations annotations={alert.annotations} />
    </div>
  );
}

function Annotations({ annotations }: { annotations: Record<string, string> }) {
  return (
    <dl class="annotations">
      {Object.entries(annotations).map(([name, value]) => (
        <div key={name}>
          <dt><Text text={name} /></dt>
          <dd>{/^https?:\/\/\S+$/.test(value) ? <a href={value} rel="noreferrer" target="_blank"><Text text={value} /></a> : <Text text={value} />}</dd>
        </div>
      ))}
    </dl>
  );
}

function stateOf(cells: Cells | null, counts: Counts | undefined, cell: number): State | "unknown" {
  if (cells === null || cells.times[cell]! < cells.storedFrom) return "unknown";
  return counts?.firing[cell] ? "firing" : counts?.pending[cell] ? "pending" : "inactive";
}

/** The recent history of an alert, a cell for each stretch of time. */
function Strip({ name, cells }: { name: string; cells: Cells | null }) {
  const inUtc = useStore(utc);
  const counts = cells?.byName.get(name);
  const states = Array.from({ length: CELLS }, (_, i) => stateOf(cells, counts, i));
  const firing = states.filter((state) => state === "firing").length;
  const summary = cells === null ? "history not loaded" : `history: firing in ${firing} of ${CELLS} stretches of time`;
  return (
    <span class="strip" role="img" aria-label={summary}>
      {states.map((state, i) => {
        const number = counts ? (state === "firing" ? counts.firing[i] : counts.pending[i]) : 0;
        const at = cells ? formatTime(cells.times[i]! * 1000, inUtc) : "";
        const what = state === "unknown" ? "nothing is stored" : state === "inactive" ? "inactive" : `${number} ${state}`;
        return <span key={i} class={state} title={cells === null ? undefined : `${at}: ${what}`} />;
      })}
    </span>
  );
}
