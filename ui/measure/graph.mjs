// Measures, in Chromium, what the page does with much: a graph of 1,000 series of 1,000 points, and lists of
// 20,000 targets and 5,000 rules. The answers are made here, the page is that of a running server:
//   npm run measure http://localhost:9090

import { launch } from "../test/browser.mjs";

const SERIES = 1000;
const POINTS = 1000;
const TARGETS = 20_000;
const RULES = 5000;
/** How long the made answer may take to arrive, on a busy machine. */
const ARRIVAL_MS = 120_000;
const server = process.argv[2] ?? "http://localhost:9090";

const json = (data) => ({ contentType: "application/json", body: JSON.stringify({ status: "success", data }) });

function rangeAnswer(request) {
  const form = new URLSearchParams(request.postData());
  const [start, step] = [Number(form.get("start")), Number(form.get("step"))];
  const count = Math.floor((Number(form.get("end")) - start) / step) + 1;
  const result = Array.from({ length: SERIES }, (_, s) => ({
    metric: { __name__: "made", series: String(s) },
    values: Array.from({ length: count }, (_, i) => [start + i * step, String(s + 40 * Math.sin((i + s) / 40) + Math.random() * 5)]),
  }));
  return json({ resultType: "matrix", result });
}

function targets() {
  const activeTargets = Array.from({ length: TARGETS }, (_, i) => {
    const address = `10.${i >> 16}.${(i >> 8) & 255}.${i & 255}:9100`;
    const labels = { instance: address, job: `job-${i % 20}`, zone: `z${i % 5}` };
    const url = `http://${address}/metrics`;
    const discoveredLabels = { __address__: address, __scheme__: "http", __metrics_path__: "/metrics", job: labels.job };
    return { discoveredLabels, labels, scrapePool: labels.job, scrapeUrl: url, globalUrl: url, lastError: i % 50 ? "" : "connection refused", lastScrape: new Date().toISOString(), lastScrapeDuration: 0.012, health: i % 50 ? "up" : "down", scrapeInterval: "15s", scrapeTimeout: "10s" };
  });
  return json({ activeTargets, droppedTargets: [], droppedTargetCounts: null });
}

function rules() {
  const groups = Array.from({ length: RULES / 50 }, (_, g) => ({
    name: `group-${g}`, file: `/etc/rules/${g}.yml`, interval: 30, limit: 0, evaluationTime: 0.4, lastEvaluation: new Date().toISOString(),
    rules: Array.from({ length: 50 }, (_, r) => ({ type: "recording", name: `job:made_${g}_${r}:rate5m`, query: `sum by (job) (rate(made_${r}_total{zone="z${g}"}[5m]))`, labels: {}, health: "ok", evaluationTime: 0.008, lastEvaluation: new Date().toISOString() })),
  }));
  return json({ groups });
}

/** Milliseconds of processor time that the page's main thread has taken: doesn't depend on what else runs here. */
async function threadTime(page) {
  const session = await page.context().newCDPSession(page);
  await session.send("Performance.enable", { timeDomain: "threadTicks" });
  return async () => {
    const { metrics } = await session.send("Performance.getMetrics");
    return metrics.find(({ name }) => name === "TaskDuration").value * 1000;
  };
}

/** Milliseconds from an answer's arrival in the page until the frame that shows it has been drawn. */
const graphTime = () => globalThis.__drawn;

const watchDrawing = () => {
  const post = Worker.prototype.postMessage;
  Worker.prototype.postMessage = function (...args) {
    if (!this.watched) {
      this.watched = true;
      this.addEventListener("message", () => {
        const arrived = performance.now();
        // After the frame in which the graph is drawn, and the one after that, which the first one delays.
        requestAnimationFrame(() => requestAnimationFrame(() => requestAnimationFrame(() => (globalThis.__drawn = performance.now() - arrived))));
      });
    }
    return post.apply(this, args);
  };
};

async function measureGraph(browser) {
  const page = await browser.newPage({ viewport: { width: 1440, height: 900 } });
  await page.addInitScript(watchDrawing);
  await page.route("**/api/v1/query_range", (route) => route.fulfill(rangeAnswer(route.request())));
  const step = 4;
  const thread = await threadTime(page);
  await page.goto(`${server}/query?g0.expr=made&g0.tab=graph&g0.range_input=${(POINTS - 1) * step}s&g0.res_step=${step}`);
  await page.waitForFunction(graphTime, undefined, { timeout: ARRIVAL_MS });
  console.log(`graph of ${SERIES} × ${POINTS}: drawn ${Math.round(await page.evaluate(graphTime))} ms after its data was there`);
  const before = await thread();
  await page.getByRole("radio", { name: "UTC" }).click();
  await page.evaluate(() => new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve))));
  console.log(`drawing it anew: ${Math.round((await thread()) - before)} ms of the main thread`);
  const box = await page.locator(".u-over").boundingBox();
  await page.keyboard.down("Shift");
  await page.mouse.move(box.x + 600, box.y + 100);
  await page.mouse.down();
  const frames = page.evaluate(() => new Promise((resolve) => {
    const times = [];
    const frame = (time) => (times.push(time), times.length < 60 ? requestAnimationFrame(frame) : resolve(times));
    requestAnimationFrame(frame);
  }));
  const moving = (async () => {
    for (let i = 0; i < 120; i += 1) await page.mouse.move(box.x + 600 - i * 3, box.y + 100);
  })();
  const times = await frames;
  await moving;
  const gaps = times.slice(1).map((time, i) => time - times[i]).sort((a, b) => a - b);
  console.log(`moving it: ${Math.round((1000 * gaps.length) / (times.at(-1) - times[0]))} frames/s, the slowest after ${Math.round(gaps.at(-1))} ms`);
  await page.mouse.up();
  await page.keyboard.up("Shift");
  await page.close();
}

async function measureList(browser, path, api, answer, row) {
  const page = await browser.newPage({ viewport: { width: 1440, height: 900 } });
  const ready = answer();
  await page.route(api, (route) => route.fulfill(ready));
  const thread = await threadTime(page);
  await page.goto(`${server}/flags`);
  await page.locator(".table tbody tr").first().waitFor();
  const [begun, before] = [Date.now(), await thread()];
  await page.locator(`nav a[href="./${path}"]`).click();
  await page.locator(row).first().waitFor();
  console.log(`${path}: open after ${Date.now() - begun} ms, of which ${Math.round((await thread()) - before)} of the main thread, ${(ready.body.length / 1e6).toFixed(1)} MB`);
  const typed = Date.now();
  await page.getByRole("searchbox").fill(path === "targets" ? "10.0.78.31:" : "made_99_49");
  await page.waitForFunction((selector) => document.querySelectorAll(selector).length <= 2, row);
  console.log(`${path}: filtered after ${Date.now() - typed} ms`);
  await page.close();
}

const browser = await launch();
await measureGraph(browser);
await measureList(browser, "targets", "**/api/v1/targets?*", targets, ".targets-grid");
await measureList(browser, "rules", "**/api/v1/rules?*", rules, ".rule-row");
await browser.close();
