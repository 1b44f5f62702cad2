//! A server that does not work is never served, and says in its own words why.

use serde_json::json;

use crate::harness::aws::{Aws, REGION};
use crate::harness::index::Index;
use crate::harness::local_aws::LocalAws;
use crate::harness::mcp_server::{Behaviour, Server};
use crate::harness::workspace::Workspace;

const ADDRESS: &str = "mcplambda_server.tools";
const FUNCTION: &str = "mcp-server-tools";

fn main(version: &str) -> String {
    format!(
        "resource \"mcplambda_server\" \"tools\" {{\n  name = \"tools\"\n  command = \"uvx\"\n  args = [\"tiny-tools@{version}\"]\n  \
         timeout = 10\n  startup_timeout = 3\n}}\n"
    )
}

/// Creates with a server that fails, and requires that the error holds all of `phrases`.
fn creation_fails(behaviour: Behaviour, phrases: &[&str]) {
    let local = LocalAws::start();
    let index = Index::with([
        Server::new("tiny-tools", "1.0.0").behaving(behaviour),
        Server::new("tiny-tools", "1.1.0"),
    ]);
    let workspace = Workspace::new(&local, Some(&index), &main("1.0.0"));
    let error = workspace.apply().error();
    for phrase in phrases {
        assert!(
            error.detail.contains(phrase),
            "{phrase:?} is not in: {}",
            error.detail
        );
    }
    // Nothing is served, and the next apply with a server that works goes on from here.
    let aws = Aws::new(&local, REGION);
    let alias = aws.run(
        aws.lambda
            .get_alias()
            .function_name(FUNCTION)
            .name("live")
            .send(),
    );
    assert!(alias.is_err(), "{alias:?}");
    workspace.write(&main("1.1.0"));
    workspace.converge();
    workspace.destroy().succeeded();
    assert_eq!(aws.everything(), Vec::<String>::new());
}

#[test]
fn a_server_that_exits_at_once_fails_the_creation_with_its_last_words() {
    creation_fails(
        Behaviour::ExitsAtOnce,
        &["cannot open the database at /data/tools.db"],
    );
}

#[test]
fn a_server_that_hangs_at_start_fails_the_creation_with_its_last_words() {
    creation_fails(Behaviour::Hangs, &["waiting for a license server"]);
}

#[test]
fn a_server_that_prints_garbage_fails_the_creation_with_what_it_printed() {
    creation_fails(Behaviour::PrintsGarbage, &["Welcome to the tools server!"]);
}

#[test]
fn a_release_that_fails_leaves_the_alias_where_it_was() {
    let local = LocalAws::start();
    let index = Index::with([
        Server::new("tiny-tools", "1.0.0"),
        Server::new("tiny-tools", "2.0.0").behaving(Behaviour::ExitsAtOnce),
    ]);
    let workspace = Workspace::new(&local, Some(&index), &main("1.0.0"));
    workspace.converge();
    let aws = Aws::new(&local, REGION);
    let arn = workspace.resource(ADDRESS)["qualified_arn"]
        .as_str()
        .expect("an ARN")
        .to_owned();

    workspace.write(&main("2.0.0"));
    let error = workspace.apply().error();
    assert!(
        error
            .detail
            .contains("cannot open the database at /data/tools.db"),
        "{}",
        error.detail
    );
    assert_eq!(aws.alias(FUNCTION, "live"), "1");
    assert_eq!(aws.tool_text(&arn, "version", &json!({})), "1.0.0");
    // The wish is still open, and going back is always possible.
    workspace.plan().changes(&[(ADDRESS, "update")]);
    workspace.write(&main("1.0.0"));
    workspace.apply().repaired();
    workspace.plan().is_empty();
    assert_eq!(aws.tool_text(&arn, "version", &json!({})), "1.0.0");
}

#[test]
fn without_verify_a_server_is_deployed_unseen() {
    let local = LocalAws::start();
    let index = Index::with([Server::new("tiny-tools", "1.0.0").behaving(Behaviour::ExitsAtOnce)]);
    let workspace = Workspace::new(
        &local,
        Some(&index),
        &main("1.0.0").replace("timeout = 10", "verify = false"),
    );
    workspace.converge();
    let server = workspace.resource(ADDRESS);
    assert_eq!(server["version"], "1");
    assert!(
        server["verification"].is_null(),
        "{}",
        server["verification"]
    );
}
