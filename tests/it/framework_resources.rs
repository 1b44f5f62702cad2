//! Creating, reading, updating and deleting: what is saved when it works, and what when it does not.

use serde_json::{Value, json};

use mcplambda::plugin::Attr;

use crate::framework_core::{Core, Left, Plan};

async fn created_with_fault(core: &Core, fault: &str) -> (Plan, Left) {
    let config = json!({ "name": "a", "fault": fault, "endpoint": { "host": "h" } });
    let plan = core.plan(&Value::Null, config, &Value::Null).await;
    let left = core.apply_request(&plan).await;
    (plan, left)
}

#[tokio::test]
async fn a_create_saves_state_private_state_and_identity() {
    let core = Core::start().await;
    let created = core.create(json!({ "name": "a" })).await;
    assert_eq!(created.state["id"], "thing-1");
    assert_eq!(
        created.private,
        json!({ "planned_for": "a", "created": true })
    );
    assert_eq!(created.identity, json!({ "id": "thing-1" }));
}

#[tokio::test]
async fn a_create_that_fails_half_way_saves_what_is_known_and_nulls_the_rest() {
    let core = Core::start().await;
    let (plan, left) = created_with_fault(&core, "in create").await;
    assert_eq!(left.diagnostics, ["error: fault: It failed: half-way"]);
    let mut expected = plan.planned;
    expected["id"] = json!("thing-1");
    expected["endpoint"]["url"] = Value::Null;
    for unset in ["etag", "kind", "zone", "status"] {
        expected[unset] = Value::Null;
    }
    assert_eq!(left.state, expected);
    assert_eq!(left.private, json!({ "planned_for": "a", "created": true }));
    assert_eq!(left.identity, json!({ "id": "thing-1" }));
}

#[tokio::test]
async fn an_error_said_aside_fails_the_create_as_well() {
    let core = Core::start().await;
    let (_, left) = created_with_fault(&core, "error in create").await;
    assert_eq!(left.diagnostics, ["error: fault: It failed: said aside"]);
    assert_eq!(left.state["id"], "thing-1");
}

#[tokio::test]
async fn a_panic_in_create_keeps_the_state_as_it_was_left() {
    let core = Core::start().await;
    let (_, left) = created_with_fault(&core, "panic in create").await;
    assert_eq!(
        left.diagnostics,
        [
            "error: The provider panicked: This is a bug in the provider, please report it with Terraform's log \
          (TF_LOG=debug): half-way"
        ]
    );
    assert_eq!(left.state["id"], "thing-1");
    assert_eq!(left.private["created"], true);
}

#[tokio::test]
async fn a_create_that_fails_before_anything_exists_saves_nothing() {
    let core = Core::start().await;
    let (_, left) = created_with_fault(&core, "before create").await;
    assert_eq!(
        left.diagnostics,
        ["error: fault: It failed: before anything was created"]
    );
    assert_eq!(left.state, Value::Null);
}

#[tokio::test]
async fn a_create_that_leaves_an_unknown_is_an_error_and_saves_null_for_it() {
    let core = Core::start().await;
    let (_, left) = created_with_fault(&core, "forget in create").await;
    assert_eq!(
        left.diagnostics,
        [
            "error: endpoint.url: Provider left a value unknown: endpoint.url is still unknown after the operation. This \
          is a bug in the provider."
        ]
    );
    assert_eq!(left.state["id"], "thing-1");
    assert_eq!(left.state["endpoint"]["url"], Value::Null);
}

#[tokio::test]
async fn an_update_that_fails_half_way_saves_what_it_did() {
    let core = Core::start().await;
    let created = core.create(json!({ "name": "a" })).await;
    let config = json!({ "name": "a", "note": "n", "size": 20, "fault": "in update" });
    let plan = core.plan(&created.state, config, &created.private).await;
    let left = core.apply(&plan).await;
    assert_eq!(
        left.diagnostics,
        ["error: fault: It failed: after the note"]
    );
    let mut expected = created.state;
    expected["note"] = json!("n");
    assert_eq!(left.state, expected);
}

#[tokio::test]
async fn a_delete_that_fails_keeps_the_state() {
    let core = Core::start().await;
    let created = core
        .create(json!({ "name": "a", "fault": "in delete" }))
        .await;
    let plan = core
        .plan(&created.state, Value::Null, &created.private)
        .await;
    let left = core.apply_request(&plan).await;
    assert_eq!(left.diagnostics, ["error: fault: It failed: still in use"]);
    assert_eq!(left.state, created.state);
    assert_eq!(left.private, created.private);
}

#[tokio::test]
async fn a_read_finds_drift_and_keeps_private_state() {
    let core = Core::start().await;
    let created = core.create(json!({ "name": "a" })).await;
    let read = core.read(&created).await;
    assert_eq!(read, created);

    core.cloud
        .lock()
        .things
        .get_mut("thing-1")
        .expect("it exists")
        .note = Attr::Known("drifted".to_owned());
    let read = core.read(&created).await;
    assert_eq!(read.state["note"], "drifted");
    assert_eq!(read.private, created.private);
}

#[tokio::test]
async fn a_read_of_what_is_gone_says_so() {
    let core = Core::start().await;
    let created = core.create(json!({ "name": "a" })).await;
    core.cloud.lock().things.clear();
    assert_eq!(core.read(&created).await.state, Value::Null);
}

#[tokio::test]
async fn a_read_that_fails_keeps_the_state() {
    let core = Core::start().await;
    let created = core
        .create(json!({ "name": "a", "fault": "in read" }))
        .await;
    let read = core.read(&created).await;
    assert_eq!(read.diagnostics, ["error: fault: It failed: cannot read"]);
    assert_eq!(read.state, created.state);
}

#[tokio::test]
async fn a_read_with_an_unknown_provider_configuration_keeps_the_state_and_warns() {
    let core = Core::start().await;
    let created = core.create(json!({ "name": "a" })).await;
    assert_eq!(
        core.configure(json!({ "token": { "$unknown": {} } })).await,
        Vec::<String>::new()
    );
    let read = core.read(&created).await;
    assert_eq!(read.state, created.state);
    assert_eq!(read.diagnostics.len(), 1);
    assert!(
        read.diagnostics[0].starts_with("warning: State not refreshed: "),
        "{:?}",
        read.diagnostics
    );
}

#[tokio::test]
async fn timeouts_are_the_configured_ones_or_their_defaults() {
    let core = Core::start().await;
    let created = core
        .create(json!({ "name": "a", "timeouts": { "create": "1h30m" } }))
        .await;
    assert_eq!(core.cloud.lock().deadlines["create"], 5400);
    let plan = core
        .plan(&created.state, Value::Null, &created.private)
        .await;
    core.apply(&plan).await;
    assert_eq!(core.cloud.lock().deadlines["delete"], 1200);

    core.create(json!({ "name": "a" })).await;
    assert_eq!(core.cloud.lock().deadlines["create"], 600);
}
