// Takes pictures of every page, light and dark, wide and narrow, to be looked at:
//   node test/shots.mjs FOLDER [PAGE,…] [SIZE-THEME,…]

import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { launch, openPage } from "./browser.mjs";
import { startLab } from "./lab.mjs";

const folder = process.argv[2] ?? "shots";
const [pages, looks] = [3, 4].map((i) => process.argv[i]?.split(","));
await mkdir(folder, { recursive: true });
const lab = await startLab();
const q = (expr, tab, more = "") => `/query?g0.expr=${encodeURIComponent(expr)}&g0.tab=${tab}&g0.range_input=1m${more}`;
const PAGES = {
  empty: "/query",
  table: q("up", "table"),
  graph: q("rate(prometheus_http_requests_total[10s])", "graph"),
  stacked: q("sum by (job) (scrape_samples_scraped)", "graph", "&g0.display_mode=stacked"),
  heatmap: q('rate(took_seconds{job="histograms"}[10s])', "graph"),
  exemplars: q("rate(work_total[10s])", "graph", "&g0.show_exemplars=1"),
  histogram: q("took_seconds", "table"),
  explain: q("sum by (job) (rate(prometheus_http_requests_total[10s])) / on (job) group_left () count by (job) (up)", "explain"),
  error: q("rate(up[5m", "table"),
  warning: q("rate(up[5m]) + quantile(2, up)", "table"),
  hostile: q("hostile", "table"),
  alerts: "/alerts",
  targets: "/targets",
  rules: "/rules",
  discovery: "/service-discovery",
  alertmanagers: "/alertmanager-discovery",
  storage: "/tsdb-status",
  head: "/tsdb-status?view=head",
  usage: "/tsdb-status?view=usage",
  status: "/status",
  config: "/config",
  flags: "/flags",
};
const SIZES = { wide: { width: 1440, height: 900 }, narrow: { width: 390, height: 844 } };

async function shoot(page, name) {
  await page.waitForLoadState("networkidle");
  await page.waitForTimeout(300);
  await page.screenshot({ path: join(folder, `${name}.png`) });
}

try {
  const browser = await launch();
  for (const [size, viewport] of Object.entries(SIZES)) {
    for (const colorScheme of ["light", "dark"]) {
      if (looks && !looks.includes(`${size}-${colorScheme}`)) continue;
      const page = await openPage(browser, { viewport, colorScheme, expected: /./ });
      for (const [name, path] of Object.entries(PAGES)) {
        if (pages && pages[0] !== "all" && !pages.includes(name)) continue;
        await page.goto(lab.url + path);
        await shoot(page, `${name}-${size}-${colorScheme}`);
        if (name === "targets") {
          await page.locator(".row", { hasText: "connect" }).first().locator(".disclose").click();
          await shoot(page, `target-open-${size}-${colorScheme}`);
        }
        if (name === "graph") {
          await page.locator(".u-over").hover({ position: { x: 200, y: 150 } });
          await shoot(page, `graph-tip-${size}-${colorScheme}`);
        }
        if (name === "empty") {
          await page.getByRole("button", { name: "Metrics" }).click();
          await page.getByRole("searchbox").first().fill("http_requests");
          await page.locator(".metric").first().click();
          await page.locator(".explorer-details .pick").first().click();
          await shoot(page, `explorer-${size}-${colorScheme}`);
        }
      }
      await page.context().close();
    }
  }
  await browser.close();
} finally {
  await lab.stop();
}
