//! What alerts were before a restart: since when they are active is read back from `ALERTS_FOR_STATE`.
//!
//! The time that the server was away doesn't count towards an alert's `for`, and an alert that would fire at
//! once is held for a grace period, so that targets can be scraped again first.

use std::collections::HashMap;

use model::cancel::Cancel;
use model::labels::{Labels, METRIC_NAME};
use model::matcher::Matcher;
use model::storage::{Queryable, SampleValue, SelectHints, StorageError};
use model::time::TimestampMs;
use model::value::is_stale_nan;

use crate::alerting::{ALERT_NAME, ALERTS_FOR_STATE, AlertingRule};

/// How far restoring goes.
#[derive(Clone, Copy, Debug)]
pub struct RestoreOptions {
    /// How long the server may have been away (`--rules.alert.for-outage-tolerance`).
    pub outage_tolerance_ms: i64,
    /// The least time between the restart and an alert's firing (`--rules.alert.for-grace-period`); rules with
    /// a shorter `for` aren't restored.
    pub grace_period_ms: i64,
}

/// Gives the alerts of a rule the state that they had before the restart.
pub(crate) fn restore(
    rule: &AlertingRule,
    at_ms: TimestampMs,
    storage: &dyn Queryable,
    options: &RestoreOptions,
) -> Result<(), StorageError> {
    let hold_ms = rule.hold.as_millis();
    if hold_ms >= options.grace_period_ms && !rule.alerts().is_empty() {
        let before = last_states(rule, at_ms, storage, options)?;
        rule.for_each_alert(|alert| {
            if let Some((down_at_ms, active_at_ms)) = before.get(&alert.labels) {
                alert.active_at_ms = active_since(*down_at_ms, *active_at_ms, hold_ms, at_ms, options);
            }
        });
    }
    rule.set_restored();
    Ok(())
}

/// Since when an alert counts as active that was active since `active_at_ms` when the server went away.
fn active_since(
    down_at_ms: TimestampMs,
    active_at_ms: TimestampMs,
    hold_ms: i64,
    now_ms: TimestampMs,
    options: &RestoreOptions,
) -> TimestampMs {
    let remaining_ms = hold_ms - (down_at_ms - active_at_ms);
    if remaining_ms <= 0 {
        active_at_ms // It was firing, and fires again if its element is still there.
    } else if remaining_ms < options.grace_period_ms {
        now_ms + options.grace_period_ms - hold_ms
    } else {
        active_at_ms + (now_ms - down_at_ms)
    }
}

/// For each alert's labels the last time its state was stored, in whole seconds, and since when it was active.
fn last_states(
    rule: &AlertingRule,
    at_ms: TimestampMs,
    storage: &dyn Queryable,
    options: &RestoreOptions,
) -> Result<HashMap<Labels, (TimestampMs, TimestampMs)>, StorageError> {
    let mint = at_ms - options.outage_tolerance_ms;
    let querier = storage.querier(mint, at_ms)?;
    let matchers = [Matcher::metric_name(ALERTS_FOR_STATE), Matcher::equal(ALERT_NAME, rule.alert.as_str())];
    let set = querier.select(&matchers, &SelectHints::new(mint, at_ms, &Cancel::new()))?;
    let mut states = HashMap::new();
    for series in 0..set.len() {
        let Some((t, SampleValue::Float(active_at_secs))) = set.last(series, mint, at_ms)? else { continue };
        if !is_stale_nan(active_at_secs) {
            let labels = set.labels(series).without(&[METRIC_NAME]);
            states.insert(labels, (t.div_euclid(1000) * 1000, active_at_secs as i64 * 1000));
        }
    }
    Ok(states)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_away_does_not_count_and_firing_waits_for_the_grace_period() {
        let options = RestoreOptions { outage_tolerance_ms: 3_600_000, grace_period_ms: 600_000 };
        let hold_ms = 1_800_000;
        let since = |down, active, now| active_since(down, active, hold_ms, now, &options);
        assert_eq!(since(2_000_000, 0, 2_300_000), 0, "it was firing");
        assert_eq!(
            since(1_500_000, 0, 1_800_000),
            1_800_000 + 600_000 - hold_ms,
            "it would fire in five minutes"
        );
        assert_eq!(since(600_000, 0, 900_000), 300_000, "it was away for five minutes");
    }
}
