// Drawings of 16 × 16.

import type { ComponentChildren } from "preact";

function Icon({ children }: { children: ComponentChildren }) {
  return (
    <svg class="icon" viewBox="0 0 16 16" width="16" height="16" fill="none" stroke="currentColor" stroke-width="1.4" stroke-linecap="round" stroke-linejoin="round" aria-hidden="true">
      {children}
    </svg>
  );
}

export const icons = {
  query: () => <Icon><path d="M2 12.5 5.5 8l3 2.5L14 3.5" /><path d="M10.5 3.5H14V7" /></Icon>,
  alerts: () => <Icon><path d="M8 2a4 4 0 0 0-4 4c0 4-1.5 5-1.5 5h11S12 10 12 6a4 4 0 0 0-4-4Z" /><path d="M6.7 13.5a1.5 1.5 0 0 0 2.6 0" /></Icon>,
  targets: () => <Icon><circle cx="8" cy="8" r="6" /><circle cx="8" cy="8" r="2.5" /></Icon>,
  rules: () => <Icon><path d="M5.5 4H14M5.5 8H14M5.5 12H14" /><path d="M2 4h.5M2 8h.5M2 12h.5" /></Icon>,
  discovery: () => <Icon><circle cx="8" cy="3.5" r="1.5" /><circle cx="3.5" cy="12" r="1.5" /><circle cx="12.5" cy="12" r="1.5" /><path d="M7.3 5 4.2 10.6M8.7 5l3.1 5.6M5 12h6" /></Icon>,
  alertmanagers: () => <Icon><path d="M2 4.5h12v8H2z" /><path d="m2 5 6 4.5L14 5" /></Icon>,
  tsdb: () => <Icon><ellipse cx="8" cy="3.7" rx="5.5" ry="1.9" /><path d="M2.5 3.7v8.6c0 1 2.5 1.9 5.5 1.9s5.5-.9 5.5-1.9V3.7M2.5 8c0 1 2.5 1.9 5.5 1.9s5.5-.9 5.5-1.9" /></Icon>,
  status: () => <Icon><rect x="2" y="3" width="12" height="4" rx="1" /><rect x="2" y="9" width="12" height="4" rx="1" /><path d="M4.5 5h.1M4.5 11h.1" /></Icon>,
  config: () => <Icon><path d="M4 2h5.5L12 4.5V14H4z" /><path d="M6.5 7.5h3M6.5 10.5h3" /></Icon>,
  flags: () => <Icon><path d="M3.5 14V2.5s1-.5 2.5-.5 2.5 1 4 1 2.5-.5 2.5-.5v6s-1 .5-2.5.5-2.5-1-4-1-2.5.5-2.5.5" /></Icon>,
  menu: () => <Icon><path d="M2 4h12M2 8h12M2 12h12" /></Icon>,
  chevron: () => <Icon><path d="m6 3.5 4.5 4.5L6 12.5" /></Icon>,
  close: () => <Icon><path d="m4 4 8 8M12 4l-8 8" /></Icon>,
  plus: () => <Icon><path d="M8 3v10M3 8h10" /></Icon>,
  minus: () => <Icon><path d="M3 8h10" /></Icon>,
  left: () => <Icon><path d="M10 3.5 5.5 8l4.5 4.5" /></Icon>,
  right: () => <Icon><path d="m6 3.5 4.5 4.5L6 12.5" /></Icon>,
  history: () => <Icon><path d="M2.5 8a5.5 5.5 0 1 0 1.8-4.1L2.5 5.5" /><path d="M2.5 2.5v3h3M8 5v3.2l2.2 1.3" /></Icon>,
  explore: () => <Icon><circle cx="7" cy="7" r="4.5" /><path d="m10.5 10.5 3.5 3.5" /></Icon>,
  format: () => <Icon><path d="M2 3.5h12M5 6.5h9M5 9.5h9M2 12.5h12" /></Icon>,
  duplicate: () => <Icon><rect x="5" y="5" width="8.5" height="8.5" rx="1" /><path d="M3 10.5h-.5v-8h8V3" /></Icon>,
  sun: () => <Icon><circle cx="8" cy="8" r="3" /><path d="M8 1.5v1M8 13.5v1M1.5 8h1M13.5 8h1M3.4 3.4l.7.7M11.9 11.9l.7.7M3.4 12.6l.7-.7M11.9 4.1l.7-.7" /></Icon>,
  moon: () => <Icon><path d="M13.5 9.5A5.8 5.8 0 0 1 6.5 2.5a5.8 5.8 0 1 0 7 7Z" /></Icon>,
  auto: () => <Icon><circle cx="8" cy="8" r="5.5" /><path d="M8 2.5v11A5.5 5.5 0 0 0 8 2.5Z" fill="currentColor" /></Icon>,
};
