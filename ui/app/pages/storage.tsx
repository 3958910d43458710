// What is stored: sizes, what they are made of, blocks, and what nobody asks for.

import { useState } from "preact/hooks";
import { formatBytes, formatCount, formatTime, humanDuration, plural } from "../lib/format";
import { useApi, useDebounced } from "../lib/hooks";
import { labelName, metricSelector, quote } from "../lib/labels";
import { queryLink } from "../lib/router";
import { useStore, utc } from "../lib/store";
import type { Block, Cardinality, TsdbStatus, Usage } from "../lib/types";
import { Bar, Choice, Empty, Link, SearchField, Showing, Text, Time, Warnings } from "../parts/basics";
import { PageHead, useParam } from "../parts/toolbar";

type View = "cardinality" | "head" | "blocks" | "usage";

export default function StoragePage() {
  const [view, setView] = useParam("view", "cardinality");
  const status = useApi<TsdbStatus>("status/tsdb", { limit: 20 }, 30_000);
  return (
    <>
      <PageHead title="Storage" />
      <Showing loaded={status}>{({ headStats }) => <HeadStats stats={headStats} />}</Showing>
      <div class="tabs-line">
        <Choice<View>
          label="View"
          value={view as View}
          options={[["cardinality", "Cardinality"], ["head", "Head"], ["blocks", "Blocks"], ["usage", "Usage"]]}
          onChange={setView}
        />
      </div>
      {view === "cardinality" && <CardinalityView />}
      {view === "head" && <Showing loaded={status}>{(data) => <HeadLists status={data} />}</Showing>}
      {view === "blocks" && <Blocks />}
      {view === "usage" && <UsageView />}
    </>
  );
}

function HeadStats({ stats }: { stats: TsdbStatus["headStats"] }) {
  const isEmpty = stats.numSeries === 0;
  const figures: [string, preact.ComponentChildren][] = [
    ["Series in the head", formatCount(stats.numSeries)],
    ["Chunks", formatCount(stats.chunkCount)],
    ["Label pairs", formatCount(stats.numLabelPairs)],
    ["Oldest sample", isEmpty ? "–" : <Time ms={stats.minTime} />],
    ["Newest sample", isEmpty ? "–" : <Time ms={stats.maxTime} />],
    ["Span", isEmpty ? "–" : humanDuration(stats.maxTime - stats.minTime)],
  ];
  return (
    <dl class="figures">
      {figures.map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}

function CardinalityView() {
  const [match, setMatch] = useParam("match");
  const [sort, setSort] = useParam("sort", "series");
  const [window_, setWindow] = useParam("window", "1h");
  const settled = useDebounced(match.trim(), 400);
  const loaded = useApi<Cardinality>("status/cardinality", { limit: 25, sort_by: sort, window: window_, ...(settled && { "match[]": settled }) });
  const selected = (matcher: string) => setMatch(`{${matcher}}`);
  return (
    <>
      <div class="tools">
        <SearchField label="Only series that satisfy a selector, such as {job=&quot;node&quot;}" value={match} onInput={setMatch} />
        <Choice label="Sort metrics by" value={sort} options={[["series", "By series"], ["churn", "By churn"], ["bytes", "By label bytes"]]} onChange={setSort} />
        <Choice label="Seen within" value={window_} options={[["1h", "1h"], ["6h", "6h"], ["1d", "1d"]]} onChange={setWindow} />
      </div>
      <Showing loaded={loaded}>
        {(data) => (
          <>
            <p class="dim">
              {plural(data.totals.series, "series", "series")} seen within {window_}: {formatCount(data.totals.activeSeries)} active, {formatCount(data.totals.churnedSeries)} gone; {plural(data.totals.metricNames, "metric name")},{" "}
              {plural(data.totals.labelNames, "label name")}, {plural(data.totals.labelPairs, "label pair")}, {formatBytes(data.totals.labelBytes)} of labels.
            </p>
            <div class="cards">
              <Top
                title="Metrics"
                columns={["Series", "Gone", "Labels"]}
                rows={data.byMetricName.map(({ name, series, churned, labelBytes }) => ({
                  name: name || "(no name)",
                  values: [formatCount(series), formatCount(churned), formatBytes(labelBytes)],
                  part: series / Math.max(1, data.totals.series),
                  onPick: () => selected(`__name__=${quote(name)}`),
                }))}
              />
              <Top
                title="Labels"
                columns={["Values", "Series"]}
                rows={data.byLabelName.map(({ name, values, series }) => ({
                  name,
                  values: [formatCount(values), formatCount(series)],
                  part: values / Math.max(1, data.byLabelName[0]?.values ?? 1),
                  onPick: () => selected(`${labelName(name)}!=""`),
                }))}
              />
              <Top
                title="Label pairs"
                columns={["Series"]}
                rows={data.byLabelPair.map(({ name, value, series }) => ({
                  name: `${labelName(name)}=${quote(value)}`,
                  values: [formatCount(series)],
                  part: series / Math.max(1, data.totals.series),
                  onPick: () => selected(`${labelName(name)}=${quote(value)}`),
                }))}
              />
            </div>
          </>
        )}
      </Showing>
    </>
  );
}

interface TopRow {
  name: string;
  values: string[];
  part: number;
  onPick?: () => void;
}

/** A list from the largest down. */
function Top({ title, columns, rows }: { title: string; columns: string[]; rows: TopRow[] }) {
  return (
    <section class="card flush">
      <table class="table top">
        <caption>{title}</caption>
        <thead>
          <tr>
            <th scope="col">Name</th>
            {columns.map((column) => <th scope="col" class="number" key={column}>{column}</th>)}
          </tr>
        </thead>
        <tbody>
          {rows.map((row) => (
            <tr key={row.name}>
              <th scope="row" class="mono">
                {row.onPick ? <button class="pick" title="Only these series" onClick={row.onPick}><Text text={row.name} /></button> : <Text text={row.name} />}
                <Bar part={row.part} />
              </th>
              {row.values.map((value, i) => <td class="number" key={i}>{value}</td>)}
            </tr>
          ))}
        </tbody>
      </table>
      {rows.length === 0 && <Empty>Nothing.</Empty>}
    </section>
  );
}

function HeadLists({ status }: { status: TsdbStatus }) {
  const lists: [string, string, { name: string; value: number }[], (value: number) => string][] = [
    ["Metrics by series", "Series", status.seriesCountByMetricName, formatCount],
    ["Labels by number of values", "Values", status.labelValueCountByLabelName, formatCount],
    ["Labels by memory", "Memory", status.memoryInBytesByLabelName, formatBytes],
    ["Label pairs by series", "Series", status.seriesCountByLabelValuePair, formatCount],
  ];
  return (
    <div class="cards">
      {lists.map(([title, column, entries, format]) => (
        <Top key={title} title={title} columns={[column]} rows={entries.map(({ name, value }) => ({ name, values: [format(value)], part: value / Math.max(1, entries[0]?.value ?? 1) }))} />
      ))}
    </div>
  );
}

function Blocks() {
  const loaded = useApi<{ blocks: Block[] }>("status/tsdb/blocks", {}, 60_000);
  return (
    <Showing loaded={loaded}>
      {({ blocks }) =>
        blocks.length === 0 ? <Empty>There is no block yet: everything is in the head.</Empty> : <BlockTable blocks={blocks} />
      }
    </Showing>
  );
}

function BlockTable({ blocks }: { blocks: Block[] }) {
  const inUtc = useStore(utc);
  const first = Math.min(...blocks.map((block) => block.minTime));
  const span = Math.max(1, Math.max(...blocks.map((block) => block.maxTime)) - first);
  return (
    <div class="card flush scroll-x">
      <table class="table">
        <thead>
          <tr>
            <th scope="col">Block</th><th scope="col">From</th><th scope="col">For</th><th scope="col">Where</th><th scope="col" class="number">Level</th>
            <th scope="col" class="number">Series</th><th scope="col" class="number">Samples</th><th scope="col" class="number">Chunks</th><th scope="col" class="number">Deletions</th>
          </tr>
        </thead>
        <tbody>
          {blocks.map((block) => (
            <tr key={block.ulid}>
              <th scope="row" class="mono"><Text text={block.ulid} /></th>
              <td>{formatTime(block.minTime, inUtc)}</td>
              <td>{humanDuration(block.maxTime - block.minTime)}</td>
              <td><span class="place" aria-hidden="true"><span style={{ left: `${((block.minTime - first) / span) * 100}%`, width: `${Math.max(1, ((block.maxTime - block.minTime) / span) * 100)}%` }} /></span></td>
              <td class="number">{block.compaction?.level ?? "–"}</td>
              <td class="number">{formatCount(block.stats?.numSeries ?? 0)}</td>
              <td class="number">{formatCount(block.stats?.numSamples ?? 0)}</td>
              <td class="number">{formatCount(block.stats?.numChunks ?? 0)}</td>
              <td class="number">{formatCount(block.stats?.numTombstones ?? 0)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

/** How many names are shown before the rest is asked for. */
const UNUSED_SHOWN = 200;

function UsageView() {
  const loaded = useApi<Usage>("status/usage");
  const [all, setAll] = useState(false);
  return (
    <Showing loaded={loaded}>
      {({ used, unused, queriesWithoutName }) => (
        <>
          {loaded.answer && <Warnings answer={loaded.answer} />}
          <p class="dim">
            Counted since the server started: queries over the API, and rules. {queriesWithoutName.queries > 0 && `${plural(queriesWithoutName.queries, "query", "queries")} named no metric and may have used any.`}
          </p>
          <div class="cards">
            <section class="card flush">
              <table class="table top">
                <caption>Asked for</caption>
                <thead><tr><th scope="col">Metric</th><th scope="col" class="number">Queries</th><th scope="col" class="number">Rules</th><th scope="col" class="number">Last</th></tr></thead>
                <tbody>
                  {used.slice(0, UNUSED_SHOWN).map((entry) => (
                    <tr key={entry.name}>
                      <th scope="row" class="mono"><Link to={queryLink(metricSelector(entry.name))}><Text text={entry.name} /></Link></th>
                      <td class="number">{formatCount(entry.queries)}</td>
                      <td class="number">{formatCount(entry.rules)}</td>
                      <td class="number">{entry.lastQueried === null ? "–" : <Time ms={entry.lastQueried * 1000} />}</td>
                    </tr>
                  ))}
                </tbody>
              </table>
            </section>
            <section class="card">
              <h2>Never asked for <span class="dim">{formatCount(unused.length)}</span></h2>
              <p class="dim small">Stored, but no query and no rule has named them. They could be dropped by <code>metric_relabel_configs</code>.</p>
              <ul class="names">
                {(all ? unused : unused.slice(0, UNUSED_SHOWN)).map((name) => (
                  <li key={name}><Link to={queryLink(metricSelector(name))} class="mono"><Text text={name} /></Link></li>
                ))}
              </ul>
              {!all && unused.length > UNUSED_SHOWN && <button class="button quiet" onClick={() => setAll(true)}>Show all {formatCount(unused.length)}</button>}
            </section>
          </div>
        </>
      )}
    </Showing>
  );
}
