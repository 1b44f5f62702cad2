//! The machine and the programs of a run.
//!
//! Enters: /proc and what programs say of their versions. Leaves: JSON, and lines of text for people. Refuses nothing: what cannot be found out is `unknown`.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::runtime::Places;

/// How busy the machine was, as the kernel averages it over a minute.
pub(crate) fn load() -> f64 {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_whitespace()
        .next()
        .and_then(|load| load.parse().ok())
        .unwrap_or(f64::NAN)
}

/// Machine and versions of a run of `benches packaging`, as JSON and as lines of Markdown; `load` before and after.
pub(crate) fn packaging(python: &Path, load: (f64, f64)) -> (Value, String) {
    let hardware = hardware();
    let mut pip = Command::new(python);
    pip.args(["-m", "pip", "--version"]);
    // `pip 23.2 from …`
    let pip: Vec<String> = said(&mut pip)
        .split(' ')
        .take(2)
        .map(str::to_owned)
        .collect();
    let versions = [
        said(Command::new("uv").arg("--version")),
        pip.join(" "),
        format!("npm {}", said(Command::new("npm").arg("--version"))),
        said(Command::new(python).arg("--version")),
        format!(
            "Node {}",
            said(Command::new("node").arg("--version")).trim_start_matches('v')
        ),
    ]
    .join(", ");
    let (commit, date) = (commit(), date());
    let markdown = format!(
        "Measured {date} at {commit} on {hardware}; load {:.1} before and {:.1} after.\n{versions}.\n",
        load.0, load.1
    );
    let json = json!({
        "date": date, "commit": commit, "hardware": hardware, "versions": versions,
        "load": {"before": load.0, "after": load.1},
    });
    (json, markdown)
}

fn hardware() -> String {
    format!(
        "{} × {}, {} GiB, {}",
        cores(),
        cpu(),
        memory(),
        said(Command::new("uname").args(["-srm"]))
    )
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(0, usize::from)
}

fn cpu() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    line_value(&text, "model name")
        .unwrap_or("unknown")
        .to_owned()
}

fn memory() -> u64 {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    line_value(&text, "MemTotal")
        .and_then(|value| value.split_whitespace().next()?.parse::<u64>().ok())
        .map_or(0, |kib| kib / 1024 / 1024)
}

fn commit() -> String {
    said(
        Command::new("git")
            .args(["describe", "--always", "--dirty"])
            .current_dir(env!("CARGO_MANIFEST_DIR")),
    )
}

fn date() -> String {
    said(Command::new("date").args(["-u", "+%Y-%m-%d %H:%M UTC"]))
}

/// Machine and versions.
pub(crate) fn describe(places: &Places) -> Value {
    let python = places.installed.join("peer/bin/python");
    let newest = places.installed.join("newest/bin/python");
    json!({
        "cpu": cpu(),
        "cores": cores(),
        "memory_gib": memory(),
        // Below 0: what else ran was made to wait. Every process of a run inherits it.
        "nice": said(&mut Command::new("nice")),
        "kernel": said(Command::new("uname").args(["-srm"])),
        "bridge": said(Command::new(&places.bridge).arg("--version")),
        "commit": commit(),
        "date": date(),
        "python": said(Command::new(&python).arg("--version")),
        "node": said(Command::new("node").arg("--version")),
        "peer": format!("run-mcp-servers-with-aws-lambda {}", distribution(&python, "run-mcp-servers-with-aws-lambda")),
        "awslambdaric": distribution(&python, "awslambdaric"),
        "mcp-server-time": distribution(&python, "mcp-server-time"),
        "mcp-server-time, newest": distribution(&newest, "mcp-server-time"),
        "server-everything": everything(places),
    })
}

/// [`describe`]'s answer as lines of Markdown.
pub(crate) fn markdown(machine: &Value, load: (f64, f64)) -> String {
    let text = |key: &str| machine[key].as_str().unwrap_or("unknown").to_owned();
    format!(
        "Measured {} on {} × {}, {} GiB, {}; load {:.1} before and {:.1} after, niceness {}.\n\
         {} at {}, {}, awslambdaric {}, {}, Node {}; mcp-server-time {} (newest: {}), server-everything {}.\n",
        text("date"),
        machine["cores"],
        text("cpu"),
        machine["memory_gib"],
        text("kernel"),
        load.0,
        load.1,
        text("nice"),
        text("bridge"),
        text("commit"),
        text("peer"),
        text("awslambdaric"),
        text("python"),
        text("node").trim_start_matches('v'),
        text("mcp-server-time"),
        text("mcp-server-time, newest"),
        text("server-everything"),
    )
}

fn line_value<'t>(text: &'t str, key: &str) -> Option<&'t str> {
    text.lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.trim() == key)
        .map(|(_, value)| value.trim())
}

/// The first line that a program prints.
fn said(command: &mut Command) -> String {
    let output = command.output();
    output
        .ok()
        .and_then(|output| String::from_utf8(output.stdout).ok())
        .and_then(|text| text.lines().next().map(str::to_owned))
        .unwrap_or_else(|| "unknown".to_owned())
}

fn distribution(python: &Path, name: &str) -> String {
    let code = "import importlib.metadata, sys; print(importlib.metadata.version(sys.argv[1]))";
    said(Command::new(python).args(["-c", code, name]))
}

fn everything(places: &Places) -> String {
    let package = places
        .installed
        .join("node/node_modules/@modelcontextprotocol/server-everything/package.json");
    fs::read_to_string(package)
        .ok()
        .and_then(|text| serde_json::from_str::<Value>(&text).ok())
        .and_then(|package| package["version"].as_str().map(str::to_owned))
        .unwrap_or_else(|| "unknown".to_owned())
}
