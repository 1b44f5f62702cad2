//! As `kill.rs`, for a function that is an image: killed where calls are made that a zip has no use for, and right after the push.

use serde_json::json;

use crate::harness::aws::{Aws, REGION};
use crate::harness::local_aws::LocalAws;
use crate::harness::workspace::Workspace;
use crate::image::{image, tags};
use crate::kill::{APPLY, DESTROY, Point, killed_at, recover};
use crate::registry::TestRegistry;

// Those of `kill.rs`, whose recovery this is.
const ADDRESS: &str = "mcplambda_server.tools";
const FUNCTION: &str = "mcp-server-tools";

fn main_of(image: &str) -> String {
    format!(
        "resource \"mcplambda_server\" \"tools\" {{\n  name    = \"tools\"\n  command = \"docker\"\n  args    = [\"run\", \"{image}\"]\n}}\n"
    )
}

/// A registry with one image for each word, and their configurations. The word is what its server says.
fn registry<const N: usize>(words: [&str; N]) -> (TestRegistry, [String; N]) {
    let registry = TestRegistry::start();
    let mains = words.map(|word| {
        let mut image = image();
        image.settings["Cmd"] = json!([word]);
        let digest = registry.put_image("mcp/tools", None, &image);
        main_of(&format!("{}/mcp/tools@{digest}", registry.host))
    });
    (registry, mains)
}

/// The calls of ECR since the last clearing.
fn ecr_calls(local: &LocalAws) -> Vec<String> {
    let calls = local.calls().into_iter();
    let ecr = calls.filter(|call| call.service == "ecr");
    ecr.map(|call| call.action).collect()
}

fn point(service: &str, action: &str) -> Point {
    Point {
        service: service.to_owned(),
        action: action.to_owned(),
        nth: 1,
    }
}

/// The one image that the rule may not have is the one that is served.
fn only_what_is_served_is_kept(aws: &Aws, workspace: &Workspace, point: &Point) {
    let mut tags = tags(aws, FUNCTION);
    tags.retain(|tag| tag.starts_with("keep-"));
    let served = workspace.resource(ADDRESS);
    let served = served["code_sha256"].as_str().expect("a digest");
    assert_eq!(tags, [format!("keep-{served}")], "{point:?}");
}

#[test]
fn the_creation_of_an_image_that_is_killed_is_finished_by_the_next_apply() {
    let local = LocalAws::start();
    let (_registry, [main]) = registry(["world"]);
    let aws = Aws::new(&local, REGION);
    let points = [
        // A repository without its rule; then an image and nothing else; then a function that nobody is served by; then one that serves.
        (point("ecr", "CreateRepository"), "after"),
        (point("iam", "CreateRole"), "before"),
        (point("lambda", "CreateFunction"), "after"),
        (point("ecr", "ListImages"), "before"),
    ];
    for (point, when) in points {
        let workspace = Workspace::new(&local, None, &main);
        killed_at(&local, &workspace, &APPLY, &point, when);
        recover(&workspace, &point);
        only_what_is_served_is_kept(&aws, &workspace, &point);
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
fn an_update_and_a_deletion_of_an_image_that_are_killed_are_finished_by_the_next_run() {
    let local = LocalAws::start();
    let (_registry, mains) = registry(["sun", "moon"]);
    let aws = Aws::new(&local, REGION);
    let workspace = Workspace::new(&local, None, &mains[0]);
    local.clear_calls();
    workspace.apply().succeeded();
    // What the points of a creation are chosen from.
    assert_eq!(
        ecr_calls(&local),
        [
            "DescribeRepositories",
            "CreateRepository",
            "PutLifecyclePolicy",
            "GetAuthorizationToken",
            "ListImages",
        ]
    );
    let said = |word: &str| format!(" {word} in /app with flour");
    let greet = || aws.tool_text(&format!("{FUNCTION}:live"), "greet", &json!({}));
    let points = [
        // Pushed, not used; then not served; then served, with the other still kept.
        (point("lambda", "UpdateFunctionCode"), "before"),
        (point("lambda", "UpdateFunctionCode"), "after"),
        (point("ecr", "BatchDeleteImage"), "before"),
    ];
    let (mut served, mut next) = ("sun", "moon");
    for (point, when) in points {
        let served_before = workspace.resource(ADDRESS)["code_sha256"].clone();
        let kept = format!("keep-{}", served_before.as_str().expect("a digest"));
        workspace.write(&mains[usize::from(next == "moon")]);
        killed_at(&local, &workspace, &APPLY, &point, when);
        assert!(tags(&aws, FUNCTION).contains(&kept), "{point:?}");
        let now = match point.action.as_str() {
            "BatchDeleteImage" => next,
            _ => served,
        };
        assert_eq!(greet(), said(now), "{point:?}");
        recover(&workspace, &point);
        assert_eq!(greet(), said(next), "{point:?}");
        only_what_is_served_is_kept(&aws, &workspace, &point);
        (served, next) = (next, served);
    }

    for when in ["before", "after"] {
        let point = point("ecr", "DeleteRepository");
        killed_at(&local, &workspace, &DESTROY, &point, when);
        workspace.destroy().succeeded();
        assert_eq!(
            aws.everything(),
            Vec::<String>::new(),
            "{point:?} left something"
        );
        if when == "before" {
            workspace.apply().succeeded();
        }
    }
}
