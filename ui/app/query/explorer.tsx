// The metrics that there are: what they mean, which labels they have, with which values and how often.

import { useEffect, useMemo, useState } from "preact/hooks";
import { formatCount, plural } from "../lib/format";
import { useApi } from "../lib/hooks";
import { filterWords, labelName, metricSelector, passes, quote } from "../lib/labels";
import type { Cardinality, Metadata, VectorElement } from "../lib/types";
import { Badge, Bar, Empty, SearchField, Showing, Text } from "../parts/basics";
import { Dialog } from "../parts/dialog";
import { VirtualList } from "../parts/list";

type AllMetadata = Record<string, Metadata[]>;

/** Values of a label that are listed. */
const VALUES_SHOWN = 200;

interface Props {
  onInsert: (text: string) => void;
  onClose: () => void;
}

export function Explorer({ onInsert, onClose }: Props) {
  const names = useApi<string[]>("label/__name__/values");
  const metadata = useApi<AllMetadata>("metadata");
  const [search, setSearch] = useState("");
  const [metric, setMetric] = useState<string | null>(null);
  const of = (name: string) => metadataOf(metadata.answer?.data ?? {}, name);
  const words = filterWords(search);
  const shown = useMemo(() => {
    const all = names.answer?.data ?? [];
    return all.filter((name) => passes(words, `${name} ${of(name)?.help ?? ""}`.toLowerCase())).sort((a, b) => rank(a, words) - rank(b, words));
  }, [names.answer, metadata.answer, words.join(" ")]);
  const insert = (text: string) => {
    onInsert(text);
    onClose();
  };
  return (
    <Dialog title="Metrics" onClose={onClose}>
      <div class="explorer">
        <div class={`explorer-list ${metric ? "behind" : ""}`}>
          <SearchField label="Search names and help" value={search} onInput={setSearch} autofocus />
          <Showing loaded={names}>
            {(all) =>
              shown.length === 0 ? (
                <Empty>{all.length === 0 ? "Nothing is stored yet." : "No metric has these words in its name or help."}</Empty>
              ) : (
                <VirtualList boxed label="Metrics" items={shown} itemKey={(name) => name} height={() => 46}>
                  {(name) => (
                    <button class={`metric ${name === metric ? "current" : ""}`} aria-pressed={name === metric} onClick={() => setMetric(name)}>
                      <span class="mono">{name}</span>
                      <span class="dim small">{of(name)?.help ?? ""}</span>
                    </button>
                  )}
                </VirtualList>
              )
            }
          </Showing>
          <div class="dim small">{plural(shown.length, "metric")}</div>
        </div>
        <div class={`explorer-details ${metric ? "" : "behind"}`}>
          {metric === null ? <Empty>Choose a metric to see its labels and values.</Empty> : <Metric key={metric} name={metric} metadata={of(metric)} onInsert={insert} onBack={() => setMetric(null)} />}
        </div>
      </div>
    </Dialog>
  );
}

/** Names that begin with the first word come first, then those that have it in them. */
function rank(name: string, words: string[]): number {
  const at = words.length === 0 ? 0 : name.toLowerCase().indexOf(words[0]!);
  return at === 0 ? 0 : at > 0 ? 1 : words.length === 0 ? 0 : 2;
}

/** Series of a histogram or a summary have the metadata of its family. */
function metadataOf(all: AllMetadata, name: string): Metadata | undefined {
  const family = name.replace(/_(bucket|count|sum|total|info)$/, "");
  return (all[name] ?? all[family])?.[0];
}

function Metric({ name, metadata, onInsert, onBack }: { name: string; metadata?: Metadata; onInsert: (text: string) => void; onBack: () => void }) {
  const selector = metricSelector(name);
  const loaded = useApi<Cardinality>("status/cardinality", { "match[]": selector, limit: 1000 });
  const [matchers, setMatchers] = useState<Record<string, string>>({});
  const [open, setOpen] = useState<string | null>(null);
  useEffect(() => setOpen(null), [name]);
  const chosen = metricSelector(name, Object.entries(matchers).map(([label, value]) => `${labelName(label)}=${quote(value)}`));
  const isCounter = metadata?.type === "counter" || /_(total|count|sum|bucket)$/.test(name);
  return (
    <div class="metric-details">
      <button class="button quiet only-narrow" onClick={onBack}>All metrics</button>
      <h3 class="mono"><Text text={name} /></h3>
      <p class="facts">
        <Badge tone="accent">{metadata?.type ?? "unknown type"}</Badge>
        {metadata?.unit && <Badge tone="plain">{metadata.unit}</Badge>}
        <span>{metadata?.help ?? <span class="dim">Its targets say nothing about it.</span>}</span>
      </p>
      <div class="insert">
        <code class="mono"><Text text={chosen} /></code>
        <button class="button primary" onClick={() => onInsert(chosen)}>Insert</button>
        {isCounter && <button class="button" onClick={() => onInsert(`rate(${chosen}[5m])`)}>Insert rate</button>}
      </div>
      <Showing loaded={loaded}>
        {({ totals, byLabelName }) => (
          <>
            <p class="dim small">{plural(totals.series, "series", "series")} within the last hour, {formatCount(totals.activeSeries)} of them active.</p>
            <table class="table">
              <thead><tr><th scope="col">Label</th><th scope="col" class="number">Values</th><th scope="col" class="number">Series</th></tr></thead>
              <tbody>
                {byLabelName.filter((label) => label.name !== "__name__").map((label) => (
                  <>
                    <tr key={label.name}>
                      <th scope="row" class="mono">
                        <button class="pick" aria-expanded={open === label.name} onClick={() => setOpen(open === label.name ? null : label.name)}>
                          {open === label.name ? "▾" : "▸"} <Text text={label.name} />
                        </button>
                        {matchers[label.name] !== undefined && <span class="value"> = <Text text={quote(matchers[label.name]!)} /></span>}
                      </th>
                      <td class="number">{formatCount(label.values)}</td>
                      <td class="number">{formatCount(label.series)}</td>
                    </tr>
                    {open === label.name && (
                      <tr key={`${label.name} values`}>
                        <td colSpan={3}>
                          <Values selector={selector} label={label.name} chosen={matchers[label.name]} onChoose={(value) => setMatchers(withMatcher(matchers, label.name, value))} />
                        </td>
                      </tr>
                    )}
                  </>
                ))}
              </tbody>
            </table>
          </>
        )}
      </Showing>
    </div>
  );
}

function withMatcher(matchers: Record<string, string>, label: string, value: string): Record<string, string> {
  const { [label]: old, ...rest } = matchers;
  return old === value ? rest : { ...rest, [label]: value };
}

/** A label's values by how many series have them now. */
function Values({ selector, label, chosen, onChoose }: { selector: string; label: string; chosen?: string; onChoose: (value: string) => void }) {
  const loaded = useApi<{ result: VectorElement[] }>("query", { query: `sort_desc(count by (${labelName(label)}) (${selector}))`, limit: VALUES_SHOWN });
  return (
    <Showing loaded={loaded}>
      {({ result }) => {
        const most = Number(result[0]?.value?.[1] ?? 1);
        return (
          <ul class="values">
            {result.map(({ metric, value }) => {
              const text = metric[label] ?? "";
              const count = Number(value?.[1] ?? 0);
              return (
                <li key={text}>
                  <button class={`pick ${chosen === text ? "current" : ""}`} aria-pressed={chosen === text} onClick={() => onChoose(text)}><span class="value mono">{text === "" ? <em>none</em> : <Text text={text} />}</span></button>
                  <Bar part={count / most} />
                  <span class="number dim">{formatCount(count)}</span>
                </li>
              );
            })}
            {result.length === 0 && <li class="dim">No series has it now.</li>}
            {result.length === VALUES_SHOWN && <li class="dim">The first {VALUES_SHOWN} are shown.</li>}
          </ul>
        );
      }}
    </Showing>
  );
}
