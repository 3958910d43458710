// The main flows of the query page against a real server.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { ask, assertAccessible, launch, openPage } from "./browser.mjs";
import { startLab } from "./lab.mjs";

let lab;
let browser;

before(async () => {
  [lab, browser] = await Promise.all([startLab(), launch()]);
});

after(async () => {
  await browser?.close();
  await lab?.stop();
});

const params = (page) => new URL(page.url()).searchParams;
const link = (expr, tab, more = {}) => `${lab.url}/query?${new URLSearchParams({ "g0.expr": expr, "g0.tab": tab, "g0.range_input": "1m", ...more })}`;

test("a question is answered, and is in the URL and the history", async () => {
  const page = await openPage(browser);
  await page.goto(`${lab.url}/`);
  await ask(page, 'up{job="broken"}');
  await page.locator(".result-row", { hasText: 'team="storage"' }).getByText("0", { exact: true }).waitFor();
  assert.equal(params(page).get("g0.expr"), 'up{job="broken"}');
  await ask(page, "1 + 2");
  await page.locator(".result-row", { hasText: "scalar" }).getByText("3", { exact: true }).waitFor();
  await page.getByRole("button", { name: "History" }).click();
  await page.getByRole("dialog").getByRole("button", { name: 'up{job="broken"}' }).click();
  await page.getByRole("button", { name: "Execute" }).click();
  await page.locator(".result-row", { hasText: 'team="storage"' }).waitFor();
  await page.goBack();
  await page.locator(".result-row", { hasText: "scalar" }).waitFor();
  await page.done();
});

test("links of older pages lead to the same question", async () => {
  const page = await openPage(browser);
  await page.goto(`${lab.url}/graph?g0.expr=up&g0.tab=0&g0.stacked=1&g0.range_input=1m&g1.expr=vector(7)&g1.tab=1`);
  await page.locator(".legend-row").first().waitFor();
  assert.equal(await page.getByRole("radio", { name: "Stacked" }).getAttribute("aria-checked"), "true");
  await page.locator(".result-row").getByText("7", { exact: true }).waitFor();
  await page.done();
});

test("completion knows the server's metrics", async () => {
  const page = await openPage(browser);
  await page.goto(`${lab.url}/query`);
  await page.locator(".cm-content").click();
  await page.keyboard.type("took_sec");
  await page.locator(".cm-tooltip-autocomplete", { hasText: "took_seconds_count" }).waitFor();
  await page.done();
});

test("a drag over a graph zooms, a drag with Shift moves, a double click zooms out", async () => {
  const page = await openPage(browser);
  await page.goto(link("vector(1)", "graph"));
  const over = page.locator(".u-over");
  const drag = async (from, to) => {
    const box = await over.boundingBox();
    await page.mouse.move(box.x + box.width * from, box.y + 50);
    await page.mouse.down();
    await page.mouse.move(box.x + box.width * to, box.y + 60, { steps: 5 });
    await page.mouse.up();
  };
  const changed = (name, old) => page.waitForURL((url) => url.searchParams.get(name) !== old);
  await over.waitFor();
  await drag(0.25, 0.75);
  await changed("g0.range_input", "1m");
  assert.match(params(page).get("g0.range_input"), /^(29|30|31)s$/);
  const end = params(page).get("g0.end_input");
  assert.notEqual(end, null);
  await over.waitFor();
  await page.keyboard.down("Shift");
  await drag(0.3, 0.8);
  await page.keyboard.up("Shift");
  await changed("g0.end_input", end);
  assert.ok(params(page).get("g0.end_input") < end);
  const range = params(page).get("g0.range_input");
  await over.waitFor();
  await over.dblclick({ position: { x: 300, y: 100 } });
  await changed("g0.range_input", range);
  assert.match(params(page).get("g0.range_input"), /^(58s|59s|1m|1m[0-4]s)$/);
  await page.done();
});

test("the legend filters and shows one series alone", async () => {
  const page = await openPage(browser);
  await page.goto(link("count by (handler) (prometheus_http_requests_total)", "graph"));
  await page.locator(".legend-row").first().waitFor();
  await page.getByRole("searchbox", { name: "Filter series" }).fill("notifications");
  await page.getByText("2 shown").waitFor();
  await page.locator(".legend-row").first().click();
  await page.getByText("1 shown").waitFor();
  await page.getByRole("button", { name: "Show all" }).click();
  await page.done();
});

test("a graph tells the value under the pointer", async () => {
  const page = await openPage(browser);
  await page.goto(link("vector(42)", "graph"));
  const over = page.locator(".u-over");
  await over.waitFor();
  const box = await over.boundingBox();
  await page.mouse.move(box.x + box.width / 2, box.y + box.height / 2);
  await page.locator(".tooltip", { hasText: "42" }).waitFor();
  await page.done();
});

test("native histograms, classic ones and exemplars are drawn", async () => {
  const page = await openPage(browser);
  await page.goto(link('rate(took_seconds{job="histograms"}[10s])', "graph"));
  await page.getByText("Histogram over time").waitFor();
  await page.locator(".u-over").waitFor();
  await page.goto(link('sum by (le) (rate(took_seconds_bucket{job="hostile"}[10s]))', "graph"));
  await page.getByRole("radio", { name: "Heatmap" }).click();
  await page.waitForURL((url) => url.searchParams.get("g0.display_mode") === "heatmap");
  const answer = page.waitForResponse(/query_exemplars/);
  await page.goto(link("rate(work_total[10s])", "graph", { "g0.show_exemplars": "1" }));
  assert.ok((await (await answer).json()).data.length > 0);
  await page.locator(".u-over").waitFor();
  await page.goto(link("took_seconds", "table"));
  await page.locator(".buckets").first().waitFor();
  await page.done();
});

test("explain shows what each operator did, and where it stands in the query", async () => {
  const page = await openPage(browser);
  await page.goto(link("sum(up) / count(up)", "explain"));
  const row = page.locator(".plan tbody tr", { hasText: "count" }).first();
  await row.waitFor();
  assert.match(await row.innerText(), /(µs|ms)/);
  await row.hover();
  assert.equal(await page.locator(".cm-span").first().innerText(), "count(up)");
  await page.done();
});

test("errors and warnings stand at their place in the expression", async () => {
  const page = await openPage(browser, { expected: /400/ });
  await page.goto(link("up + quantile(2, up)", "table"));
  await page.getByText("quantile value should be between 0 and 1").waitFor();
  assert.equal(await page.locator(".cm-annotation.cm-warn").innerText(), "2");
  await page.goto(link("up and )", "table"));
  await page.getByRole("alert").getByText("parse error").waitFor();
  await page.getByRole("button", { name: "show in the expression" }).click();
  assert.ok(await page.locator(".cm-content").evaluate((element) => element === element.getRootNode().activeElement));
  await page.done();
});

test("the explorer leads from a metric to a selector", async () => {
  const page = await openPage(browser);
  await page.goto(`${lab.url}/query`);
  await page.getByRole("button", { name: "Metrics" }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByRole("searchbox").fill("Work done");
  await dialog.getByRole("button", { name: /work_total/ }).click();
  await dialog.getByRole("button", { name: "▸ job" }).click();
  await dialog.getByRole("button", { name: "hostile", exact: true }).click();
  await assertAccessible(page, "explorer");
  await dialog.getByRole("button", { name: "Insert rate" }).click();
  await page.getByRole("button", { name: "Execute" }).click();
  await page.waitForURL((url) => url.searchParams.get("g0.expr") === 'rate(work_total{job="hostile"}[5m])');
  await page.locator(".result-row").first().waitFor();
  await page.done();
});

test("panels are added, duplicated and removed; expressions are formatted", async () => {
  const page = await openPage(browser);
  await page.goto(link("sum(up)by(job)", "table"));
  await page.getByRole("button", { name: "Format" }).click();
  await page.locator(".cm-content", { hasText: "sum by (job) (up)" }).waitFor();
  await page.getByRole("button", { name: "Duplicate the panel" }).click();
  await page.getByRole("button", { name: "Add a panel" }).click();
  assert.equal(await page.locator(".panel").count(), 3);
  await page.getByRole("button", { name: "Remove the panel" }).nth(1).click();
  assert.equal(await page.locator(".panel").count(), 2);
  assert.equal(params(page).get("g1.expr"), "");
  await page.done();
});

test("an alert's link, as Alertmanager gets it, leads to its graph", async () => {
  const page = await openPage(browser);
  // What `generatorURL` holds: the external URL, `/graph`, and the expression.
  await page.goto(`${lab.url}/graph?g0.expr=${encodeURIComponent("up == 0")}&g0.tab=1`);
  await page.locator(".result-row", { hasText: 'job="broken"' }).waitFor();
  await page.getByRole("radio", { name: "Graph" }).click();
  await page.locator(".legend-row", { hasText: "broken" }).waitFor();
  await page.done();
});
