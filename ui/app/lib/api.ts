// The server's API: relative to where the page is, cancellable, and with errors that can be shown.

/** What stands before the paths of this server's pages, without a slash at its end. */
export const PREFIX = location.pathname.replace(/\/[^/]*$/, "");

export type Params = Record<string, string | number | boolean | string[] | undefined>;

export interface Answer<T> {
  data: T;
  warnings: string[];
  infos: string[];
  /** How long the answer took to arrive, in milliseconds. */
  tookMs: number;
  /** How many bytes it has, uncompressed. */
  bytes: number;
}

export type Failure = "network" | "starting" | "stopping" | "absent" | "answer";

/** Why there is no answer, as a sentence. */
export class ApiError extends Error {
  constructor(
    readonly failure: Failure,
    readonly kind: string,
    message: string,
  ) {
    super(message);
  }
}

export function encodeParams(params: Params): URLSearchParams {
  const form = new URLSearchParams();
  for (const [name, value] of Object.entries(params)) {
    if (value === undefined) continue;
    for (const one of Array.isArray(value) ? value : [value]) form.append(name, String(one));
  }
  return form;
}

export async function get<T>(path: string, params: Params = {}, signal?: AbortSignal): Promise<Answer<T>> {
  const query = encodeParams(params).toString();
  return request<T>(`${PREFIX}/api/v1/${path}${query && "?"}${query}`, { signal });
}

/** The same with a body, for questions that are too long for a URL. */
export async function post<T>(path: string, params: Params, signal?: AbortSignal): Promise<Answer<T>> {
  return request<T>(`${PREFIX}/api/v1/${path}`, { method: "POST", body: encodeParams(params), signal });
}

export async function request<T>(url: string, init: RequestInit): Promise<Answer<T>> {
  const begun = performance.now();
  const response = await fetch(url, { credentials: "same-origin", ...init }).catch((cause: unknown) => {
    if (cause instanceof DOMException && cause.name === "AbortError") throw cause;
    throw new ApiError("network", "network", "The server doesn't answer. Is it running, and can it be reached?");
  });
  const text = await response.text();
  const answer = { bytes: text.length, tookMs: performance.now() - begun };
  if (response.status === 204) return { data: undefined as T, warnings: [], infos: [], ...answer };
  const envelope = parseEnvelope<T>(text);
  if (!envelope) throw unreadable(response, text);
  if (envelope.status === "success") {
    const { data, warnings = [], infos = [] } = envelope;
    return { data: data as T, warnings, infos, ...answer };
  }
  throw new ApiError("answer", envelope.errorType ?? "error", envelope.error ?? "The server gives no reason.");
}

interface Envelope<T> {
  status: "success" | "error";
  data?: T;
  errorType?: string;
  error?: string;
  warnings?: string[];
  infos?: string[];
}

function parseEnvelope<T>(text: string): Envelope<T> | null {
  try {
    const parsed: unknown = JSON.parse(text);
    const isEnvelope = typeof parsed === "object" && parsed !== null && "status" in parsed;
    return isEnvelope ? (parsed as Envelope<T>) : null;
  } catch {
    return null;
  }
}

/** How much of an answer that isn't the API's is shown. */
const EXCERPT_CHARS = 300;

function unreadable(response: Response, text: string): ApiError {
  if (response.status === 503) {
    const stopping = response.headers.get("X-Prometheus-Stopping") === "true";
    return stopping
      ? new ApiError("stopping", "unavailable", "The server is shutting down.")
      : new ApiError("starting", "unavailable", "The server is starting.");
  }
  if (response.status === 404) return new ApiError("absent", "not_found", "This server has no such endpoint.");
  const status = `${response.status} ${response.statusText}`.trim();
  const excerpt = text.slice(0, EXCERPT_CHARS).trim();
  const said = excerpt === "" ? "nothing else" : `“${excerpt}${text.length > EXCERPT_CHARS ? "…" : ""}”`;
  return new ApiError("answer", status, `The answer isn't the API's: HTTP status ${status} and ${said}`);
}

export function isAbort(error: unknown): boolean {
  return error instanceof DOMException && error.name === "AbortError";
}

export function describe(error: unknown): ApiError {
  if (error instanceof ApiError) return error;
  return new ApiError("answer", "page", error instanceof Error ? error.message : String(error));
}
