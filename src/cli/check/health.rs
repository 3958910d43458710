//! `check healthy` and `check ready`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::bail;
use clap::Args;
use http::StatusCode;

use crate::cli::EXIT_FAILURE;
use crate::cli::http::Server;

/// Which server.
#[derive(Args)]
pub(in crate::cli) struct Where {
    /// URL of the server
    #[arg(long, default_value = "http://localhost:9090")]
    url: String,
    /// File with the settings of the HTTP client
    #[arg(long = "http.config.file")]
    http_config: Option<PathBuf>,
}

/// Asks a management endpoint and prints what it says.
pub(super) fn run(server: &Where, path: &str) -> ExitCode {
    match ask(server, path) {
        Ok(body) => {
            eprintln!("  SUCCESS:  {body}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::from(EXIT_FAILURE)
        }
    }
}

fn ask(server: &Where, path: &str) -> anyhow::Result<String> {
    let (status, body) = Server::new(&server.url, server.http_config.as_ref())?.get(path, &[])?;
    if status != StatusCode::OK {
        bail!("check failed: URL={}, status={}", server.url, status.as_u16());
    }
    Ok(body)
}
