// How a query is evaluated, and what each operator did.

import { formatBytes, formatCount, humanDuration } from "../lib/format";
import type { PlanNode } from "../lib/types";
import { Text } from "../parts/basics";
import { unitsOfBytes } from "./annotation";

interface Row {
  node: PlanNode;
  depth: number;
  /** Time in it without its inputs, in nanoseconds. */
  own: number;
}

export function Explain({ plan, query, onSpan }: { plan: PlanNode; query: string; onSpan: (span: [number, number] | null) => void }) {
  const rows = flatten(plan, 0);
  const longest = Math.max(1, ...rows.map((row) => row.own));
  const enter = ({ position: [from, to] }: PlanNode) => onSpan([unitsOfBytes(query, from), unitsOfBytes(query, to)]);
  return (
    <>
      <div class="card flush scroll-x">
        <table class="table plan">
          <thead>
            <tr>
              <th scope="col">Operator</th>
              <th scope="col" class="number">Series</th>
              <th scope="col" class="number">Reads</th>
              <th scope="col" class="number">Samples</th>
              <th scope="col" class="number">Bytes</th>
              <th scope="col" class="number">Time</th>
              <th scope="col">Of its own</th>
            </tr>
          </thead>
          <tbody onPointerLeave={() => onSpan(null)}>
            {rows.map(({ node, depth, own }, i) => (
              <tr key={i} tabIndex={0} onPointerEnter={() => enter(node)} onFocus={() => enter(node)} onBlur={() => onSpan(null)}>
                <th scope="row">
                  <span class="operator" style={{ paddingLeft: `${depth * 20}px` }}>
                    {depth > 0 && <span class="branch" aria-hidden="true" />}
                    <strong>{node.operator}</strong>
                    {node.detail && <span class="mono detail"><Text text={node.detail} /></span>}
                  </span>
                </th>
                <td class="number">{figure(node.series, formatCount)}</td>
                <td class="number">{figure(node.reads, formatCount)}</td>
                <td class="number">{figure(node.samples, formatCount)}</td>
                <td class="number">{figure(node.bytes, formatBytes)}</td>
                <td class="number">{figure(node.nanos, (nanos) => humanDuration(nanos / 1e6))}</td>
                <td class="own">
                  <span class="bar accent" aria-hidden="true"><span style={{ width: `${(own / longest) * 100}%` }} /></span>
                  <span class="number">{node.nanos === undefined ? "" : humanDuration(own / 1e6)}</span>
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      <p class="dim small">The query was run to count this. Time is that of an operator and its inputs, on all threads together. Point at an operator to see its part of the query.</p>
    </>
  );
}

function figure(value: number | undefined, format: (value: number) => string) {
  if (value === undefined) return "";
  return value === 0 ? <span class="faint">0</span> : format(value);
}

function flatten(node: PlanNode, depth: number): Row[] {
  const inputs = node.inputs ?? [];
  const below = inputs.reduce((sum, input) => sum + (input.nanos ?? 0), 0);
  const own = Math.max(0, (node.nanos ?? 0) - below);
  return [{ node, depth, own }, ...inputs.flatMap((input) => flatten(input, depth + 1))];
}
