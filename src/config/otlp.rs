//! `otlp`: how metrics of OpenTelemetry's become Prometheus's.

use std::collections::BTreeSet;
use std::path::Path;

use model::names::ValidationScheme;
use remote::otlp::Settings;
use serde_saphyr::Spanned;

use super::yaml::ConfigError;

/// Checks a section; a missing one is that of the defaults.
pub(super) fn check(
    file: &Path,
    written: Option<Spanned<Settings>>,
    names: ValidationScheme,
) -> Result<Settings, ConfigError> {
    let Some(section) = written else { return Ok(Settings::default()) };
    let mut settings = section.value;
    let checked = check_attributes(&mut settings).and_then(|()| check_strategy(&settings, names));
    match checked {
        Ok(()) => Ok(settings),
        Err(what) => Err(ConfigError::at(file, section.referenced, "otlp", what)),
    }
}

fn check_attributes(settings: &mut Settings) -> Result<(), String> {
    if settings.promote_all_resource_attributes {
        if !settings.promote_resource_attributes.is_empty() {
            return Err("'promote_all_resource_attributes' and 'promote_resource_attributes' cannot be \
                        configured simultaneously"
                .to_owned());
        }
        return check_list(&mut settings.ignore_resource_attributes, "ignored")
            .map_err(|error| format!("invalid 'ignore_resource_attributes': {error}"));
    }
    if !settings.ignore_resource_attributes.is_empty() {
        return Err("'ignore_resource_attributes' cannot be configured unless \
                    'promote_all_resource_attributes' is true"
            .to_owned());
    }
    check_list(&mut settings.promote_resource_attributes, "promoted")
        .map_err(|error| format!("invalid 'promote_resource_attributes': {error}"))
}

/// Attributes lose the spaces around them, and are there once.
fn check_list(attributes: &mut [String], what: &str) -> Result<(), String> {
    let mut seen = BTreeSet::new();
    for attribute in attributes {
        attribute.trim().to_owned().clone_into(attribute);
        if attribute.is_empty() {
            return Err(format!("empty {what} OTel resource attribute"));
        }
        if !seen.insert(attribute.clone()) {
            return Err(format!("duplicated {what} OTel resource attribute {attribute:?}"));
        }
    }
    Ok(())
}

fn check_strategy(settings: &Settings, names: ValidationScheme) -> Result<(), String> {
    let strategy = settings.translation_strategy;
    if names == ValidationScheme::Legacy && !strategy.escapes() {
        return Err(format!(
            "OTLP translation strategy {:?} is not allowed when UTF8 is disabled",
            format!("{strategy:?}")
        ));
    }
    Ok(())
}
