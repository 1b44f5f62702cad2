//! Configurations: of the provider, of resources, of data sources. What is refused names its attribute.

use mcplambda::plugin::tfplugin6 as proto;
use serde_json::{Value, json};

use crate::framework_core::{Core, THING, decoded, diagnostics};
use crate::tfclient::value::unknown;

async fn problems_of(attribute: &str, given: Value) -> Vec<String> {
    let core = Core::connect().await;
    let mut config = json!({ "name": "a" });
    config[attribute] = given;
    core.validate(config).await
}

#[tokio::test]
async fn values_out_of_bounds_name_their_attribute_and_the_bounds() {
    let cases = [
        (
            "name",
            json!(""),
            "error: name: Invalid attribute value: name must have 1 to 16 characters, got \"\".",
        ),
        (
            "name",
            json!("A"),
            "error: name: Invalid attribute value: name must be made of a to z and dashes, got \"A\".",
        ),
        (
            "type",
            json!("huge"),
            "error: type: Invalid attribute value: type must be one of `small`, `large`, got \"huge\".",
        ),
        (
            "size",
            json!(0),
            "error: size: Invalid attribute value: size must be between 1 and 100, got 0.",
        ),
        (
            "secret",
            json!("123456789"),
            "error: secret: Invalid attribute value: secret must have at most 8 characters.",
        ),
        (
            "tags",
            json!({ "": "x" }),
            "error: tags[\"\"]: Invalid attribute value: tags[\"\"] must not be empty, got \"\".",
        ),
        (
            "tags",
            json!({ "k": "123456789" }),
            "error: tags[\"k\"]: Invalid attribute value: tags[\"k\"] must have at most 8 characters, got \"123456789\".",
        ),
        (
            "ports",
            json!([]),
            "error: ports: Invalid attribute value: ports must have 1 to 3 elements.",
        ),
        (
            "ports",
            json!([-1]),
            "error: ports[0]: Invalid value: ports[0] must be a whole number from 0 to 4294967295, but is -1.",
        ),
        (
            "ports",
            json!([null]),
            "error: ports[0]: Value must not be null: ports[0] must not be null.",
        ),
        (
            "endpoint",
            json!({ "host": "" }),
            "error: endpoint.host: Invalid attribute value: endpoint.host must not be empty, got \"\".",
        ),
        (
            "disk",
            json!([{ "size": 1 }, { "size": 0 }]),
            "error: disk[1].size: Invalid attribute value: disk[1].size must be at least 1, got 0.",
        ),
    ];
    for (attribute, given, expected) in cases {
        assert_eq!(
            problems_of(attribute, given.clone()).await,
            [expected],
            "{attribute} = {given}"
        );
    }
}

#[tokio::test]
async fn a_fraction_where_a_whole_number_is_wanted_is_refused() {
    assert_eq!(
        problems_of("size", json!(1.5)).await,
        [
            "error: size: Invalid attribute value: size must be a whole number, got 1.5.",
            "error: size: Invalid value: size must be a whole number from -9223372036854775808 to \
             9223372036854775807, but is 1.5.",
        ]
    );
}

#[tokio::test]
async fn a_timeout_that_is_no_duration_is_refused() {
    let problems = problems_of("timeouts", json!({ "create": "soon" })).await;
    assert_eq!(
        problems,
        [
            "error: timeouts.create: Invalid attribute value: timeouts.create is invalid: \"soon\" is not a duration: \
          write a number and a unit (\"h\", \"m\" or \"s\"), such as \"30m\" or \"1h30m\"."
        ]
    );
}

#[tokio::test]
async fn attributes_that_exclude_each_other_are_refused_together() {
    let core = Core::connect().await;
    let conflict = json!({ "name": "a", "ports": [1], "endpoint": { "host": "h" } });
    assert_eq!(
        core.validate(conflict).await,
        [
            "error: ports: Conflicting attributes: ports and endpoint are both set; remove one of them."
        ]
    );
    let undecided = json!({ "name": "a", "ports": [1], "endpoint": unknown() });
    assert_eq!(core.validate(undecided).await, Vec::<String>::new());
}

#[tokio::test]
async fn what_is_not_known_yet_is_not_judged() {
    let core = Core::connect().await;
    let config = json!({
        "name": unknown(),
        "size": unknown(),
        "tags": { "k": unknown() },
        "ports": [unknown()],
        "endpoint": null,
        "disk": unknown(),
        "timeouts": { "create": unknown() },
    });
    assert_eq!(core.validate(config).await, Vec::<String>::new());
}

#[tokio::test]
async fn the_same_message_is_given_once() {
    assert_eq!(
        problems_of("note", json!("warn")).await,
        ["warning: note: A warning: Only once."]
    );
}

#[tokio::test]
async fn a_write_only_value_is_refused_where_it_would_be_stored() {
    let core = Core::connect().await;
    let request = proto::validate_resource_config::Request {
        type_name: THING.to_owned(),
        config: Some(
            core.schemas
                .resource(THING, &json!({ "name": "a", "secret": "s" })),
        ),
        client_capabilities: None,
    };
    let response = core
        .client
        .clone()
        .validate_resource_config(request)
        .await
        .expect("an answer")
        .into_inner();
    assert_eq!(
        diagnostics(&response.diagnostics),
        [
            "error: secret: Write-only attribute not supported: secret is never stored, which takes Terraform 1.11 or \
          later. Remove it, or upgrade."
        ]
    );
}

#[tokio::test]
async fn a_provider_configuration_is_checked_and_refused_at_its_attribute() {
    let core = Core::connect().await;
    let request = proto::validate_provider_config::Request {
        config: Some(core.schemas.provider(&json!({ "token": "wrong" }))),
    };
    let response = core
        .client
        .clone()
        .validate_provider_config(request)
        .await
        .expect("an answer")
        .into_inner();
    assert_eq!(
        diagnostics(&response.diagnostics),
        ["error: token: Wrong token: Use another one."]
    );
    assert_eq!(
        core.configure(json!({ "token": "refused" })).await,
        ["error: token: Token refused: Use another one."]
    );
}

async fn look_up(core: &Core, config: Value) -> (Value, Vec<String>) {
    let request = proto::read_data_source::Request {
        type_name: "sink_lookup".to_owned(),
        config: Some(core.schemas.data_source("sink_lookup", &config)),
        ..Default::default()
    };
    let response = core
        .client
        .clone()
        .read_data_source(request)
        .await
        .expect("an answer")
        .into_inner();
    (decoded(response.state), diagnostics(&response.diagnostics))
}

#[tokio::test]
async fn a_data_source_reads_with_defaults_and_the_providers_data() {
    let core = Core::connect().await;
    assert_eq!(
        core.configure(json!({ "region": "away" })).await,
        Vec::<String>::new()
    );
    let (state, problems) = look_up(&core, json!({ "key": "k" })).await;
    assert_eq!(problems, Vec::<String>::new());
    assert_eq!(
        state,
        json!({ "key": "k", "case": "lower", "found": "k in lower", "region": "away" })
    );
}

#[tokio::test]
async fn a_data_source_that_fails_says_why() {
    let core = Core::start().await;
    let cases = [
        ("nowhere", "error: key: Not found: Look elsewhere."),
        (
            "panic",
            "error: The provider panicked: This is a bug in the provider, please report it with Terraform's log \
             (TF_LOG=debug): looked into the abyss",
        ),
        (
            "elsewhere",
            "error: key: Provider produced an invalid result: key: the result changes a value of the configuration. \
             This is a bug in the provider.",
        ),
        (
            "later",
            "error: found: Provider left a value unknown: found is unknown after reading. This is a bug in the provider.",
        ),
    ];
    for (key, expected) in cases {
        let (_, problems) = look_up(&core, json!({ "key": key })).await;
        assert_eq!(problems, [expected], "{key}");
    }
}

#[tokio::test]
async fn a_data_source_that_needs_the_provider_says_so_while_it_is_not_configured() {
    let core = Core::connect().await;
    let (_, problems) = look_up(&core, json!({ "key": "k" })).await;
    assert_eq!(problems.len(), 1);
    assert!(
        problems[0].starts_with("error: Provider not configured yet: "),
        "{problems:?}"
    );
}

#[tokio::test]
async fn a_data_sources_configuration_is_validated() {
    let core = Core::connect().await;
    let request = proto::validate_data_resource_config::Request {
        type_name: "sink_lookup".to_owned(),
        config: Some(
            core.schemas
                .data_source("sink_lookup", &json!({ "key": "" })),
        ),
    };
    let response = core
        .client
        .clone()
        .validate_data_resource_config(request)
        .await
        .expect("an answer")
        .into_inner();
    assert_eq!(
        diagnostics(&response.diagnostics),
        ["error: key: Invalid attribute value: key must not be empty, got \"\"."]
    );
}

#[tokio::test]
async fn a_type_that_the_provider_does_not_have_is_an_error() {
    let core = Core::start().await;
    let request = proto::read_resource::Request {
        type_name: "sink_ghost".to_owned(),
        ..Default::default()
    };
    let response = core
        .client
        .clone()
        .read_resource(request)
        .await
        .expect("an answer")
        .into_inner();
    assert_eq!(
        diagnostics(&response.diagnostics),
        ["error: Unknown resource type: The provider has no resource type named \"sink_ghost\"."]
    );
}
