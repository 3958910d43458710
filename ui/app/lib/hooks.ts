// What components share: answers of the API, the clock, settings.

import { useEffect, useRef, useState } from "preact/hooks";
import { type Answer, type ApiError, type Params, describe, encodeParams, get, isAbort } from "./api";
import { serverSeen } from "./server";

export interface Loaded<T> {
  answer: Answer<T> | null;
  error: ApiError | null;
  loading: boolean;
  reload: () => void;
}

/**
 * The answer of a path of the API; asked again every `everyMs`, if that is given, while the page is seen. An
 * answer stays until the next one, even if that is an error. `path` null asks nothing.
 */
export function useApi<T>(path: string | null, params: Params = {}, everyMs?: number): Loaded<T> {
  const [state, setState] = useState<Omit<Loaded<T>, "reload">>({ answer: null, error: null, loading: path !== null });
  const [turn, setTurn] = useState(0);
  const key = `${path}?${encodeParams(params)}`;
  const lastKey = useRef(key);
  useEffect(() => {
    if (path === null) return;
    const abort = new AbortController();
    const keep = lastKey.current === key;
    lastKey.current = key;
    setState((old) => ({ answer: keep ? old.answer : null, error: keep ? old.error : null, loading: true }));
    get<T>(path, params, abort.signal).then(
      (answer) => {
        serverSeen(null);
        setState({ answer, error: null, loading: false });
      },
      (cause: unknown) => {
        if (isAbort(cause)) return;
        const error = describe(cause);
        serverSeen(error);
        setState((old) => ({ answer: old.answer, error, loading: false }));
      },
    );
    return () => abort.abort();
  }, [key, turn]);
  useEffect(() => {
    if (!everyMs) return;
    const timer = setInterval(() => {
      if (!document.hidden) setTurn((n) => n + 1);
    }, everyMs);
    return () => clearInterval(timer);
  }, [everyMs]);
  return { ...state, reload: () => setTurn((n) => n + 1) };
}

/** The time, moving on every `everyMs`. */
export function useNow(everyMs = 1000): number {
  const [now, setNow] = useState(Date.now());
  useEffect(() => {
    const timer = setInterval(() => {
      if (!document.hidden) setNow(Date.now());
    }, everyMs);
    return () => clearInterval(timer);
  }, [everyMs]);
  return now;
}

/** A value that follows `value` once that hasn't changed for a while. */
export function useDebounced<T>(value: T, ms: number): T {
  const [settled, setSettled] = useState(value);
  useEffect(() => {
    const timer = setTimeout(() => setSettled(value), ms);
    return () => clearTimeout(timer);
  }, [value, ms]);
  return settled;
}
