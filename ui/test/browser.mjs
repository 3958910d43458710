// Chromium, and pages of it that remember everything that went wrong.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { chromium } from "playwright-core";

const AXE = createRequire(import.meta.url).resolve("axe-core/axe.min.js");

/** How long anything may take before it has failed. Generous: the machine may be busy. */
const PATIENCE_MS = 20_000;

export function launch() {
  return chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ["--no-sandbox"] });
}

/** A page of which nothing may be logged as an error, and no request may fail, unless `expected` matches it. */
export async function openPage(browser, { expected = null, ...options } = {}) {
  const context = await browser.newContext({ viewport: { width: 1440, height: 900 }, ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(PATIENCE_MS);
  const wrong = [];
  const note = (text) => {
    if (!expected?.test(text)) wrong.push(text);
  };
  page.on("pageerror", (error) => note(`uncaught: ${error.stack ?? error}`));
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) note(`console: ${message.text()}`);
  });
  page.on("requestfailed", (request) => {
    // A question that is no longer wanted is cancelled.
    if (request.failure()?.errorText !== "net::ERR_ABORTED") note(`failed: ${request.url()} ${request.failure()?.errorText}`);
  });
  page.on("response", (response) => {
    if (response.status() >= 400) note(`status ${response.status()}: ${response.url()}`);
  });
  page.on("request", (request) => {
    const { hostname, protocol } = new URL(request.url());
    if (protocol !== "blob:" && hostname !== "127.0.0.1") note(`another host: ${request.url()}`);
  });
  page.assertClean = () => assert.deepEqual(wrong, []);
  page.done = async () => {
    await context.close();
    page.assertClean();
  };
  return page;
}

/** What axe-core finds that is serious. */
export async function assertAccessible(page, what) {
  // A script from outside is what the policy forbids; a debugger isn't bound by it.
  await page.evaluate(await readFile(AXE, "utf8"));
  const violations = await page.evaluate(async () => {
    const result = await globalThis.axe.run(document, { resultTypes: ["violations"] });
    return result.violations
      .filter(({ impact }) => ["serious", "critical"].includes(impact))
      .map(({ id, nodes }) => `${id}: ${nodes.slice(0, 3).map((node) => `${node.html.slice(0, 200)} ${node.failureSummary}`).join(" | ")}`);
  });
  assert.deepEqual(violations, [], what);
}

/** Puts an expression into the editor of the first panel, and asks it. */
export async function ask(page, expr, panel = page) {
  const editor = panel.locator(".cm-content").first();
  await editor.click();
  await page.keyboard.press("ControlOrMeta+a");
  await page.keyboard.insertText(expr);
  await panel.getByRole("button", { name: "Execute" }).first().click();
}
