// The document's start: the frame, and in it the page that the path names.

import { render } from "preact";
import { type FunctionComponent } from "preact";
import { useEffect, useState } from "preact/hooks";
import { ErrorBoundary } from "./parts/boundary";
import { ENTRIES, Frame } from "./parts/frame";
import { Empty, Link, Loading } from "./parts/basics";
import { followLinks, place } from "./lib/router";
import { phase, watchNotices } from "./lib/server";
import { useStore } from "./lib/store";
import { watchSummary } from "./lib/summary";

type Page = { default: FunctionComponent };

const PAGES: Record<string, () => Promise<Page>> = {
  query: () => import("./query/page"),
  alerts: () => import("./pages/alerts"),
  targets: () => import("./pages/targets"),
  rules: () => import("./pages/rules"),
  "service-discovery": () => import("./pages/discovery"),
  "alertmanager-discovery": () => import("./pages/alertmanagers"),
  "tsdb-status": () => import("./pages/storage"),
  "running-queries": () => import("./pages/running"),
  status: () => import("./pages/status"),
  config: () => import("./pages/config"),
  flags: () => import("./pages/flags"),
};

/** The title that `--web.page-title` gives. */
const TITLE = document.title;

function App() {
  const { page } = useStore(place);
  const [shown, setShown] = useState<{ page: string; Page: FunctionComponent } | null>(null);
  const [failed, setFailed] = useState(false);
  const now = useStore(phase);
  useEffect(() => {
    const load = PAGES[page];
    const name = ENTRIES.find((entry) => entry.page === page)?.name;
    document.title = name ? `${name} · ${TITLE}` : TITLE;
    if (!load) return setShown({ page, Page: NoPage });
    load().then(
      ({ default: Page }) => {
        setFailed(false);
        setShown((old) => (place.get().page === page ? { page, Page } : old));
      },
      () => setFailed(true),
    );
  }, [page, now === "ready"]);
  const isReady = now === "ready" || now === "away" || now === "stopping";
  return (
    <Frame>
      {failed && (
        <div class="note bad" role="alert">
          This page's script couldn't be loaded. <a href="">Load it again</a>
        </div>
      )}
      {isReady && shown && (
        <ErrorBoundary key={shown.page}>
          <shown.Page />
        </ErrorBoundary>
      )}
      {isReady && !shown && !failed && <Loading />}
    </Frame>
  );
}

function NoPage() {
  return (
    <Empty>
      There is no such page. <Link to="query">Go to the query page</Link>
    </Empty>
  );
}

followLinks();
watchNotices();
watchSummary();
render(<App />, document.getElementById("app")!);
