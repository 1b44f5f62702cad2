//! Public servers from one HCL block each to an answered call of a tool: those of `tests/servers.toml`.
//!
//! Three of them in every run, one of each kind; all where MCPLAMBDA_SERVERS says `all`, as `make e2e-servers` does, or those whose packages it
//! names. With MCPLAMBDA_UPDATE_DOCS too, what was seen of all of them is written into docs/servers.md.

use std::process::Command;

use serde_json::Value;

use crate::harness::aws::{Aws, REGION};
use crate::harness::local_aws::LocalAws;
use crate::harness::prerequisites::tools;
use crate::harness::public_image::Images;
use crate::harness::public_servers::{self, Kind, Server};
use crate::harness::workspace::{Run, Workspace};

const DOCS: &str = "docs/servers.md";
/// What the table of the documentation stands between.
const MARKS: (&str, &str) = (
    "<!-- deployed: written by make e2e-servers-docs -->\n",
    "<!-- end of deployed -->\n",
);
const HEAD: &str = "| server | kind | runtime | from | author | tools | called last, and in its answer | cold start | package |\n\
                    |---|---|---|---|---|---|---|---|---|\n";

#[test]
fn public_servers_go_from_a_block_of_hcl_to_an_answered_call() {
    let which = std::env::var("MCPLAMBDA_SERVERS").unwrap_or_default();
    let (all, began) = (which == "all", began());
    let mut servers = public_servers::deployed();
    servers.retain(|server| match which.as_str() {
        "all" => true,
        "" => server.how().quick,
        named => named.split(',').any(|name| name == server.package),
    });
    assert!(!servers.is_empty(), "no such server: {which}");
    let local = LocalAws::start();
    let aws = Aws::new(&local, REGION);
    let mut images: Option<Images> = None;
    let workspace = Workspace::new(&local, None, "");
    let mut main = String::new();
    for server in &servers {
        let how = server.how();
        let image = (how.kind == Kind::Docker).then(|| {
            images
                .get_or_insert_with(Images::new)
                .make(server, &how.entrypoint)
        });
        if how.kind == Kind::Own {
            folder(server, &workspace);
        }
        main.push_str(&server.block(image.as_deref()));
    }
    workspace.write(&main);
    // Two at a time: more would make each start wait for the others.
    let run = workspace.run(&["apply", "-json", "-auto-approve", "-parallelism=2"]);
    assert!(run.status == 0, "{}", errors(&run));
    let next = workspace.plan();
    assert!(
        next.status == 0 && next.changes.is_empty(),
        "{:?}\n{}",
        next.changes,
        errors(&next)
    );

    let state = workspace.state();
    let (mut rows, mut failures) = (String::new(), Vec::new());
    for server in &servers {
        let made = state
            .iter()
            .find(|resource| resource["address"] == server.address());
        let made = &made.expect("it was applied")["values"];
        match calls(server, made, &aws) {
            Ok(()) => rows.push_str(&row(server, made)),
            Err(failure) => failures.push(format!("{}: {failure}", server.package)),
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    workspace.destroy().succeeded();
    assert_eq!(aws.everything(), Vec::<String>::new());

    let docs = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(DOCS);
    let text = std::fs::read_to_string(&docs).expect("the documentation");
    let (before, rest) = text.split_once(MARKS.0).expect("a mark");
    let (written, after) = rest.split_once(MARKS.1).expect("a mark");
    if all && std::env::var_os("MCPLAMBDA_UPDATE_DOCS").is_some() {
        let text = format!(
            "{before}{}\n{began}\n\n{HEAD}{rows}\n{}{after}",
            MARKS.0, MARKS.1
        );
        std::fs::write(&docs, text).expect("written");
        return;
    }
    // Times and sizes are those of the run that wrote them.
    for row in rows.lines() {
        let lasting = row.rsplitn(3, " | ").last().expect("a row");
        assert!(
            written.lines().any(|line| line.starts_with(lasting)),
            "{DOCS} has no row that begins\n{lasting}\n`make e2e-servers-docs` writes it"
        );
    }
}

/// What `source_dir` names.
fn folder(server: &Server, workspace: &Workspace) {
    let how = server.how();
    let directory = workspace.path(&server.label());
    std::fs::create_dir(&directory).expect("made");
    for (name, text) in how.files.iter().chain(&server.files) {
        std::fs::write(directory.join(name), text).expect("written");
    }
    let lock = |mut command: Command| {
        let output = command.current_dir(&directory).output().expect("it runs");
        assert!(
            output.status.success(),
            "{}: {}",
            server.package,
            String::from_utf8_lossy(&output.stderr)
        );
    };
    if how.uv_lock {
        let mut uv = Command::new(tools().venv_bin.join("uv"));
        uv.args(["lock", "--quiet", "--no-python-downloads"]);
        lock(uv);
    }
    if how.npm_lock {
        let mut npm = Command::new("npm");
        npm.args(["install", "--package-lock-only", "--no-audit", "--no-fund"]);
        lock(npm);
    }
}

/// When the run began, and how busy the machine was before it.
fn began() -> String {
    let date = Command::new("date").args(["-u", "+%F %H:%M"]).output();
    let date = String::from_utf8_lossy(&date.expect("date runs").stdout).into_owned();
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().filter(|load| !load.is_empty());
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    format!(
        "Applied from {} UTC on, on {cores} cores; the machine's load in the minute before was {}.",
        date.trim(),
        load.unwrap_or("not to be had")
    )
}

/// Makes the server's calls; what is wrong with the answers.
fn calls(server: &Server, made: &Value, aws: &Aws) -> Result<(), String> {
    let listed = made["tools"].as_array().map_or(&[][..], Vec::as_slice);
    let arn = made["qualified_arn"].as_str().ok_or("no ARN")?;
    let mut said = String::new();
    for call in &server.calls {
        if !listed.iter().any(|tool| tool["name"] == call.tool) {
            return Err(format!(
                "`{}` is not among its tools: {listed:?}",
                call.tool
            ));
        }
        let answer = aws.call_tool(arn, &call.tool, &call.arguments);
        if answer.error.is_some() || answer.payload["isError"] == true {
            return Err(format!("`{}` answered {answer:?}", call.tool));
        }
        let blocks = answer.payload["content"].as_array();
        said = blocks
            .into_iter()
            .flatten()
            .filter_map(|block| block["text"].as_str())
            .collect();
    }
    match said.contains(&server.says) {
        true => Ok(()),
        false => Err(format!("{:?} is not in {said:?}", server.says)),
    }
}

fn row(server: &Server, made: &Value) -> String {
    let registry = match server.registry {
        public_servers::Registry::PyPi => "PyPI",
        public_servers::Registry::Npm => "npm",
    };
    // Lambda gives images no size.
    let size = match made["package_size"].as_f64() {
        Some(bytes) if bytes > 0.0 => format!("{:.1} MB", bytes / 1e6),
        _ => "–".to_owned(),
    };
    format!(
        "| `{}` {} | {} | {} | {registry} | {} | {} | `{}`: `{}` | {:.0} ms | {size} |\n",
        server.package,
        server.version,
        server.how().kind.name(),
        made["runtime"].as_str().unwrap_or("its own"),
        server.author,
        made["tools"].as_array().map_or(0, Vec::len),
        server.calls.last().map_or("", |call| &call.tool),
        server.says,
        made["verification"]["cold_start_ms"]
            .as_f64()
            .unwrap_or_default(),
    )
}

/// Each error with the address of the server that it is about.
fn errors(run: &Run) -> String {
    let messages = run.output.lines().filter_map(|line| {
        let message: Value = serde_json::from_str(line).ok()?;
        let diagnostic = &message["diagnostic"];
        (diagnostic["severity"] == "error").then(|| {
            let text = |name: &str| diagnostic[name].as_str().unwrap_or_default().to_owned();
            format!(
                "{}: {}: {}",
                text("address"),
                text("summary"),
                text("detail")
            )
        })
    });
    messages.collect::<Vec<_>>().join("\n")
}
