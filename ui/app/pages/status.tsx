// Which program this is and how it is doing.

import { formatBytes, formatCount, humanDuration, parseTime } from "../lib/format";
import { useApi, useNow } from "../lib/hooks";
import { Badge, Link, Pairs, Showing, Text, Time } from "../parts/basics";
import { PageHead } from "../parts/toolbar";

interface RuntimeInfo {
  startTime: string;
  CWD: string;
  hostname: string;
  serverTime: string;
  reloadConfigSuccess: boolean;
  lastConfigTime: string;
  corruptionCount: number;
  goroutineCount: number;
  GOMAXPROCS: number;
  GOMEMLIMIT: number;
  storageRetention: string;
}

interface BuildInfo {
  version: string;
  revision: string;
  branch: string;
  buildUser: string;
  buildDate: string;
  goVersion: string;
}

type Features = Record<string, Record<string, boolean>>;

/** The limit that says that there is none. */
const NO_LIMIT = 2 ** 63 - 1;

export default function StatusPage() {
  const runtime = useApi<RuntimeInfo>("status/runtimeinfo", {}, 10_000);
  const build = useApi<BuildInfo>("status/buildinfo");
  const features = useApi<Features>("features");
  return (
    <>
      <PageHead title="Status" />
      <div class="cards">
        <section class="card">
          <h2>Runtime</h2>
          <Showing loaded={runtime}>{(info) => <Runtime info={info} />}</Showing>
        </section>
        <section class="card">
          <h2>Build</h2>
          <Showing loaded={build}>
            {(info) => (
              <Pairs
                pairs={[
                  ["Version", <Text text={info.version} />],
                  ["Revision", <Text text={info.revision || "unknown"} />],
                  ["Branch", <Text text={info.branch || "unknown"} />],
                  ["Toolchain", <Text text={info.goVersion || "unknown"} />],
                  ["Built", <Text text={[info.buildDate, info.buildUser].filter(Boolean).join(" by ") || "unknown"} />],
                ]}
              />
            )}
          </Showing>
        </section>
        <section class="card wide">
          <h2>What is switched on</h2>
          <Showing loaded={features}>{(all) => <FeatureLists all={all} />}</Showing>
        </section>
      </div>
    </>
  );
}

function Runtime({ info }: { info: RuntimeInfo }) {
  const now = useNow();
  const started = parseTime(info.startTime);
  return (
    <Pairs
      pairs={[
        ["Running for", started === null ? "–" : humanDuration(now - started)],
        ["Started", <Time ms={started} />],
        ["Configuration", info.reloadConfigSuccess ? <Badge tone="good">loaded</Badge> : <Badge tone="bad">last reload failed</Badge>],
        ["Loaded", <Time ms={parseTime(info.lastConfigTime)} />],
        ["Retention", <Text text={info.storageRetention} />],
        ["Corruptions met", info.corruptionCount > 0 ? <Badge tone="bad">{formatCount(info.corruptionCount)}</Badge> : "none"],
        ["Host", <Text text={info.hostname} />],
        ["Working directory", <span class="mono"><Text text={info.CWD} /></span>],
        ["Server's time", <Time ms={parseTime(info.serverTime)} />],
        ["Processors in use", formatCount(info.GOMAXPROCS)],
        ["Tasks", formatCount(info.goroutineCount)],
        ["Memory limit", info.GOMEMLIMIT >= NO_LIMIT ? "none" : formatBytes(info.GOMEMLIMIT)],
        ["More", <span class="links"><Link to="tsdb-status">Storage</Link> <a href="./metrics">Own metrics</a> <a href="./api/v1/openapi.yaml">API</a></span>],
      ]}
    />
  );
}

function FeatureLists({ all }: { all: Features }) {
  return (
    <dl class="features">
      {Object.entries(all).map(([category, features]) => (
        <div key={category}>
          <dt>{category.replace(/_/g, " ")}</dt>
          <dd>
            {Object.entries(features).map(([name, on]) => (
              <span key={name} class={on ? "feature on" : "feature"}>
                {name}
                {!on && <span class="hidden"> (off)</span>}
              </span>
            ))}
          </dd>
        </div>
      ))}
    </dl>
  );
}
