//! Servers of the user's own: a folder with a program, or with a script and what it requires.

use serde_json::json;

use crate::harness::aws::{Aws, REGION};
use crate::harness::index::Index;
use crate::harness::local_aws::LocalAws;
use crate::harness::mcp_server::Server;
use crate::harness::workspace::Workspace;

/// An MCP server in shell: one line in, one line out.
pub(crate) const SHELL: &str = r#"#!/bin/sh
while read -r line; do
  id=$(printf '%s\n' "$line" | sed -nE 's/.*"id": ?([0-9]+|"[^"]*").*/\1/p')
  [ -n "$id" ] || continue
  case $line in
    *'"initialize"'*) result='{"protocolVersion":"2025-06-18","capabilities":{"tools":{}},"serverInfo":{"name":"shell","version":"1"}}' ;;
    *'"tools/list"'*) result='{"tools":[{"name":"greet","description":"Greets.","inputSchema":{"type":"object"}}]}' ;;
    *'"tools/call"'*) result='{"content":[{"type":"text","text":"'"$(cat data/greeting.txt) $1"'"}],"isError":false}' ;;
    *) printf '{"jsonrpc":"2.0","id":%s,"error":{"code":-32601,"message":"Method not found"}}\n' "$id"; continue ;;
  esac
  printf '{"jsonrpc":"2.0","id":%s,"result":%s}\n' "$id" "$result"
done
"#;

const SHELL_MAIN: &str = r#"
resource "mcplambda_server" "shell" {
  name            = "shell"
  command         = "./server"
  args            = ["world"]
  source_dir      = "${path.module}/app"
  source_excludes = ["*.log"]
}
"#;

/// A workspace whose folder `app` holds these files.
fn workspace(
    local: &LocalAws,
    index: Option<&Index>,
    main: &str,
    files: &[(&str, &str)],
) -> Workspace {
    let workspace = Workspace::new(local, index, main);
    for (name, text) in files {
        let path = workspace.path("app").join(name);
        let parent = path.parent().expect("it lies in `app`");
        std::fs::create_dir_all(parent).expect("made");
        std::fs::write(path, text).expect("written");
    }
    workspace
}

const SHELL_FILES: [(&str, &str); 3] = [
    ("server", SHELL),
    ("data/greeting.txt", "hello"),
    ("debug.log", "1"),
];

#[test]
fn a_program_of_the_users_own_runs_on_the_plain_runtime() {
    let local = LocalAws::start();
    let aws = Aws::new(&local, REGION);
    let workspace = workspace(&local, None, SHELL_MAIN, &SHELL_FILES);
    workspace.converge();

    let made = workspace.resource("mcplambda_server.shell");
    assert_eq!(made["runtime"], "provided.al2023");
    assert_eq!(made["lock"], json!(null));
    assert_eq!(made["sbom_json"], json!(null));
    assert_eq!(made["resolved_packages"], json!({}));
    assert_eq!(made["verification"]["server_name"], "shell");
    let arn = made["qualified_arn"].as_str().expect("an ARN");
    let greet = || aws.tool_text(arn, "greet", &json!({}));
    assert_eq!(greet(), "hello world");
    let variables = aws.configuration("mcp-server-shell").environment;
    let variables = variables.and_then(|environment| environment.variables);
    let names: Vec<_> = variables.unwrap_or_default().into_keys().collect();
    assert_eq!(names, ["MCPLAMBDA_SERVER"]);

    // What is left out is not looked at.
    workspace.file("app/debug.log", "2");
    workspace.plan().is_empty();

    workspace.file("app/data/greeting.txt", "good morning");
    workspace
        .plan()
        .changes(&[("mcplambda_server.shell", "update")]);
    workspace.converge();
    assert_eq!(greet(), "good morning world");
    let changed = workspace.resource("mcplambda_server.shell");
    assert_ne!(changed["source_hash"], made["source_hash"]);
    assert_ne!(changed["code_sha256"], made["code_sha256"]);

    // The command line is no part of the package.
    workspace.write(&SHELL_MAIN.replace("world", "moon"));
    workspace.converge();
    assert_eq!(greet(), "good morning moon");
    let again = workspace.resource("mcplambda_server.shell");
    assert_eq!(again["code_sha256"], changed["code_sha256"]);

    workspace.destroy().succeeded();
    assert_eq!(aws.everything(), Vec::<String>::new());
}

#[test]
fn a_program_of_the_users_own_is_imported_with_its_files() {
    let local = LocalAws::start();
    let first = workspace(&local, None, SHELL_MAIN, &SHELL_FILES);
    first.apply().succeeded();
    let second = workspace(&local, None, SHELL_MAIN, &SHELL_FILES);
    let run = second.run(&[
        "import",
        "-no-color",
        "mcplambda_server.shell",
        "mcp-server-shell",
    ]);
    assert_eq!(run.status, 0, "{}", run.output);
    second.plan().is_empty();
    let (made, imported) = (
        first.resource("mcplambda_server.shell"),
        second.resource("mcplambda_server.shell"),
    );
    for attribute in ["source_dir", "source_excludes", "source_hash", "lock"] {
        assert_eq!(imported[attribute], made[attribute], "{attribute}");
    }
}

#[test]
fn a_folder_by_its_absolute_path_is_the_same_on_every_machine() {
    let local = LocalAws::start();
    let absolute = SHELL_MAIN.replace("${path.module}/app", "${abspath(path.module)}/app");
    let first = workspace(&local, None, &absolute, &SHELL_FILES);
    first.converge();
    let deployed = first.resource("mcplambda_server.shell");
    let path = first.path("app").display().to_string();
    assert_eq!(deployed["source_dir"], path);

    let second = workspace(&local, None, &absolute, &SHELL_FILES);
    std::fs::copy(
        first.path("terraform.tfstate"),
        second.path("terraform.tfstate"),
    )
    .expect("copied");
    second.plan().is_empty();
    second.file("app/data/greeting.txt", "good evening");
    second.converge();
    let changed = second.resource("mcplambda_server.shell");
    assert_eq!(changed["source_dir"], path);
    let arn = changed["qualified_arn"].as_str().expect("an ARN");
    let aws = Aws::new(&local, REGION);
    assert_eq!(
        aws.tool_text(arn, "greet", &json!({})),
        "good evening world"
    );

    let third = workspace(&local, None, &absolute, &SHELL_FILES);
    third.file("app/data/greeting.txt", "good evening");
    let address = "mcplambda_server.shell";
    let run = third.run(&["import", "-no-color", address, "mcp-server-shell"]);
    assert_eq!(run.status, 0, "{}", run.output);
    third.plan().is_empty();
    assert_eq!(third.resource(address)["source_dir"], "/");
}

const SCRIPT_MAIN: &str = r#"
resource "mcplambda_server" "script" {
  name       = "script"
  command    = "python3"
  args       = ["main.py"]
  source_dir = "app"
}
"#;

#[test]
fn a_python_script_runs_with_what_its_folder_requires() {
    let local = LocalAws::start();
    let aws = Aws::new(&local, REGION);
    let index = Index::with([Server::new("tiny-library", "1.0.0")]);
    let workspace = workspace(
        &local,
        Some(&index),
        SCRIPT_MAIN,
        &[
            ("main.py", "import tiny_library\n\ntiny_library.main()\n"),
            ("requirements.txt", "tiny-library<3\n"),
        ],
    );
    workspace.converge();
    let made = workspace.resource("mcplambda_server.script");
    assert_eq!(made["runtime"], "python3.13");
    assert_eq!(made["resolved_packages"], json!({"tiny-library": "1.0.0"}));
    let arn = made["qualified_arn"].as_str().expect("an ARN");
    assert_eq!(aws.tool_text(arn, "version", &json!({})), "1.0.0");

    // The state pins what was resolved, until the folder asks for something else.
    index.release(&Server::new("tiny-library", "2.0.0"));
    workspace.plan().is_empty();
    workspace.file("app/requirements.txt", "tiny-library==2.0.0\n");
    workspace.converge();
    assert_eq!(aws.tool_text(arn, "version", &json!({})), "2.0.0");

    workspace.file("app/requirements.txt", "tiny-library==3.0.0\n");
    let error = workspace.plan().error();
    assert_eq!(
        (error.summary.as_str(), error.line.as_str()),
        ("Packages cannot be resolved", r#"source_dir = "app""#)
    );
    assert!(error.detail.contains("tiny-library"), "{}", error.detail);
}

#[test]
fn a_script_is_imported_with_its_lock_and_its_files() {
    let local = LocalAws::start();
    let index = Index::with([Server::new("tiny-library", "1.0.0")]);
    let files = [
        ("main.py", "import tiny_library\n\ntiny_library.main()\n"),
        ("requirements.txt", "tiny-library<3\n"),
    ];
    let first = workspace(&local, Some(&index), SCRIPT_MAIN, &files);
    first.apply().succeeded();
    index.release(&Server::new("tiny-library", "2.0.0"));
    let second = workspace(&local, Some(&index), SCRIPT_MAIN, &files);
    let run = second.run(&[
        "import",
        "-no-color",
        "mcplambda_server.script",
        "mcp-server-script",
    ]);
    assert_eq!(run.status, 0, "{}", run.output);
    second.plan().is_empty();
    let (made, imported) = (
        first.resource("mcplambda_server.script"),
        second.resource("mcplambda_server.script"),
    );
    for attribute in ["source_hash", "lock", "resolved_packages", "sbom_json"] {
        assert_eq!(imported[attribute], made[attribute], "{attribute}");
    }
}

#[test]
fn files_that_change_between_plan_and_apply_are_not_deployed() {
    let local = LocalAws::start();
    let aws = Aws::new(&local, REGION);
    let held = r#"
        data "mcplambda_package" "shell" {
          command    = "./server"
          source_dir = "app"
        }
        resource "mcplambda_server" "shell" {
          name        = "shell"
          command     = "./server"
          source_dir  = "app"
          source_hash = data.mcplambda_package.shell.source_hash
        }
    "#;
    let held = workspace(&local, None, held, &SHELL_FILES);
    held.run(&["plan", "-json", "-out=saved.tfplan"])
        .succeeded();
    held.file("app/data/greeting.txt", "good evening");
    let error = held.run(&["apply", "-json", "saved.tfplan"]).error();
    assert_eq!(
        (error.summary.as_str(), error.line.as_str()),
        ("Files changed after the plan", r#"source_dir  = "app""#)
    );
    assert!(
        error
            .detail
            .starts_with("The files of `source_dir` changed between plan and apply")
            && error.detail.contains("Plan again"),
        "{}",
        error.detail
    );
    assert_eq!(aws.everything(), Vec::<String>::new());
    held.converge();

    // Without the data source, this Terraform compares the plans itself.
    let plain = workspace(
        &local,
        None,
        &SHELL_MAIN.replace("\"shell\"\n", "\"plain\"\n"),
        &SHELL_FILES,
    );
    plain
        .run(&["plan", "-json", "-out=saved.tfplan"])
        .succeeded();
    plain.file("app/data/greeting.txt", "good night");
    let error = plain.run(&["apply", "-json", "saved.tfplan"]).error();
    assert!(error.detail.contains(".source_hash"), "{}", error.detail);
    assert!(
        !aws.everything()
            .contains(&"function mcp-server-plain".to_owned())
    );
    let complaints = plain.complaints();
    assert!(
        complaints
            .iter()
            .all(|line| line.contains("inconsistent final plan")),
        "{complaints:?}"
    );
    std::fs::remove_file(plain.path("terraform.log")).expect("there");
}

#[test]
fn a_folder_that_is_not_there_is_told_at_its_attribute() {
    let local = LocalAws::start();
    let workspace = Workspace::new(&local, None, SHELL_MAIN);
    let error = workspace.plan().error();
    assert_eq!(
        (error.summary.as_str(), error.line.as_str()),
        (
            "Invalid server",
            r#"source_dir      = "${path.module}/app""#
        )
    );
    assert!(
        error.detail.contains("there is no folder `./app`"),
        "{}",
        error.detail
    );
}

#[test]
fn the_example_of_a_server_of_ones_own_answers() {
    let local = LocalAws::start();
    let workspace = Workspace::new(
        &local,
        None,
        include_str!("../../examples/own-server/main.tf"),
    );
    std::fs::create_dir(workspace.path("server")).expect("made");
    for (name, text) in [
        (
            "main.py",
            include_str!("../../examples/own-server/server/main.py"),
        ),
        (
            "requirements.txt",
            include_str!("../../examples/own-server/server/requirements.txt"),
        ),
    ] {
        workspace.file(&format!("server/{name}"), text);
    }
    workspace.converge();
    let server = workspace.resource("mcplambda_server.dice");
    let arn = server["qualified_arn"].as_str().expect("an ARN");
    let aws = Aws::new(&local, REGION);
    assert_eq!(
        aws.tool_text(arn, "roll", &json!({"sides": 1, "count": 1})),
        "1"
    );
}

#[test]
fn a_hash_of_no_files_is_refused() {
    let local = LocalAws::start();
    let main = r#"
        resource "mcplambda_server" "shell" {
          name        = "shell"
          command     = "bash"
          args        = ["-c", "exec cat"]
          source_hash = "0000000000000000000000000000000000000000000000000000000000000000"
        }
    "#;
    let error = Workspace::new(&local, None, main).plan().error();
    assert_eq!(
        (error.summary.as_str(), error.detail.as_str()),
        (
            "Hash without files",
            "There is no `source_dir` whose files could have this hash. Set `source_dir`, or remove `source_hash`."
        )
    );
    assert!(
        error.line.starts_with("source_hash"),
        "points at {}",
        error.line
    );
}
