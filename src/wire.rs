//! Builds the parts and joins them.

use anyhow::bail;

use crate::config::Config;
use crate::flags::Flags;

/// Runs the server until it is told to end.
pub(crate) fn run(flags: Flags) -> anyhow::Result<()> {
    let config = Config::load(&flags.config_file, &|name| std::env::var(name).ok())?;
    refuse_unsupported(&config)?;
    Ok(())
}

/// A configuration isn't run in part.
fn refuse_unsupported(config: &Config) -> anyhow::Result<()> {
    let all: Vec<String> = config.unsupported.iter().map(ToString::to_string).collect();
    if !all.is_empty() {
        bail!("{}", all.join("; "));
    }
    Ok(())
}
