//! Measures the bridge beside the server alone and beside the library that people use today, all in one run; and, as `benches packaging`, the
//! provider's packaging beside the way that people package today.
//!
//! Enters: the bridge as it is shipped, and what `install.sh` has put under target/bench. Leaves: a table on stdout, `results.json` and `results.md` in
//! target/bench and, when asked, the tables of docs/benchmarks.md. Refuses to go on after an answer that is not the right one.

mod awake;
mod cold;
mod fd;
mod footprint;
mod http;
mod machine;
mod packaging;
mod process;
mod relay;
mod report;
mod runtime;
mod runtime_api;
mod server;
mod stats;
mod stdio;
mod warm;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use process::Result;
use report::Report;
use runtime::{Places, Runtime};
use server::{Kind, Server};
use warm::Cores;

const USAGE: &str = "usage: benches --bridge FILE --installed DIR [--only PART[,PART...]] [--without-peer] [--quick] [--docs FILE]

parts: warm, peer, cold, size, memory, large, growth   (default: all)
  --without-peer   leaves out what needs the peer, which takes most of the time
  --quick          fewer rounds and calls: to see that everything runs, not for figures
  --docs FILE      puts the tables between the two marks in FILE";
/// What the tables in the documentation stand between.
const MARKS: (&str, &str) = (
    "<!-- figures: written by make bench-docs -->\n",
    "<!-- end of figures -->\n",
);
/// Characters of text in a large result.
const LARGE: usize = 5_000_000;

struct Options {
    places: Places,
    parts: Option<Vec<String>>,
    with_peer: bool,
    quick: bool,
    docs: Option<PathBuf>,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let done = match arguments.split_first() {
        Some((first, argv)) if first == relay::ARGUMENT => relay::run(argv),
        Some((first, rest)) if first == packaging::ARGUMENT => packaging::run(rest),
        _ => options(arguments.into_iter()).and_then(|options| run(&options)),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("benches: {message}");
            ExitCode::FAILURE
        }
    }
}

fn options(mut arguments: impl Iterator<Item = String>) -> Result<Options> {
    let (mut bridge, mut installed, mut parts, mut docs) = (None, None, None, None);
    let (mut with_peer, mut quick) = (true, false);
    while let Some(argument) = arguments.next() {
        let mut value = || {
            arguments
                .next()
                .ok_or_else(|| format!("{argument} needs a value\n{USAGE}"))
        };
        match argument.as_str() {
            "--bridge" => bridge = Some(PathBuf::from(value()?)),
            "--installed" => installed = Some(PathBuf::from(value()?)),
            "--only" => parts = Some(value()?.split(',').map(str::to_owned).collect()),
            "--docs" => docs = Some(PathBuf::from(value()?)),
            "--without-peer" => with_peer = false,
            "--quick" => quick = true,
            _ => return Err(format!("unknown argument {argument}\n{USAGE}")),
        }
    }
    let absolute = |path: Option<PathBuf>| {
        path.ok_or_else(|| USAGE.to_owned()).and_then(|path| {
            fs::canonicalize(&path)
                .map_err(|error| format!("{}: {error}; run `make bench`", path.display()))
        })
    };
    let (bridge, installed) = (absolute(bridge)?, absolute(installed)?);
    let task_root = installed.join("task");
    fs::create_dir_all(&task_root).map_err(|error| format!("{}: {error}", task_root.display()))?;
    let log = installed.join("stderr.log");
    // Each run's own.
    fs::write(&log, "").map_err(|error| format!("{}: {error}", log.display()))?;
    Ok(Options {
        places: Places {
            bridge,
            installed,
            task_root,
            log,
        },
        parts,
        with_peer,
        quick,
        docs,
    })
}

fn run(options: &Options) -> Result<()> {
    let machine = machine::describe(&options.places);
    let before = machine::load();
    if before > 0.5 {
        eprintln!(
            "benches: the machine is not quiet (load {before:.1}): take the figures again when it is"
        );
    }
    let mut report = Report::default();
    measure(options, &mut report)?;
    let load = (before, machine::load());

    let mut json = report.json(&machine);
    json["load"] = serde_json::json!({"before": load.0, "after": load.1});
    let markdown = format!("{}{}", machine::markdown(&machine, load), report.markdown());
    let save = |path: &Path, text: &str| {
        fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))
    };
    save(
        &options.places.installed.join("results.json"),
        &format!("{json:#}\n"),
    )?;
    save(&options.places.installed.join("results.md"), &markdown)?;
    publish(&markdown, options.docs.as_deref(), MARKS)
}

/// Prints the table and, where `docs` is given, puts it between its `marks`.
fn publish(markdown: &str, docs: Option<&Path>, marks: (&str, &str)) -> Result<()> {
    if let Some(docs) = docs {
        let text =
            fs::read_to_string(docs).map_err(|error| format!("{}: {error}", docs.display()))?;
        let text = between_marks(&text, markdown, marks)
            .ok_or_else(|| format!("{} lacks the marks {marks:?}", docs.display()))?;
        fs::write(docs, text).map_err(|error| format!("{}: {error}", docs.display()))?;
    }
    std::io::stdout()
        .write_all(markdown.as_bytes())
        .map_err(|error| error.to_string())
}

/// What is being done, for who waits.
fn say(what: &str) {
    eprintln!("benches: {what}");
}

/// `text` with `figures` between the marks; `None` when it has none.
fn between_marks(text: &str, figures: &str, marks: (&str, &str)) -> Option<String> {
    let start = text.find(marks.0)? + marks.0.len();
    let end = start + text[start..].find(marks.1)?;
    Some(format!("{}\n{figures}\n{}", &text[..start], &text[end..]))
}

fn measure(options: &Options, report: &mut Report) -> Result<()> {
    let places = &options.places;
    let installed = &places.installed;
    let wanted = |part: &str| {
        let wanted = options
            .parts
            .as_ref()
            .is_none_or(|parts| parts.iter().any(|name| name == part));
        if wanted {
            say(part);
        }
        wanted
    };
    let (rounds, quick) = if options.quick { (1, 10) } else { (7, 1) };
    let time = server::time_beside_peer(installed);
    let newest = server::time_newest(installed);
    let everything = server::everything(installed);
    let small = server::sized(installed, 100);
    let large = server::sized(installed, LARGE);
    let kinds = kinds(report, places, &small)?;

    if wanted("warm") {
        let servers: [(&Server, usize); 4] = [
            (&time, 400),
            (&newest, 400),
            (&everything, 1000),
            (&small, 2000),
        ];
        for cores in [Cores::Sleep, Cores::Awake] {
            for (server, calls) in servers {
                for kind in &kinds {
                    warm::added(report, places, server, *kind, cores, rounds, calls / quick)?;
                }
            }
        }
    }
    if options.with_peer && wanted("peer") {
        let pair = [time.clone(), newest.clone()];
        warm::against_peer(
            report,
            places,
            &pair,
            &time,
            200.0,
            rounds,
            8 / quick.min(4),
        )?;
        warm::against_peer(
            report,
            places,
            std::slice::from_ref(&everything),
            &everything,
            600.0,
            rounds,
            8 / quick.min(4),
        )?;
    }
    if wanted("cold") {
        if options.with_peer {
            let pair = [time.clone(), newest.clone()];
            cold::against_peer(report, places, &pair, &time, rounds, 3)?;
            cold::against_peer(
                report,
                places,
                std::slice::from_ref(&everything),
                &everything,
                rounds,
                3,
            )?;
        }
        for (server, starts) in [(&time, 10), (&newest, 10), (&everything, 10), (&small, 30)] {
            cold::added(report, places, server, rounds, starts / quick.min(5))?;
        }
    }
    if wanted("size") {
        sizes(report, places)?;
    }
    if wanted("memory") {
        footprint::idle(report, places, &everything, &kinds, rounds)?;
    }
    if wanted("large") {
        for kind in &kinds {
            footprint::large(report, places, &large, LARGE, *kind, rounds, 20 / quick)?;
        }
    }
    if wanted("growth") {
        for server in [&small, &everything, &newest] {
            footprint::growth(report, places, server, &kinds)?;
        }
    }
    Ok(())
}

/// The kinds of event that this bridge answers.
fn kinds(report: &mut Report, places: &Places, server: &Server) -> Result<Vec<Kind>> {
    let mut bridge = Runtime::bridge(places, server)?;
    bridge.call(Kind::AgentCore)?;
    let mut kinds = vec![Kind::AgentCore];
    if bridge.answers(Kind::FunctionUrl)? {
        kinds.push(Kind::FunctionUrl);
    } else {
        report
            .skipped
            .push("function URL events: this bridge does not answer them".to_owned());
    }
    Ok(kinds)
}

/// The bridges that `bridge/build.sh` has left beside the one that is measured: `<architecture>/bridge`, and `<architecture>/bridge-without-secrets`.
fn sizes(report: &mut Report, places: &Places) -> Result<()> {
    let folder = places
        .bridge
        .parent()
        .and_then(Path::parent)
        .ok_or("the bridge lies in no folder of its architecture")?;
    for architecture in ["x86_64", "arm64"] {
        for (name, what) in [
            ("bridge", "as shipped, with secrets"),
            ("bridge-without-secrets", "built without secrets"),
        ] {
            let binary = folder.join(architecture).join(name);
            if binary.exists() {
                footprint::size(report, &format!("{architecture}, {what}"), &binary)?;
            } else {
                report.skipped.push(format!(
                    "the size of the {architecture} bridge, {what}: it has not been built"
                ));
            }
        }
    }
    Ok(())
}
