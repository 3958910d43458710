// Values that several components see, some of them kept in the browser.

import { useEffect, useState } from "preact/hooks";

export class Store<T> {
  private readonly listeners = new Set<(value: T) => void>();
  constructor(private value: T) {}

  get(): T {
    return this.value;
  }

  set(value: T): void {
    if (Object.is(value, this.value)) return;
    this.value = value;
    for (const listener of [...this.listeners]) listener(value);
  }

  subscribe(listener: (value: T) => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }
}

export function useStore<T>(store: Store<T>): T {
  const [value, setValue] = useState(store.get());
  useEffect(() => {
    setValue(store.get());
    return store.subscribe((next) => setValue(next));
  }, [store]);
  return value;
}

/** A store that the browser keeps under a name. What is kept there and isn't right is as if it weren't there. */
export function keptStore<T>(name: string, initial: T, isRight: (value: unknown) => boolean): Store<T> {
  const key = `ferula.${name}`;
  const store = new Store(initial);
  try {
    const kept: unknown = JSON.parse(localStorage.getItem(key) ?? "null");
    if (isRight(kept)) store.set(kept as T);
  } catch {
    // Storage that is switched off, or holds something else: the initial value stands.
  }
  store.subscribe((value) => {
    try {
      localStorage.setItem(key, JSON.stringify(value));
    } catch {
      // It lasts as long as the page, then.
    }
  });
  return store;
}

export type Theme = "auto" | "light" | "dark";

export const theme = keptStore<Theme>("theme", "auto", (value) => ["auto", "light", "dark"].includes(value as string));
export const utc = keptStore<boolean>("utc", false, (value) => typeof value === "boolean");

/** Whether what is seen is dark now. */
export const dark = new Store(false);

const darkPreferred = matchMedia("(prefers-color-scheme: dark)");

function applyTheme(): void {
  const chosen = theme.get();
  document.documentElement.dataset.theme = chosen;
  dark.set(chosen === "dark" || (chosen === "auto" && darkPreferred.matches));
}

theme.subscribe(applyTheme);
darkPreferred.addEventListener("change", applyTheme);
applyTheme();
