//! Enters: a function's ARN. Leaves: the JSON by which gateway configurations name a Lambda server. Refuses nothing.

use serde_json::json;

/// The server's entry for a gateway configuration: `{"type":"lambda","arn":…,"description":…}`, compact, in this order.
///
/// `arn` should be the one qualified with the alias, so that the gateway follows deployments; `description` is left out
/// when there is none.
pub fn gateway_config_json(arn: &str, description: Option<&str>) -> String {
    let mut config = json!({ "type": "lambda", "arn": arn });
    if let Some(description) = description {
        config["description"] = json!(description);
    }
    config.to_string()
}
