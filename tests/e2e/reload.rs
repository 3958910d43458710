//! A new configuration while the server runs.

use rustix::process::Signal;

use crate::server::{Home, Server, wait_for};
use crate::target::{Target, counter, job};

const SUCCESSFUL: &str = "prometheus_config_last_reload_successful";

#[test]
fn a_hangup_changes_what_is_scraped() {
    let (first, second) = (Target::serve_text(counter), Target::serve_text(counter));
    let home = Home::new(&first.config());
    let server = Server::start(&home, &[]);
    wait_for("the first target", || (first.requests() > 1).then_some(()));
    home.configure(&job("second", second.address()));
    server.signal(Signal::HUP);
    wait_for("the second target", || (second.requests() > 1).then_some(()));
    // The series of a target that is gone end.
    wait_for("the end of the first job's series", || server.value("up{job='app'}").is_none().then_some(()));
    assert_eq!(server.metric(SUCCESSFUL), 1.0);
}

#[test]
fn a_bad_file_leaves_the_old_configuration_running_and_is_told() {
    let target = Target::serve_text(counter);
    let home = Home::new(&target.config());
    let server = Server::start(&home, &[]);
    home.configure("scrape_configs:\n- job_name: app\n  scrape_intervall: 1s\n");
    let (status, body) = server.request("POST", "/-/reload");
    assert_eq!(status, 500, "{body}");
    assert!(body.contains("prometheus.yml:3:3: scrape_configs[0].scrape_intervall: unknown field"), "{body}");
    assert_eq!(server.metric(SUCCESSFUL), 0.0);
    assert!(server.log().contains("Error reloading config"), "{}", server.log());
    let before = target.requests();
    wait_for("more scrapes", || (target.requests() > before + 1).then_some(()));
    assert!(
        server.data("/api/v1/status/config")["yaml"].as_str().unwrap().contains("scrape_interval: 100ms")
    );

    home.configure(&target.config());
    assert_eq!(server.request("POST", "/-/reload").0, 200);
    assert_eq!(server.metric(SUCCESSFUL), 1.0);
}

#[test]
fn changed_files_are_loaded_by_themselves_if_that_is_wanted() {
    let target = Target::serve_text(counter);
    let home = Home::new("");
    let args = ["--config.auto-reload", "--config.auto-reload-interval=1s"];
    let _server = Server::start(&home, &args);
    home.configure(&target.config());
    wait_for("a scrape", || (target.requests() > 0).then_some(()));
}
