//! What a change of the configuration does, and what it leaves alone.

use serde_json::json;

use crate::harness::aws::{Aws, REGION};
use crate::harness::index::Index;
use crate::harness::local_aws::LocalAws;
use crate::harness::mcp_server::Server;
use crate::harness::workspace::Workspace;

const ADDRESS: &str = "mcplambda_server.tools";
const FUNCTION: &str = "mcp-server-tools";

/// The resource with these further lines.
fn server(lines: &str) -> String {
    format!(
        "resource \"mcplambda_server\" \"tools\" {{\n  name = \"tools\"\n  command = \"uvx\"\n{lines}\n}}\n"
    )
}

#[test]
fn a_changed_setting_is_an_update_of_configuration_without_an_upload() {
    let local = LocalAws::start();
    let index = Index::with([Server::new("tiny-tools", "1.0.0")]);
    let workspace = Workspace::new(&local, Some(&index), &server("  args = [\"tiny-tools\"]"));
    workspace.converge();
    let aws = Aws::new(&local, REGION);
    let before = workspace.resource(ADDRESS);

    workspace.write(&server(
        "  args = [\"tiny-tools\", \"--verbose\"]\n  memory = 512\n  timeout = 90\n  description = \"Tools\"\n  env = { GREETING = \"hello\" }",
    ));
    workspace.plan().changes(&[(ADDRESS, "update")]);
    local.clear_calls();
    workspace.apply().succeeded();
    let changes = local.changes();
    assert!(
        changes.contains(&"UpdateFunctionConfiguration".to_owned()),
        "{changes:?}"
    );
    assert!(
        !changes.contains(&"UpdateFunctionCode".to_owned()),
        "{changes:?}"
    );
    workspace.plan().is_empty();

    let after = workspace.resource(ADDRESS);
    assert_eq!(after["code_sha256"], before["code_sha256"]);
    assert_eq!(
        (&before["version"], &after["version"]),
        (&json!("1"), &json!("2"))
    );
    assert_eq!(aws.alias(FUNCTION, "live"), "2");
    let arn = after["qualified_arn"].as_str().expect("an ARN");
    assert_eq!(
        aws.tool_text(arn, "environment", &json!({"name": "GREETING"})),
        "hello"
    );
}

#[test]
fn a_pinned_version_that_changes_is_uploaded_and_answers() {
    let local = LocalAws::start();
    let index = Index::with([
        Server::new("tiny-tools", "1.0.0"),
        Server::new("tiny-tools", "1.1.0"),
    ]);
    let workspace = Workspace::new(
        &local,
        Some(&index),
        &server("  args = [\"tiny-tools@1.0.0\"]"),
    );
    workspace.converge();
    let aws = Aws::new(&local, REGION);
    let arn = workspace.resource(ADDRESS)["qualified_arn"]
        .as_str()
        .expect("an ARN")
        .to_owned();
    assert_eq!(aws.tool_text(&arn, "version", &json!({})), "1.0.0");

    workspace.write(&server("  args = [\"tiny-tools@1.1.0\"]"));
    workspace.plan().changes(&[(ADDRESS, "update")]);
    workspace.converge();
    let server = workspace.resource(ADDRESS);
    assert_eq!(server["resolved_packages"], json!({"tiny-tools": "1.1.0"}));
    assert_eq!(server["version"], "2");
    assert_eq!(aws.tool_text(&arn, "version", &json!({})), "1.1.0");
}

#[test]
fn a_newer_release_changes_nothing_until_it_is_asked_for() {
    let local = LocalAws::start();
    let index = Index::with([Server::new("tiny-tools", "1.0.0")]);
    let workspace = Workspace::new(&local, Some(&index), &server("  args = [\"tiny-tools\"]"));
    workspace.converge();

    index.release(&Server::new("tiny-tools", "2.0.0"));
    workspace.plan().is_empty();
    // A changed setting does not bring it in either.
    workspace.write(&server("  args = [\"tiny-tools\"]\n  memory = 512"));
    workspace.converge();
    assert_eq!(
        workspace.resource(ADDRESS)["resolved_packages"],
        json!({"tiny-tools": "1.0.0"})
    );

    workspace.write(&server(
        "  args = [\"tiny-tools\"]\n  memory = 512\n  auto_upgrade = true",
    ));
    workspace.plan().changes(&[(ADDRESS, "update")]);
    workspace.converge();
    assert_eq!(
        workspace.resource(ADDRESS)["resolved_packages"],
        json!({"tiny-tools": "2.0.0"})
    );
}

#[test]
fn everything_that_can_change_in_place_does() {
    let local = LocalAws::start();
    let index = Index::with([Server::new("tiny-tools", "1.0.0")]);
    let workspace = Workspace::new(&local, Some(&index), &server("  args = [\"tiny-tools\"]"));
    workspace.converge();
    let arn = workspace.resource(ADDRESS)["arn"].clone();
    let steps = [
        "  description = \"Tools\"",
        "  env = { A1 = \"x\" }",
        "  timeout = 120",
        "  memory = 2048",
        "  ephemeral_storage = 1024",
        "  reserved_concurrency = 2",
        "  dead_letter_queue = true",
        "  log_retention_days = 1",
        "  alias = \"prod\"",
        "  tags = { team = \"tools\" }",
        "  process_scope = \"invocation\"",
        "  startup_timeout = 20",
        "  aws_credentials = true",
        "  cwd = \"/tmp\"",
        "  policy_json = jsonencode({ Version = \"2012-10-17\", Statement = [{ Effect = \"Allow\", Action = \"s3:GetObject\", Resource = \"*\" }] })",
        "  managed_policy_arns = [\"arn:aws:iam::aws:policy/AmazonSQSReadOnlyAccess\"]",
        "  runtime = \"python3.12\"",
        "  verify = false",
    ];
    let mut lines = "  args = [\"tiny-tools\"]".to_owned();
    for step in steps {
        lines = format!("{lines}\n{step}");
        workspace.write(&server(&lines));
        workspace.plan().changes(&[(ADDRESS, "update")]);
        workspace.converge();
    }
    assert_eq!(workspace.resource(ADDRESS)["arn"], arn);
    // And all the way back.
    workspace.write(&server("  args = [\"tiny-tools\"]"));
    workspace.converge();
    workspace.destroy().succeeded();
    assert_eq!(Aws::new(&local, REGION).everything(), Vec::<String>::new());
}

#[test]
fn another_function_name_or_region_replaces_the_function() {
    let local = LocalAws::start();
    let index = Index::with([Server::new("tiny-tools", "1.0.0")]);
    let workspace = Workspace::new(&local, Some(&index), &server("  args = [\"tiny-tools\"]"));
    workspace.apply().succeeded();
    for lines in [
        "  args = [\"tiny-tools\"]\n  function_name = \"other\"",
        "  args = [\"tiny-tools\"]\n  function_name = \"other\"\n  region = \"us-west-2\"",
    ] {
        workspace.write(&server(lines));
        workspace.plan().changes(&[(ADDRESS, "replace")]);
        workspace.converge();
    }
    assert_eq!(
        Aws::new(&local, REGION).everything(),
        ["role other-us-west-2"],
        "IAM is global; nothing else is left in the first region"
    );
    workspace.destroy().succeeded();
    assert_eq!(
        Aws::new(&local, "us-west-2").everything(),
        Vec::<String>::new()
    );
}
