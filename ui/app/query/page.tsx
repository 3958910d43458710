// The query page: panels, which are all in the URL.

import { useEffect, useRef, useState } from "preact/hooks";
import { go, place } from "../lib/router";
import { useStore } from "../lib/store";
import { icons } from "../parts/icons";
import { QueryPanel } from "./panel";
import { NEW_PANEL, type Panel, encodePanels, parsePanels } from "./state";

interface Kept {
  /** Stays with a panel whatever happens to the others. */
  id: number;
  panel: Panel;
}

let lastId = 0;

function keep(panels: Panel[]): Kept[] {
  return panels.map((panel) => ({ id: (lastId += 1), panel }));
}

export default function QueryPage() {
  const { page, search } = useStore(place);
  const written = useRef(search);
  const [kept, setKept] = useState(() => keep(parsePanels(search)));
  useEffect(() => {
    // Another URL than the one that was written here: a link, or the browser's history.
    if (page !== "query" || search === written.current) return;
    written.current = search;
    setKept(keep(parsePanels(search)));
  }, [search]);
  const set = (next: Kept[], isNew: boolean) => {
    setKept(next);
    written.current = `?${encodePanels(next.map(({ panel }) => panel))}`;
    go(`query${written.current}`, !isNew);
  };
  const change = (id: number, by: Partial<Panel>) => {
    set(kept.map((one) => (one.id === id ? { id, panel: { ...one.panel, ...by } } : one)), true);
  };
  const insertAfter = (at: number, panel: Panel) => set([...kept.slice(0, at + 1), ...keep([panel]), ...kept.slice(at + 1)], true);
  return (
    <>
      <h1 class="hidden">Query</h1>
      {kept.map(({ id, panel }, i) => (
        <QueryPanel
          key={id}
          panel={panel}
          number={i + 1}
          onChange={(by) => change(id, by)}
          onDuplicate={() => insertAfter(i, panel)}
          onRemove={kept.length > 1 ? () => set(kept.filter((one) => one.id !== id), true) : null}
        />
      ))}
      <button class="button add" onClick={() => insertAfter(kept.length - 1, NEW_PANEL)}><icons.plus /> Add a panel</button>
    </>
  );
}
