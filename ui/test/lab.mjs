// A real server with things to look at: a node exporter if there is one, itself, a target with hostile labels,
// one that is down, rules that record, fail and fire.

import { spawn } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { createServer as createSocket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const TARGET = process.env.CARGO_TARGET_DIR ?? join(ROOT, "target");
export const BINARY = process.env.FERULA_BINARY ?? join(TARGET, "debug", "ferula");
const NODE_EXPORTER = process.env.NODE_EXPORTER ?? "prometheus-node-exporter";

/** How much of the server's log is told when it doesn't start. */
const LOG_CHARS = 2000;

/** How long anything may take before it has failed. Generous: the machine may be busy. */
const PATIENCE_MS = 60_000;

export async function waitFor(what, look) {
  const begun = Date.now();
  for (;;) {
    const found = await look().catch(() => null);
    if (found) return found;
    if (Date.now() - begun > PATIENCE_MS) throw new Error(`waited in vain: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

export function freePort() {
  return new Promise((resolve) => {
    const socket = createSocket().listen(0, "127.0.0.1", () => {
      const { port } = socket.address();
      socket.close(() => resolve(port));
    });
  });
}

export const HOSTILE = {
  html: '<img src=x onerror="document.title=`run`"><script>document.title="run"</script>',
  emoji: "🌿 grüße 你好",
  rtl: "\u202eabc אבג",
  quotes: '"\'`\\{}',
  long: "x".repeat(10_000),
};

/** What the hostile target exposes: OpenMetrics, with exemplars and a classic histogram. */
function exposition() {
  const escape = (text) => text.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n");
  const lines = ["# TYPE hostile gauge", "# HELP hostile <b>Not bold</b>"];
  for (const [kind, text] of Object.entries(HOSTILE)) lines.push(`hostile{kind="${kind}",text="${escape(text)}"} 1`);
  const seconds = Date.now() / 1000;
  lines.push("# TYPE work counter", "# HELP work Work done.");
  lines.push(`work_total ${Math.floor(seconds) % 100_000} # {trace_id="a1b2<i>"} 0.5 ${seconds.toFixed(3)}`);
  lines.push("# TYPE took_seconds histogram", "# HELP took_seconds How long it took.");
  let sum = 0;
  for (const [i, bound] of [0.01, 0.1, 1, 10].entries()) {
    sum += (Math.floor(seconds) % 1000) * (4 - i);
    lines.push(`took_seconds_bucket{le="${bound}"} ${sum}`);
  }
  lines.push(`took_seconds_bucket{le="+Inf"} ${sum}`, `took_seconds_sum ${sum / 5}`, `took_seconds_count ${sum}`);
  return `${lines.join("\n")}\n# EOF\n`;
}

async function startTarget() {
  const server = createServer((_, response) => {
    response.setHeader("Content-Type", "application/openmetrics-text; version=1.0.0; charset=utf-8");
    response.end(exposition());
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return { port: server.address().port, stop: () => server.close() };
}

const config = ({ own, path, hostile, down, node }) => `
global:
  scrape_interval: 1s
  evaluation_interval: 1s
rule_files: [rules.yml]
scrape_configs:
  - job_name: prometheus
    metrics_path: ${path}/metrics
    static_configs: [{targets: ["127.0.0.1:${own}"]}]
${node ? `  - job_name: node
    static_configs: [{targets: ["127.0.0.1:${node}"], labels: {region: north}}]
` : ""}  - job_name: hostile
    static_configs: [{targets: ["127.0.0.1:${hostile}"], labels: {note: "<b>bold</b>"}}]
  - job_name: histograms
    convert_classic_histograms_to_nhcb: true
    static_configs: [{targets: ["127.0.0.1:${hostile}"]}]
  - job_name: broken
    static_configs:
      - targets: ["127.0.0.1:${down}", "127.0.0.1:1"]
    relabel_configs:
      - {source_labels: [__address__], regex: ".*:1", action: drop}
      - {target_label: team, replacement: storage}
`;

const RULES = `
groups:
  - name: targets
    rules:
      - alert: TargetDown
        expr: up == 0
        labels: {severity: page}
        annotations:
          summary: "{{ $labels.instance }} of {{ $labels.job }} is down"
          runbook: https://example.com/runbooks/target-down
      - alert: TooManySeries
        expr: prometheus_tsdb_head_series > 1
        for: 1h
        labels: {severity: ticket}
      - alert: NeverTrue
        expr: vector(0) > 1
      - record: job:up:sum
        expr: sum by (job) (up)
  - name: failing
    rules:
      - record: broken:ratio
        expr: up / on (job) group_left () up{job=~"prometheus|broken"} * on () scrape_duration_seconds
`;

function start(command, args, options = {}) {
  const child = spawn(command, args, { stdio: ["ignore", "ignore", "pipe"], ...options });
  child.said = "";
  child.stderr.on("data", (text) => (child.said += text));
  child.failed = new Promise((resolve) => child.on("error", resolve));
  return child;
}

function end(child) {
  return new Promise((resolve) => {
    if (child.exitCode !== null || child.pid === undefined) return resolve();
    child.once("exit", resolve);
    child.kill("SIGKILL");
  });
}

/** Starts everything. `args` are further flags of the server. */
export async function startLab({ args = [], path = "" } = {}) {
  const home = await mkdtemp(join(tmpdir(), "ferula-ui-"));
  const [own, down, nodePort] = await Promise.all([freePort(), freePort(), freePort()]);
  const hostile = await startTarget();
  const exporter = start(NODE_EXPORTER, [`--web.listen-address=127.0.0.1:${nodePort}`]);
  const hasNode = await Promise.race([exporter.failed.then(() => false), new Promise((resolve) => exporter.once("spawn", () => resolve(true)))]);
  await writeFile(join(home, "prometheus.yml"), config({ own, path, hostile: hostile.port, down, node: hasNode ? nodePort : null }));
  await writeFile(join(home, "rules.yml"), RULES);
  const server = start(BINARY, [`--web.listen-address=127.0.0.1:${own}`, "--web.enable-lifecycle", "--enable-feature=exemplar-storage", ...args], { cwd: home });
  const origin = `http://127.0.0.1:${own}`;
  const url = `${origin}${path}`;
  const stop = async () => {
    await Promise.all([end(server), end(exporter)]);
    hostile.stop();
    await rm(home, { recursive: true, force: true });
  };
  const value = async (query) => {
    const response = await fetch(`${url}/api/v1/query?${new URLSearchParams({ query })}`);
    return (await response.json()).data.result[0]?.value[1];
  };
  try {
    await waitFor("readiness", async () => (await fetch(`${url}/-/ready`)).ok);
    await waitFor("a firing alert", async () => (await value('count(ALERTS{alertstate="firing"})')) === "1");
    await waitFor("some history", async () => Number(await value("count_over_time(work_total[1m])")) > 8);
  } catch (error) {
    await stop();
    throw new Error(`${error.message}\n${server.said.slice(-LOG_CHARS)}`);
  }
  return { url, home, hasNode, hostilePort: hostile.port, stop, value, server };
}
