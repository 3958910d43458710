//! What the program says it is.

/// Ferula's own version.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The reference's version whose interfaces are spoken. Clients such as Grafana decide by it what they may ask.
pub(crate) const SPOKEN: &str = "3.14.0";

/// The commit that was built, where the build was told.
pub(crate) const REVISION: &str = match option_env!("FERULA_REVISION") {
    Some(revision) => revision,
    None => "unknown",
};

/// The version as build information shows it: the reference's, with Ferula's own as semantic versioning's
/// build metadata.
pub(crate) fn shown() -> String {
    format!("{SPOKEN}+ferula.{VERSION}")
}

/// The lines that `--version` prints for this name of the program.
pub(crate) fn lines(program: &str) -> String {
    let (os, arch) = (std::env::consts::OS, std::env::consts::ARCH);
    format!(
        "{program}, version {} (branch: unknown, revision: {REVISION})\n  platform:         {os}/{arch}\n",
        shown()
    )
}
