//! Node servers of the user's own: a folder with a script, its package.json and its lock file.

use serde_json::json;

use crate::harness::aws::{Aws, REGION};
use crate::harness::local_aws::LocalAws;
use crate::harness::workspace::Workspace;
use crate::npm_registry::{Package, Registry};

const ADDRESS: &str = "mcplambda_server.script";

/// An MCP server as a module; its tool `about` says what `lib` it found.
const MODULE: &str = r#"import { createInterface } from 'node:readline';
import lib from 'lib';
const about = { name: 'about', description: 'Says what runs.', inputSchema: { type: 'object' } };
const answers = {
  initialize: (params) => ({ protocolVersion: params.protocolVersion, capabilities: { tools: {} }, serverInfo: { name: 'script', version: '1' } }),
  ping: () => ({}),
  'tools/list': () => ({ tools: [about] }),
  'tools/call': () => ({ content: [{ type: 'text', text: [lib, process.version.split('.')[0], ...process.argv.slice(2)].join() }] }),
};
for await (const line of createInterface({ input: process.stdin })) {
  const { id, method, params } = JSON.parse(line);
  if (id === undefined) continue;
  const answer = answers[method];
  const reply = answer ? { result: answer(params ?? {}) } : { error: { code: -32601, message: 'Method not found' } };
  console.log(JSON.stringify({ jsonrpc: '2.0', id, ...reply }));
}
"#;

const MAIN: &str = r#"
resource "mcplambda_server" "script" {
  name       = "script"
  command    = "node"
  args       = ["dist/server.js", "--quiet"]
  source_dir = "app"
}
"#;

/// package.json and package-lock.json of a module that needs this release.
fn files(lib: &Package) -> [(&'static str, String); 2] {
    let manifest = json!({"type": "module", "dependencies": {"lib": lib.version}});
    let lock = json!({
        "lockfileVersion": 3,
        "packages": {
            "": manifest,
            "node_modules/lib": {
                "version": lib.version, "integrity": lib.integrity(),
                "resolved": format!("https://registry.example/lib/-/lib-{}.tgz", lib.version),
            },
        },
    });
    [
        ("app/package.json", manifest.to_string()),
        ("app/package-lock.json", lock.to_string()),
    ]
}

fn workspace(local: &LocalAws, registry: &Registry, lib: &Package) -> Workspace {
    let mut workspace = Workspace::new(local, None, MAIN);
    workspace.file(".npmrc", &format!("registry={}\n", registry.url()));
    workspace.set("npm_config_fetch_retries", "0");
    std::fs::create_dir_all(workspace.path("app/dist")).expect("made");
    workspace.file("app/dist/server.js", MODULE);
    for (name, text) in files(lib) {
        workspace.file(name, &text);
    }
    workspace
}

#[test]
fn a_node_script_runs_with_what_its_lock_file_says() {
    let local = LocalAws::start();
    let aws = Aws::new(&local, REGION);
    let [first, second] = ["1.0.0", "2.0.0"].map(|version| Package::new("lib", version));
    let registry = Registry::with([first.clone(), second.clone()]);
    let workspace = workspace(&local, &registry, &first);
    // Of the machine at hand, and of another release.
    std::fs::create_dir_all(workspace.path("app/node_modules/lib")).expect("made");
    workspace.file(
        "app/node_modules/lib/index.js",
        "module.exports = 'other';\n",
    );
    workspace.converge();
    let made = workspace.resource(ADDRESS);
    assert_eq!(made["runtime"], "nodejs22.x");
    assert_eq!(made["resolved_packages"], json!({"lib": "1.0.0"}));
    let arn = made["qualified_arn"].as_str().expect("an ARN");
    let about = || aws.tool_text(arn, "about", &json!({}));
    assert_eq!(about(), "lib 1.0.0,v22,--quiet");

    // Whatever is installed there for development.
    workspace.file(
        "app/node_modules/lib/index.js",
        "module.exports = 'another';\n",
    );
    workspace.plan().is_empty();

    let [manifest, lock] = files(&second);
    workspace.file(manifest.0, &manifest.1);
    let error = workspace.plan().error();
    assert_eq!(
        (
            error.summary.as_str(),
            error.line.as_str(),
            error.detail.as_str()
        ),
        (
            "Invalid server",
            r#"source_dir = "app""#,
            "Source_dir: `package-lock.json` in it does not fit `package.json`: that asks for `lib` as `2.0.0`, and the lock has 1.0.0. Run `npm \
             install --package-lock-only` in the folder."
        )
    );
    workspace.file(lock.0, &lock.1);
    workspace.converge();
    assert_eq!(about(), "lib 2.0.0,v22,--quiet");

    let imported = Workspace::new(&local, None, MAIN);
    std::fs::create_dir_all(imported.path("app/dist")).expect("made");
    imported.file("app/dist/server.js", MODULE);
    for (name, text) in files(&second) {
        imported.file(name, &text);
    }
    let run = imported.run(&["import", "-no-color", ADDRESS, "mcp-server-script"]);
    assert_eq!(run.status, 0, "{}", run.output);
    imported.plan().is_empty();
    let (deployed, seen) = (workspace.resource(ADDRESS), imported.resource(ADDRESS));
    for attribute in ["source_hash", "lock", "resolved_packages", "sbom_json"] {
        assert_eq!(seen[attribute], deployed[attribute], "{attribute}");
    }
    workspace.destroy().succeeded();
    assert_eq!(aws.everything(), Vec::<String>::new());
}
