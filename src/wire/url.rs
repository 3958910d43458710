//! Where the server is reached from outside, from flags and the machine's name.

use anyhow::{Context, bail};
use url::Url;

use crate::flags::WebFlags;

/// The external URL, whose path has no slash at its end, and the prefix of all routes.
pub(super) fn external(web: &WebFlags) -> anyhow::Result<(Url, String)> {
    let given = &web.external_url;
    if given.starts_with(['"', '\'']) || given.ends_with(['"', '\'']) {
        bail!("parse external URL {given:?}: URL must not begin or end with quotes");
    }
    let own = own(web)?;
    let mut url = match Url::parse(given) {
        Ok(url) => url,
        Err(url::ParseError::RelativeUrlWithoutBase) if !given.is_empty() => {
            own.join(given).with_context(|| format!("parse external URL {given:?}"))?
        }
        Err(_) if given.is_empty() => own,
        Err(error) => return Err(error).with_context(|| format!("parse external URL {given:?}")),
    };
    let path = url.path().trim_end_matches('/').to_owned();
    url.set_path(&path);
    let prefix = if web.route_prefix.is_empty() { &path } else { &web.route_prefix };
    Ok((url, api::options::normalised_prefix(prefix)))
}

/// The machine's name and the port of the first listener.
fn own(web: &WebFlags) -> anyhow::Result<Url> {
    let address = web.listen_addresses.first().map(String::as_str).unwrap_or_default();
    let (_, port) = address.rsplit_once(':').with_context(|| format!("no port in {address:?}"))?;
    let host = hostname::get().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    // A name that no URL can hold is no reason not to start.
    Url::parse(&format!("http://{host}:{port}/"))
        .or_else(|_| Url::parse(&format!("http://localhost:{port}/")))
        .with_context(|| format!("no port in {address:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flags::Flags;

    fn external_of(args: &[&str]) -> Result<(String, String), String> {
        let flags = Flags::parse(args.iter().map(|arg| (*arg).to_owned()).collect()).unwrap();
        let (url, prefix) = external(&flags.web).map_err(|error| format!("{error:#}"))?;
        Ok((url.to_string(), prefix))
    }

    #[test]
    fn the_prefix_is_the_path_of_the_external_url_unless_it_is_given() {
        for (args, url, prefix) in [
            (&["--web.external-url=http://p.example/"][..], "http://p.example/", ""),
            (&["--web.external-url=http://p.example/prom/"], "http://p.example/prom", "/prom"),
            (
                &["--web.external-url=http://p.example/prom", "--web.route-prefix=/"],
                "http://p.example/prom",
                "",
            ),
            (
                &["--web.external-url=http://p.example/prom", "--web.route-prefix=x"],
                "http://p.example/prom",
                "/x",
            ),
        ] {
            assert_eq!(external_of(args), Ok((url.to_owned(), prefix.to_owned())), "{args:?}");
        }
        let (url, prefix) = external_of(&["--web.listen-address=127.0.0.1:19090"]).unwrap();
        assert!(url.ends_with(":19090/") && prefix.is_empty(), "{url}");
        let (url, prefix) = external_of(&["--web.external-url=/prom"]).unwrap();
        assert!(url.ends_with(":9090/prom") && prefix == "/prom", "{url}");
    }

    #[test]
    fn what_is_no_url_is_refused() {
        assert!(external_of(&["--web.external-url='http://x'"]).unwrap_err().contains("quotes"));
        assert!(external_of(&["--web.external-url=http://[x"]).is_err());
        assert!(external_of(&["--web.listen-address=nowhere"]).unwrap_err().contains("no port"));
    }
}
