//! The same server in two regions of one account: IAM is global, and yet they do not meet.

use serde_json::json;

use crate::harness::aws::Aws;
use crate::harness::index::Index;
use crate::harness::local_aws::LocalAws;
use crate::harness::mcp_server::Server;
use crate::harness::workspace::Workspace;

#[test]
fn the_same_server_in_two_regions_has_two_roles_and_goes_one_by_one() {
    let local = LocalAws::start();
    let index = Index::with([Server::new("tiny-tools", "1.0.0")]);
    let one = |label: &str, region: &str| {
        format!(
            "resource \"mcplambda_server\" \"{label}\" {{\n  name = \"tools\"\n  command = \"uvx\"\n  args = [\"tiny-tools\"]\n  \
             region = \"{region}\"\n}}\n"
        )
    };
    let both = format!(
        "{}{}",
        one("here", "eu-central-1"),
        one("there", "us-west-2")
    );
    let workspace = Workspace::new(&local, Some(&index), &both);
    workspace.converge();

    let (here, there) = (
        Aws::new(&local, "eu-central-1"),
        Aws::new(&local, "us-west-2"),
    );
    let roles = [
        "role mcp-server-tools-eu-central-1",
        "role mcp-server-tools-us-west-2",
    ];
    let own = [
        "function mcp-server-tools",
        "log group /aws/lambda/mcp-server-tools",
    ];
    assert_eq!(here.everything(), [&own[..], &roles[..]].concat());
    assert_eq!(there.everything(), [&own[..], &roles[..]].concat());
    let arn = workspace.resource("mcplambda_server.there")["qualified_arn"]
        .as_str()
        .expect("an ARN")
        .to_owned();
    assert!(arn.contains(":us-west-2:"), "{arn}");
    assert_eq!(there.tool_text(&arn, "version", &json!({})), "1.0.0");

    workspace.write(&one("there", "us-west-2"));
    workspace.converge();
    assert_eq!(here.everything(), [roles[1]]);
    assert_eq!(there.tool_text(&arn, "version", &json!({})), "1.0.0");
    workspace.destroy().succeeded();
    assert_eq!(there.everything(), Vec::<String>::new());
}
