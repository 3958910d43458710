//! A bar for what takes long, where somebody is looking.

use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// How often the bar is drawn.
const DRAWS_PER_SECOND: u8 = 5;
/// How often the time shown goes on while nothing is done.
const TICK: Duration = Duration::from_millis(500);

/// A bar on standard error up to so many of `unit`; nothing if that isn't a terminal, or if results go to the
/// terminal meanwhile.
pub(in crate::cli) fn bar(total: u64, unit: Unit, prints_meanwhile: bool) -> ProgressBar {
    if !std::io::stderr().is_terminal() || (prints_meanwhile && std::io::stdout().is_terminal()) {
        return ProgressBar::hidden();
    }
    let target = ProgressDrawTarget::stderr_with_hz(DRAWS_PER_SECOND);
    let bar = ProgressBar::with_draw_target(Some(total), target);
    let template = match unit {
        Unit::Bytes => "{wide_bar} {bytes}/{total_bytes} {elapsed}, {eta} left",
        Unit::Evaluations => "{wide_bar} {human_pos}/{human_len} evaluations {elapsed}, {eta} left",
        Unit::Series => "{wide_bar} {human_pos}/{human_len} series {elapsed}, {eta} left",
        Unit::Samples => "{wide_bar} {human_pos}/{human_len} samples {elapsed}, {eta} left",
    };
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar.enable_steady_tick(TICK);
    bar
}

/// What a bar counts.
#[derive(Clone, Copy)]
pub(in crate::cli) enum Unit {
    Bytes,
    Evaluations,
    Series,
    Samples,
}
