//! What a destroy removes, and what it does not.

use crate::harness::aws::{Aws, REGION};
use crate::harness::index::Index;
use crate::harness::local_aws::LocalAws;
use crate::harness::mcp_server::Server;
use crate::harness::workspace::Workspace;

#[test]
fn a_role_that_was_brought_stays() {
    let local = LocalAws::start();
    let aws = Aws::new(&local, REGION);
    let trust = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole"}]}"#;
    let role = aws
        .run(
            aws.iam
                .create_role()
                .role_name("brought")
                .assume_role_policy_document(trust)
                .send(),
        )
        .expect("made");
    let arn = role.role.expect("a role").arn;
    let index = Index::with([Server::new("tiny-tools", "1.0.0")]);
    let workspace = Workspace::new(
        &local,
        Some(&index),
        &format!(
            "resource \"mcplambda_server\" \"tools\" {{\n  name = \"tools\"\n  command = \"uvx\"\n  args = [\"tiny-tools\"]\n  \
             role_arn = \"{arn}\"\n}}\n"
        ),
    );
    workspace.converge();
    assert_eq!(
        aws.everything(),
        [
            "function mcp-server-tools",
            "log group /aws/lambda/mcp-server-tools",
            "role brought"
        ]
    );
    workspace.destroy().succeeded();
    assert_eq!(aws.everything(), ["role brought"]);
}

#[test]
fn a_destroy_succeeds_when_everything_is_gone_already() {
    let local = LocalAws::start();
    let aws = Aws::new(&local, REGION);
    let index = Index::with([Server::new("tiny-tools", "1.0.0")]);
    let main = "resource \"mcplambda_server\" \"tools\" {\n  name = \"tools\"\n  command = \"uvx\"\n  args = [\"tiny-tools\"]\n}\n";
    let workspace = Workspace::new(&local, Some(&index), main);
    workspace.apply().succeeded();
    let twin = Workspace::new(&local, Some(&index), main);
    std::fs::copy(
        workspace.path("terraform.tfstate"),
        twin.path("terraform.tfstate"),
    )
    .expect("copied");
    twin.destroy().succeeded();
    assert_eq!(aws.everything(), Vec::<String>::new());
    let run = workspace.run(&["destroy", "-json", "-auto-approve", "-refresh=false"]);
    run.succeeded();
}
