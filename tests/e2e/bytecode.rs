//! Bytecode without being asked for: decided when a package is planned, shown, and the same ever after.

use std::process::Command;

use serde_json::json;

use crate::harness::aws::{Aws, REGION};
use crate::harness::index::Index;
use crate::harness::local_aws::LocalAws;
use crate::harness::mcp_server::Server;
use crate::harness::prerequisites::tools;
use crate::harness::workspace::{Run, Workspace};

const ADDRESS: &str = "mcplambda_server.tools";
const FUNCTION: &str = "mcp-server-tools";

/// The version of the interpreter that is on every workspace's PATH.
fn version() -> String {
    let output = Command::new(tools().venv_bin.join("python3"))
        .args(["-c", "import sys; print('%d.%d' % sys.version_info[:2])"])
        .output()
        .expect("python3 runs");
    String::from_utf8(output.stdout)
        .expect("text")
        .trim()
        .to_owned()
}

/// The server on that version, with these further lines.
fn server(lines: &str) -> String {
    format!(
        "resource \"mcplambda_server\" \"tools\" {{\n  name = \"tools\"\n  command = \"uvx\"\n  runtime = \"python{}\"\n{lines}\n}}\n",
        version()
    )
}

fn index() -> Index {
    Index::with(["1.0.0", "1.1.0", "1.2.0"].map(|version| Server::new("tiny-tools", version)))
}

/// Moves to a machine that has `uv`, and no Python.
fn without_python(workspace: &mut Workspace) {
    let bin = workspace.path("bin");
    std::fs::create_dir_all(&bin).expect("a directory");
    let uv = bin.join("uv");
    if !uv.exists() {
        std::os::unix::fs::symlink(tools().venv_bin.join("uv"), uv).expect("a link");
    }
    workspace.set("PATH", &bin.display().to_string());
}

fn with_python(workspace: &mut Workspace) {
    let path = std::env::var("PATH").unwrap_or_default();
    workspace.set("PATH", &format!("{}:{path}", tools().venv_bin.display()));
}

/// Runs terraform; that the version is an old one of Lambda's is not what is asked here.
fn run(workspace: &Workspace, arguments: &[&str]) -> Run {
    let mut run = workspace.run(arguments);
    run.diagnostics
        .retain(|said| said.summary != "Ageing runtime");
    run
}

fn plan(workspace: &Workspace) -> Run {
    run(workspace, &["plan", "-json", "-detailed-exitcode"])
}

/// Applies, and requires that the next plan is empty.
#[track_caller]
fn converge(workspace: &Workspace) {
    run(workspace, &["apply", "-json", "-auto-approve"]).succeeded();
    plan(workspace).is_empty();
}

/// What a machine without the version says.
fn none_here() -> String {
    let version = version();
    format!(
        "`compile_bytecode` needs a Python {version} on this machine, as `python{version}` is; there is none on PATH, none of pyenv, and none that \
         `uv` knows. Install one (`uv python install {version}`), or set `compile_bytecode = false`: the server then starts later, and no otherwise."
    )
}

#[track_caller]
fn warns_of_bytecode_left_out(run: &Run) {
    let said: Vec<_> = run
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
    let detail = format!(
        "The package in service has its bytecode, and the one that is made next will have none: {}",
        none_here()
    );
    // Terraform plans again inside apply.
    assert!(!said.is_empty(), "{}", run.output);
    for said in said {
        assert_eq!(
            said,
            ("warning", "Package without bytecode", detail.clone())
        );
    }
}

#[test]
fn bytecode_comes_where_its_python_is_at_hand_and_changes_with_new_packages_alone() {
    let (local, index) = (LocalAws::start(), index());
    let pinned = |args: &str| server(&format!("  args = [{args}]"));
    let mut workspace = Workspace::new(&local, Some(&index), &pinned("\"tiny-tools@1.0.0\""));
    converge(&workspace);
    let before = workspace.resource(ADDRESS);
    assert_eq!(before["compile_bytecode"], true);

    // Another machine changes nothing, and needs no Python for what is no part of the package.
    without_python(&mut workspace);
    plan(&workspace).is_empty();
    workspace.write(&pinned("\"tiny-tools@1.0.0\", \"--verbose\""));
    local.clear_calls();
    converge(&workspace);
    let changes = local.changes();
    assert!(
        changes.contains(&"UpdateFunctionConfiguration".to_owned())
            && !changes.contains(&"UpdateFunctionCode".to_owned()),
        "{changes:?}"
    );
    let after = workspace.resource(ADDRESS);
    assert_eq!(after["compile_bytecode"], true);
    assert_eq!(after["code_sha256"], before["code_sha256"]);

    // A package that has to be made there comes without.
    workspace.write(&pinned("\"tiny-tools@1.1.0\""));
    let planned = plan(&workspace);
    planned.changes(&[(ADDRESS, "update")]);
    warns_of_bytecode_left_out(&planned);
    run(&workspace, &["plan", "-json", "-out=saved.tfplan"]);
    let shown = workspace.run(&["show", "-json", "saved.tfplan"]);
    let shown: serde_json::Value = serde_json::from_str(&shown.output).expect("show prints JSON");
    let change = &shown["resource_changes"][0]["change"];
    assert_eq!(
        (
            &change["before"]["compile_bytecode"],
            &change["after"]["compile_bytecode"]
        ),
        (&json!(true), &json!(false))
    );
    let applied = run(&workspace, &["apply", "-json", "saved.tfplan"]);
    assert_eq!(applied.status, 0, "{}", applied.output);
    warns_of_bytecode_left_out(&applied);
    plan(&workspace).is_empty();
    let plain = workspace.resource(ADDRESS);
    assert_eq!(plain["compile_bytecode"], false);

    // Nor does a machine that has one change anything by itself.
    with_python(&mut workspace);
    plan(&workspace).is_empty();
    workspace.write(&pinned("\"tiny-tools@1.1.0\", \"--verbose\""));
    converge(&workspace);
    assert_eq!(
        workspace.resource(ADDRESS)["code_sha256"],
        plain["code_sha256"]
    );
    workspace.write(&pinned("\"tiny-tools@1.2.0\""));
    converge(&workspace);
    let compiled = workspace.resource(ADDRESS);
    assert_eq!(compiled["compile_bytecode"], true);
    let size = |server: &serde_json::Value| server["package_size"].as_i64().expect("a size");
    assert!(size(&compiled) > size(&plain), "{compiled} {plain}");
    let aws = Aws::new(&local, REGION);
    let arn = compiled["qualified_arn"].as_str().expect("an ARN");
    assert_eq!(aws.tool_text(arn, "version", &json!({})), "1.2.0");
}

#[test]
fn a_package_made_without_its_python_stays_without_elsewhere() {
    let (local, index) = (LocalAws::start(), index());
    let main = server("  args = [\"tiny-tools@1.0.0\"]");
    let mut workspace = Workspace::new(&local, Some(&index), &main);
    without_python(&mut workspace);
    converge(&workspace);
    assert_eq!(workspace.resource(ADDRESS)["compile_bytecode"], false);
    with_python(&mut workspace);
    plan(&workspace).is_empty();

    // What is said counts, and stays when it is taken out again.
    workspace.write(&server(
        "  args = [\"tiny-tools@1.0.0\"]\n  compile_bytecode = true",
    ));
    plan(&workspace).changes(&[(ADDRESS, "update")]);
    converge(&workspace);
    assert_eq!(workspace.resource(ADDRESS)["compile_bytecode"], true);
    workspace.write(&main);
    plan(&workspace).is_empty();
    workspace.write(&server(
        "  args = [\"tiny-tools@1.0.0\"]\n  compile_bytecode = false",
    ));
    plan(&workspace).changes(&[(ADDRESS, "update")]);
    converge(&workspace);
    assert_eq!(workspace.resource(ADDRESS)["compile_bytecode"], false);
    without_python(&mut workspace);
    workspace.write(&server(
        "  args = [\"tiny-tools@1.0.0\"]\n  compile_bytecode = true",
    ));
    let error = plan(&workspace).error();
    assert_eq!(
        (error.summary, error.detail, error.line),
        (
            "Packaging tool not usable".to_owned(),
            none_here(),
            "compile_bytecode = true".to_owned()
        )
    );
}

#[test]
fn an_import_takes_over_what_the_package_has() {
    let (local, index) = (LocalAws::start(), index());
    let main = server("  args = [\"tiny-tools@1.0.0\"]");
    let first = Workspace::new(&local, Some(&index), &main);
    converge(&first);
    assert_eq!(first.resource(ADDRESS)["compile_bytecode"], true);
    let mut second = Workspace::new(&local, Some(&index), &main);
    without_python(&mut second);
    let imported = second.run(&["import", "-no-color", ADDRESS, FUNCTION]);
    assert_eq!(imported.status, 0, "{}", imported.output);
    plan(&second).is_empty();
    assert_eq!(second.resource(ADDRESS)["compile_bytecode"], true);
}

#[test]
fn a_plan_with_bytecode_is_not_applied_where_none_can_be_made() {
    let (local, index) = (LocalAws::start(), index());
    let main = server("  args = [\"tiny-tools@1.0.0\"]");
    let mut workspace = Workspace::new(&local, Some(&index), &main);
    run(&workspace, &["plan", "-json", "-out=saved.tfplan"]).succeeded();
    without_python(&mut workspace);
    let error = run(&workspace, &["apply", "-json", "saved.tfplan"]).error();
    // This Terraform does not tell the plan inside apply what the first one decided.
    assert_eq!(error.summary, "Provider produced inconsistent final plan");
    assert!(
        error
            .detail
            .contains(".compile_bytecode: was cty.True, but now cty.False"),
        "{}",
        error.detail
    );
    assert_eq!(Aws::new(&local, REGION).everything(), Vec::<String>::new());
    workspace.file("terraform.log", "");

    workspace.write(&server(
        "  args = [\"tiny-tools@1.0.0\"]\n  compile_bytecode = false",
    ));
    converge(&workspace);
}
