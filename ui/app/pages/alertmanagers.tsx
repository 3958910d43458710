// Who is told of alerts.

import { useApi } from "../lib/hooks";
import { plural } from "../lib/format";
import { Badge, Empty, Showing, Text } from "../parts/basics";
import { PageHead } from "../parts/toolbar";

interface Alertmanagers {
  activeAlertmanagers: { url: string }[];
  droppedAlertmanagers: { url: string }[];
}

export default function AlertmanagersPage() {
  const loaded = useApi<Alertmanagers>("alertmanagers", {}, 15_000);
  const active = loaded.answer?.data.activeAlertmanagers ?? [];
  return (
    <>
      <PageHead title="Alertmanagers" summary={loaded.answer && `${plural(active.length, "Alertmanager")} told of alerts`} />
      <Showing loaded={loaded}>
        {({ droppedAlertmanagers: dropped }) =>
          active.length + dropped.length === 0 ? (
            <Empty>No Alertmanager is configured: alerts are shown here, and nobody is told.</Empty>
          ) : (
            <div class="card flush">
              {[...active.map(({ url }) => ({ url, isActive: true })), ...dropped.map(({ url }) => ({ url, isActive: false }))].map(({ url, isActive }) => (
                <div class="row" key={url}>
                  <div class="line">
                    <Badge tone={isActive ? "good" : "plain"}>{isActive ? "active" : "dropped"}</Badge>
                    <span class="mono"><Text text={url} /></span>
                  </div>
                </div>
              ))}
            </div>
          )
        }
      </Showing>
    </>
  );
}
