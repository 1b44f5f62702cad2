//! StopProvider: running operations are told, and can still say what they did; the provider goes on serving.

use mcplambda::plugin::tfplugin6 as proto;
use serde_json::{Value, json};

use crate::framework_core::Core;

#[tokio::test]
async fn a_stop_interrupts_what_runs_and_nothing_that_comes_later() {
    let core = Core::start().await;
    let config = json!({ "name": "a", "fault": "wait in create" });
    let plan = core.plan(&Value::Null, config, &Value::Null).await;
    let stop = async {
        // The create has begun once it has left its sign.
        while !core.cloud.lock().secrets.contains_key("waiting") {
            tokio::task::yield_now().await;
        }
        core.client
            .clone()
            .stop_provider(proto::stop_provider::Request {})
            .await
            .expect("an answer")
    };
    let (left, stopped) = tokio::join!(core.apply_request(&plan), stop);
    assert_eq!(stopped.into_inner().error, "");
    assert_eq!(left.diagnostics, ["error: fault: It failed: interrupted"]);
    assert_eq!(left.state["id"], "thing-1");

    let created = core.create(json!({ "name": "b" })).await;
    assert_eq!(created.state["id"], "thing-2");
}
