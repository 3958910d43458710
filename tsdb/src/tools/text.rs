//! Numbers as Go and promtool print them.

use std::fmt::Write;

use model::time::TimestampMs;

/// A duration as Go's `time.Duration` prints it: `1h33m0.001s`, `5ms`, `0s`.
pub(super) fn go_duration(millis: i64) -> String {
    let mut text = String::new();
    if millis < 0 {
        text.push('-');
    }
    let millis = millis.unsigned_abs();
    match millis {
        0 => text.push_str("0s"),
        1..=999 => _ = write!(text, "{millis}ms"),
        _ => {
            let (hours, minutes) = (millis / 3_600_000, millis / 60_000 % 60);
            if hours > 0 {
                _ = write!(text, "{hours}h");
            }
            if hours > 0 || minutes > 0 {
                _ = write!(text, "{minutes}m");
            }
            let fraction = format!("{:03}", millis % 1000);
            let fraction = fraction.trim_end_matches('0');
            let point = if fraction.is_empty() { "" } else { "." };
            _ = write!(text, "{}{point}{fraction}s", millis / 1000 % 60);
        }
    }
    text
}

/// A time as Go's `time.Time` prints it in UTC, whole seconds only: `2020-09-13 12:26:40 +0000 UTC`.
pub(super) fn go_time(timestamp_ms: TimestampMs) -> String {
    match jiff::Timestamp::from_second(timestamp_ms / 1000) {
        Ok(time) => time.strftime("%Y-%m-%d %H:%M:%S +0000 UTC").to_string(),
        // Beyond the year 9999.
        Err(_) => timestamp_ms.to_string(),
    }
}

/// Bytes as promtool prints them: `2KiB910B`, `0B`.
pub(super) fn base2_bytes(bytes: u64) -> String {
    const UNITS: [(&str, u32); 7] =
        [("EiB", 60), ("PiB", 50), ("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10), ("B", 0)];
    if bytes == 0 {
        return "0B".to_owned();
    }
    let mut text = String::new();
    let mut rest = bytes;
    for (unit, shift) in UNITS {
        if rest >> shift > 0 {
            _ = write!(text, "{}{unit}", rest >> shift);
            rest &= (1 << shift) - 1;
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_times_and_sizes_are_printed_as_promtool_does() {
        for (millis, text) in [
            (0, "0s"),
            (1, "1ms"),
            (999, "999ms"),
            (1000, "1s"),
            (3001, "3.001s"),
            (1500, "1.5s"),
            (60_000, "1m0s"),
            (5_580_001, "1h33m0.001s"),
            (7_200_000, "2h0m0s"),
            (-61_250, "-1m1.25s"),
        ] {
            assert_eq!(go_duration(millis), text);
        }
        assert_eq!(go_time(1_600_005_580_001), "2020-09-13 13:59:40 +0000 UTC");
        for (bytes, text) in
            [(0, "0B"), (910, "910B"), (2958, "2KiB910B"), (1 << 20, "1MiB"), ((1 << 30) + 1, "1GiB1B")]
        {
            assert_eq!(base2_bytes(bytes), text);
        }
    }
}
