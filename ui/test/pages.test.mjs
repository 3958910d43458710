// Every page against a real server: it says what it should, nothing goes wrong, and it is accessible.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { assertAccessible, launch, openPage } from "./browser.mjs";
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

const PAGES = {
  "/query?g0.expr=up&g0.tab=table": "broken",
  "/query?g0.expr=up&g0.tab=graph&g0.range_input=1m": "broken",
  "/query?g0.expr=sum(up)&g0.tab=explain": "Operator",
  "/alerts": "is down",
  "/targets": "connection refused",
  "/rules": "job:up:sum",
  "/service-discovery": "1 dropped",
  "/alertmanager-discovery": "No Alertmanager is configured",
  "/tsdb-status": "Series in the head",
  "/tsdb-status?view=head": "Labels by memory",
  "/tsdb-status?view=blocks": "There is no block yet",
  "/tsdb-status?view=usage": "Never asked for",
  "/running-queries": "No query is running",
  "/status": "Running for",
  "/config": "job_name",
  "/flags": "--storage.tsdb.path",
};

for (const [path, words] of Object.entries(PAGES)) {
  test(`${path} says “${words}”`, async () => {
    for (const colorScheme of ["light", "dark"]) {
      const page = await openPage(browser, { colorScheme });
      await page.goto(lab.url + path);
      await page.locator("main", { hasText: words }).waitFor();
      await assertAccessible(page, `${path}, ${colorScheme}`);
      await page.done();
    }
  });
}

test("no page is wider than a phone", async () => {
  const page = await openPage(browser, { viewport: { width: 375, height: 812 } });
  for (const [path, words] of Object.entries(PAGES)) {
    await page.goto(lab.url + path);
    await page.locator("main", { hasText: words }).waitFor();
    const width = await page.evaluate(() => document.documentElement.scrollWidth);
    assert.ok(width <= 375, `${path} is ${width} pixels wide`);
  }
  await page.done();
});

test("the menu leads everywhere on a phone", async () => {
  const page = await openPage(browser, { viewport: { width: 375, height: 812 } });
  await page.goto(`${lab.url}/query`);
  await page.getByRole("button", { name: "Menu" }).click();
  await page.getByRole("link", { name: "Targets" }).click();
  await page.getByRole("heading", { name: "Targets" }).waitFor();
  assert.equal(new URL(page.url()).pathname, "/targets");
  await page.done();
});

test("a failing target tells why, and what relabelling did", async () => {
  const page = await openPage(browser);
  await page.goto(`${lab.url}/targets?health=down`);
  const row = page.locator(".row", { hasText: "connection refused" });
  await row.getByRole("button", { name: /Details/ }).click();
  await row.getByText("replacement: storage").waitFor();
  await row.locator(".added", { hasText: 'team="storage"' }).waitFor();
  await page.done();
});

test("discovery shows the rule that dropped a target", async () => {
  const page = await openPage(browser);
  await page.goto(`${lab.url}/service-discovery?state=dropped`);
  const row = page.locator(".row", { hasText: "127.0.0.1:1" });
  await row.getByRole("button", { name: "Relabelling of this target" }).click();
  await row.getByText("dropped here").waitFor();
  await page.done();
});

test("filters are in the URL", async () => {
  const page = await openPage(browser);
  await page.goto(`${lab.url}/targets`);
  await page.getByRole("radio", { name: /^Down/ }).click();
  await page.getByRole("searchbox").fill("team storage");
  await page.waitForURL((url) => url.searchParams.get("health") === "down" && url.searchParams.get("search") === "team storage");
  await page.reload();
  await page.locator(".row", { hasText: "connection refused" }).waitFor();
  assert.equal(await page.locator(".targets-grid").count(), 1);
  await page.done();
});

test("an alert shows its recent history and leads to its graph", async () => {
  const page = await openPage(browser);
  await page.goto(`${lab.url}/alerts?span=1h`);
  const row = page.locator(".row", { hasText: "TargetDown" });
  await row.locator(".strip .firing").first().waitFor();
  await row.getByRole("link", { name: "Graph of the expression" }).click();
  await page.locator(".legend-row", { hasText: "broken" }).waitFor();
  assert.equal(new URL(page.url()).searchParams.get("g0.expr"), "up == 0");
  await page.done();
});

test("the theme is what the user chose", async () => {
  const page = await openPage(browser, { colorScheme: "light" });
  await page.goto(`${lab.url}/flags`);
  const background = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  const light = await background();
  await page.getByRole("radio", { name: "Dark" }).click();
  assert.notEqual(await background(), light);
  await page.reload();
  assert.notEqual(await background(), light);
  await page.done();
});
