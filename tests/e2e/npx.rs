//! Servers published as npm packages, from a command line of `npx` to a tool call that answers.

use serde_json::{Value, json};

use crate::harness::aws::{Aws, REGION};
use crate::harness::local_aws::LocalAws;
use crate::harness::workspace::Workspace;
use crate::npm_registry::{Package, Registry};

const ADDRESS: &str = "mcplambda_server.tools";

/// An MCP server of one file: tools `echo` and `about`.
const SERVER: &str = r#"#!/usr/bin/env node
const lines = require('node:readline').createInterface({ input: process.stdin });
const { name, version } = require('./package.json');
const object = { type: 'object' };
const tools = [
  { name: 'echo', description: 'Returns its arguments.', inputSchema: object },
  { name: 'about', description: 'Says what runs.', inputSchema: object },
];
const about = () => ({
  server: `${name} ${version}`, node: process.version.split('.')[0], args: process.argv.slice(2),
  cache: process.env.NODE_COMPILE_CACHE ?? null, path: process.argv[1],
});
const answers = {
  initialize: (params) => ({ protocolVersion: params.protocolVersion, capabilities: { tools: {} }, serverInfo: { name, version } }),
  ping: () => ({}),
  'tools/list': () => ({ tools }),
  'tools/call': (params) => ({ content: [{ type: 'text', text: JSON.stringify(params.name === 'echo' ? params.arguments : about()) }] }),
};
lines.on('line', (line) => {
  const { id, method, params } = JSON.parse(line);
  if (id === undefined) return;
  const answer = answers[method];
  const reply = answer ? { result: answer(params ?? {}) } : { error: { code: -32601, message: 'Method not found' } };
  console.log(JSON.stringify({ jsonrpc: '2.0', id, ...reply }));
});
"#;

fn server(name: &str, version: &str) -> Package {
    Package::new(name, version)
        .bin("tiny-tools", "./server.js")
        .file("server.js", SERVER)
}

fn workspace(local: &LocalAws, registry: &Registry, main: &str) -> Workspace {
    let mut workspace = Workspace::new(local, None, main);
    workspace.file(".npmrc", &format!("registry={}\n", registry.url()));
    workspace.set("npm_config_fetch_retries", "0");
    workspace
}

fn about(local: &LocalAws, workspace: &Workspace) -> Value {
    let aws = Aws::new(local, REGION);
    let server = workspace.resource(ADDRESS);
    let arn = server["qualified_arn"].as_str().expect("an ARN");
    serde_json::from_str(&aws.tool_text(arn, "about", &json!({}))).expect("JSON")
}

#[test]
fn the_example_of_a_public_server_from_npm_answers() {
    let local = LocalAws::start();
    let workspace = Workspace::new(&local, None, "");
    // It says itself which provider it needs.
    std::fs::remove_file(workspace.path("terraform.tf")).expect("there");
    workspace.write(include_str!("../../examples/npx/main.tf"));
    workspace.converge();
    let server = workspace.resource("mcplambda_server.everything");
    assert_eq!(server["runtime"], "nodejs22.x");
    let tools = server["tools"].as_array().expect("a list");
    assert!(tools.iter().any(|tool| tool["name"] == "echo"), "{tools:?}");
    let aws = Aws::new(&local, REGION);
    let arn = server["qualified_arn"].as_str().expect("an ARN");
    assert_eq!(
        aws.tool_text(arn, "echo", &json!({"message": "hello"})),
        "Echo: hello"
    );
    assert!(
        server["resolved_packages"]["@modelcontextprotocol/server-everything"].is_string(),
        "{}",
        server["resolved_packages"]
    );
    workspace.destroy().succeeded();
    assert_eq!(aws.everything(), Vec::<String>::new());
}

const LOCKED: &str = r#"
data "mcplambda_package" "tools" {
  command = "npx"
  args    = ["@team/server"]
}
resource "mcplambda_server" "tools" {
  name    = "tools"
  command = "npx"
  args    = ["@team/server", "--root", "/tmp"]
  lock    = data.mcplambda_package.tools.lock
}
"#;

#[test]
fn a_saved_plan_installs_what_was_planned_in_another_directory_with_an_empty_cache() {
    let local = LocalAws::start();
    let registry = Registry::with([
        Package::new("left", "1.0.0"),
        server("@team/server", "1.0.0").needs("left", "^1.0.0"),
    ]);
    let planner = workspace(&local, &registry, LOCKED);
    let mut applier = workspace(&local, &registry, LOCKED);
    planner
        .run(&["plan", "-json", "-out=saved.tfplan"])
        .succeeded();
    std::fs::copy(planner.path("saved.tfplan"), applier.path("saved.tfplan")).expect("copied");
    registry.release(&Package::new("left", "1.5.0"));
    registry.release(&server("@team/server", "2.0.0"));
    let cache = applier.path("empty-cache");
    applier.set("XDG_CACHE_HOME", &cache.display().to_string());
    applier.run(&["apply", "-json", "saved.tfplan"]).succeeded();
    let tarballs = std::fs::read_dir(cache.join("mcplambda/npm-tarballs"));
    let tarballs = tarballs.expect("the applier's own cache").count();
    assert_eq!(tarballs, 2);
    assert_eq!(
        applier.resource(ADDRESS)["resolved_packages"],
        json!({"@team/server": "1.0.0", "left": "1.0.0"})
    );
    assert_eq!(
        about(&local, &applier),
        json!({
            "server": "@team/server 1.0.0", "node": "v22", "args": ["--root", "/tmp"], "cache": null,
            "path": "/var/task/node_modules/@team/server/server.js",
        })
    );
}

#[test]
fn another_program_of_the_same_package_is_started_with_the_same_lock() {
    let local = LocalAws::start();
    let twin = server("twin", "1.0.0")
        .bin("other-tools", "./other.js")
        .file("other.js", SERVER);
    let registry = Registry::with([twin]);
    let program = |name: &str| {
        format!(
            r#"
            resource "mcplambda_server" "tools" {{
              name    = "tools"
              command = "npx"
              args    = ["-p", "twin", "{name}"]
            }}
            "#
        )
    };
    let workspace = workspace(&local, &registry, &program("tiny-tools"));
    workspace.converge();
    let lock = workspace.resource(ADDRESS)["lock"].clone();
    registry.release(&server("twin", "1.1.0"));
    assert_eq!(
        about(&local, &workspace)["path"],
        "/var/task/node_modules/twin/server.js"
    );
    workspace.write(&program("other-tools"));
    workspace.converge();
    assert_eq!(
        about(&local, &workspace)["path"],
        "/var/task/node_modules/twin/other.js"
    );
    assert_eq!(workspace.resource(ADDRESS)["lock"], lock);
}

#[test]
fn the_other_architecture_and_runtime_get_what_is_made_for_them() {
    let local = LocalAws::start();
    let of = |cpu: &str| {
        let name = format!("@fast/linux-{cpu}");
        let package = Package::new(&name, "1.0.0").set("cpu", json!([cpu]));
        package.set("os", json!(["linux"]))
    };
    let newer = server("tiny", "1.0.0")
        .may_need("@fast/linux-x64", "1")
        .may_need("@fast/linux-arm64", "1")
        .set("engines", json!({"node": ">=24"}));
    let registry = Registry::with([of("x64"), of("arm64"), newer]);
    // Nothing here runs such a function.
    let workspace = workspace(
        &local,
        &registry,
        r#"
        resource "mcplambda_server" "tools" {
          name         = "tools"
          command      = "npx"
          args         = ["-y", "tiny"]
          architecture = "arm64"
          runtime      = "nodejs24.x"
          verify       = false
        }
        "#,
    );
    workspace.converge();
    assert_eq!(
        workspace.resource(ADDRESS)["resolved_packages"],
        json!({"@fast/linux-arm64": "1.0.0", "tiny": "1.0.0"})
    );
    let aws = Aws::new(&local, REGION);
    let made = aws.configuration("mcp-server-tools");
    assert_eq!(
        (
            made.runtime.map(|runtime| runtime.as_str().to_owned()),
            made.architectures
                .unwrap_or_default()
                .iter()
                .map(|architecture| architecture.as_str().to_owned())
                .collect::<Vec<_>>()
        ),
        (Some("nodejs24.x".to_owned()), vec!["arm64".to_owned()])
    );
}

#[test]
fn without_a_lock_the_state_pins_what_the_first_apply_resolved() {
    let local = LocalAws::start();
    let registry = Registry::with([server("tiny", "1.0.0")]);
    let main = |more: &str| {
        format!(
            "resource \"mcplambda_server\" \"tools\" {{\n  name    = \"tools\"\n  command = \"npx\"\n  \
             args    = [\"-y\", \"tiny\"]\n{more}}}\n"
        )
    };
    let workspace = workspace(&local, &registry, &main(""));
    workspace.converge();
    registry.release(&server("tiny", "2.0.0"));
    workspace.plan().is_empty();
    assert_eq!(about(&local, &workspace)["server"], "tiny 1.0.0");
    workspace.write(&main(
        "  auto_upgrade = true\n  process_scope = \"invocation\"\n",
    ));
    workspace.converge();
    let seen = about(&local, &workspace);
    assert_eq!(
        (&seen["server"], &seen["cache"]),
        (&json!("tiny 2.0.0"), &json!("/tmp/.node-compile-cache"))
    );
}

#[test]
fn scripts_that_are_not_run_are_a_warning_until_the_configuration_says_so() {
    let local = LocalAws::start();
    let scripted = server("tiny", "1.0.0").script(
        "postinstall",
        "node -e \"require('fs').writeFileSync('made.js', '')\"",
    );
    let registry = Registry::with([scripted]);
    let main = |more: &str| {
        format!(
            "resource \"mcplambda_server\" \"tools\" {{\n  name    = \"tools\"\n  command = \"npx\"\n  \
             args    = [\"tiny\"]\n{more}}}\n"
        )
    };
    let workspace = workspace(&local, &registry, &main(""));
    let run = workspace.run(&["plan", "-json"]);
    let said: Vec<_> = run
        .diagnostics
        .iter()
        .map(|said| (said.severity.as_str(), said.summary.as_str()))
        .collect();
    assert_eq!(
        (run.status, said),
        (0, vec![("warning", "Install scripts not run")])
    );
    assert!(run.diagnostics[0].detail.contains("tiny@1.0.0"), "{run:?}");
    workspace.write(&main("  allow_scripts = []\n"));
    workspace.converge();
    let without = workspace.resource(ADDRESS)["code_sha256"].clone();
    workspace.write(&main("  allow_scripts = [\"tiny\"]\n"));
    workspace.converge();
    assert_ne!(workspace.resource(ADDRESS)["code_sha256"], without);
}
