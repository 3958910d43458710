// The queries that clients wait for, and an end for those that nobody should wait for.

import { useState } from "preact/hooks";
import { type ApiError, describe, post } from "../lib/api";
import { humanDuration, plural } from "../lib/format";
import { useApi } from "../lib/hooks";
import { queryLink } from "../lib/router";
import type { RunningQuery } from "../lib/types";
import { Empty, ErrorNote, Link, Showing, Time } from "../parts/basics";
import { PromQL } from "../parts/promql";
import { PageHead } from "../parts/toolbar";

const EVERY_MS = 2000;

export default function RunningPage() {
  const loaded = useApi<RunningQuery[]>("status/queries", {}, EVERY_MS);
  const flags = useApi<Record<string, string>>("status/flags");
  const mayEnd = flags.answer?.data["web.enable-admin-api"] === "true";
  const [failed, setFailed] = useState<ApiError | null>(null);
  const end = (id: number) =>
    post("admin/queries/cancel", { id }).then(
      () => setFailed(null),
      (cause: unknown) => setFailed(describe(cause)),
    ).then(loaded.reload);
  return (
    <>
      <PageHead title="Running queries" summary={loaded.answer && plural(loaded.answer.data.length, "query", "queries")} />
      {flags.answer && !mayEnd && <p class="dim">They can be ended from here if the server is started with <code>--web.enable-admin-api</code>.</p>}
      {failed && <ErrorNote error={failed} title="The query couldn't be ended" />}
      <Showing loaded={loaded}>
        {(queries) => (queries.length === 0 ? <Empty>No query is running.</Empty> : <Queries queries={queries} onEnd={mayEnd ? end : null} />)}
      </Showing>
    </>
  );
}

function Queries({ queries, onEnd }: { queries: RunningQuery[]; onEnd: ((id: number) => void) | null }) {
  return (
    <div class="card flush scroll-x">
      <table class="table">
        <thead>
          <tr>
            <th scope="col">Query</th>
            <th scope="col">Times</th>
            <th scope="col">Client</th>
            <th scope="col" class="number">Running for</th>
            {onEnd && <th scope="col"><span class="hidden">End</span></th>}
          </tr>
        </thead>
        <tbody>
          {queries.map((query) => (
            <tr key={query.id}>
              <th scope="row" class="mono"><Link to={queryLink(query.query, query.step === undefined ? "table" : "graph")}><PromQL text={query.query} /></Link></th>
              <td><Times query={query} /></td>
              <td class="mono">{query.client}</td>
              <td class="number">{humanDuration(query.runningSeconds * 1000)}</td>
              {onEnd && <td><button class="button" aria-label={`End query ${query.id}`} onClick={() => onEnd(query.id)}>End</button></td>}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function Times({ query: { time, start, end, step } }: { query: RunningQuery }) {
  if (time !== undefined) return <Time ms={time * 1000} />;
  if (start === undefined || end === undefined || step === undefined) return null;
  return <>{humanDuration((end - start) * 1000)} to <Time ms={end * 1000} />, every {humanDuration(step * 1000)}</>;
}
