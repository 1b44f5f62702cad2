//! A machine with Terraform and nothing else: no `uv`, no Python, no `npm`, no Node.

use mcplambda::package::fetched_tools::Pins;
use serde_json::json;

use crate::harness::aws::{Aws, REGION};
use crate::harness::local_aws::LocalAws;
use crate::harness::workspace::Workspace;

const MAIN: &str = r#"
provider "mcplambda" {
  cache_dir = "cache"
}
resource "mcplambda_server" "time" {
  name    = "time"
  command = "uvx"
  args    = ["mcp-server-time", "--local-timezone", "Europe/Berlin"]
}
resource "mcplambda_server" "everything" {
  name    = "everything"
  command = "npx"
  args    = ["-y", "@modelcontextprotocol/server-everything"]
}
"#;

#[test]
fn with_nothing_but_terraform_both_kinds_of_server_answer_and_again_without_a_network() {
    let local = LocalAws::start();
    let mut workspace = Workspace::new(&local, None, MAIN);
    workspace.set("PATH", "/nonexistent");
    workspace.converge();
    let kept: Vec<_> = std::fs::read_dir(workspace.path("cache/tools"))
        .expect("a folder with tools")
        .map(|entry| {
            entry
                .expect("an entry")
                .file_name()
                .to_string_lossy()
                .into_owned()
        })
        .collect();
    for tool in ["uv-", "node-", "npm-"] {
        assert!(kept.iter().any(|name| name.starts_with(tool)), "{kept:?}");
    }

    let aws = Aws::new(&local, REGION);
    let arn = |address: &str| {
        let server = workspace.resource(address);
        server["qualified_arn"].as_str().expect("an ARN").to_owned()
    };
    let time = arn("mcplambda_server.time");
    let answer = aws.tool_text(
        &time,
        "get_current_time",
        &json!({"timezone": "Asia/Tokyo"}),
    );
    assert!(answer.contains("Asia/Tokyo"), "{answer}");
    let everything = arn("mcplambda_server.everything");
    assert_eq!(
        aws.tool_text(&everything, "echo", &json!({"message": "hello"})),
        "Echo: hello"
    );

    let hashes = |workspace: &Workspace| {
        ["time", "everything"].map(|name| {
            workspace.resource(&format!("mcplambda_server.{name}"))["code_sha256"].clone()
        })
    };
    let first = hashes(&workspace);
    workspace.destroy().succeeded();
    workspace.set("UV_OFFLINE", "1");
    workspace.set("npm_config_offline", "true");
    workspace.apply().succeeded();
    assert_eq!(hashes(&workspace), first);
    workspace.destroy().succeeded();
}

#[test]
fn without_a_network_the_plan_goes_on_and_apply_says_what_to_place_where() {
    let local = LocalAws::start();
    let main = MAIN
        .split("resource \"mcplambda_server\" \"everything\"")
        .next()
        .unwrap_or(MAIN);
    let mut workspace = Workspace::new(&local, None, main);
    workspace.set("PATH", "/nonexistent");
    workspace.set("UV_OFFLINE", "1");
    let uv = Pins::here().uv.expect("this system has a uv");
    let folder = std::fs::canonicalize(workspace.path(""))
        .expect("a folder")
        .join("cache/tools");
    let problem = format!(
        "`uv` was not found on PATH, and could not be fetched: UV_OFFLINE says that no network is to be used. Install it, set `uv_path` in the \
         provider's configuration, or place `{}` ({}) into `{}`",
        uv.file_name,
        uv.hash,
        folder.display()
    );
    let plan = workspace.run(&["plan", "-json"]);
    let said: Vec<_> = plan
        .diagnostics
        .iter()
        .map(|said| {
            (
                said.severity.as_str(),
                said.summary.as_str(),
                said.detail.clone(),
            )
        })
        .collect();
    let goes_on = format!("{problem} The plan goes on without; apply will need the index.");
    assert_eq!(
        (plan.status, said),
        (0, vec![("warning", "Packages not checked", goes_on)])
    );
    let error = workspace.apply().error();
    assert_eq!(
        (error.summary.as_str(), error.detail, error.line.as_str()),
        (
            "Packaging tool not found",
            problem,
            "resource \"mcplambda_server\" \"time\" {"
        )
    );
}
