// What must not break the page: names and values that are markup or worse, an API that is slow, wrong or gone,
// URLs made by hand, and a server behind a prefix.

import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { ask, launch, openPage } from "./browser.mjs";
import { HOSTILE, startLab } from "./lab.mjs";

/** What the server's title is when nothing of the data has run. */
const TITLE = 'A <title> & "more"';

let lab;
let browser;

before(async () => {
  const args = ["--web.external-url=http://127.0.0.1/some/prefix", `--web.page-title=${TITLE}`];
  [lab, browser] = await Promise.all([startLab({ args, path: "/some/prefix" }), launch()]);
});

after(async () => {
  await browser?.close();
  await lab?.stop();
});

test("label values of any kind are text, on every page", async () => {
  const page = await openPage(browser);
  for (const path of ["/query?g0.expr=hostile&g0.tab=table", "/query?g0.expr=hostile&g0.tab=graph&g0.range_input=1m", "/targets", "/service-discovery", "/tsdb-status", "/alerts"]) {
    await page.goto(lab.url + path);
    await page.locator("main", { hasText: /hostile|firing/ }).first().waitFor();
    assert.ok((await page.title()).includes(TITLE), `${path}: ${await page.title()}`);
    assert.equal(await page.locator("main b, main img, main script").count(), 0, path);
  }
  await page.goto(`${lab.url}/query?g0.expr=hostile&g0.tab=table`);
  await page.getByText("show all 10,002 characters").first().click();
  await page.getByText("x".repeat(1000)).first().waitFor();
  await page.getByText("\\u202eabc").first().waitFor();
  await page.getByText(HOSTILE.emoji).first().waitFor();
  await page.done();
});

test("an expression of any kind is text", async () => {
  const page = await openPage(browser, { expected: /40\d|414|431/ });
  for (const expr of [HOSTILE.html, HOSTILE.rtl, '{"<b>"="</b>"}', "up{", HOSTILE.long]) {
    await page.goto(`${lab.url}/query`);
    await ask(page, expr);
    await page.locator(".note.bad, .empty, .result-row").first().waitFor();
    assert.ok((await page.title()).includes(TITLE));
  }
  await page.done();
});

test("URLs made by hand show a page", async () => {
  const page = await openPage(browser, { expected: /404/ });
  for (const path of [
    "/query?g0.expr=up&g0.tab=nonsense&g0.range_input=-5&g0.end_input=never&g0.res_step=abc&g0.display_mode=x",
    "/query?g0.expr=up&g0.tab=graph&g0.range_input=999999y&g0.end_input=2024-13-99%2099:99:99",
    "/query?g1.expr=up",
    "/targets?health=%3Cb%3E&pool=none&search=%00",
    "/alerts?state=x&span=forever",
    "/rules?kind=x",
    "/tsdb-status?view=x&match=%7B",
  ]) {
    await page.goto(lab.url + path);
    await page.locator("main h1").first().waitFor({ state: "attached" });
    assert.equal(await page.getByText("This part of the page failed").count(), 0, path);
  }
  await page.close();
});

test("an API that is slow can be cancelled", async () => {
  const page = await openPage(browser);
  let asked = 0;
  await page.route("**/api/v1/query", (route) => (route.request().postData()?.includes("slow") ? void (asked += 1) : route.continue()));
  await page.goto(`${lab.url}/query`);
  await ask(page, "slow");
  await page.getByRole("button", { name: /Cancel/ }).click();
  await page.getByText("Nothing has been asked yet").waitFor();
  assert.equal(asked, 1);
  await page.close();
});

test("an API that answers with errors, or with something else, is explained", async () => {
  const page = await openPage(browser, { expected: /50\d|404/ });
  const answers = [
    [{ status: 500, body: "<h1>Bad gateway</h1>" }, "The answer isn't the API's: HTTP status 500"],
    [{ status: 200, body: "hello" }, "The answer isn't the API's: HTTP status 200"],
    [{ status: 404, body: "404 page not found" }, "This server has no such endpoint"],
    [{ status: 500, contentType: "application/json", body: '{"status":"error","errorType":"internal","error":"disk <b>on fire</b>"}' }, "disk <b>on fire</b>"],
  ];
  for (const [answer, words] of answers) {
    for (const [path, api] of [["/targets", "targets"], ["/rules", "rules"], ["/flags", "status/flags"], ["/config", "status/config"], ["/tsdb-status", "status/tsdb"], ["/status", "status/runtimeinfo"]]) {
      await page.route(new RegExp(`/api/v1/${api}(\\?|$)`), (route) => route.fulfill(answer));
      await page.goto(lab.url + path);
      await page.locator(".note.bad", { hasText: words }).first().waitFor();
      await page.unrouteAll({ behavior: "ignoreErrors" });
    }
  }
  await page.done();
});

test("a server that goes away and comes back is told of", async () => {
  const page = await openPage(browser, { expected: /./ });
  await page.goto(`${lab.url}/query?g0.expr=up&g0.tab=table`);
  await page.locator(".result-row").first().waitFor();
  const routes = [/\/api\/v1\//, /\/-\/ready/];
  for (const route of routes) await page.route(route, (call) => call.abort("connectionrefused"));
  await page.getByRole("button", { name: "Execute" }).click();
  await page.getByText("The server doesn't answer.", { exact: true }).waitFor();
  await page.unrouteAll({ behavior: "ignoreErrors" });
  await page.getByText("The server doesn't answer.", { exact: true }).waitFor({ state: "detached" });
  await page.close();
});

test("a server that starts shows how far it is", async () => {
  const page = await openPage(browser, { expected: /503/ });
  let starting = true;
  const gate = (route) => (starting ? route.fulfill({ status: 503, body: "Service Unavailable", headers: { "X-Prometheus-Stopping": "false" } }) : route.continue());
  await page.route(/\/api\/v1\/|\/-\/ready/, gate);
  await page.route(/status\/walreplay/, (route) => route.fulfill({ contentType: "application/json", body: '{"status":"success","data":{"min":2,"max":11,"current":5}}' }));
  await page.goto(`${lab.url}/targets`);
  await page.getByText("3 of 10 segments").waitFor();
  starting = false;
  await page.locator(".targets-grid").first().waitFor();
  await page.done();
});

test("a reload that failed is told of on every page", async () => {
  const page = await openPage(browser);
  await writeFile(join(lab.home, "prometheus.yml"), "global: {scrape_interval: soon}\n");
  const response = await fetch(`${lab.url}/-/reload`, { method: "POST" });
  assert.equal(response.status, 500);
  for (const path of ["/query", "/flags"]) {
    await page.goto(lab.url + path);
    await page.getByText("Configuration reload has failed.").waitFor();
    await page.getByText("prometheus.yml:1:").waitFor();
  }
  await page.goto(`${lab.url}/status`);
  await page.getByText("last reload failed").waitFor();
  await page.done();
});
