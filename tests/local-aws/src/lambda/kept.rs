//! Overlay: the members of a function's configuration that moto drops, ignores or makes up, kept
//! and answered as AWS does.
//!
//! Enters: moto's answers and clients' requests. Leaves: the configuration as Lambda would describe
//! it. Pure.

use serde_json::{Map, Value, json};

/// moto's description of a function, without what is null or kept here, and completed with what
/// Lambda always tells.
pub(super) fn from_moto(moto: &Map<String, Value>, name: &str) -> Map<String, Value> {
    let mut configuration = moto.clone();
    configuration.retain(|_, value| !value.is_null());
    for dropped in [
        "FunctionArn",
        "Version",
        "State",
        "RevisionId",
        "LastUpdateStatus",
    ] {
        configuration.remove(dropped);
    }
    if configuration.get("Layers") == Some(&json!([])) {
        configuration.remove("Layers");
    }
    let none = json!({"SubnetIds": [], "SecurityGroupIds": [], "VpcId": "", "Ipv6AllowedForDualStack": false});
    configuration.entry("VpcConfig").or_insert(none);
    let log_group = format!("/aws/lambda/{name}");
    configuration
        .entry("LoggingConfig")
        .or_insert(json!({"LogFormat": "Text", "LogGroup": log_group}));
    configuration
}

/// Overlay: what CreateFunction and UpdateFunctionConfiguration carry and moto drops.
pub(super) fn take(
    configuration: &mut Map<String, Value>,
    request: &Map<String, Value>,
    vpc: &str,
) {
    for member in ["TracingConfig", "EphemeralStorage"] {
        if let Some(value) = request.get(member).filter(|value| !value.is_null()) {
            configuration.insert(member.to_owned(), value.clone());
        }
    }
    if let Some(key) = request.get("KMSKeyArn").and_then(Value::as_str) {
        configuration.insert("KMSKeyArn".to_owned(), key.into());
        configuration.retain(|name, value| name != "KMSKeyArn" || value != "");
    }
    if let Some(apply_on) = request
        .get("SnapStart")
        .and_then(|snap_start| snap_start.get("ApplyOn"))
    {
        configuration.insert(
            "SnapStart".to_owned(),
            json!({"ApplyOn": apply_on, "OptimizationStatus": "Off"}),
        );
    }
    if let Some(config) = request.get("DeadLetterConfig") {
        match config["TargetArn"].as_str() {
            // An empty ARN takes the target away.
            None | Some("") => configuration.remove("DeadLetterConfig"),
            Some(_) => configuration.insert("DeadLetterConfig".to_owned(), config.clone()),
        };
    }
    if let (Some(Value::Object(given)), Some(Value::Object(kept))) = (
        request.get("LoggingConfig"),
        configuration.get_mut("LoggingConfig"),
    ) {
        for (name, value) in given.iter().filter(|(_, value)| !value.is_null()) {
            kept.insert(name.clone(), value.clone());
        }
        if kept.get("LogFormat") == Some(&json!("JSON")) {
            kept.entry("ApplicationLogLevel").or_insert("INFO".into());
            kept.entry("SystemLogLevel").or_insert("INFO".into());
        } else {
            kept.retain(|name, _| !name.ends_with("LogLevel"));
        }
    }
    if let Some(Value::Object(network)) = configuration.get_mut("VpcConfig")
        && request.contains_key("VpcConfig")
    {
        // Overlay: moto makes up a VPC.
        network.insert("VpcId".to_owned(), vpc.into());
        for list in ["SubnetIds", "SecurityGroupIds"] {
            network.entry(list).or_insert(json!([]));
        }
        network
            .entry("Ipv6AllowedForDualStack")
            .or_insert(json!(false));
    }
}

/// Overlay: what moto would put back to its own idea with each update.
pub(super) fn preserve(configuration: &mut Map<String, Value>, old: &Map<String, Value>) {
    for member in [
        "TracingConfig",
        "EphemeralStorage",
        "DeadLetterConfig",
        "LoggingConfig",
        "Architectures",
        "SnapStart",
        "KMSKeyArn",
    ] {
        if let Some(value) = old.get(member) {
            configuration.insert(member.to_owned(), value.clone());
        }
    }
    let vpc_id = old
        .get("VpcConfig")
        .and_then(|network| network.get("VpcId"))
        .cloned();
    if let (Some(vpc_id), Some(Value::Object(network))) =
        (vpc_id, configuration.get_mut("VpcConfig"))
    {
        network.insert("VpcId".to_owned(), vpc_id);
    }
}
