// Rules: what they ask, how they do, and what they cost.

import { useMemo } from "preact/hooks";
import { humanDuration, parseTime, plural } from "../lib/format";
import { useApi, useDebounced } from "../lib/hooks";
import { filterWords, metricSelector, passes, quote } from "../lib/labels";
import { queryLink } from "../lib/router";
import type { Rule, RuleGroup } from "../lib/types";
import { Ago, Badge, Bar, Choice, Empty, LabelSet, Link, SearchField, Showing, Text, type Tone } from "../parts/basics";
import { VirtualList } from "../parts/list";
import { PromQL } from "../parts/promql";
import { PageHead, useParam } from "../parts/toolbar";

const REFRESH_MS = 15_000;
const SETTLE_MS = 120;

const HEALTH_TONE: Record<Rule["health"], Tone> = { ok: "good", err: "bad", unknown: "plain" };

type Row = { group: RuleGroup } | { rule: Rule; key: string };

type Kind = "" | "alerting" | "recording" | "failing";

export default function RulesPage() {
  const loaded = useApi<{ groups: RuleGroup[] }>("rules", { exclude_alerts: true }, REFRESH_MS);
  const [kind, setKind] = useParam("kind");
  const [search, setSearch] = useParam("search");
  const words = filterWords(useDebounced(search, SETTLE_MS));
  const groups = loaded.answer?.data.groups ?? [];
  const rows = useMemo(() => flatten(groups, kind as Kind, words), [loaded.answer, kind, words.join(" ")]);
  const rules = useMemo(() => groups.flatMap((group) => group.rules), [loaded.answer]);
  const count = (wanted: (rule: Rule) => boolean) => rules.filter(wanted).length;
  return (
    <>
      <PageHead title="Rules" summary={loaded.answer && `${plural(rules.length, "rule")} in ${plural(groups.length, "group")}`}>
        <Choice<Kind>
          label="Kind"
          value={kind as Kind}
          options={[
            ["", "All"],
            ["alerting", `Alerting ${count((rule) => rule.type === "alerting")}`],
            ["recording", `Recording ${count((rule) => rule.type === "recording")}`],
            ["failing", `Failing ${count((rule) => rule.health === "err")}`],
          ]}
          onChange={setKind}
        />
        <SearchField label="Filter by name, expression, label or file" value={search} onInput={setSearch} />
      </PageHead>
      <Showing loaded={loaded}>
        {() =>
          rows.length === 0 ? (
            <Empty>{rules.length === 0 ? "The configuration names no rule files." : "No rule passes the filter."}</Empty>
          ) : (
            <VirtualList label="Rules" items={rows} itemKey={(row) => ("group" in row ? groupKey(row.group) : row.key)} height={(row) => ("group" in row ? 58 : 96)}>
              {(row) => ("group" in row ? <GroupHead group={row.group} /> : <RuleRow rule={row.rule} />)}
            </VirtualList>
          )
        }
      </Showing>
    </>
  );
}

function groupKey(group: RuleGroup): string {
  return `${group.file};${group.name}`;
}

function flatten(groups: RuleGroup[], kind: Kind, words: string[]): Row[] {
  return groups.flatMap((group) => {
    const rules = group.rules
      .map((rule, i) => ({ rule, key: `${groupKey(group)};${i}` }))
      .filter(({ rule }) => {
        const isKind = kind === "" || (kind === "failing" ? rule.health === "err" : rule.type === kind);
        return isKind && passes(words, haystack(group, rule));
      });
    return rules.length === 0 ? [] : [{ group }, ...rules];
  });
}

function haystack(group: RuleGroup, rule: Rule): string {
  const labels = Object.entries(rule.labels).map(([name, value]) => `${name}="${value}"`);
  return [group.name, group.file, rule.name, rule.query, rule.lastError ?? "", ...labels].join(" ").toLowerCase();
}

function GroupHead({ group }: { group: RuleGroup }) {
  const load = group.evaluationTime / group.interval;
  const tone = load > 0.8 ? "bad" : load > 0.4 ? "warn" : "accent";
  return (
    <div class="group-head">
      <h2>
        <Text text={group.name} />
      </h2>
      <span class="dim mono small grow"><Text text={group.file} /></span>
      <span class="dim" title={`Evaluated every ${humanDuration(group.interval * 1000)}; takes ${humanDuration(group.evaluationTime * 1000)}`}>
        every {humanDuration(group.interval * 1000)}, <Ago ms={parseTime(group.lastEvaluation)} />, in {humanDuration(group.evaluationTime * 1000)}
      </span>
      <Bar part={load} tone={tone} />
    </div>
  );
}

function RuleRow({ rule }: { rule: Rule }) {
  const result = rule.type === "alerting" ? `ALERTS{alertname=${quote(rule.name)}}` : metricSelector(rule.name);
  return (
    <div class="row rule-row">
      <div class="line">
        <Badge tone={HEALTH_TONE[rule.health]}>{rule.health}</Badge>
        <strong class="rule-name"><Text text={rule.name} /></strong>
        <span class="dim small">{rule.type}</span>
        {rule.type === "alerting" && rule.duration > 0 && <span class="dim small">for {humanDuration(rule.duration * 1000)}</span>}
        {rule.type === "alerting" && rule.keepFiringFor > 0 && <span class="dim small">keeps firing for {humanDuration(rule.keepFiringFor * 1000)}</span>}
        {Object.keys(rule.labels).length > 0 && <LabelSet labels={rule.labels} />}
        <span class="grow" />
        <span class="links small">
          <Link to={queryLink(rule.query)}>Expression</Link> <Link to={queryLink(result)}>Result</Link>
        </span>
        <span class="number dim" title="Last evaluation took">{parseTime(rule.lastEvaluation) === null ? "–" : humanDuration(rule.evaluationTime * 1000)}</span>
      </div>
      <div class="expr"><PromQL text={rule.query} /></div>
      {rule.lastError && <div class="error-line"><Text text={rule.lastError} /></div>}
    </div>
  );
}
