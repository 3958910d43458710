// The configuration in force, defaults filled in, secrets blanked out.

import { useMemo } from "preact/hooks";
import { plural } from "../lib/format";
import { useApi } from "../lib/hooks";
import { Copy, SearchField, Showing } from "../parts/basics";
import { VirtualList } from "../parts/list";
import { PageHead, useParam } from "../parts/toolbar";

interface Line {
  number: number;
  text: string;
}

export default function ConfigPage() {
  const loaded = useApi<{ yaml: string }>("status/config");
  const [search, setSearch] = useParam("search");
  const yaml = loaded.answer?.data.yaml ?? "";
  const lines = useMemo(() => yaml.trimEnd().split("\n").map((text, i): Line => ({ number: i + 1, text })), [yaml]);
  const word = search.toLowerCase();
  const shown = word === "" ? lines : lines.filter((line) => line.text.toLowerCase().includes(word));
  return (
    <>
      <PageHead title="Configuration" summary={loaded.answer && (word === "" ? plural(lines.length, "line") : `${plural(shown.length, "line")} of ${lines.length}`)}>
        <SearchField label="Show lines with" value={search} onInput={setSearch} />
        {yaml !== "" && <Copy text={yaml} label="Copy all" />}
      </PageHead>
      <Showing loaded={loaded}>
        {() => (
          <div class="card flush code">
            <VirtualList label="Configuration" items={shown} itemKey={(line) => String(line.number)} height={() => 20}>
              {(line) => <CodeLine line={line} />}
            </VirtualList>
          </div>
        )}
      </Showing>
    </>
  );
}

const KEY = /^(\s*(?:- )?)([^\s:#'"][^:#]*|"[^"]*"|'[^']*')(:)(?=\s|$)(.*)$/;

function CodeLine({ line }: { line: Line }) {
  const found = KEY.exec(line.text);
  return (
    <div class="code-line">
      <span class="line-number" aria-hidden="true">{line.number}</span>
      <span>
        {found ? (
          <>
            {found[1]}
            <span class="tok-label">{found[2]}</span>
            {found[3]}
            <span class="tok-string">{found[4]}</span>
          </>
        ) : (
          line.text || " "
        )}
      </span>
    </div>
  );
}
