//! `/status/config`, `/status/flags`, `/status/runtimeinfo`, `/status/buildinfo`.

use std::sync::Arc;

use crate::call::Call;
use crate::go_text;
use crate::json::JsonOut;
use crate::respond::{Answer, ApiResult};
use crate::server::App;
use crate::state::BuildInfo;

/// `/status/config`.
pub(crate) fn config(app: &Arc<App>, _: &Call) -> ApiResult {
    let yaml = app.parts.config.yaml();
    Ok(Answer::data(move |out| {
        out.open_object();
        out.key("yaml").string(&yaml);
        out.close_object();
    }))
}

/// `/status/flags`.
pub(crate) fn flags(app: &Arc<App>, _: &Call) -> ApiResult {
    let flags = app.parts.config.flags();
    Ok(Answer::data(move |out| {
        out.open_object();
        for (flag, value) in &flags {
            out.text_key(flag).string(value);
        }
        out.close_object();
    }))
}

/// `/status/runtimeinfo`.
pub(crate) fn runtime_info(app: &Arc<App>, _: &Call) -> ApiResult {
    let info = app.parts.runtime.runtime_info();
    let now_ms = app.parts.clock.now_ms();
    Ok(Answer::data(move |out| {
        out.open_object();
        out.key("startTime").string(&go_text::rfc3339(Some(info.start_time_ms)));
        out.key("CWD").string(&info.cwd);
        out.key("hostname").string(&info.hostname);
        out.key("serverTime").string(&go_text::rfc3339(Some(now_ms)));
        out.key("reloadConfigSuccess").bool(info.reload_config_success);
        out.key("lastConfigTime").string(&go_text::rfc3339(Some(info.last_config_time_ms)));
        out.key("corruptionCount").integer(info.corruption_count);
        out.key("goroutineCount").integer(info.goroutine_count);
        out.key("GOMAXPROCS").integer(info.gomaxprocs);
        out.key("GOMEMLIMIT").integer(info.gomemlimit);
        // There is no garbage collector to tune; clients expect the keys all the same.
        out.key("GOGC").string("");
        out.key("GODEBUG").string("");
        out.key("storageRetention").string(&info.storage_retention);
        out.close_object();
    }))
}

/// `/status/buildinfo`.
pub(crate) fn build_info(app: &Arc<App>, _: &Call) -> ApiResult {
    let build = app.parts.build.clone();
    Ok(Answer::data(move |out| write_build_info(out, &build)))
}

/// Writes what program this is.
pub(crate) fn write_build_info(out: &mut JsonOut<'_>, build: &BuildInfo) {
    out.open_object();
    out.key("version").string(&build.version);
    out.key("revision").string(&build.revision);
    out.key("branch").string(&build.branch);
    out.key("buildUser").string(&build.build_user);
    out.key("buildDate").string(&build.build_date);
    out.key("goVersion").string(&build.go_version);
    out.close_object();
}

/// `/features`: what is switched on.
pub(crate) fn features(app: &Arc<App>, _: &Call) -> ApiResult {
    let features = app.parts.config.features();
    Ok(Answer::data(move |out| {
        out.open_object();
        for (category, features) in &features {
            out.plain_key(category).open_object();
            for (feature, is_on) in features {
                out.plain_key(feature).bool(*is_on);
            }
            out.close_object();
        }
        out.close_object();
    }))
}
