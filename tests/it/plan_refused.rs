//! Plans that core would refuse are refused by the framework first, in words that name the attribute.

use serde_json::{Value, json};

use crate::framework_core::Core;
use crate::tfclient::value;

async fn plan_with_note(note: &str, config: Value) -> Vec<String> {
    let core = Core::start().await;
    let mut config = config;
    config["name"] = json!("a");
    let created = core.create(config.clone()).await;
    config["note"] = json!(note);
    core.plan(&created.state, config, &created.private)
        .await
        .diagnostics
}

#[tokio::test]
async fn a_plan_must_not_change_the_configuration() {
    assert_eq!(
        plan_with_note("overstep", json!({ "size": 20 })).await,
        [
            "error: size: Provider produced an invalid plan: size: the plan changes a value of the configuration. This \
          is a bug in the provider."
        ]
    );
    // The same value is the provider's to choose when the configuration leaves it open.
    assert_eq!(
        plan_with_note("overstep", json!({})).await,
        Vec::<String>::new()
    );
}

#[tokio::test]
async fn a_plan_must_not_set_what_only_the_user_may_set() {
    assert_eq!(
        plan_with_note("invent", json!({})).await,
        [
            "error: enabled: Provider produced an invalid plan: enabled: the plan sets an attribute that the \
          configuration leaves out and that is not computed. This is a bug in the provider."
        ]
    );
}

#[tokio::test]
async fn a_replacement_must_be_asked_for_at_an_attribute_that_exists() {
    assert_eq!(
        plan_with_note("replace nothing", json!({})).await,
        [
            "error: Provider produced an invalid plan: The provider wants no_such_attribute to force a replacement, which \
          is not there. This is a bug in the provider."
        ]
    );
}

#[tokio::test]
async fn a_panic_while_planning_is_an_error_of_that_plan() {
    let diagnostics = plan_with_note("panic", json!({})).await;
    assert_eq!(
        diagnostics,
        [
            "error: The provider panicked: This is a bug in the provider, please report it with Terraform's log \
          (TF_LOG=debug): planned to"
        ]
    );
}

#[tokio::test]
async fn a_plan_that_needs_the_provider_says_so_while_its_configuration_is_unknown() {
    let core = Core::connect().await;
    assert_eq!(
        core.configure(json!({ "token": value::unknown() })).await,
        Vec::<String>::new()
    );
    let plan = core
        .plan(&Value::Null, json!({ "name": "a" }), &Value::Null)
        .await;
    assert_eq!(plan.diagnostics, Vec::<String>::new());
    let config = json!({ "name": "a", "note": "unconfigured" });
    let plan = core.plan(&Value::Null, config, &Value::Null).await;
    assert_eq!(plan.diagnostics.len(), 1);
    assert!(
        plan.diagnostics[0].starts_with("error: Provider not configured yet: "),
        "{:?}",
        plan.diagnostics
    );
}

#[tokio::test]
async fn a_value_that_does_not_fit_the_schema_is_an_error_at_its_place() {
    let core = Core::start().await;
    let plan = core
        .plan_request(
            &Value::Null,
            json!({ "name": "a" }),
            &Value::Null,
            |request| {
                let mut config = core.complete(&json!({ "name": "a" }));
                config["tags"] = json!({ "key": 5 });
                request.config = Some(value::encode(&config));
            },
        )
        .await;
    assert_eq!(
        plan.diagnostics,
        [
            r#"error: tags["key"]: Value not readable: Terraform sent a configuration that does not fit the provider's schema: tags["key"]: string is required, not a number."#
        ]
    );
}
