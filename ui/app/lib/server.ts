// Whether the server answers, and how far it is while it starts.

import { type ApiError, PREFIX, get } from "./api";
import { Store } from "./store";
import type { Notice, Replay } from "./types";

export type Phase = "ready" | "starting" | "stopping" | "away";

export const phase = new Store<Phase>("ready");
export const replay = new Store<Replay | null>(null);
export const notices = new Store<Notice[]>([]);

/** How often is looked while the server isn't ready. */
const LOOK_AGAIN_MS = 1000;
/** How often notices are fetched. A stream would take one of the browser's few connections for every tab. */
const NOTICES_MS = 10_000;

let looking = false;

/** To be told of every answer: an error that says that the server isn't ready begins a watch. */
export function serverSeen(error: ApiError | null): void {
  if (error === null || error.failure === "answer" || error.failure === "absent") return;
  phase.set(error.failure === "network" ? "away" : error.failure);
  if (!looking) void watch();
}

async function watch(): Promise<void> {
  looking = true;
  while (phase.get() !== "ready") {
    await new Promise((resolve) => setTimeout(resolve, LOOK_AGAIN_MS));
    await look();
  }
  looking = false;
  replay.set(null);
  void fetchNotices();
}

async function look(): Promise<void> {
  try {
    const response = await fetch(`${PREFIX}/-/ready`);
    if (response.ok) {
      phase.set("ready");
      return;
    }
    phase.set(response.headers.get("X-Prometheus-Stopping") === "true" ? "stopping" : "starting");
    replay.set((await get<Replay>("status/walreplay")).data);
  } catch {
    phase.set("away");
  }
}

async function fetchNotices(): Promise<void> {
  try {
    notices.set((await get<Notice[]>("notifications")).data.filter((notice) => notice.active));
  } catch {
    // Whoever asks for data tells of a server that doesn't answer.
  }
}

export function watchNotices(): void {
  void fetchNotices();
  setInterval(() => {
    if (!document.hidden && phase.get() === "ready") void fetchNotices();
  }, NOTICES_MS);
}
