//! States that come from elsewhere: stored by another version, imported, moved.

use mcplambda::plugin::tfplugin6 as proto;
use serde_json::{Value, json};

use crate::framework_core::{Core, THING, decoded, diagnostics, identity, raw};
use crate::tfclient::value;

async fn upgrade(core: &Core, version: i64, stored: &Value) -> (Value, Vec<String>) {
    let request = proto::upgrade_resource_state::Request {
        type_name: THING.to_owned(),
        version,
        raw_state: raw(stored),
    };
    let response = core
        .client
        .clone()
        .upgrade_resource_state(request)
        .await
        .expect("an answer")
        .into_inner();
    (
        decoded(response.upgraded_state),
        diagnostics(&response.diagnostics),
    )
}

#[tokio::test]
async fn a_stored_state_of_this_version_gains_added_attributes_and_loses_dropped_ones() {
    let core = Core::connect().await;
    let stored = json!({
        "name": "a",
        "size": 12345678901234567890_u64,
        "endpoint": { "host": "h", "gone": true },
        "disk": [{ "size": 1 }],
        "anything": { "value": [1, "x"], "type": ["tuple", ["number", "string"]] },
        "secret": null,
        "dropped_since": { "deep": [1] },
    });
    let (state, problems) = upgrade(&core, 2, &stored).await;
    assert_eq!(problems, Vec::<String>::new());
    let expected = core.complete(&json!({
        "name": "a",
        "size": "12345678901234567890",
        "endpoint": { "host": "h" },
        "disk": [{ "size": 1 }],
        "anything": { "$dynamic": [["tuple", ["number", "string"]], [1, "x"]] },
    }));
    assert_eq!(state, expected);
}

#[tokio::test]
async fn a_stored_state_of_an_older_version_is_upgraded_by_the_resource() {
    let core = Core::connect().await;
    let (state, problems) = upgrade(&core, 1, &json!({ "id": "i", "title": "t", "more": 1 })).await;
    assert_eq!(problems, Vec::<String>::new());
    assert_eq!(state, core.complete(&json!({ "id": "i", "name": "t" })));
}

#[tokio::test]
async fn a_stored_state_that_nobody_can_read_is_an_error() {
    let core = Core::connect().await;
    let (_, problems) = upgrade(&core, 0, &json!({})).await;
    assert_eq!(
        problems,
        ["error: fault: It failed: nobody remembers this version"]
    );

    let (_, problems) = upgrade(&core, 2, &json!({ "disk": [{ "size": [] }] })).await;
    assert_eq!(problems.len(), 1);
    assert!(
        problems[0].starts_with("error: disk[0].size: Stored state not readable: "),
        "{problems:?}"
    );

    let request = proto::upgrade_resource_state::Request {
        type_name: THING.to_owned(),
        version: 2,
        raw_state: Some(proto::RawState {
            flatmap: [("name".to_owned(), "a".to_owned())].into(),
            ..Default::default()
        }),
    };
    let response = core
        .client
        .clone()
        .upgrade_resource_state(request)
        .await
        .expect("an answer")
        .into_inner();
    assert_eq!(
        diagnostics(&response.diagnostics),
        [
            "error: State of an old Terraform: The state is in the format of Terraform 0.11 or before, which this \
          provider never wrote."
        ]
    );
}

#[tokio::test]
async fn an_import_by_id_makes_the_first_state() {
    let core = Core::start().await;
    core.create(json!({ "name": "a" })).await;
    let request = proto::import_resource_state::Request {
        type_name: THING.to_owned(),
        id: "thing-1".to_owned(),
        ..Default::default()
    };
    let response = core
        .client
        .clone()
        .import_resource_state(request)
        .await
        .expect("an answer")
        .into_inner();
    assert_eq!(response.diagnostics, []);
    let [imported] = &response.imported_resources[..] else {
        panic!("one imported resource")
    };
    assert_eq!(imported.type_name, THING);
    assert_eq!(
        decoded(imported.state.clone()),
        core.complete(&json!({ "id": "thing-1" }))
    );
    assert_eq!(imported.private, br#"{"imported":true}"#.as_slice());
}

#[tokio::test]
async fn an_import_by_identity_makes_the_same_state() {
    let core = Core::start().await;
    let request = proto::import_resource_state::Request {
        type_name: THING.to_owned(),
        identity: Some(proto::ResourceIdentityData {
            identity_data: Some(value::encode(&json!({ "id": "thing-1" }))),
        }),
        ..Default::default()
    };
    let response = core
        .client
        .clone()
        .import_resource_state(request)
        .await
        .expect("an answer")
        .into_inner();
    assert_eq!(response.diagnostics, []);
    let imported = response
        .imported_resources
        .into_iter()
        .next()
        .expect("one imported resource");
    assert_eq!(
        decoded(imported.state),
        core.complete(&json!({ "id": "thing-1" }))
    );
    assert_eq!(identity(imported.identity), json!({ "id": "thing-1" }));
}

#[tokio::test]
async fn a_resource_without_import_says_so() {
    let core = Core::start().await;
    let request = proto::import_resource_state::Request {
        type_name: "sink_marker".to_owned(),
        id: "x".to_owned(),
        ..Default::default()
    };
    let response = core
        .client
        .clone()
        .import_resource_state(request)
        .await
        .expect("an answer")
        .into_inner();
    assert_eq!(response.imported_resources, []);
    assert_eq!(
        diagnostics(&response.diagnostics),
        ["error: Import not supported: sink_marker cannot be imported."]
    );
}

async fn move_from(
    core: &Core,
    type_name: &str,
    target: &str,
) -> proto::move_resource_state::Response {
    let request = proto::move_resource_state::Request {
        source_provider_address: "registry.example/old/old".to_owned(),
        source_type_name: type_name.to_owned(),
        source_schema_version: 3,
        source_state: raw(&json!({ "identifier": "old-1" })),
        target_type_name: target.to_owned(),
        source_private: b"not ours".to_vec().into(),
        ..Default::default()
    };
    core.client
        .clone()
        .move_resource_state(request)
        .await
        .expect("an answer")
        .into_inner()
}

#[tokio::test]
async fn a_move_takes_over_the_state_of_another_type() {
    let core = Core::connect().await;
    let moved = move_from(&core, "old_thing", THING).await;
    assert_eq!(moved.diagnostics, []);
    assert_eq!(
        decoded(moved.target_state),
        core.complete(&json!({ "id": "old-1", "name": "moved" }))
    );
    assert_eq!(
        moved.target_private,
        br#"{"moved_from":"registry.example/old/old"}"#.as_slice()
    );
    assert_eq!(identity(moved.target_identity), json!({ "id": "old-1" }));
}

#[tokio::test]
async fn a_move_from_a_strange_type_is_refused() {
    let core = Core::connect().await;
    for (source, target) in [("strange_thing", THING), ("old_thing", "sink_marker")] {
        let refused = move_from(&core, source, target).await;
        assert_eq!(refused.target_state, None);
        assert_eq!(
            diagnostics(&refused.diagnostics),
            [format!(
                "error: Move not supported: A {target} cannot be made from a {source} of registry.example/old/old. \
                 Remove the moved block; import the object instead."
            )]
        );
    }
}

#[tokio::test]
async fn a_stored_identity_of_this_version_is_passed_on() {
    let core = Core::connect().await;
    let upgrade = async |version| {
        let request = proto::upgrade_resource_identity::Request {
            type_name: THING.to_owned(),
            version,
            raw_identity: raw(&json!({ "id": "thing-1", "dropped": 1 })),
        };
        core.client
            .clone()
            .upgrade_resource_identity(request)
            .await
            .expect("an answer")
            .into_inner()
    };
    assert_eq!(
        identity(upgrade(1).await.upgraded_identity),
        json!({ "id": "thing-1" })
    );
    assert_eq!(
        diagnostics(&upgrade(0).await.diagnostics),
        [
            "error: Identity of an unknown version: The identity of this sink_thing was stored with version 0."
        ]
    );
}
