//! Builds the web page and lists its files for `src/lib.rs`.
//!
//! Never fails: without npm, or without what it would have to download, the crate has no page and says why.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What the page is built from.
const SOURCES: [&str; 7] =
    ["app", "index.html", "package.json", "package-lock.json", "vite.config.ts", "tsconfig.json", ".npmrc"];

/// So that a machine without a network gets its plain pages soon: one more attempt for each package, after a
/// second, and half a minute for each.
const IMPATIENCE: [&str; 4] = [
    "--fetch-retries=1",
    "--fetch-retry-mintimeout=1000",
    "--fetch-retry-maxtimeout=1000",
    "--fetch-timeout=30000",
];

fn main() {
    for source in SOURCES {
        println!("cargo::rerun-if-changed={source}");
    }
    let out = PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo sets it"));
    let built = install().and_then(|()| compile(&out)).and_then(|dist| list(&dist));
    let code = built.unwrap_or_else(|why| {
        println!("cargo::warning=built without the full web page: {why}");
        format!("/// Why there is no page.\npub static BUILT: Result<Page, &str> = Err({why:?});\n")
    });
    fs::write(out.join("built.rs"), code).expect("cargo's directory can be written to");
}

/// Installs what the lock file names, unless that has been done since it changed.
fn install() -> Result<(), String> {
    // Builds of several profiles may run at the same time, and share `node_modules`.
    let lock = fs::File::open("package-lock.json").map_err(|error| format!("package-lock.json: {error}"))?;
    lock.lock().map_err(|error| format!("locking package-lock.json: {error}"))?;
    let modified = |path: &str| fs::metadata(path).and_then(|metadata| metadata.modified()).ok();
    if modified("node_modules/.package-lock.json") >= modified("package-lock.json") {
        return Ok(());
    }
    run(Command::new("npm").arg("ci").args(["--prefer-offline", "--no-audit", "--no-fund"]).args(IMPATIENCE))
}

fn compile(out: &Path) -> Result<PathBuf, String> {
    let dist = out.join("dist");
    run(Command::new("npm").args(["run", "build", "--", "--emptyOutDir", "--outDir"]).arg(&dist))?;
    Ok(dist)
}

/// Runs a command of npm's; the error has the last lines that it said.
fn run(command: &mut Command) -> Result<(), String> {
    let what = format!(
        "npm {}",
        command.get_args().take(2).map(|arg| arg.to_string_lossy()).collect::<Vec<_>>().join(" ")
    );
    let output = command.output().map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => "npm isn't installed".to_owned(),
        _ => format!("{what}: {error}"),
    })?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let errors: Vec<&str> = said.lines().filter(|line| line.contains("rror")).take(3).collect();
    Err(format!("{what}: {}: {}", output.status, errors.join("; ")))
}

/// The code that names the files in `dist`.
fn list(dist: &Path) -> Result<String, String> {
    let failed = |error: io::Error| format!("reading what was built: {error}");
    let mut paths: Vec<PathBuf> = Vec::new();
    for entry in fs::read_dir(dist.join("assets")).map_err(failed)? {
        paths.push(entry.map_err(failed)?.path());
    }
    paths.sort();
    let mut files = String::new();
    for path in paths.iter().filter(|path| !has_extension(path, "gz") && !has_extension(path, "br")) {
        let name = path.file_name().and_then(|name| name.to_str()).ok_or("a file's name isn't text")?;
        let content_type = content_type(path).ok_or_else(|| format!("{name}: a file of an unknown type"))?;
        let compressed = |extension: &str| {
            let path = path.with_file_name(format!("{name}.{extension}"));
            if path.exists() { format!("Some(include_bytes!({path:?}))") } else { "None".to_owned() }
        };
        let (gzip, brotli) = (compressed("gz"), compressed("br"));
        let _ = writeln!(
            files,
            "    File {{ path: \"assets/{name}\", content_type: {content_type:?}, identity: \
             include_bytes!({path:?}), gzip: {gzip}, brotli: {brotli} }},"
        );
    }
    let index = dist.join("index.html");
    Ok(format!(
        "/// The page.\npub static BUILT: Result<Page, &str> = Ok(Page {{ index: include_str!({index:?}), files: &[\n{files}] }});\n"
    ))
}

fn has_extension(path: &Path, extension: &str) -> bool {
    path.extension().is_some_and(|found| found == extension)
}

fn content_type(path: &Path) -> Option<&'static str> {
    let extension = path.extension()?.to_str()?;
    Some(match extension {
        "js" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "svg" => "image/svg+xml",
        "woff2" => "font/woff2",
        "txt" => "text/plain; charset=utf-8",
        _ => return None,
    })
}
