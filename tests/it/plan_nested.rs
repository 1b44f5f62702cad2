//! Plans of nested attributes and blocks: each object beside the one that it goes on with.

use serde_json::{Value, json};

use crate::framework_core::Core;
use crate::tfclient::value::unknown;

#[tokio::test]
async fn a_create_plans_nested_attributes_and_blocks_one_by_one() {
    let core = Core::start().await;
    let config = json!({
        "name": "a",
        "endpoint": { "host": "h" },
        "rules": [{ "pattern": "p" }, { "pattern": "q" }],
        "members": [{ "user": "u" }, { "user": "v", "role": "admin" }],
        "routes": { "r": { "target": "t" }, "s": { "target": "u", "weight": 7 } },
        "network": { "subnet": "s" },
        "disk": [{ "size": 1 }, { "size": 2 }],
        "peer": [{ "address": "p" }],
    });
    let planned = core.plan(&Value::Null, config, &Value::Null).await.planned;
    assert_eq!(
        planned["endpoint"],
        json!({ "host": "h", "port": 443, "url": unknown(), "password": null })
    );
    assert_eq!(
        planned["rules"],
        json!([{ "pattern": "p", "id": unknown() }, { "pattern": "q", "id": unknown() }])
    );
    let mut members = planned["members"].as_array().expect("a set").clone();
    members.sort_by_key(|member| member["user"].to_string());
    assert_eq!(
        members,
        [
            json!({ "user": "u", "role": "reader", "joined": unknown() }),
            json!({ "user": "v", "role": "admin", "joined": unknown() }),
        ]
    );
    assert_eq!(
        planned["routes"],
        json!({ "r": { "target": "t", "weight": unknown() }, "s": { "target": "u", "weight": 7 } })
    );
    assert_eq!(
        planned["network"],
        json!({ "subnet": "s", "address": unknown() })
    );
    assert_eq!(
        planned["disk"],
        json!([{ "size": 1, "device": unknown() }, { "size": 2, "device": unknown() }])
    );
    assert_eq!(
        planned["peer"],
        json!([{ "address": "p", "state": unknown() }])
    );
    assert_eq!(planned["status"], unknown());
}

#[tokio::test]
async fn what_the_far_end_filled_in_is_saved() {
    let core = Core::start().await;
    let created = core
        .create(json!({
            "name": "a",
            "endpoint": { "host": "h", "port": 80 },
            "rules": [{ "pattern": "p" }],
            "members": [{ "user": "u" }],
            "routes": { "r": { "target": "t" } },
            "disk": [{ "size": 1 }],
            "peer": [{ "address": "p" }],
        }))
        .await;
    let state = created.state;
    assert_eq!(
        state["endpoint"],
        json!({ "host": "h", "port": 80, "url": "https://h:80", "password": null })
    );
    assert_eq!(state["rules"], json!([{ "pattern": "p", "id": "rule-0" }]));
    assert_eq!(
        state["members"],
        json!([{ "user": "u", "role": "reader", "joined": "today" }])
    );
    assert_eq!(
        state["routes"],
        json!({ "r": { "target": "t", "weight": 1 } })
    );
    assert_eq!(state["status"], json!({ "phase": "ready", "detail": null }));
    assert_eq!(state["network"], Value::Null);
    assert_eq!(state["disk"], json!([{ "size": 1, "device": "/dev/sd0" }]));
    assert_eq!(state["peer"], json!([{ "address": "p", "state": "up" }]));
}

#[tokio::test]
async fn elements_of_a_list_go_on_by_position_and_keep_their_state() {
    let core = Core::start().await;
    let created = core
        .create(json!({ "name": "a", "rules": [{ "pattern": "p" }] }))
        .await;
    let config = json!({ "name": "a", "rules": [{ "pattern": "p" }, { "pattern": "q" }] });
    let plan = core.plan(&created.state, config, &created.private).await;
    assert_eq!(
        plan.planned["rules"],
        json!([{ "pattern": "p", "id": "rule-0" }, { "pattern": "q", "id": unknown() }])
    );
}

#[tokio::test]
async fn elements_of_a_set_are_told_apart_by_what_is_configured() {
    let core = Core::start().await;
    let created = core
        .create(json!({ "name": "a", "members": [{ "user": "u" }, { "user": "v" }] }))
        .await;
    let config =
        json!({ "name": "a", "members": [{ "user": "v", "role": "admin" }, { "user": "u" }] });
    let updated = core.update(&created, config.clone()).await;
    let mut members = updated.state["members"].as_array().expect("a set").clone();
    members.sort_by_key(|member| member["user"].to_string());
    assert_eq!(
        members,
        [
            json!({ "user": "u", "role": "reader", "joined": "today" }),
            json!({ "user": "v", "role": "admin", "joined": "today" }),
        ]
    );
    let plan = core.plan(&updated.state, config, &updated.private).await;
    assert_eq!(plan.planned, updated.state);
}

#[tokio::test]
async fn elements_of_a_set_that_differ_only_in_what_is_unknown_all_stay() {
    let core = Core::start().await;
    let config = json!({ "name": "a", "members": [{ "user": unknown() }, { "user": unknown() }] });
    let plan = core.plan(&Value::Null, config, &Value::Null).await;
    assert_eq!(plan.planned["members"].as_array().map(Vec::len), Some(2));
}

#[tokio::test]
async fn an_object_that_is_not_known_yet_stays_unknown_as_a_whole() {
    let core = Core::start().await;
    let config =
        json!({ "name": "a", "endpoint": unknown(), "rules": unknown(), "disk": unknown() });
    let plan = core.plan(&Value::Null, config, &Value::Null).await;
    assert_eq!(plan.diagnostics, Vec::<String>::new());
    assert_eq!(plan.planned["endpoint"], unknown());
    assert_eq!(plan.planned["rules"], unknown());
    assert_eq!(plan.planned["disk"], unknown());
}

#[tokio::test]
async fn a_replacement_can_come_from_within_a_block() {
    let core = Core::start().await;
    let created = core
        .create(json!({ "name": "a", "network": { "subnet": "s" } }))
        .await;
    let config = json!({ "name": "a", "network": { "subnet": "t" } });
    let plan = core.plan(&created.state, config, &created.private).await;
    assert_eq!(plan.requires_replace, ["network.subnet"]);
}

#[tokio::test]
async fn removing_nested_attributes_and_blocks_is_an_update() {
    let core = Core::start().await;
    let created = core
        .create(json!({
            "name": "a",
            "endpoint": { "host": "h" },
            "rules": [{ "pattern": "p" }],
            "disk": [{ "size": 1 }],
        }))
        .await;
    let updated = core.update(&created, json!({ "name": "a" })).await;
    assert_eq!(updated.state["endpoint"], Value::Null);
    assert_eq!(updated.state["rules"], Value::Null);
    assert_eq!(updated.state["disk"], json!([]));
}
