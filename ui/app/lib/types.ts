// What the API answers with.

export type Labels = Record<string, string>;

export interface Bucketed {
  count: string;
  sum: string;
  buckets?: [number, string, string, string][];
}

export type Sample = [number, string];
export type HistogramSample = [number, Bucketed];

export interface VectorElement {
  metric: Labels;
  value?: Sample;
  histogram?: HistogramSample;
}

export interface MatrixElement {
  metric: Labels;
  values?: Sample[];
  histograms?: HistogramSample[];
}

/** A query that a client waits for. */
export interface RunningQuery {
  id: number;
  query: string;
  /** The time of an instant query, in seconds. */
  time?: number;
  /** The range of another, in seconds. */
  start?: number;
  end?: number;
  step?: number;
  client: string;
  begun: number;
  runningSeconds: number;
}

export type QueryData =
  | { resultType: "vector"; result: VectorElement[]; stats?: QueryStats }
  | { resultType: "matrix"; result: MatrixElement[]; stats?: QueryStats }
  | { resultType: "scalar" | "string"; result: Sample; stats?: QueryStats };

export interface QueryStats {
  timings: { execTotalTime: number; evalTotalTime: number; execQueueTime: number };
  samples: { totalQueryableSamples: number; samplesRead: number; peakSamples: number };
}

export interface ExemplarSeries {
  seriesLabels: Labels;
  exemplars: { labels: Labels; value: string; timestamp: number }[];
}

export interface PlanNode {
  operator: string;
  detail?: string;
  /** Where it stands in the query, in bytes of UTF-8. */
  position: [number, number];
  series?: number;
  reads?: number;
  samples?: number;
  bytes?: number;
  nanos?: number;
  inputs?: PlanNode[];
}

export interface Target {
  discoveredLabels: Labels;
  labels: Labels;
  scrapePool: string;
  scrapeUrl: string;
  globalUrl: string;
  lastError: string;
  lastScrape: string;
  lastScrapeDuration: number;
  health: "up" | "down" | "unknown";
  scrapeInterval: string;
  scrapeTimeout: string;
}

export interface DroppedTarget {
  discoveredLabels: Labels;
  scrapePool: string;
}

export interface Targets {
  activeTargets: Target[];
  droppedTargets: DroppedTarget[];
  droppedTargetCounts: Record<string, number> | null;
}

export interface RelabelStep {
  rule: Record<string, unknown>;
  output: Labels;
  keep: boolean;
}

export interface Alert {
  labels: Labels;
  annotations: Labels;
  state: "pending" | "firing" | "inactive";
  activeAt?: string;
  keepFiringSince?: string;
  value: string;
}

interface RuleBase {
  name: string;
  query: string;
  labels: Labels;
  health: "ok" | "err" | "unknown";
  lastError?: string;
  evaluationTime: number;
  lastEvaluation: string;
}

export interface AlertingRule extends RuleBase {
  type: "alerting";
  state: "pending" | "firing" | "inactive";
  duration: number;
  keepFiringFor: number;
  annotations: Labels;
  alerts: Alert[] | null;
}

export interface RecordingRule extends RuleBase {
  type: "recording";
}

export type Rule = AlertingRule | RecordingRule;

export interface RuleGroup {
  name: string;
  file: string;
  rules: Rule[];
  interval: number;
  limit: number;
  evaluationTime: number;
  lastEvaluation: string;
}

export interface Metadata {
  type: string;
  help: string;
  unit: string;
}

export interface NameValue {
  name: string;
  value: number;
}

export interface TsdbStatus {
  headStats: { numSeries: number; numLabelPairs: number; chunkCount: number; minTime: number; maxTime: number };
  seriesCountByMetricName: NameValue[];
  labelValueCountByLabelName: NameValue[];
  memoryInBytesByLabelName: NameValue[];
  seriesCountByLabelValuePair: NameValue[];
}

export interface Cardinality {
  totals: {
    series: number;
    activeSeries: number;
    churnedSeries: number;
    metricNames: number;
    labelNames: number;
    labelPairs: number;
    labelBytes: number;
  };
  byMetricName: { name: string; series: number; active: number; churned: number; labelBytes: number }[];
  byLabelName: { name: string; values: number; series: number; valueBytes: number }[];
  byLabelPair: { name: string; value: string; series: number }[];
}

export interface Usage {
  used: { name: string; queries: number; lastQueried: number | null; rules: number }[];
  unused: string[];
  queriesWithoutName: { queries: number; lastQueried: number | null };
}

export interface Block {
  ulid: string;
  minTime: number;
  maxTime: number;
  stats?: { numSamples?: number; numSeries?: number; numChunks?: number; numTombstones?: number };
  compaction?: { level?: number; sources?: string[] };
}

export interface Notice {
  text: string;
  detail?: string;
  date: string;
  active: boolean;
}

export interface Replay {
  min: number;
  max: number;
  current: number;
}
