// What each relabelling rule of a pool makes of a target's labels.

import { useApi } from "../lib/hooks";
import type { Labels, RelabelStep } from "../lib/types";
import { Badge, LabelSet, Showing, Text } from "./basics";

export function RelabelSteps({ pool, labels }: { pool: string; labels: Labels }) {
  const loaded = useApi<{ steps: RelabelStep[] }>("targets/relabel_steps", {
    scrapePool: pool,
    labels: JSON.stringify(labels),
  });
  return (
    <Showing loaded={loaded}>
      {({ steps }) =>
        steps.length === 0 ? (
          <p class="dim">The scrape configuration has no relabelling rules.</p>
        ) : (
          <ol class="steps">
            {steps.map((step, i) => (
              <Step key={i} step={step} before={i === 0 ? labels : steps[i - 1]!.output} wasKept={i === 0 || steps[i - 1]!.keep} />
            ))}
          </ol>
        )
      }
    </Showing>
  );
}

function Step({ step, before, wasKept }: { step: RelabelStep; before: Labels; wasKept: boolean }) {
  if (!wasKept) return null;
  const { changed, removed } = difference(before, step.output);
  const isSame = Object.keys(changed).length === 0 && removed.length === 0;
  return (
    <li>
      <code class="rule">
        <Text text={ruleText(step.rule)} />
      </code>
      <div class="outcome">
        {!step.keep && <Badge tone="bad">dropped here</Badge>}
        {step.keep && isSame && <span class="dim">changes nothing</span>}
        {step.keep && Object.keys(changed).length > 0 && (
          <span class="added">
            <LabelSet labels={changed} />
          </span>
        )}
        {step.keep && removed.length > 0 && (
          <span class="removed">
            removes <Text text={removed.join(", ")} />
          </span>
        )}
      </div>
    </li>
  );
}

function difference(before: Labels, after: Labels): { changed: Labels; removed: string[] } {
  const changed = Object.fromEntries(Object.entries(after).filter(([name, value]) => before[name] !== value));
  const removed = Object.keys(before).filter((name) => !(name in after));
  return { changed, removed };
}

/** The rule's fields in the order of the configuration's documentation, without those that say nothing. */
function ruleText(rule: Record<string, unknown>): string {
  const { action, ...rest } = rule;
  const fields = Object.entries(rest).filter(([, value]) => value !== null && value !== "" && !isEmptyList(value));
  const texts = fields.map(([name, value]) => `${name}: ${typeof value === "string" ? value : JSON.stringify(value)}`);
  return [`${action ?? "replace"}`, ...texts].join("   ");
}

function isEmptyList(value: unknown): boolean {
  return Array.isArray(value) && value.length === 0;
}
