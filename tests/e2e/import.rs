//! Functions that are already there: taken over when asked, refused when not.

use crate::harness::aws::{Aws, REGION};
use crate::harness::index::Index;
use crate::harness::local_aws::LocalAws;
use crate::harness::mcp_server::Server;
use crate::harness::workspace::Workspace;

const ADDRESS: &str = "mcplambda_server.tools";
const FUNCTION: &str = "mcp-server-tools";
const MAIN: &str = r#"
resource "mcplambda_server" "tools" {
  name              = "tools"
  description       = "Tools for tests"
  command           = "uvx"
  args              = ["tiny-tools", "--verbose"]
  packages          = ["tiny-library>=1"]
  env               = { GREETING = "hello" }
  dead_letter_queue = true
  tags              = { team = "tools" }
}
"#;

fn index() -> Index {
    Index::with([
        Server::new("tiny-tools", "1.0.0"),
        Server::new("tiny-library", "1.2.0"),
    ])
}

#[test]
fn an_import_by_function_name_is_followed_by_an_empty_plan() {
    let local = LocalAws::start();
    let index = index();
    let first = Workspace::new(&local, Some(&index), MAIN);
    first.apply().succeeded();
    let made = first.resource(ADDRESS);

    let second = Workspace::new(&local, Some(&index), MAIN);
    let run = second.run(&["import", "-no-color", ADDRESS, FUNCTION]);
    assert_eq!(run.status, 0, "{}", run.output);
    second.plan().is_empty();
    let imported = second.resource(ADDRESS);
    for attribute in [
        "arn",
        "qualified_arn",
        "version",
        "code_sha256",
        "lock",
        "resolved_packages",
        "sbom_json",
        "role_arn",
        "env",
        "args",
    ] {
        assert_eq!(imported[attribute], made[attribute], "{attribute}");
    }
    second.destroy().succeeded();
    assert_eq!(Aws::new(&local, REGION).everything(), Vec::<String>::new());
}

#[test]
fn importing_a_function_that_does_not_exist_is_an_error() {
    let local = LocalAws::start();
    let workspace = Workspace::new(&local, Some(&index()), MAIN);
    let run = workspace.run(&["import", "-no-color", ADDRESS, "mcp-server-toolz"]);
    assert_eq!(run.status, 1, "{}", run.output);
    assert!(run.output.contains("mcp-server-toolz"), "{}", run.output);
}

#[test]
fn a_finished_function_outside_the_state_is_refused_with_the_import_command() {
    let local = LocalAws::start();
    let index = index();
    let owner = Workspace::new(&local, Some(&index), MAIN);
    owner.apply().succeeded();
    let aws = Aws::new(&local, REGION);
    let before = aws.everything();

    let other = Workspace::new(&local, Some(&index), MAIN);
    local.clear_calls();
    let error = other.apply().error();
    assert!(
        error.detail.contains(&format!(
            "terraform import mcplambda_server.<name> {FUNCTION}"
        )) || error
            .detail
            .contains(&format!("terraform import {ADDRESS} {FUNCTION}")),
        "{}",
        error.detail
    );
    assert_eq!(local.changes(), Vec::<String>::new());
    assert_eq!(aws.everything(), before);
    owner.plan().is_empty();

    let run = other.run(&["import", "-no-color", ADDRESS, FUNCTION]);
    assert_eq!(run.status, 0, "{}", run.output);
    other.plan().is_empty();
}

#[test]
fn a_foreign_function_of_the_same_name_is_refused_and_not_touched() {
    let local = LocalAws::start();
    let aws = Aws::new(&local, REGION);
    let trust = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole"}]}"#;
    let role = aws
        .run(
            aws.iam
                .create_role()
                .role_name("theirs")
                .assume_role_policy_document(trust)
                .send(),
        )
        .expect("made");
    let code = aws_sdk_lambda::types::FunctionCode::builder()
        .zip_file(aws_sdk_lambda::primitives::Blob::new(
            Server::new("theirs", "1.0.0").wheel(),
        ))
        .build();
    aws.run(
        aws.lambda
            .create_function()
            .function_name(FUNCTION)
            .role(role.role.expect("a role").arn)
            .runtime(aws_sdk_lambda::types::Runtime::Python313)
            .handler("theirs.handler")
            .code(code)
            .send(),
    )
    .expect("made");
    let before = aws.everything();
    let configuration = aws.configuration(FUNCTION);

    let workspace = Workspace::new(&local, Some(&index()), MAIN);
    local.clear_calls();
    let error = workspace.apply().error();
    assert!(
        error.detail.contains(FUNCTION) && error.detail.contains("terraform import"),
        "{error:?}"
    );
    assert_eq!(local.changes(), Vec::<String>::new());
    assert_eq!(aws.everything(), before);
    assert_eq!(
        aws.configuration(FUNCTION).code_sha256,
        configuration.code_sha256
    );
    assert_eq!(workspace.state(), Vec::<serde_json::Value>::new());
}
