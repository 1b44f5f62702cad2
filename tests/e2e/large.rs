//! Packages that are too large for a request to Lambda: they go through a bucket, in which nothing stays.

use serde_json::json;

use crate::custom::SHELL;
use crate::harness::aws::{Aws, REGION};
use crate::harness::local_aws::LocalAws;
use crate::harness::workspace::Workspace;
use crate::kill::{APPLY, Point, killed_at};

const ADDRESS: &str = "mcplambda_server.large";
const FUNCTION: &str = "mcp-server-large";
const BUCKET: &str = "my-artifacts";
/// Bytes that no zip makes smaller, and that no request carries.
const NOISE: usize = 53 * 1024 * 1024;

/// A configuration with these lines in the provider's block, and these in the resource's.
fn main(provider: &str, resource: &str) -> String {
    format!(
        r#"
provider "mcplambda" {{
  {provider}
}}
resource "mcplambda_server" "large" {{
  name       = "large"
  command    = "./server"
  args       = ["world"]
  source_dir = "app"
  {resource}
}}
"#
    )
}

fn of_provider() -> String {
    main(&format!("artifact_bucket = \"{BUCKET}\""), "")
}

fn workspace(local: &LocalAws, main: &str) -> Workspace {
    let workspace = Workspace::new(local, None, main);
    std::fs::create_dir_all(workspace.path("app/data")).expect("made");
    workspace.file("app/server", SHELL);
    workspace.file("app/data/greeting.txt", "hello");
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let noise: Vec<u8> = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    })
    .take(NOISE / 8)
    .flatten()
    .collect();
    std::fs::write(workspace.path("app/data/noise.bin"), noise).expect("written");
    workspace
}

/// How often a package was uploaded.
fn uploads(local: &LocalAws) -> usize {
    let calls = local.calls().into_iter();
    calls.filter(|call| call.action == "PutObject").count()
}

#[test]
fn a_large_package_goes_through_the_bucket_and_nothing_stays_in_it() {
    let local = LocalAws::start();
    let aws = Aws::new(&local, REGION);
    aws.make_bucket(BUCKET, false);
    let workspace = workspace(&local, &of_provider());
    workspace.converge();
    assert_eq!((uploads(&local), aws.objects(BUCKET)), (1, vec![]));
    let made = workspace.resource(ADDRESS);
    let arn = made["qualified_arn"].as_str().expect("an ARN");
    let greet = || aws.tool_text(arn, "greet", &json!({}));
    assert_eq!(greet(), "hello world");
    assert!(made["package_size"].as_u64() > Some(NOISE as u64), "{made}");

    workspace.file("app/data/greeting.txt", "good morning");
    workspace.converge();
    assert_eq!(greet(), "good morning world");
    assert_eq!((uploads(&local), aws.objects(BUCKET)), (2, vec![]));

    // The command line is no part of the package.
    workspace.write(&of_provider().replace("world", "moon"));
    workspace.converge();
    assert_eq!(greet(), "good morning moon");
    assert_eq!(uploads(&local), 2);

    // Nor is the bucket.
    let version = workspace.resource(ADDRESS)["version"].clone();
    local.clear_calls();
    let other = format!("artifact_bucket = \"{BUCKET}\"");
    workspace.write(&main("", &other).replace("world", "moon"));
    workspace.plan().changes(&[(ADDRESS, "update")]);
    workspace.converge();
    assert_eq!(local.changes(), Vec::<String>::new());
    assert_eq!(workspace.resource(ADDRESS)["version"], version);

    workspace.destroy().succeeded();
    assert_eq!(aws.everything(), Vec::<String>::new());
    assert_eq!(aws.objects(BUCKET), Vec::<String>::new());
}

#[test]
fn a_small_package_goes_in_the_request_though_there_is_a_bucket() {
    let local = LocalAws::start();
    let aws = Aws::new(&local, REGION);
    aws.make_bucket(BUCKET, false);
    let workspace = workspace(&local, &of_provider());
    std::fs::remove_file(workspace.path("app/data/noise.bin")).expect("removed");
    workspace.converge();
    assert_eq!(uploads(&local), 0);
    workspace.destroy().succeeded();
}

#[test]
fn without_a_bucket_that_lambda_can_use_nothing_is_changed() {
    let local = LocalAws::start();
    let aws = Aws::new(&local, REGION);
    Aws::new(&local, "us-west-2").make_bucket("elsewhere", false);
    let workspace = workspace(&local, &main("", ""));
    local.clear_calls();
    let error = workspace.apply().error();
    assert_eq!(
        (error.summary.as_str(), error.line.as_str()),
        ("Package too large", r#"source_dir = "app""#)
    );
    for part in [
        "bytes zipped, over Lambda's limit of 52330494 bytes for a zip in a request. The largest in it (unzipped bytes): data/noise.bin (55574528)",
        "Ways out: set `artifact_bucket` to an S3 bucket in the function's region, leave out what the server does not need with `source_excludes`",
        "or build a container image and run that",
    ] {
        assert!(error.detail.contains(part), "{}", error.detail);
    }
    for (bucket, detail) in [
        (
            "missing",
            "There is no S3 bucket named missing; create it in eu-central-1, or name another one in artifact_bucket.",
        ),
        (
            "elsewhere",
            "The S3 bucket elsewhere is in us-west-2, and Lambda in eu-central-1 takes code only from buckets in eu-central-1; name one there in \
             artifact_bucket.",
        ),
    ] {
        let line = format!("artifact_bucket = \"{bucket}\"");
        workspace.write(&main("", &line));
        let error = workspace.apply().error();
        assert_eq!(
            (error.summary.as_str(), error.detail.as_str(), error.line),
            ("Could not create the server", detail, line)
        );
    }
    assert_eq!(local.changes(), Vec::<String>::new());
    assert_eq!(aws.everything(), Vec::<String>::new());
}

#[test]
fn what_killed_runs_leave_in_the_bucket_is_used_or_removed_by_the_next_one() {
    let local = LocalAws::start();
    let aws = Aws::new(&local, REGION);
    aws.make_bucket(BUCKET, true);
    let workspace = workspace(&local, &of_provider());
    let point = |action: &str| Point {
        service: "lambda".to_owned(),
        action: action.to_owned(),
        nth: 1,
    };
    killed_at(
        &local,
        &workspace,
        &APPLY,
        &point("CreateFunction"),
        "before",
    );
    assert_eq!(aws.objects(BUCKET).len(), 1);
    workspace.converge();
    assert_eq!((uploads(&local), aws.objects(BUCKET)), (1, vec![]));

    // Lambda has the new code, and nobody knows.
    workspace.file("app/data/greeting.txt", "good evening");
    killed_at(
        &local,
        &workspace,
        &APPLY,
        &point("UpdateFunctionCode"),
        "after",
    );
    assert_eq!(aws.objects(BUCKET).len(), 1);
    workspace.apply().repaired();
    assert_eq!((uploads(&local), aws.objects(BUCKET)), (2, vec![]));
    let made = workspace.resource(ADDRESS);
    let arn = made["qualified_arn"].as_str().expect("an ARN");
    assert_eq!(
        aws.tool_text(arn, "greet", &json!({})),
        "good evening world"
    );

    // The one that is killed now is the last that sends anything.
    workspace.file("app/data/greeting.txt", "good night");
    killed_at(
        &local,
        &workspace,
        &APPLY,
        &point("UpdateFunctionCode"),
        "before",
    );
    assert_eq!(aws.objects(BUCKET).len(), 1);
    workspace.destroy().succeeded();
    assert_eq!(aws.everything(), Vec::<String>::new());
    assert_eq!(aws.objects(BUCKET), Vec::<String>::new());
}

#[test]
fn a_function_whose_package_came_through_the_bucket_is_imported() {
    let local = LocalAws::start();
    let aws = Aws::new(&local, REGION);
    aws.make_bucket(BUCKET, false);
    let first = workspace(&local, &of_provider());
    first.apply().succeeded();
    let second = workspace(&local, &of_provider());
    let run = second.run(&["import", "-no-color", ADDRESS, FUNCTION]);
    assert_eq!(run.status, 0, "{}", run.output);
    second.plan().is_empty();
}
