//! Labels, made of the attributes of resources, scopes and points.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use model::float_text;
use model::labels::{INSTANCE_NAME, JOB_NAME, LabelsBuilder};
use serde_json::{Map, Value as Json};

use super::Settings;
use super::message::{KeyValue, Resource, ScopeMetrics, Value};
use super::name::label_name;

const SERVICE_NAME: &str = "service.name";
const SERVICE_NAMESPACE: &str = "service.namespace";
const SERVICE_INSTANCE_ID: &str = "service.instance.id";
/// The attributes that `job` and `instance` are made of.
const IDENTIFYING: [&str; 3] = [SERVICE_NAMESPACE, SERVICE_NAME, SERVICE_INSTANCE_ID];

/// More attributes than this are refused: no label set of use is as large, and sorting them in takes its time.
const ATTRIBUTES_MAX: usize = 1_000;

/// What a resource and a scope give to all their points.
#[derive(Debug)]
pub(super) struct Shared<'a> {
    settings: &'a Settings,
    /// For labels that a point doesn't have.
    promoted: Vec<(String, String)>,
    /// In place of whatever a point has.
    fixed: Vec<(String, String)>,
}

impl<'a> Shared<'a> {
    /// # Errors
    ///
    /// An attribute's name makes no label, in a sentence.
    pub(super) fn new(
        resource: &Resource,
        scope: &ScopeMetrics,
        settings: &'a Settings,
    ) -> Result<Self, String> {
        let mut fixed = Vec::new();
        if settings.promote_scope_metadata && !scope.scope.name.is_empty() {
            fixed.push(("otel_scope_name".to_owned(), scope.scope.name.clone()));
            fixed.push(("otel_scope_version".to_owned(), scope.scope.version.clone()));
            fixed.push(("otel_scope_schema_url".to_owned(), scope.schema_url.clone()));
            for attribute in sorted(scope.scope.attributes.iter())? {
                let name = label_name(&format!("otel_scope_{}", attribute.key), settings)?;
                fixed.push((name, attribute.value.to_text()));
            }
        }
        fixed.extend(target(resource));
        Ok(Shared { settings, promoted: promoted(resource, settings)?, fixed })
    }

    /// The labels of a point, without a metric name.
    pub(super) fn labels(&self, attributes: &[KeyValue]) -> Result<LabelsBuilder, String> {
        let mut labels = of_attributes(attributes.iter(), self.settings)?;
        for (name, value) in &self.promoted {
            if labels.value(name).is_empty() {
                labels.set(name, value);
            }
        }
        for (name, value) in &self.fixed {
            labels.set(name, value);
        }
        Ok(labels)
    }
}

/// `job` and `instance`.
fn target(resource: &Resource) -> Vec<(String, String)> {
    let attribute = |key| find(resource, key).map(Value::to_text);
    let job = attribute(SERVICE_NAME).map(|name| match attribute(SERVICE_NAMESPACE) {
        Some(namespace) => format!("{namespace}/{name}"),
        None => name,
    });
    let labels = [(JOB_NAME, job), (INSTANCE_NAME, attribute(SERVICE_INSTANCE_ID))];
    labels.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
}

fn find<'r>(resource: &'r Resource, key: &str) -> Option<&'r Value> {
    resource.attributes.iter().find(|attribute| attribute.key == key).map(|attribute| &attribute.value)
}

/// The attributes of a resource that are copied into labels, in the order of their keys.
fn promoted(resource: &Resource, settings: &Settings) -> Result<Vec<(String, String)>, String> {
    let has = |list: &[String], key: &str| list.iter().any(|listed| listed == key);
    let is_promoted = |key: &str| match settings.promote_all_resource_attributes {
        true => !has(&settings.ignore_resource_attributes, key),
        false => has(&settings.promote_resource_attributes, key),
    };
    let attributes = resource.attributes.iter().filter(|attribute| is_promoted(&attribute.key));
    sorted(attributes)?
        .into_iter()
        .map(|attribute| Ok((label_name(&attribute.key, settings)?, attribute.value.to_text())))
        .collect()
}

/// Attributes as labels. The values of those that come to the same name are joined, in the order of their keys.
fn of_attributes<'k>(
    attributes: impl Iterator<Item = &'k KeyValue>,
    settings: &Settings,
) -> Result<LabelsBuilder, String> {
    let mut labels = LabelsBuilder::new();
    for attribute in sorted(attributes)? {
        let (name, value) = (label_name(&attribute.key, settings)?, attribute.value.to_text());
        match labels.value(&name) {
            "" => labels.set(&name, &value),
            before => {
                let joined = format!("{before};{value}");
                labels.set(&name, &joined)
            }
        };
    }
    Ok(labels)
}

fn sorted<'k>(attributes: impl Iterator<Item = &'k KeyValue>) -> Result<Vec<&'k KeyValue>, String> {
    let mut attributes: Vec<&KeyValue> = attributes.collect();
    if attributes.len() > ATTRIBUTES_MAX {
        return Err(format!("{} attributes where {ATTRIBUTES_MAX} are allowed", attributes.len()));
    }
    attributes.sort_by(|a, b| a.key.cmp(&b.key));
    Ok(attributes)
}

/// The labels of `target_info`, without its name; `None` if they would say nothing, or nobody knows of whom.
pub(super) fn target_info(resource: &Resource, settings: &Settings) -> Result<Option<LabelsBuilder>, String> {
    let is_identifying = |attribute: &&KeyValue| IDENTIFYING.contains(&&*attribute.key);
    if resource.attributes.iter().all(|attribute| is_identifying(&attribute)) {
        return Ok(None);
    }
    let attributes = resource
        .attributes
        .iter()
        .filter(|attribute| settings.keep_identifying_resource_attributes || !is_identifying(attribute));
    let mut labels = of_attributes(attributes, settings)?;
    for (name, value) in target(resource) {
        labels.set(&name, &value);
    }
    let is_known = [JOB_NAME, INSTANCE_NAME].iter().any(|name| !labels.value(name).is_empty());
    Ok(is_known.then_some(labels))
}

impl Value {
    /// The value as a label has it.
    pub(super) fn to_text(&self) -> String {
        match self {
            Value::Empty => String::new(),
            Value::Text(text) => text.clone(),
            Value::Bool(value) => value.to_string(),
            Value::Int(value) => value.to_string(),
            // As JSON in Go has it: exponents of one digit where one will do.
            Value::Double(value) => float_text::api(*value).replace("e-0", "e-"),
            Value::Bytes(bytes) => STANDARD.encode(bytes),
            Value::List(_) | Value::Map(_) => self.to_json().to_string(),
        }
    }

    fn to_json(&self) -> Json {
        match self {
            Value::Empty => Json::Null,
            Value::Text(text) => Json::from(text.as_str()),
            Value::Bool(value) => Json::from(*value),
            Value::Int(value) => Json::from(*value),
            // JSON has no number for those that are none.
            Value::Double(value) => Json::from(*value),
            Value::Bytes(bytes) => Json::from(STANDARD.encode(bytes)),
            Value::List(values) => values.iter().map(Value::to_json).collect(),
            Value::Map(pairs) => {
                let mut pairs: Vec<&(String, Value)> = pairs.iter().collect();
                pairs.sort_by(|a, b| a.0.cmp(&b.0));
                let pairs = pairs.into_iter().map(|(key, value)| (key.clone(), value.to_json()));
                Json::Object(pairs.collect::<Map<_, _>>())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attributes(pairs: &[(&str, &str)]) -> Vec<KeyValue> {
        let pair = |(key, value): &(&str, &str)| KeyValue {
            key: (*key).to_owned(),
            value: Value::Text((*value).to_owned()),
        };
        pairs.iter().map(pair).collect()
    }

    #[test]
    fn points_go_before_resources_and_the_target_before_both() {
        let settings = Settings {
            promote_resource_attributes: vec!["env".to_owned(), "a.b".to_owned()],
            ..Settings::default()
        };
        let resource = Resource {
            attributes: attributes(&[
                ("env", "prod"),
                ("a.b", "resource"),
                ("service.name", "shop"),
                ("service.namespace", "web"),
                ("service.instance.id", "7"),
            ]),
        };
        let shared = Shared::new(&resource, &ScopeMetrics::default(), &settings).unwrap();
        let point = attributes(&[("a_b", "2"), ("a.b", "1"), ("job", "mine"), ("empty", "")]);
        let labels = shared.labels(&point).unwrap().build();
        assert_eq!(labels.to_string(), r#"{a_b="1;2", env="prod", instance="7", job="web/shop"}"#);
    }

    #[test]
    fn target_info_is_made_where_there_is_something_to_tell() {
        let settings = Settings::default();
        let resource = |pairs: &[(&str, &str)]| Resource { attributes: attributes(pairs) };
        let info = |pairs: &[(&str, &str)], settings: &Settings| {
            target_info(&resource(pairs), settings).unwrap().map(|labels| labels.build().to_string())
        };
        assert_eq!(info(&[("service.name", "a")], &settings), None);
        assert_eq!(info(&[("env", "prod")], &settings), None);
        let both = [("service.name", "a"), ("env", "prod")];
        assert_eq!(info(&both, &settings).unwrap(), r#"{env="prod", job="a"}"#);
        let keep = Settings { keep_identifying_resource_attributes: true, ..settings };
        assert_eq!(info(&both, &keep).unwrap(), r#"{env="prod", job="a", service_name="a"}"#);
    }

    #[test]
    fn values_are_written_as_texts() {
        let map = Value::Map(vec![
            ("b".to_owned(), Value::List(vec![Value::Int(1), Value::Double(0.5), Value::Empty])),
            ("a".to_owned(), Value::Text("\"".to_owned())),
        ]);
        for (value, text) in [
            (Value::Bool(true), "true"),
            (Value::Int(-3), "-3"),
            (Value::Double(0.25), "0.25"),
            (Value::Double(1e21), "1e+21"),
            (Value::Double(1e-7), "1e-7"),
            (Value::Bytes(vec![1, 2]), "AQI="),
            (map, r#"{"a":"\"","b":[1,0.5,null]}"#),
        ] {
            assert_eq!(value.to_text(), text);
        }
    }
}
