//! The web page, built from `app/` when this crate is, and kept in the program.
//!
//! `build.rs` has npm install what `package-lock.json` names and Vite compile it. Where that isn't possible,
//! [`BUILT`] tells why, and the server renders plain pages itself.
//!
//! Every file but the index has a hash of its contents in its name, so that it never changes under that name.

use std::fmt;

/// What in the index stands for the title that `--web.page-title` gives.
pub const TITLE_PLACEHOLDER: &str = "FERULA_PAGE_TITLE";

/// The page.
#[derive(Clone, Copy, Debug)]
pub struct Page {
    /// The document that every page of the site is; [`TITLE_PLACEHOLDER`] is in it.
    pub index: &'static str,
    /// What the document asks for.
    pub files: &'static [File],
}

/// A file that the document asks for.
#[derive(Clone, Copy)]
pub struct File {
    /// Its path below the server's prefix: `assets/…`.
    pub path: &'static str,
    /// Its media type.
    pub content_type: &'static str,
    /// Its bytes.
    pub identity: &'static [u8],
    /// The same compressed as RFC 1952 says, if that is shorter.
    pub gzip: Option<&'static [u8]>,
    /// The same compressed as RFC 7932 says, if that is shorter.
    pub brotli: Option<&'static [u8]>,
}

impl fmt::Debug for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("File").field("path", &self.path).field("bytes", &self.identity.len()).finish()
    }
}

// `pub static BUILT: Result<Page, &str>`, the page, or why it couldn't be built.
include!(concat!(env!("OUT_DIR"), "/built.rs"));

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_index_asks_for_is_there() {
        let Ok(page) = BUILT else { return };
        assert!(page.index.contains(TITLE_PLACEHOLDER));
        let mut asked = Vec::new();
        for attribute in ["src=\"./", "href=\"./"] {
            asked.extend(page.index.split(attribute).skip(1).filter_map(|rest| rest.split('"').next()));
        }
        assert!(!asked.is_empty());
        for path in asked {
            assert!(page.files.iter().any(|file| file.path == path), "{path} isn't there");
        }
    }

    #[test]
    fn the_index_has_nothing_inline() {
        let Ok(page) = BUILT else { return };
        assert!(!page.index.contains("<style"));
        for script in page.index.split("<script").skip(1) {
            assert!(script.contains("></script>"), "a script with text: {script}");
        }
    }
}
