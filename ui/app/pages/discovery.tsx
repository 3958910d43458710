// What was discovered, and what relabelling made of it: targets, and those that it dropped.

import { useMemo } from "preact/hooks";
import { formatCount, plural } from "../lib/format";
import { useApi, useDebounced } from "../lib/hooks";
import { filterWords, passes } from "../lib/labels";
import type { Labels, Targets } from "../lib/types";
import { Badge, Choice, Empty, LabelSet, SearchField, Showing, Text } from "../parts/basics";
import { icons } from "../parts/icons";
import { VirtualList } from "../parts/list";
import { RelabelSteps } from "../parts/relabel";
import { PageHead, Select, useOpen, useParam } from "../parts/toolbar";

const REFRESH_MS = 30_000;
const SETTLE_MS = 120;

interface Discovered {
  pool: string;
  discovered: Labels;
  /** The target's labels, or null if it was dropped. */
  labels: Labels | null;
  haystack: string;
  key: string;
}

interface PoolHead {
  name: string;
  active: number;
  dropped: number;
  /** Dropped ones that the server didn't keep for show. */
  unseen: number;
}

export default function DiscoveryPage() {
  const loaded = useApi<Targets>("targets", { state: "any" }, REFRESH_MS);
  const [state, setState] = useParam("state");
  const [pool, setPool] = useParam("pool");
  const [search, setSearch] = useParam("search");
  const words = filterWords(useDebounced(search, SETTLE_MS));
  const all = useMemo(() => (loaded.answer ? discovered(loaded.answer.data) : []), [loaded.answer]);
  const counts = loaded.answer?.data.droppedTargetCounts ?? {};
  const rows = useMemo(() => {
    const wanted = (one: Discovered) =>
      (state === "" || (state === "dropped") === (one.labels === null)) && (pool === "" || one.pool === pool) && passes(words, one.haystack);
    return withHeads(all.filter(wanted), all, counts, pool, words.length === 0);
  }, [all, state, pool, words.join(" ")]);
  const pools = useMemo(() => [...new Set([...all.map((one) => one.pool), ...Object.keys(counts)])].sort(), [all]);
  const [isOpen, toggle] = useOpen();
  const dropped = Object.values(counts).reduce((sum, count) => sum + count, 0);
  return (
    <>
      <PageHead title="Service discovery" summary={loaded.answer && `${plural(loaded.answer.data.activeTargets.length, "target")}, ${formatCount(dropped)} dropped`}>
        <Choice label="State" value={state} options={[["", "All"], ["active", "Active"], ["dropped", "Dropped"]]} onChange={setState} />
        <Select label="Scrape pool" all="All pools" value={pool} options={pools} onChange={setPool} />
        <SearchField label="Filter by label" value={search} onInput={setSearch} />
      </PageHead>
      <Showing loaded={loaded}>
        {() =>
          rows.length === 0 ? (
            <Empty>{all.length === 0 ? "Nothing is discovered." : "Nothing passes the filter."}</Empty>
          ) : (
            <VirtualList label="Discovered targets" items={rows} itemKey={(row) => ("name" in row ? `pool ${row.name}` : row.key)} height={(row) => ("name" in row ? 44 : 62)}>
              {(row) => ("name" in row ? <Head {...row} /> : <Row one={row} open={isOpen(row.key)} toggle={() => toggle(row.key)} />)}
            </VirtualList>
          )
        }
      </Showing>
    </>
  );
}

function discovered(targets: Targets): Discovered[] {
  const entry = (pool: string, discovered: Labels, labels: Labels | null, i: number): Discovered => {
    const pairs = Object.entries({ ...discovered, ...labels }).map(([name, value]) => `${name}="${value}"`);
    return { pool, discovered, labels, haystack: [pool, ...pairs].join(" ").toLowerCase(), key: `${labels ? "a" : "d"}${i}` };
  };
  const active = targets.activeTargets.map((target, i) => entry(target.scrapePool, target.discoveredLabels, target.labels, i));
  const dropped = targets.droppedTargets.map((target, i) => entry(target.scrapePool, target.discoveredLabels, null, i));
  return [...active, ...dropped].sort((a, b) => (a.pool < b.pool ? -1 : a.pool > b.pool ? 1 : 0));
}

function withHeads(shown: Discovered[], all: Discovered[], counts: Record<string, number>, pool: string, unfiltered: boolean): (Discovered | PoolHead)[] {
  const heads = new Map<string, PoolHead>();
  const headOf = (name: string) => {
    let head = heads.get(name);
    if (!head) heads.set(name, (head = { name, active: 0, dropped: 0, unseen: counts[name] ?? 0 }));
    return head;
  };
  for (const one of all) {
    const head = headOf(one.pool);
    if (one.labels) head.active += 1;
    else {
      head.dropped += 1;
      head.unseen -= 1;
    }
  }
  // A pool whose dropped targets aren't kept for show has a head, and nothing under it.
  const names = unfiltered ? [...Object.keys(counts), ...heads.keys()] : shown.map((one) => one.pool);
  const wanted = [...new Set(names)].filter((name) => pool === "" || name === pool).sort();
  const members = new Map<string, Discovered[]>(wanted.map((name) => [name, []]));
  for (const one of shown) members.get(one.pool)?.push(one);
  return wanted.flatMap((name) => [headOf(name), ...(members.get(name) ?? [])]);
}

function Head({ name, active, dropped, unseen }: PoolHead) {
  return (
    <div class="group-head">
      <h2><Text text={name} /></h2>
      <span class="dim">{formatCount(active)} active, {formatCount(dropped + Math.max(0, unseen))} dropped{unseen > 0 && ` (${formatCount(unseen)} of them not kept for show)`}</span>
    </div>
  );
}

function Row({ one, open, toggle }: { one: Discovered; open: boolean; toggle: () => void }) {
  return (
    <div class={`row ${open ? "open" : ""}`}>
      <div class="line discovery-grid">
        <button class="disclose" aria-expanded={open} aria-label="Relabelling of this target" onClick={toggle}><icons.chevron /></button>
        {one.labels ? <Badge tone="good">active</Badge> : <Badge tone="plain">dropped</Badge>}
        <LabelSet labels={one.discovered} />
        {one.labels ? <LabelSet labels={one.labels} /> : <span class="dim">dropped by relabelling</span>}
      </div>
      {open && (
        <div class="details">
          <h3>Relabelling</h3>
          <RelabelSteps pool={one.pool} labels={one.discovered} />
        </div>
      )}
    </div>
  );
}
