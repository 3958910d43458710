// The flags that the server was started with, defaults included.

import { useApi } from "../lib/hooks";
import { filterWords, passes } from "../lib/labels";
import { Empty, SearchField, Showing, Text } from "../parts/basics";
import { PageHead, useParam } from "../parts/toolbar";

export default function FlagsPage() {
  const loaded = useApi<Record<string, string>>("status/flags");
  const [search, setSearch] = useParam("search");
  const words = filterWords(search);
  return (
    <>
      <PageHead title="Flags" summary={loaded.answer && `${Object.keys(loaded.answer.data).length} flags, defaults included`}>
        <SearchField label="Filter by name or value" value={search} onInput={setSearch} />
      </PageHead>
      <Showing loaded={loaded}>
        {(flags) => {
          const shown = Object.entries(flags).filter(([name, value]) => passes(words, `--${name}=${value}`.toLowerCase()));
          if (shown.length === 0) return <Empty>No flag passes the filter.</Empty>;
          return (
            <div class="card flush">
              <table class="table">
                <thead><tr><th scope="col">Flag</th><th scope="col">Value</th></tr></thead>
                <tbody>
                  {shown.map(([name, value]) => (
                    <tr key={name}>
                      <th scope="row" class="mono">--{name}</th>
                      <td class="mono">{value === "" ? <span class="dim">empty</span> : <Text text={value} />}</td>
                    </tr>
                  ))}
                </tbody>
              </table>
            </div>
          );
        }}
      </Showing>
    </>
  );
}
