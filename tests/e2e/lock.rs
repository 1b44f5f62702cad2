//! A plan made in one place is applied in another, after the index has moved on: what was planned is what is installed.

use serde_json::json;

use crate::harness::aws::{Aws, REGION};
use crate::harness::index::Index;
use crate::harness::local_aws::LocalAws;
use crate::harness::mcp_server::Server;
use crate::harness::workspace::{Run, Workspace};

const ADDRESS: &str = "mcplambda_server.tools";
const UNLOCKED: &str = r#"
resource "mcplambda_server" "tools" {
  name    = "tools"
  command = "uvx"
  args    = ["tiny-tools"]
}
"#;
const LOCKED: &str = r#"
data "mcplambda_package" "tools" {
  command = "uvx"
  args    = ["tiny-tools"]
}
resource "mcplambda_server" "tools" {
  name    = "tools"
  command = "uvx"
  args    = ["tiny-tools"]
  lock    = data.mcplambda_package.tools.lock
}
"#;

/// Plans in one workspace, lets the index release something newer, and applies the saved plan in another workspace with
/// an empty cache.
fn apply_elsewhere(local: &LocalAws, index: &Index, main: &str) -> (Run, Workspace) {
    let (planner, mut applier) = (
        Workspace::new(local, Some(index), main),
        Workspace::new(local, Some(index), main),
    );
    let plan = planner.run(&["plan", "-json", "-out=saved.tfplan"]);
    plan.succeeded();
    std::fs::copy(planner.path("saved.tfplan"), applier.path("saved.tfplan")).expect("copied");
    index.release(&Server::new("tiny-tools", "2.0.0"));
    let cache = applier.path("empty-cache");
    applier.set("UV_CACHE_DIR", &cache.display().to_string());
    let run = applier.run(&["apply", "-json", "saved.tfplan"]);
    assert!(cache.exists(), "the applier did not use its own cache");
    (run, applier)
}

#[test]
fn without_a_lock_apply_resolves_and_state_pins_the_result() {
    let local = LocalAws::start();
    let index = Index::with([Server::new("tiny-tools", "1.0.0")]);
    let (run, applier) = apply_elsewhere(&local, &index, UNLOCKED);
    run.succeeded();
    assert_eq!(
        applier.resource(ADDRESS)["resolved_packages"],
        json!({"tiny-tools": "2.0.0"})
    );
    applier.plan().is_empty();
    index.release(&Server::new("tiny-tools", "3.0.0"));
    applier.plan().is_empty();
}

#[test]
fn with_a_lock_exactly_the_planned_hashes_are_installed() {
    let local = LocalAws::start();
    let index = Index::with([Server::new("tiny-tools", "1.0.0")]);
    let (run, applier) = apply_elsewhere(&local, &index, LOCKED);
    run.succeeded();
    let server = applier.resource(ADDRESS);
    assert_eq!(server["resolved_packages"], json!({"tiny-tools": "1.0.0"}));
    let hash: String = {
        use sha2::Digest;
        let digest = sha2::Sha256::digest(Server::new("tiny-tools", "1.0.0").wheel());
        digest.iter().map(|byte| format!("{byte:02x}")).collect()
    };
    let lock = server["lock"].as_str().expect("a lock");
    let line = format!("tiny-tools==1.0.0 --hash=sha256:{hash}");
    assert!(
        lock.lines().any(|found| found == line),
        "{line:?} is not in {lock:?}"
    );
    let aws = Aws::new(&local, REGION);
    let arn = server["qualified_arn"].as_str().expect("an ARN");
    assert_eq!(aws.tool_text(arn, "version", &json!({})), "1.0.0");
}

#[test]
fn the_versions_of_a_lock_are_known_at_plan() {
    let local = LocalAws::start();
    let index = Index::with([Server::new("tiny-tools", "1.0.0")]);
    let workspace = Workspace::new(&local, Some(&index), LOCKED);
    workspace
        .run(&["plan", "-json", "-out=saved.tfplan"])
        .succeeded();
    let shown = workspace.run(&["show", "-json", "saved.tfplan"]);
    let plan: serde_json::Value = serde_json::from_str(&shown.output).expect("show prints JSON");
    let change = plan["resource_changes"]
        .as_array()
        .and_then(|changes| changes.iter().find(|change| change["address"] == ADDRESS))
        .expect("the plan has the server");
    assert_eq!(
        change["change"]["after"]["resolved_packages"],
        json!({"tiny-tools": "1.0.0"})
    );
}

#[test]
fn the_same_lock_gives_the_same_code_in_two_places() {
    let local = LocalAws::start();
    let index = Index::with([Server::new("tiny-tools", "1.0.0")]);
    let first = Workspace::new(&local, Some(&index), LOCKED);
    first.apply().succeeded();
    let lock = first.resource(ADDRESS)["lock"]
        .as_str()
        .expect("a lock")
        .to_owned();
    let mut second = Workspace::new(
        &local,
        Some(&index),
        r#"
        resource "mcplambda_server" "tools" {
          name    = "other"
          command = "uvx"
          args    = ["tiny-tools"]
          lock    = file("tools.lock")
        }
        "#,
    );
    second.file("tools.lock", &lock);
    let cache = second.path("empty-cache");
    second.set("UV_CACHE_DIR", &cache.display().to_string());
    second.apply().succeeded();
    assert_eq!(
        first.resource(ADDRESS)["code_sha256"],
        second.resource(ADDRESS)["code_sha256"]
    );
}
