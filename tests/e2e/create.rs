//! From nothing to a tool call that answers.

use serde_json::json;

use crate::harness::aws::{Aws, REGION};
use crate::harness::index::Index;
use crate::harness::local_aws::LocalAws;
use crate::harness::mcp_server::Server;
use crate::harness::workspace::Workspace;

const ADDRESS: &str = "mcplambda_server.tools";

#[test]
fn a_server_is_created_answers_and_the_next_plan_is_empty() {
    let local = LocalAws::start();
    let index = Index::with([Server::new("tiny-tools", "1.0.0")]);
    let workspace = Workspace::new(
        &local,
        Some(&index),
        r#"
        provider "mcplambda" {
          default_tags {
            tags = { team = "tools", stage = "test" }
          }
        }
        resource "mcplambda_server" "tools" {
          name                 = "Tiny Tools"
          description          = "Tools for tests"
          command              = "uvx"
          args                 = ["tiny-tools", "--verbose"]
          env                  = { GREETING = "hello" }
          timeout              = 30
          memory               = 256
          reserved_concurrency = 3
          dead_letter_queue    = true
          log_retention_days   = 7
          tags                 = { stage = "prod" }
        }
        "#,
    );
    workspace.converge();

    let aws = Aws::new(&local, REGION);
    let server = workspace.resource(ADDRESS);
    assert_eq!(server["function_name"], "mcp-server-tiny-tools");
    assert_eq!(server["id"], "mcp-server-tiny-tools");
    assert_eq!(server["region"], REGION);
    assert_eq!(server["version"], "1");
    assert_eq!(server["runtime"], "python3.13");
    assert_eq!(server["package_type"], "Zip");
    assert_eq!(
        server["tags_all"],
        json!({"team": "tools", "stage": "prod"})
    );
    assert_eq!(server["resolved_packages"], json!({"tiny-tools": "1.0.0"}));
    let tools: Vec<_> = server["tools"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|tool| &tool["name"])
        .collect();
    assert_eq!(tools, ["echo", "pid", "version", "environment"]);
    assert_eq!(server["verification"]["server_name"], "tiny-tools");

    let configuration = aws.configuration("mcp-server-tiny-tools");
    assert_eq!(
        configuration.description.as_deref(),
        Some("Tools for tests")
    );
    assert_eq!(
        (configuration.timeout, configuration.memory_size),
        (Some(30), Some(256))
    );
    assert_eq!(
        configuration.code_sha256.as_deref(),
        server["code_sha256"].as_str()
    );
    assert_eq!(
        aws.everything(),
        [
            "function mcp-server-tiny-tools",
            "log group /aws/lambda/mcp-server-tiny-tools",
            "queue mcp-server-tiny-tools-dlq",
            "role mcp-server-tiny-tools-eu-central-1",
        ]
    );

    let arn = server["qualified_arn"].as_str().expect("an ARN");
    assert!(
        arn.ends_with(":function:mcp-server-tiny-tools:live"),
        "{arn}"
    );
    assert_eq!(
        aws.tool_text(arn, "echo", &json!({"text": "hi"})),
        r#"{"text": "hi"}"#
    );
    assert_eq!(
        aws.tool_text(arn, "environment", &json!({"name": "GREETING"})),
        "hello"
    );
    assert_eq!(
        aws.tool_text(
            arn,
            "environment",
            &json!({"name": "AWS_SECRET_ACCESS_KEY"})
        ),
        ""
    );

    workspace.destroy().succeeded();
    assert_eq!(aws.everything(), Vec::<String>::new());
}

#[test]
fn one_warm_child_answers_fifty_calls_in_a_row() {
    let local = LocalAws::start();
    let index = Index::with([Server::new("tiny-tools", "1.0.0")]);
    let workspace = Workspace::new(
        &local,
        Some(&index),
        r#"
        resource "mcplambda_server" "tools" {
          name    = "warm"
          command = "uvx"
          args    = ["tiny-tools"]
        }
        "#,
    );
    workspace.apply().succeeded();
    let aws = Aws::new(&local, REGION);
    let arn = workspace.resource(ADDRESS)["qualified_arn"]
        .as_str()
        .expect("an ARN")
        .to_owned();
    let ids: std::collections::BTreeSet<_> = (0..50)
        .map(|_| aws.tool_text(&arn, "pid", &json!({})))
        .collect();
    assert_eq!(ids.len(), 1, "{ids:?}");
}

#[test]
fn with_process_scope_invocation_every_call_gets_a_fresh_process() {
    let local = LocalAws::start();
    let index = Index::with([Server::new("tiny-tools", "1.0.0")]);
    let workspace = Workspace::new(
        &local,
        Some(&index),
        r#"
        resource "mcplambda_server" "tools" {
          name          = "fresh"
          command       = "uvx"
          args          = ["tiny-tools"]
          process_scope = "invocation"
        }
        "#,
    );
    workspace.apply().succeeded();
    let aws = Aws::new(&local, REGION);
    let arn = workspace.resource(ADDRESS)["qualified_arn"]
        .as_str()
        .expect("an ARN")
        .to_owned();
    let ids: std::collections::BTreeSet<_> = (0..3)
        .map(|_| aws.tool_text(&arn, "pid", &json!({})))
        .collect();
    assert_eq!(ids.len(), 3, "{ids:?}");
}

#[test]
fn a_public_server_from_pypi_answers() {
    let local = LocalAws::start();
    let workspace = Workspace::new(
        &local,
        None,
        r#"
        resource "mcplambda_server" "time" {
          name    = "time"
          command = "uvx"
          args    = ["mcp-server-time", "--local-timezone", "Europe/Berlin"]
        }
        "#,
    );
    workspace.converge();
    let server = workspace.resource("mcplambda_server.time");
    let tools: Vec<_> = server["tools"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|tool| &tool["name"])
        .collect();
    assert_eq!(tools, ["get_current_time", "convert_time"]);

    let aws = Aws::new(&local, REGION);
    let arn = server["qualified_arn"].as_str().expect("an ARN");
    let answer = aws.tool_text(arn, "get_current_time", &json!({"timezone": "Asia/Tokyo"}));
    let answer: serde_json::Value =
        serde_json::from_str(&answer).expect("the server answers JSON in a text");
    assert_eq!(answer["timezone"], "Asia/Tokyo");

    workspace.destroy().succeeded();
    assert_eq!(aws.everything(), Vec::<String>::new());
}
