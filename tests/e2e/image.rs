//! A server that is a container image: from `docker run` in a configuration to tools that answer, without Docker.

use std::process::Command;

use serde_json::json;

use crate::harness::aws::{Aws, REGION};
use crate::harness::local_aws::LocalAws;
use crate::harness::workspace::Workspace;
use crate::registry::{TestImage, TestRegistry};

/// An MCP server of a shell's builtins alone: the image holds nothing else.
const SERVER: &str = r#"#!/bin/sh
while read -r line; do
  id=${line#*'"id":'}
  [ "$id" != "$line" ] || continue
  id=${id%%[,\}]*}
  case $line in
    *'"initialize"'*) result='{"protocolVersion":"2025-06-18","capabilities":{"tools":{}},"serverInfo":{"name":"boxed","version":"1"}}' ;;
    *'"tools/list"'*) result='{"tools":[{"name":"greet","description":"Greets.","inputSchema":{"type":"object"}}]}' ;;
    *'"tools/call"'*) result='{"content":[{"type":"text","text":"'"$GREETING $1 in $PWD with $BAKED"'"}],"isError":false}' ;;
    *) printf '{"jsonrpc":"2.0","id":%s,"error":{"code":-32601,"message":"Method not found"}}\n' "$id"; continue ;;
  esac
  printf '{"jsonrpc":"2.0","id":%s,"result":%s}\n' "$id" "$result"
done
"#;

/// `/bin/sh` of this machine and the libraries that it needs, with the server in front.
fn image() -> TestImage {
    let output = Command::new("ldd").arg("/bin/sh").output();
    let output = String::from_utf8(output.expect("ldd runs").stdout).expect("text");
    let libraries = output
        .split_whitespace()
        .filter(|word| word.starts_with('/'));
    let mut image = TestImage::new("amd64", SERVER.as_bytes());
    for path in libraries.chain(["/bin/sh"]) {
        let content = std::fs::read(path).expect("a file of the shell");
        image.files.push((path[1..].to_owned(), content));
    }
    image.settings = json!({
        "Entrypoint": ["/app/server"], "Cmd": ["world"], "WorkingDir": "/app", "Env": ["BAKED=flour", "PATH=/bin"],
    });
    image
}

fn main_of(image: &str, options: &str, args: &str) -> String {
    format!(
        r#"
resource "mcplambda_server" "boxed" {{
  name    = "boxed"
  command = "docker"
  args    = ["run", "-i", "--rm", "-e", "GREETING=hello"{options}, "{image}"{args}]
}}
"#
    )
}

#[test]
fn an_image_runs_as_its_readme_says() {
    let registry = TestRegistry::start();
    let digest = registry.put_image("mcp/boxed", Some("1"), &image());
    let name = format!("{}/mcp/boxed:1", registry.host);
    let local = LocalAws::start();
    let aws = Aws::new(&local, REGION);
    let workspace = Workspace::new(&local, None, &main_of(&name, "", ""));
    workspace.converge();

    let made = workspace.resource("mcplambda_server.boxed");
    assert_eq!(made["package_type"], "Image");
    assert_eq!(made["runtime"], json!(null));
    assert_eq!(
        made["lock"],
        format!("{}/mcp/boxed@{digest}", registry.host)
    );
    assert_eq!(made["verification"]["server_name"], "boxed");
    let arn = made["qualified_arn"].as_str().expect("an ARN");
    let greet = || aws.tool_text(arn, "greet", &json!({}));
    assert_eq!(greet(), "hello world in /app with flour");

    // The command line is no part of the image: nothing is read from its registry, and nothing sent.
    let before = registry.requests().len();
    workspace.write(&main_of(&name, "", ", \"moon\""));
    workspace.converge();
    assert_eq!(greet(), "hello moon in /app with flour");
    let changed = workspace.resource("mcplambda_server.boxed");
    assert_eq!(changed["code_sha256"], made["code_sha256"]);
    assert_eq!(registry.requests().len(), before);

    workspace.write(&main_of(&name, ", \"-w\", \"/\"", ""));
    workspace.converge();
    assert_eq!(greet(), "hello world in / with flour");

    workspace.destroy().succeeded();
    assert_eq!(aws.everything(), Vec::<String>::new());
}

#[test]
fn what_an_image_cannot_be_is_told_before_anything_is_made() {
    let registry = TestRegistry::start();
    registry.put_image("mcp/arm", Some("1"), &TestImage::new("arm64", b"x"));
    let local = LocalAws::start();
    let host = &registry.host;
    let server = |args: &str| {
        format!(
            "resource \"mcplambda_server\" \"boxed\" {{\n  name    = \"boxed\"\n  command = \"docker\"\n  args    = [\"run\", {args}]\n}}\n"
        )
    };
    let workspace = Workspace::new(&local, None, "");
    for (args, phrases) in [
        (
            "\"-e\", \"TOKEN\", \"mcp/x\"".to_owned(),
            ["`-e TOKEN`", "neither `env` nor `secrets`"],
        ),
        (
            "\"-v\", \"/a:/b\", \"mcp/x\"".to_owned(),
            ["`--volume`", "sees no directory of this machine"],
        ),
        (
            format!("\"{host}/mcp/none\""),
            ["/mcp/none:latest` does not exist", "docker login"],
        ),
        (
            format!("\"{host}/mcp/arm:1\""),
            ["is not there for x86_64", "Set architecture = \"arm64\""],
        ),
    ] {
        workspace.write(&server(&args));
        local.clear_calls();
        let error = workspace.apply().error();
        let text = format!("{}\n{}", error.summary, error.detail);
        for phrase in phrases {
            assert!(text.contains(phrase), "{phrase:?} is not in {text:?}");
        }
        assert!(error.line.starts_with("args"), "{:?}: {text}", error.line);
        assert_eq!(local.changes(), Vec::<String>::new());
    }
}
