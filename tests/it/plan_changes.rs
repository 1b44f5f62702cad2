//! Plans of create, update, replace and destroy: what becomes unknown, what keeps its state, what replaces.

use serde_json::{Value, json};

use mcplambda::plugin::tfplugin6::DynamicValue;
use mcplambda::plugin::{Refinement, Value as PluginValue, msgpack};

use crate::framework_core::{Core, Plan};
use crate::sink_provider::thing_schema;
use crate::tfclient::value::unknown;

/// The attributes of a planned thing that are not null, without the empty blocks.
fn planned(plan: &Plan) -> Value {
    assert_eq!(plan.diagnostics, Vec::<String>::new());
    set_attributes(&plan.planned)
}

fn set_attributes(object: &Value) -> Value {
    let attributes = object.as_object().expect("an object");
    attributes
        .iter()
        .filter(|(_, value)| !value.is_null() && **value != json!([]))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

#[tokio::test]
async fn a_create_leaves_computed_attributes_unknown_and_fills_in_defaults() {
    let core = Core::start().await;
    let plan = core
        .plan(&Value::Null, json!({ "name": "a" }), &Value::Null)
        .await;
    let expected = json!({
        "name": "a",
        "size": 10,
        "id": unknown(),
        "etag": unknown(),
        "kind": unknown(),
        "zone": unknown(),
        "status": unknown(),
    });
    assert_eq!(planned(&plan), expected);
    assert_eq!(plan.requires_replace, Vec::<String>::new());
    assert_eq!(plan.private, json!({ "planned_for": "a" }));
}

#[tokio::test]
async fn a_plan_without_a_difference_changes_nothing() {
    let core = Core::start().await;
    let config = json!({
        "name": "a",
        "ratio": "0.1",
        "labels": ["y", "x"],
        "endpoint": { "host": "h" },
        "rules": [{ "pattern": "p" }],
        "members": [{ "user": "u" }, { "user": "v", "role": "admin" }],
        "routes": { "r": { "target": "t" } },
        "network": { "subnet": "s" },
        "disk": [{ "size": 1 }],
        "peer": [{ "address": "p" }],
    });
    let created = core.create(config.clone()).await;
    let plan = core.plan(&created.state, config, &created.private).await;
    assert_eq!(plan.planned, created.state);
    assert_eq!(plan.requires_replace, Vec::<String>::new());
}

#[tokio::test]
async fn an_update_leaves_unknown_what_is_computed_and_does_not_keep_its_state() {
    let core = Core::start().await;
    let created = core.create(json!({ "name": "a" })).await;
    let plan = core
        .plan(
            &created.state,
            json!({ "name": "a", "note": "n" }),
            &created.private,
        )
        .await;
    let expected = json!({
        "name": "a",
        "note": "n",
        "size": 10,
        "id": "thing-1",
        "zone": "zone-a",
        "etag": unknown(),
        "kind": unknown(),
        "status": unknown(),
    });
    assert_eq!(planned(&plan), expected);
    assert_eq!(plan.requires_replace, Vec::<String>::new());

    let updated = core
        .update(&created, json!({ "name": "a", "note": "n" }))
        .await;
    assert_eq!(updated.state["etag"], "2");
    assert_eq!(updated.state["note"], "n");
}

#[tokio::test]
async fn removing_an_optional_attribute_is_an_update_to_null() {
    let core = Core::start().await;
    let created = core
        .create(json!({ "name": "a", "note": "n", "size": 20 }))
        .await;
    let plan = core
        .plan(
            &created.state,
            json!({ "name": "a", "size": 20 }),
            &created.private,
        )
        .await;
    assert_eq!(plan.planned["note"], Value::Null);
    assert_eq!(plan.planned["etag"], unknown());
}

#[tokio::test]
async fn removing_an_attribute_with_a_default_is_an_update_to_the_default() {
    let core = Core::start().await;
    let created = core.create(json!({ "name": "a", "size": 5 })).await;
    let plan = core
        .plan(&created.state, json!({ "name": "a" }), &created.private)
        .await;
    assert_eq!(plan.planned["size"], 10);
    assert_eq!(plan.requires_replace, Vec::<String>::new());
}

#[tokio::test]
async fn a_configured_value_of_a_computed_attribute_is_planned_as_configured() {
    let core = Core::start().await;
    let config = json!({ "name": "a", "kind": "special", "zone": unknown() });
    let plan = core.plan(&Value::Null, config, &Value::Null).await;
    assert_eq!(plan.planned["kind"], "special");
    assert_eq!(plan.planned["zone"], unknown());
}

#[tokio::test]
async fn a_changed_attribute_that_requires_replacement_replaces() {
    let core = Core::start().await;
    let created = core.create(json!({ "name": "a" })).await;
    let config = json!({ "name": "b" });
    let plan = core
        .plan(&created.state, config.clone(), &created.private)
        .await;
    assert_eq!(plan.requires_replace, ["name"]);

    // Core then plans the second half, with the private state that the first half planned.
    let second = core.plan(&Value::Null, config, &plan.private).await;
    assert_eq!(second.planned["id"], unknown());
    assert_eq!(second.planned["zone"], unknown());
    assert_eq!(
        second.private,
        json!({ "planned_for": "b", "created": true })
    );
}

#[tokio::test]
async fn an_unknown_value_for_an_attribute_that_requires_replacement_replaces() {
    let core = Core::start().await;
    let created = core.create(json!({ "name": "a" })).await;
    let plan = core
        .plan(
            &created.state,
            json!({ "name": unknown() }),
            &created.private,
        )
        .await;
    assert_eq!(plan.requires_replace, ["name"]);
}

#[tokio::test]
async fn a_computed_attribute_that_keeps_its_state_does_not_replace_by_becoming_unknown() {
    let core = Core::start().await;
    let created = core.create(json!({ "name": "a" })).await;
    let plan = core
        .plan(
            &created.state,
            json!({ "name": "a", "note": "n" }),
            &created.private,
        )
        .await;
    // `zone` and `kind` require replacement; one keeps its state, the other only counts when configured.
    assert_eq!(plan.requires_replace, Vec::<String>::new());
    let plan = core
        .plan(
            &created.state,
            json!({ "name": "a", "kind": "k" }),
            &created.private,
        )
        .await;
    assert_eq!(plan.requires_replace, ["kind"]);
    let plan = core
        .plan(
            &created.state,
            json!({ "name": "a", "zone": "b" }),
            &created.private,
        )
        .await;
    assert_eq!(plan.requires_replace, ["zone"]);
}

#[tokio::test]
async fn a_conditional_replacement_looks_at_both_values() {
    let core = Core::start().await;
    let created = core.create(json!({ "name": "a", "size": 20 })).await;
    let larger = core
        .plan(
            &created.state,
            json!({ "name": "a", "size": 21 }),
            &created.private,
        )
        .await;
    assert_eq!(larger.requires_replace, Vec::<String>::new());
    let smaller = core
        .plan(
            &created.state,
            json!({ "name": "a", "size": 19 }),
            &created.private,
        )
        .await;
    assert_eq!(smaller.requires_replace, ["size"]);
}

#[tokio::test]
async fn a_resource_can_ask_for_a_replacement_itself() {
    let core = Core::start().await;
    let created = core.create(json!({ "name": "a" })).await;
    let config = json!({ "name": "a", "note": "replace" });
    let plan = core.plan(&created.state, config, &created.private).await;
    assert_eq!(plan.requires_replace, ["note"]);
}

#[tokio::test]
async fn a_resource_can_find_its_own_reason_to_update() {
    let core = Core::start().await;
    let config = json!({ "name": "a", "note": "touch" });
    let created = core.create(config.clone()).await;
    let plan = core.plan(&created.state, config, &created.private).await;
    assert_eq!(plan.planned["etag"], unknown());
    assert_eq!(plan.planned["id"], "thing-1");
}

#[tokio::test]
async fn a_resource_can_plan_a_computed_value_that_it_knows() {
    let core = Core::start().await;
    let plan = core
        .plan(
            &Value::Null,
            json!({ "name": "a", "note": "know" }),
            &Value::Null,
        )
        .await;
    assert_eq!(plan.planned["etag"], "known early");
}

#[tokio::test]
async fn a_write_only_value_is_in_no_plan_and_no_state_and_makes_no_difference() {
    let core = Core::start().await;
    let config = json!({
        "name": "a",
        "secret": "s3cret",
        "endpoint": { "host": "h", "password": "p4ss" },
    });
    let created = core.create(config.clone()).await;
    assert_eq!(created.state["secret"], Value::Null);
    assert_eq!(created.state["endpoint"]["password"], Value::Null);
    assert_eq!(core.cloud.lock().secrets["thing-1"], "s3cret");

    let plan = core.plan(&created.state, config, &created.private).await;
    assert_eq!(plan.planned, created.state);
}

#[tokio::test]
async fn what_is_known_of_unknown_values_survives_the_model() {
    let core = Core::start().await;
    let mut config = core.complete(&json!({ "name": "a" }));
    // Refined unknowns, partly known collections and a dynamic value that is not known yet.
    config["ports"] = json!([unknown(), 2]);
    config["labels"] = json!([unknown()]);
    config["tags"] = json!({ "a": unknown(), "b": "known" });
    config["anything"] = json!({ "$dynamic": [["object", { "x": "string" }], { "x": unknown() }] });
    config["shape"] = json!({ "corners": unknown(), "color": "red" });
    let plan = core.plan(&Value::Null, config.clone(), &Value::Null).await;
    for attribute in ["ports", "labels", "tags", "anything", "shape"] {
        assert_eq!(plan.planned[attribute], config[attribute], "{attribute}");
    }
}

#[tokio::test]
async fn refinements_of_unknown_values_survive_the_model() {
    let refine = |message: &mut Option<DynamicValue>| {
        let value_type = thing_schema().value_type();
        let bytes = &message.as_ref().expect("a value").msgpack;
        let PluginValue::Object(mut thing) = msgpack::decode(bytes, &value_type).expect("a thing")
        else {
            panic!("a thing is an object");
        };
        let refinement = Refinement {
            prefix: Some("https://".to_owned()),
            ..Refinement::default()
        };
        thing.insert(
            "note".to_owned(),
            PluginValue::Unknown(Some(Box::new(refinement))),
        );
        let bytes = msgpack::encode(&PluginValue::Object(thing), &value_type).expect("a thing");
        *message = Some(DynamicValue {
            msgpack: bytes.into(),
            json: Default::default(),
        });
    };
    let core = Core::start().await;
    let plan = core
        .plan_request(
            &Value::Null,
            json!({ "name": "a", "note": unknown() }),
            &Value::Null,
            |request| {
                refine(&mut request.config);
                refine(&mut request.proposed_new_state);
            },
        )
        .await;
    assert_eq!(
        plan.planned["note"],
        json!({ "$unknown": { "2": "https://" } })
    );
}

#[tokio::test]
async fn numbers_keep_their_digits_from_configuration_to_state() {
    let core = Core::start().await;
    let third = "0.33333333333333333333333333333333333333333333333333333333";
    let big = "123456789012345678901234567890123456789";
    let created = core
        .create(json!({ "name": "a", "ratio": third, "big": big }))
        .await;
    assert_eq!(created.state["big"], big);
    // A model's `f64` cannot hold this one; what was configured is put back.
    assert_eq!(created.state["ratio"], third);
}

#[tokio::test]
async fn a_dynamic_value_keeps_its_type_and_can_change_it() {
    let core = Core::start().await;
    let number = json!({ "$dynamic": ["number", 1] });
    let list = json!({ "$dynamic": [["list", "string"], ["x"]] });
    let created = core
        .create(json!({ "name": "a", "anything": number }))
        .await;
    assert_eq!(created.state["anything"], number);
    let updated = core
        .update(&created, json!({ "name": "a", "anything": list }))
        .await;
    assert_eq!(updated.state["anything"], list);
}

#[tokio::test]
async fn a_destroy_is_planned_to_null_and_may_warn_or_refuse() {
    let core = Core::start().await;
    let created = core.create(json!({ "name": "a" })).await;
    let plan = core
        .plan(&created.state, Value::Null, &created.private)
        .await;
    assert_eq!(plan.planned, Value::Null);
    assert_eq!(plan.private, created.private);
    assert_eq!(
        plan.diagnostics,
        ["warning: Gone for good: There is no way back."]
    );
    let left = core.apply(&plan).await;
    assert_eq!(left.state, Value::Null);
    assert!(core.cloud.lock().things.is_empty());

    let kept = core.create(json!({ "name": "a", "fault": "keep" })).await;
    let plan = core.plan(&kept.state, Value::Null, &kept.private).await;
    assert_eq!(
        plan.diagnostics,
        ["error: fault: It failed: it is to be kept"]
    );
}

#[tokio::test]
async fn a_later_plan_is_given_what_the_first_one_kept() {
    let core = Core::start().await;
    let keeping = |request: &mut mcplambda::plugin::tfplugin6::plan_resource_change::Request| {
        request.client_capabilities = Some(mcplambda::plugin::tfplugin6::ClientCapabilities {
            store_planned_private: true,
            ..Default::default()
        });
    };
    let config = json!({ "name": "a" });
    let first = core
        .plan_request(&Value::Null, config.clone(), &Value::Null, keeping)
        .await;
    assert_eq!(first.private["choice"], "chosen");
    let again = core
        .plan_request(&Value::Null, config, &Value::Null, |request| {
            keeping(request);
            request.planned_private = first.private.to_string().into_bytes().into();
        })
        .await;
    assert_eq!(again.private["choice"], "chosen, kept");
}
