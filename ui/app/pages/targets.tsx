// What is scraped, how that goes, and why it doesn't.

import { useMemo } from "preact/hooks";
import { humanDuration, parseDuration, parseTime, plural } from "../lib/format";
import { groupBy } from "../lib/group";
import { useApi, useDebounced } from "../lib/hooks";
import { filterWords, passes, seriesText } from "../lib/labels";
import { queryLink } from "../lib/router";
import type { Target, Targets } from "../lib/types";
import { Ago, Badge, Bar, Choice, Empty, LabelSet, Link, Pairs, SearchField, Showing, Text, type Tone } from "../parts/basics";
import { icons } from "../parts/icons";
import { VirtualList } from "../parts/list";
import { RelabelSteps } from "../parts/relabel";
import { PageHead, Select, useOpen, useParam } from "../parts/toolbar";

const REFRESH_MS = 15_000;
/** Typing settles before a long list is filtered. */
const SETTLE_MS = 120;

type Health = "" | Target["health"];

const HEALTH_TONE: Record<Target["health"], Tone> = { up: "good", down: "bad", unknown: "plain" };

interface Entry {
  target: Target;
  key: string;
  /** What a filter looks at; made when there is one. */
  haystack?: string;
}

type Row = { pool: string; up: number; total: number } | Entry;

export default function TargetsPage() {
  const loaded = useApi<Targets>("targets", { state: "active" }, REFRESH_MS);
  const [health, setHealth] = useParam("health");
  const [pool, setPool] = useParam("pool");
  const [search, setSearch] = useParam("search");
  const words = filterWords(useDebounced(search, SETTLE_MS));
  const entries = useMemo(() => entriesOf(loaded.answer?.data.activeTargets ?? []), [loaded.answer]);
  const shown = useMemo(
    () => entries.filter((entry) => {
      const { target } = entry;
      return (health === "" || target.health === health) && (pool === "" || target.scrapePool === pool) && (words.length === 0 || passes(words, haystackOf(entry)));
    }),
    [entries, health, pool, words.join(" ")],
  );
  const rows = useMemo(() => byPool(shown), [shown]);
  const count = (of: Target["health"]) => entries.reduce((sum, { target }) => sum + Number(target.health === of), 0);
  const pools = useMemo(() => [...new Set(entries.map(({ target }) => target.scrapePool))].sort(), [entries]);
  const [isOpen, toggle] = useOpen();
  return (
    <>
      <PageHead title="Targets" summary={loaded.answer && `${plural(entries.length, "target")} in ${plural(pools.length, "pool")}`}>
        <Choice<Health>
          label="Health"
          value={health as Health}
          options={[["", "All"], ["up", `Up ${count("up")}`], ["down", `Down ${count("down")}`], ["unknown", `Unknown ${count("unknown")}`]]}
          onChange={setHealth}
        />
        <Select label="Scrape pool" all="All pools" value={pool} options={pools} onChange={setPool} />
        <SearchField label="Filter by address, label or error" value={search} onInput={setSearch} />
      </PageHead>
      <Showing loaded={loaded}>
        {() =>
          rows.length === 0 ? (
            <Empty>{entries.length === 0 ? "The configuration names no targets, or none is discovered yet." : "No target passes the filter."}</Empty>
          ) : (
            <VirtualList
              label="Targets"
              items={rows}
              itemKey={(row) => ("pool" in row ? `pool ${row.pool}` : row.key)}
              height={(row) => ("pool" in row ? 44 : row.target.lastError ? 62 : 41)}
            >
              {(row) => ("pool" in row ? <PoolHead {...row} /> : <TargetRow target={row.target} open={isOpen(row.key)} toggle={() => toggle(row.key)} />)}
            </VirtualList>
          )
        }
      </Showing>
    </>
  );
}

/** Targets with keys that stay the same from one refresh to the next: several may have the same URL. */
function entriesOf(targets: Target[]): Entry[] {
  const seen = new Map<string, number>();
  return targets.map((target) => {
    const name = `${target.scrapePool} ${target.scrapeUrl}`;
    const before = seen.get(name) ?? 0;
    seen.set(name, before + 1);
    return { target, key: `${name} ${before}` };
  });
}

function haystackOf(entry: Entry): string {
  if (entry.haystack === undefined) {
    const { scrapePool, scrapeUrl, lastError, labels } = entry.target;
    const pairs = Object.entries(labels).map(([name, value]) => `${name}="${value}"`);
    entry.haystack = [scrapePool, scrapeUrl, lastError, ...pairs].join(" ").toLowerCase();
  }
  return entry.haystack;
}

function byPool(entries: Entry[]): Row[] {
  return [...groupBy(entries, ({ target }) => target.scrapePool)].flatMap(([pool, members]): Row[] => {
    const up = members.reduce((sum, { target }) => sum + Number(target.health === "up"), 0);
    return [{ pool, up, total: members.length }, ...members];
  });
}

function PoolHead({ pool, up, total }: { pool: string; up: number; total: number }) {
  return (
    <div class="group-head">
      <h2><Text text={pool} /></h2>
      <span class={up === total ? "dim" : "bad-text"}>{up} of {total} up</span>
    </div>
  );
}

function TargetRow({ target, open, toggle }: { target: Target; open: boolean; toggle: () => void }) {
  const timeout = parseDuration(target.scrapeTimeout) ?? Infinity;
  const took = target.lastScrapeDuration * 1000;
  return (
    <div class={`row ${open ? "open" : ""}`}>
      <div class="line targets-grid">
        <button class="disclose" aria-expanded={open} aria-label={`Details of ${target.scrapeUrl}`} onClick={toggle}>
          <icons.chevron />
        </button>
        <Badge tone={HEALTH_TONE[target.health]}>{target.health}</Badge>
        <a class="mono endpoint" href={safeUrl(target.globalUrl)} rel="noreferrer" target="_blank"><Text text={target.scrapeUrl} /></a>
        <LabelSet labels={target.labels} skip={["job"]} />
        <span class="number dim" title="Last scrape"><Ago ms={parseTime(target.lastScrape)} /></span>
        <span class={`number ${took > timeout / 2 ? "warn-text" : "dim"}`} title={`Took ${humanDuration(took)} of a timeout of ${target.scrapeTimeout}`}>
          {parseTime(target.lastScrape) === null ? "–" : humanDuration(took)}
          <Bar part={took / timeout} tone={took > timeout / 2 ? "warn" : "accent"} />
        </span>
      </div>
      {target.lastError !== "" && <div class="error-line"><Text text={target.lastError} /></div>}
      {open && <TargetDetails target={target} />}
    </div>
  );
}

/** A link that only leads to where HTTP does: discovered labels may hold anything. */
function safeUrl(url: string): string | undefined {
  return /^https?:\/\//i.test(url) ? url : undefined;
}

function TargetDetails({ target }: { target: Target }) {
  const { job = "", instance = "" } = target.labels;
  const own = seriesText({ job, instance }).slice(1, -1);
  return (
    <div class="details">
      <div class="columns">
        <section>
          <h3>Scrape</h3>
          <Pairs
            pairs={[
              ["Interval", target.scrapeInterval],
              ["Timeout", target.scrapeTimeout],
              ["Last scrape", <Ago ms={parseTime(target.lastScrape)} />],
              ["Graphs", <span class="links"><Link to={queryLink(`up{${own}}`)}>up</Link> <Link to={queryLink(`scrape_duration_seconds{${own}}`)}>duration</Link> <Link to={queryLink(`scrape_samples_scraped{${own}}`)}>samples</Link></span>],
            ]}
          />
        </section>
        <section>
          <h3>Discovered labels</h3>
          <LabelSet labels={target.discoveredLabels} />
        </section>
        <section>
          <h3>Relabelling</h3>
          <RelabelSteps pool={target.scrapePool} labels={target.discoveredLabels} />
        </section>
      </div>
    </div>
  );
}
