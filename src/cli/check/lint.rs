//! `--lint`: what is looked for beside errors.

/// What a list of options asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Asked {
    /// Rules that write the same series.
    pub(super) duplicate_rules: bool,
    /// Scrape intervals that aren't shorter than the lookback.
    pub(super) long_intervals: bool,
}

impl Asked {
    /// Reads a list that is separated by commas; warns of what isn't known. `none` takes away everything else.
    pub(super) fn of(options: &str, has_jobs: bool) -> Self {
        let mut asked = Asked::default();
        let mut none = false;
        for option in options.split(',') {
            match option {
                "all" => asked = Asked { duplicate_rules: true, long_intervals: has_jobs },
                "duplicate-rules" => asked.duplicate_rules = true,
                "too-long-scrape-interval" if has_jobs => asked.long_intervals = true,
                "none" => none = true,
                other => println!("WARNING: unknown lint option: {other:?}"),
            }
        }
        if none { Asked::default() } else { asked }
    }
}
