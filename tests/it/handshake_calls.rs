//! The provider's own methods over the real connection: what Terraform calls, and how it is answered.

use mcplambda::plugin::tfplugin6::{
    get_provider_schema, get_resource_identity_schemas, open_ephemeral_resource, stop_provider,
    validate_provider_config,
};
use serde_json::json;
use tonic::Code;

use crate::tfclient::Start;

#[tokio::test]
async fn the_schemas_are_the_same_with_and_without_tls() {
    let with = Start::default().start().await;
    let without = Start::without_tls().start().await;
    let schemas = with.schemas().await.response;
    assert_eq!(schemas, without.schemas().await.response);
    let capabilities = schemas.server_capabilities.expect("capabilities");
    assert!(capabilities.get_provider_schema_optional);
    assert!(with.shutdown().await.status.success());
    assert!(without.shutdown().await.status.success());
}

#[tokio::test]
async fn a_configuration_of_many_megabytes_is_taken() {
    // tonic's own limit is 4 MiB.
    let plugin = Start::default().start().await;
    let schemas = plugin.schemas().await;
    let config = schemas.provider(&json!({ "profile": "x".repeat(16 << 20) }));
    let request = validate_provider_config::Request {
        config: Some(config),
    };
    let answer = plugin.provider().validate_provider_config(request).await;
    assert_eq!(answer.expect("an answer").into_inner().diagnostics, []);
    assert!(plugin.shutdown().await.status.success());
}

#[tokio::test]
async fn stop_is_answered_and_the_provider_keeps_serving() {
    let plugin = Start::default().start().await;
    for _ in 0..2 {
        let mut provider = plugin.provider();
        let stopped = provider.stop_provider(stop_provider::Request {});
        assert_eq!(stopped.await.expect("an answer").into_inner().error, "");
    }
    let schemas = plugin
        .provider()
        .get_provider_schema(get_provider_schema::Request {})
        .await;
    assert!(schemas.expect("an answer").into_inner().provider.is_some());
    assert!(plugin.shutdown().await.status.success());
}

#[tokio::test]
async fn a_method_that_is_not_offered_says_so() {
    let plugin = Start::default().start().await;
    let request = open_ephemeral_resource::Request::default();
    let status = plugin
        .provider()
        .open_ephemeral_resource(request)
        .await
        .expect_err("not offered");
    assert_eq!(status.code(), Code::Unimplemented);
    // Terraform 1.12 and later fail as a whole on any other error here than "unimplemented".
    plugin
        .provider()
        .get_resource_identity_schemas(get_resource_identity_schemas::Request {})
        .await
        .expect("identity schemas, or none");
    assert!(plugin.shutdown().await.status.success());
}

#[tokio::test]
async fn every_call_is_logged_with_its_method_and_number() {
    let mut plugin = Start::default().env("TF_LOG", "TRACE").start().await;
    plugin.schemas().await;
    let line = plugin
        .process
        .stderr_line_with("\"tf_rpc\":\"GetProviderSchema\"")
        .await;
    let line: serde_json::Value = serde_json::from_str(&line).expect("JSON");
    assert_eq!(line["tf_provider_addr"], "mcplambda/mcplambda");
    assert_eq!(line["tf_proto_version"], 6);
    assert!(line["tf_req_id"].is_string());
    assert!(plugin.shutdown().await.status.success());
}
