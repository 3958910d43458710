// What stands around every page: navigation, settings, notices, and the state of the server.

import type { ComponentChildren } from "preact";
import { useEffect, useState } from "preact/hooks";
import { notices, phase, replay } from "../lib/server";
import { summary } from "../lib/summary";
import { type Theme, theme, useStore, utc } from "../lib/store";
import { place } from "../lib/router";
import { parseTime } from "../lib/format";
import { Ago, Bar, Choice, Link, Text } from "./basics";
import { icons } from "./icons";

interface Entry {
  page: string;
  name: string;
  icon: keyof typeof icons;
}

const GROUPS: { name: string; entries: Entry[] }[] = [
  { name: "Ask", entries: [{ page: "query", name: "Query", icon: "query" }] },
  {
    name: "Watch",
    entries: [
      { page: "alerts", name: "Alerts", icon: "alerts" },
      { page: "targets", name: "Targets", icon: "targets" },
      { page: "rules", name: "Rules", icon: "rules" },
    ],
  },
  {
    name: "Server",
    entries: [
      { page: "service-discovery", name: "Service discovery", icon: "discovery" },
      { page: "alertmanager-discovery", name: "Alertmanagers", icon: "alertmanagers" },
      { page: "tsdb-status", name: "Storage", icon: "tsdb" },
      { page: "running-queries", name: "Running queries", icon: "history" },
      { page: "status", name: "Status", icon: "status" },
      { page: "config", name: "Configuration", icon: "config" },
      { page: "flags", name: "Flags", icon: "flags" },
    ],
  },
];

export const ENTRIES = GROUPS.flatMap((group) => group.entries);

export function Frame({ children }: { children: ComponentChildren }) {
  const [open, setOpen] = useState(false);
  const { page } = useStore(place);
  useEffect(() => setOpen(false), [page]);
  const entry = ENTRIES.find((entry) => entry.page === page);
  return (
    <div class="frame">
      <a class="skip" href="#main">
        Skip to the contents
      </a>
      <header class="topbar">
        <button class="button quiet" aria-expanded={open} aria-controls="nav" aria-label="Menu" onClick={() => setOpen(!open)}>
          <icons.menu />
        </button>
        <span class="here">{entry?.name ?? "Ferula"}</span>
        <Counts />
      </header>
      <nav id="nav" class={open ? "open" : ""} aria-label="Pages">
        <Brand />
        {GROUPS.map((group) => (
          <div class="group" key={group.name}>
            <div class="caption">{group.name}</div>
            {group.entries.map((entry) => (
              <NavLink key={entry.page} entry={entry} current={entry.page === page} />
            ))}
          </div>
        ))}
        <Settings />
      </nav>
      {open && <div class="scrim" onClick={() => setOpen(false)} />}
      <main id="main" tabIndex={-1}>
        <Notices />
        {children}
      </main>
    </div>
  );
}

function Brand() {
  return (
    <Link to="query" class="brand" aria-label="Ferula, query page">
      <svg viewBox="0 0 32 32" width="24" height="24" aria-hidden="true">
        <rect width="32" height="32" rx="7" class="mark" />
        <g fill="none" class="stalk" stroke-width="2.2" stroke-linecap="round">
          <path d="M16 28V15M16 15 7.5 9.5M16 15 12 7M16 15l4-8M16 15l8.5-5.5" />
        </g>
        <g class="flower">
          <circle cx="7" cy="8.5" r="2.3" />
          <circle cx="12" cy="5.8" r="2.3" />
          <circle cx="20" cy="5.8" r="2.3" />
          <circle cx="25" cy="8.5" r="2.3" />
        </g>
      </svg>
      <span>Ferula</span>
    </Link>
  );
}

function NavLink({ entry, current }: { entry: Entry; current: boolean }) {
  const { firing, down } = useStore(summary);
  const Icon = icons[entry.icon];
  const count = entry.page === "alerts" ? firing : entry.page === "targets" ? down : 0;
  const what = entry.page === "alerts" ? "firing" : "down";
  return (
    <Link to={entry.page} aria-current={current ? "page" : undefined}>
      <Icon />
      <span class="grow">{entry.name}</span>
      {count > 0 && (
        <span class="count bad">
          {count}
          <span class="hidden"> {what}</span>
        </span>
      )}
    </Link>
  );
}

/** What is wrong, where the navigation isn't seen. */
function Counts() {
  const { firing, down } = useStore(summary);
  return (
    <span class="counts">
      {firing > 0 && <Link to="alerts?state=firing" class="count bad">{firing} firing</Link>}
      {down > 0 && <Link to="targets?health=down" class="count bad">{down} down</Link>}
    </span>
  );
}

function Settings() {
  const chosen = useStore(theme);
  const inUtc = useStore(utc);
  return (
    <div class="settings">
      <Choice<Theme>
        label="Theme"
        value={chosen}
        options={[
          ["auto", <span title="As the system has it"><icons.auto /><span class="hidden">Automatic</span></span>],
          ["light", <span title="Light"><icons.sun /><span class="hidden">Light</span></span>],
          ["dark", <span title="Dark"><icons.moon /><span class="hidden">Dark</span></span>],
        ]}
        onChange={(value) => theme.set(value)}
      />
      <Choice
        label="Times"
        value={inUtc ? "utc" : "local"}
        options={[
          ["local", "Local"],
          ["utc", "UTC"],
        ]}
        onChange={(value) => utc.set(value === "utc")}
      />
    </div>
  );
}

/** What a notice means for the user. */
const ADVICE: Record<string, string> = {
  "Configuration reload has failed.": "The configuration from before is still in force.",
};

function Notices() {
  const list = useStore(notices);
  const now = useStore(phase);
  return (
    <>
      {now !== "ready" && <Unready />}
      {now === "ready" &&
        list.map((notice) => (
          <div class="note warn" role="status" key={notice.text}>
            <strong>{notice.text}</strong> {ADVICE[notice.text]} <span class="dim">(<Ago ms={parseTime(notice.date)} />)</span>
            {notice.detail && <div class="mono small"><Text text={notice.detail} /></div>}
          </div>
        ))}
    </>
  );
}

function Unready() {
  const now = useStore(phase);
  const progress = useStore(replay);
  if (now === "away") {
    return (
      <div class="note bad" role="status">
        <strong>The server doesn't answer.</strong> This page looks again every second; what it shows below may be old.
      </div>
    );
  }
  if (now === "stopping") return <div class="note warn" role="status"><strong>The server is shutting down.</strong></div>;
  const segments = progress ? progress.max - progress.min + 1 : 0;
  const done = progress ? Math.max(0, progress.current - progress.min) : 0;
  return (
    <div class="note plain" role="status">
      <strong>The server is starting.</strong>{" "}
      {progress && progress.max > 0 ? `It has read ${done} of ${segments} segments of its log.` : "It opens its storage."} This page goes on by itself.
      {segments > 0 && <Bar part={done / segments} />}
    </div>
  );
}
