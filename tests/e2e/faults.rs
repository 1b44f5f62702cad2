//! AWS says no for a passing reason: the apply takes longer and succeeds.

use serde_json::json;

use crate::harness::aws::{Aws, REGION};
use crate::harness::index::Index;
use crate::harness::local_aws::LocalAws;
use crate::harness::mcp_server::Server;
use crate::harness::workspace::Workspace;

const MAIN: &str = r#"
resource "mcplambda_server" "tools" {
  name    = "tools"
  command = "uvx"
  args    = ["tiny-tools"]
}
"#;

/// Creates and destroys under these rules, each of which must strike.
fn survives(rules: &[serde_json::Value]) {
    let local = LocalAws::start();
    let index = Index::with([Server::new("tiny-tools", "1.0.0")]);
    let workspace = Workspace::new(&local, Some(&index), MAIN);
    let ids: Vec<_> = rules.iter().map(|rule| local.fault(rule)).collect();
    workspace.converge();
    workspace.destroy().succeeded();
    for (id, rule) in ids.into_iter().zip(rules) {
        assert!(local.hits(id) > 0, "{rule} never struck");
    }
    assert_eq!(Aws::new(&local, REGION).everything(), Vec::<String>::new());
}

#[test]
fn throttling_is_waited_out() {
    survives(&[
        json!({"kind": "throttle", "service": "lambda", "action": "CreateFunction", "times": 2}),
        json!({"kind": "throttle", "service": "lambda", "action": "GetFunction", "times": 1}),
        json!({"kind": "throttle", "service": "iam", "action": "CreateRole", "times": 2}),
        json!({"kind": "throttle", "service": "logs", "action": "CreateLogGroup", "times": 1}),
        json!({"kind": "throttle", "service": "lambda", "action": "DeleteFunction", "times": 1}),
    ]);
}

#[test]
fn a_role_that_lambda_does_not_know_yet_is_waited_for() {
    survives(&[
        json!({"kind": "iam_propagation", "service": "lambda", "action": "CreateFunction", "times": 3}),
    ]);
}

#[test]
fn a_function_that_stays_pending_is_waited_for() {
    survives(&[
        json!({"kind": "pending", "service": "lambda", "action": "CreateFunction", "ms": 3000}),
    ]);
}

#[test]
fn connections_that_break_and_servers_that_stumble_are_tried_again() {
    survives(&[
        json!({"kind": "reset", "service": "iam", "action": "GetRole", "times": 1}),
        json!({"kind": "error", "service": "lambda", "action": "PublishVersion", "status": 503, "code": "ServiceException", "times": 1}),
        json!({"kind": "reset", "service": "lambda", "action": "CreateAlias", "times": 1, "when": "after"}),
    ]);
}

#[test]
fn a_role_that_can_never_be_assumed_ends_the_wait_early() {
    let local = LocalAws::start();
    let aws = Aws::new(&local, REGION);
    let trust = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"ec2.amazonaws.com"},"Action":"sts:AssumeRole"}]}"#;
    let role = aws
        .run(
            aws.iam
                .create_role()
                .role_name("wrong")
                .assume_role_policy_document(trust)
                .send(),
        )
        .expect("made");
    let arn = role.role.expect("a role").arn;
    let index = Index::with([Server::new("tiny-tools", "1.0.0")]);
    let workspace = Workspace::new(
        &local,
        Some(&index),
        &MAIN.replace("args    =", &format!("role_arn = \"{arn}\"\n  args =")),
    );
    local.fault(&json!({"kind": "iam_propagation", "service": "lambda", "action": "CreateFunction", "times": null}));
    let started = std::time::Instant::now();
    let error = workspace.apply().error();
    assert!(error.detail.contains("lambda.amazonaws.com"), "{error:?}");
    assert!(
        started.elapsed().as_secs() < 120,
        "took {:?}",
        started.elapsed()
    );
}
