//! The provider is killed at every AWS call in turn: the next run converges, and nothing is orphaned.
//!
//! A fault rule holds the call, the provider is ended with SIGKILL, the rule goes. Then Terraform is run again as a user
//! would run it.

use std::path::Path;

use serde_json::json;

use crate::harness::aws::{Aws, REGION};
use crate::harness::index::Index;
use crate::harness::local_aws::{Call, LocalAws};
use crate::harness::mcp_server::Server;
use crate::harness::prerequisites::tools;
use crate::harness::process;
use crate::harness::workspace::{Run, Workspace, finish};

const ADDRESS: &str = "mcplambda_server.tools";
const FUNCTION: &str = "mcp-server-tools";
const BEFORE: &str = r#"
resource "mcplambda_server" "tools" {
  name                 = "tools"
  command              = "uvx"
  args                 = ["tiny-tools@1.0.0"]
  dead_letter_queue    = true
  reserved_concurrency = 2
  function_url         = { auth_type = "NONE" }
}
"#;
const AFTER: &str = r#"
resource "mcplambda_server" "tools" {
  name                 = "tools"
  command              = "uvx"
  args                 = ["tiny-tools@1.1.0"]
  memory               = 512
  reserved_concurrency = 3
  log_retention_days   = 7
  function_url         = { invoke_mode = "RESPONSE_STREAM" }
  policy_json = jsonencode({
    Version   = "2012-10-17"
    Statement = [{ Effect = "Allow", Action = "s3:GetObject", Resource = "*" }]
  })
}
"#;

/// One call of a run: the how manieth of its action it is.
#[derive(Clone, Debug)]
pub(crate) struct Point {
    pub(crate) service: String,
    pub(crate) action: String,
    pub(crate) nth: usize,
}

/// The calls since the last clearing as kill points. Signing in comes before anything is there to lose, and is
/// the same for every run.
fn points(local: &LocalAws) -> Vec<Point> {
    let calls: Vec<Call> = local
        .calls()
        .into_iter()
        .filter(|call| call.service != "sts")
        .collect();
    let nth = |index: usize| {
        let call = &calls[index];
        calls[..=index]
            .iter()
            .filter(|other| (&other.service, &other.action) == (&call.service, &call.action))
            .count()
    };
    (0..calls.len())
        .map(|index| Point {
            service: calls[index].service.clone(),
            action: calls[index].action.clone(),
            nth: nth(index),
        })
        .collect()
}

/// Runs terraform, kills the provider while `point` is held, and returns how the run ended.
pub(crate) fn killed_at(
    local: &LocalAws,
    workspace: &Workspace,
    arguments: &[&str],
    point: &Point,
    when: &str,
) -> Run {
    let rule = local.hold(&point.service, &point.action, point.nth, when);
    let terraform = workspace.start(arguments);
    local.wait_until_struck(rule);
    let providers = process::descendants(terraform.id(), Path::new(&tools().provider));
    assert_eq!(
        providers.len(),
        1,
        "one provider runs while {point:?} is held"
    );
    process::signal(providers[0], libc::SIGKILL);
    local.clear_faults();
    let run = finish(terraform);
    assert_eq!(
        run.status, 1,
        "{point:?}: terraform notices: {}",
        run.output
    );
    run
}

/// Applies until there is nothing left to do: one more apply, or an import where the killed run had finished the function.
pub(crate) fn recover(workspace: &Workspace, point: &Point) {
    let run = workspace.apply();
    if run.status != 0 {
        let error = run.error();
        assert!(
            error.detail.contains("terraform import"),
            "{point:?}: {error:?}"
        );
        let import = workspace.run(&["import", "-no-color", ADDRESS, FUNCTION]);
        assert_eq!(import.status, 0, "{point:?}: {}", import.output);
    }
    let plan = workspace.plan();
    assert!(
        plan.status == 0 && plan.changes.is_empty(),
        "{point:?}: {}",
        plan.output
    );
}

fn index() -> Index {
    Index::with([
        Server::new("tiny-tools", "1.0.0"),
        Server::new("tiny-tools", "1.1.0"),
    ])
}

pub(crate) const APPLY: [&str; 3] = ["apply", "-json", "-auto-approve"];
pub(crate) const DESTROY: [&str; 3] = ["destroy", "-json", "-auto-approve"];

#[test]
fn a_creation_that_is_killed_anywhere_is_finished_by_the_next_apply() {
    let local = LocalAws::start();
    let index = index();
    let aws = Aws::new(&local, REGION);
    let walk = {
        let workspace = Workspace::new(&local, Some(&index), BEFORE);
        local.clear_calls();
        workspace.apply().succeeded();
        let points = points(&local);
        workspace.destroy().succeeded();
        points
    };
    assert!(walk.len() >= 10, "{walk:?}");
    let last = walk.last().cloned().map(|point| (point, "after"));
    for (point, when) in walk.into_iter().map(|point| (point, "before")).chain(last) {
        let workspace = Workspace::new(&local, Some(&index), BEFORE);
        killed_at(&local, &workspace, &APPLY, &point, when);
        recover(&workspace, &point);
        let destroy = workspace.destroy();
        assert_eq!(destroy.status, 0, "{point:?}: {}", destroy.output);
        assert_eq!(
            aws.everything(),
            Vec::<String>::new(),
            "{point:?} left something"
        );
    }
}

#[test]
fn another_configuration_can_be_applied_after_a_creation_that_was_killed() {
    let local = LocalAws::start();
    let index = index();
    let aws = Aws::new(&local, REGION);
    // After each change, so that every object is there once without its successors.
    for action in [
        "CreateQueue",
        "CreateRole",
        "CreateLogGroup",
        "CreateFunction",
        "PublishVersion",
        "CreateAlias",
    ] {
        let workspace = Workspace::new(&local, Some(&index), BEFORE);
        let service = match action {
            "CreateQueue" => "sqs",
            "CreateRole" => "iam",
            "CreateLogGroup" => "logs",
            _ => "lambda",
        };
        let point = Point {
            service: service.to_owned(),
            action: action.to_owned(),
            nth: 1,
        };
        killed_at(&local, &workspace, &APPLY, &point, "after");
        workspace.write(AFTER);
        let run = workspace.apply();
        if run.status != 0 {
            let import = workspace.run(&["import", "-no-color", ADDRESS, FUNCTION]);
            assert_eq!(import.status, 0, "{point:?}: {}", import.output);
        }
        let run = workspace.apply();
        assert_eq!(run.status, 0, "{point:?}: {}", run.output);
        assert_eq!(workspace.plan().status, 0, "{point:?}");
        workspace.destroy().succeeded();
        assert_eq!(
            aws.everything(),
            Vec::<String>::new(),
            "{point:?} left something"
        );
    }
}

#[test]
fn an_update_that_is_killed_anywhere_is_finished_by_the_next_apply() {
    let local = LocalAws::start();
    let index = index();
    let aws = Aws::new(&local, REGION);
    let workspace = Workspace::new(&local, Some(&index), BEFORE);
    workspace.apply().succeeded();
    workspace.write(AFTER);
    local.clear_calls();
    workspace.apply().succeeded();
    let walk = points(&local);
    assert!(walk.len() >= 10, "{walk:?}");
    let arn = workspace.resource(ADDRESS)["qualified_arn"]
        .as_str()
        .expect("an ARN")
        .to_owned();
    let last = walk.last().cloned().map(|point| (point, "after"));
    for (point, when) in walk.into_iter().map(|point| (point, "before")).chain(last) {
        workspace.write(BEFORE);
        workspace.apply().succeeded();
        workspace.write(AFTER);
        killed_at(&local, &workspace, &APPLY, &point, when);
        // Whatever happened, callers were served by a version that works.
        let served = aws.tool_text(&arn, "version", &json!({}));
        assert!(
            served == "1.0.0" || served == "1.1.0",
            "{point:?}: {served}"
        );
        recover(&workspace, &point);
        assert_eq!(
            aws.tool_text(&arn, "version", &json!({})),
            "1.1.0",
            "{point:?}"
        );
    }
    workspace.destroy().succeeded();
    assert_eq!(aws.everything(), Vec::<String>::new());
}

#[test]
fn a_deletion_that_is_killed_anywhere_is_finished_by_the_next_destroy() {
    let local = LocalAws::start();
    let index = index();
    let aws = Aws::new(&local, REGION);
    let workspace = Workspace::new(&local, Some(&index), BEFORE);
    workspace.apply().succeeded();
    local.clear_calls();
    workspace.destroy().succeeded();
    let walk = points(&local);
    assert!(walk.len() >= 5, "{walk:?}");
    let last = walk.last().cloned().map(|point| (point, "after"));
    for (point, when) in walk.into_iter().map(|point| (point, "before")).chain(last) {
        workspace.apply().succeeded();
        killed_at(&local, &workspace, &DESTROY, &point, when);
        let destroy = workspace.destroy();
        assert_eq!(destroy.status, 0, "{point:?}: {}", destroy.output);
        assert_eq!(
            aws.everything(),
            Vec::<String>::new(),
            "{point:?} left something"
        );
    }
}
