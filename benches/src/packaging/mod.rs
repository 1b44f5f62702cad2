//! Measures packaging beside the way that Terraform users package Python and Node functions today: `pip install` or `npm install` into a
//! directory, then a zip of it, with the options of terraform-aws-modules/terraform-aws-lambda's `package.py`.
//!
//! Enters: the provider's packaging as a program (`benches/package_server.rs`), the bridge, and the package managers on PATH. Leaves: a table on
//! stdout, `packaging.{md,json}` beside the other results and, when asked, the table in docs/benchmarks.md. Both sides are whole
//! processes, measured from their start to the finished zip; each has a cache of its own.

mod floor;
mod ours;
mod peer;
mod same;
mod start;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::process::Result;
use crate::report::{Figure, Report, Target};
use crate::stats::Spread;
use crate::{machine, say};

/// The first argument that leads here.
pub(crate) const ARGUMENT: &str = "packaging";

const USAGE: &str = "usage: benches packaging --ours FILE --bridge FILE --work DIR [--only PART[,PART...]] [--rounds N] [--quick] [--docs FILE]

parts: cold, warm, size, start, args, same   (default: all)
  --ours FILE   the program that packages as the provider does
  --work DIR    where packages and caches are made
  --rounds N    so many rounds of each figure (default: 5 with cold caches, else 7)
  --quick       one round, and fewer builds: to see that everything runs, not for figures
  --docs FILE   puts the table between the two marks in FILE";

const MARKS: (&str, &str) = (
    "<!-- packaging figures: written by make bench-packaging-docs -->\n",
    "<!-- end of packaging figures -->\n",
);

/// Whose package manager installs a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Registry {
    PyPi,
    Npm,
}

/// What a line is called that is about our package with `compile_bytecode = false`.
const WITHOUT: &str = ", without bytecode";

/// A server that both sides package.
#[derive(Debug)]
pub(crate) struct Subject {
    pub(crate) name: &'static str,
    pub(crate) registry: Registry,
    pub(crate) version: &'static str,
    /// What starts it in the peer's package: code for Python, a file for Node.
    pub(crate) start: &'static str,
}

const SUBJECTS: [Subject; 3] = [
    Subject {
        name: "mcp-server-time",
        registry: Registry::PyPi,
        version: "2026.10.19",
        start: "from mcp_server_time import main; main()",
    },
    Subject {
        name: "awslabs.aws-documentation-mcp-server",
        registry: Registry::PyPi,
        version: "1.2.3",
        start: "from awslabs.aws_documentation_mcp_server.server import main; main()",
    },
    Subject {
        name: "@modelcontextprotocol/server-everything",
        registry: Registry::Npm,
        version: "2026.8.31",
        start: "node_modules/@modelcontextprotocol/server-everything/dist/index.js",
    },
];

/// What a run works with.
#[derive(Debug)]
pub(crate) struct Bench {
    pub(crate) ours: PathBuf,
    pub(crate) bridge: PathBuf,
    pub(crate) work: PathBuf,
    /// The machine's interpreter, not a shim in front of it.
    pub(crate) python: PathBuf,
    /// Lambda's name for its version.
    pub(crate) runtime: String,
    parts: Option<Vec<String>>,
    rounds: Option<usize>,
    quick: bool,
    docs: Option<PathBuf>,
}

/// Measures everything.
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    let bench = options(arguments)?;
    // What the last run left would be a warm cache.
    let _ = fs::remove_dir_all(&bench.work);
    make_dir(&bench.work)?;
    let before = machine::load();
    let mut report = Report::default();
    for subject in &SUBJECTS {
        say(subject.name);
        measure(&bench, subject, &mut report)?;
    }
    // One table for each figure, not for each server.
    let mut parts: Vec<&str> = Vec::new();
    for figure in &report.figures {
        if !parts.contains(&figure.part) {
            parts.push(figure.part);
        }
    }
    report
        .figures
        .sort_by_key(|figure| parts.iter().position(|part| *part == figure.part));
    let machine = machine::packaging(&bench.python, (before, machine::load()));
    let markdown = format!("{}{}", machine.1, report.markdown());
    let results = bench.work.parent().unwrap_or(&bench.work);
    save(
        &results.join("packaging.json"),
        &format!("{:#}\n", report.json(&machine.0)),
    )?;
    save(&results.join("packaging.md"), &markdown)?;
    crate::publish(&markdown, bench.docs.as_deref(), MARKS)
}

fn options(arguments: &[String]) -> Result<Bench> {
    let (mut ours, mut bridge, mut work, mut parts, mut docs) = (None, None, None, None, None);
    let (mut rounds, mut quick) = (None, false);
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        let mut value = || {
            arguments
                .next()
                .ok_or_else(|| format!("{argument} needs a value\n{USAGE}"))
        };
        match argument.as_str() {
            "--ours" => ours = Some(PathBuf::from(value()?)),
            "--bridge" => bridge = Some(PathBuf::from(value()?)),
            "--work" => work = Some(PathBuf::from(value()?)),
            "--only" => parts = Some(value()?.split(',').map(str::to_owned).collect()),
            "--docs" => docs = Some(PathBuf::from(value()?)),
            "--rounds" => {
                let rounds_given = value()?;
                let given = rounds_given.parse().map_err(|_| USAGE.to_owned())?;
                rounds = Some(given);
            }
            "--quick" => quick = true,
            _ => return Err(format!("unknown argument {argument}\n{USAGE}")),
        }
    }
    let there = |path: Option<PathBuf>| {
        path.ok_or_else(|| USAGE.to_owned())
            .and_then(|path| fs::canonicalize(&path).map_err(|error| at(&path, error)))
    };
    let work = work.ok_or_else(|| USAGE.to_owned())?;
    make_dir(&work)?;
    let asked = output(Command::new("python3").args([
        "-c",
        "import sys; print(sys.executable, '%d.%d' % sys.version_info[:2])",
    ]))?;
    let (python, version) = asked
        .trim()
        .split_once(' ')
        .ok_or("python3 does not say what it is")?;
    Ok(Bench {
        ours: there(ours)?,
        bridge: there(bridge)?,
        work: there(Some(work))?,
        python: python.into(),
        runtime: format!("python{version}"),
        parts,
        rounds,
        quick,
        docs,
    })
}

impl Bench {
    fn wanted(&self, part: &str) -> bool {
        self.parts
            .as_ref()
            .is_none_or(|parts| parts.iter().any(|name| name == part))
    }

    /// Rounds of a figure of which there are `usual` ones.
    fn rounds(&self, usual: usize) -> usize {
        if self.quick {
            1
        } else {
            self.rounds.unwrap_or(usual)
        }
    }

    /// Builds of one package, to compare their hashes.
    fn builds(&self) -> usize {
        if self.quick { 4 } else { same::BUILDS }
    }

    /// `command` with the machine's interpreter first on PATH: a shim would cost both sides a tenth of a second for each start.
    pub(crate) fn environment(&self, command: &mut Command) {
        let mut path: Vec<PathBuf> = self
            .python
            .parent()
            .map(Path::to_owned)
            .into_iter()
            .collect();
        let given = std::env::var_os("PATH").unwrap_or_default();
        path.extend(std::env::split_paths(&given));
        // Fails only for names with a separator in them, which come from a list that was split at it.
        if let Ok(path) = std::env::join_paths(path) {
            command.env("PATH", path);
        }
    }
}

fn measure(bench: &Bench, subject: &Subject, report: &mut Report) -> Result<()> {
    let folder = bench.work.join(subject.name.replace('/', "-"));
    make_dir(&folder)?;
    cold(bench, subject, &folder, report)?;
    let lock = ours::package(bench, subject, &folder, None, &[])?.lock;
    if bench.wanted("warm") {
        warm(bench, subject, &folder, &lock, report)?;
    }
    let ours = ours::package(bench, subject, &folder, Some(&lock), &[])?;
    let plain = match subject.registry {
        Registry::PyPi => {
            let cache = folder.join("our-cache");
            let places = (folder.as_path(), cache.as_path());
            Some(ours::plain(bench, subject, places, Some(&lock))?)
        }
        Registry::Npm => None,
    };
    let both = (&ours, plain.as_ref());
    if bench.wanted("size") {
        sizes(bench, subject, &folder, both, report)?;
    }
    if bench.wanted("start") {
        start::compare(bench, subject, &folder, both, report)?;
    }
    if bench.wanted("args") {
        let changed = ours::package(bench, subject, &folder, Some(&lock), &["--changed"])?;
        let sent = if changed.code_sha256 == ours.code_sha256 {
            0.0
        } else {
            size(&changed.zip)?
        };
        report.figures.push(Figure {
            unit: "bytes",
            ..figure(
                "Sent for a change of `args`",
                subject,
                (0, Some(Target::AtMost(0.0))),
                vec![sent],
                "the package has the same hash".to_owned(),
            )
        });
    }
    if bench.wanted("same") {
        same::hashes(bench, subject, &folder, &lock, report)?;
    }
    Ok(())
}

/// Each round begins with empty caches; the last one's stay, for what follows.
fn cold(bench: &Bench, subject: &Subject, folder: &Path, report: &mut Report) -> Result<()> {
    let (mut with, mut without, mut alone) =
        (Ratios::default(), Ratios::default(), Ratios::default());
    for round in 0..bench.rounds(5) {
        let caches = (folder.join("our-cache"), folder.join("peer-cache"));
        for cache in [&caches.0, &caches.1] {
            let _ = fs::remove_dir_all(cache);
            make_dir(cache)?;
        }
        let ours = || ours::package(bench, subject, folder, None, &[]);
        let peer = || peer::package(bench, subject, folder, None);
        let (ours, peer) = in_turn(round, ours, peer)?;
        if !bench.wanted("cold") {
            return Ok(());
        }
        with.add(peer, ours.took);
        if subject.registry == Registry::PyPi {
            let cache = folder.join("plain-cache");
            let plain = ours::plain(bench, subject, (folder, &cache), None)?;
            fs::remove_dir_all(&cache).map_err(|error| at(&cache, error))?;
            without.add(peer, plain.took);
        }
        alone.add(peer, floor::package_manager(bench, subject, folder)?);
    }
    let target = Some(Target::AtLeast(4.0));
    let floor = match subject.registry {
        Registry::PyPi => ", `uv` alone",
        Registry::Npm => ", `npm` choosing versions alone",
    };
    for (ratios, target, variant, who) in [
        (with, target, "", "ours"),
        (without, target, WITHOUT, "ours"),
        (alone, None, floor, "it"),
    ] {
        if ratios.rounds.is_empty() {
            continue;
        }
        let (peer, other) = (middle(&ratios.peer), middle(&ratios.other));
        let mut figure = figure(
            "Wall time with cold caches, the peer's divided by ours",
            subject,
            (1, target),
            ratios.rounds,
            format!("peer {peer}, {who} {other}"),
        );
        figure.what.push_str(variant);
        report.figures.push(figure);
    }
    Ok(())
}

/// The peer's times, and others' of the same rounds, in milliseconds.
#[derive(Default)]
struct Ratios {
    rounds: Vec<f64>,
    peer: Vec<f64>,
    other: Vec<f64>,
}

impl Ratios {
    fn add(&mut self, peer: Duration, other: Duration) {
        self.rounds.push(millis(peer) / millis(other));
        self.peer.push(millis(peer));
        self.other.push(millis(other));
    }
}

/// Both zips; for Python also ours without bytecode, as `package.py` makes its own, and both with it; and what is in ours whatever else is left out.
fn sizes(
    bench: &Bench,
    subject: &Subject,
    folder: &Path,
    (ours, plain): (&ours::Package, Option<&ours::Package>),
    report: &mut Report,
) -> Result<()> {
    let target = Some(Target::AtMost(0.8));
    let peer = size(&folder.join("peer.zip"))?;
    let least = floor::machine_code(bench, &ours.zip)?;
    let mut pairs = vec![(size(&ours.zip)?, peer, target, "", "ours")];
    if let Some(plain) = plain {
        pairs.push((size(&plain.zip)?, peer, target, WITHOUT, "ours"));
        let compiled = peer::compiled(bench, folder)?;
        let ours = size(&ours.zip)?;
        pairs.push((ours, compiled, None, ", both with bytecode", "ours"));
    }
    let machine_code = ", machine code alone, the bridge and what servers import";
    pairs.push((least, peer, None, machine_code, "it"));
    for (ours, peer, target, variant, who) in pairs {
        let (peer_size, our_size) = (peer / 1e6, ours / 1e6);
        let note = format!("peer {peer_size:.2} MB, {who} {our_size:.2} MB");
        let part = "Size of the zip, ours divided by the peer's";
        let mut figure = figure(part, subject, (2, target), vec![ours / peer], note);
        figure.what.push_str(variant);
        report.figures.push(figure);
    }
    Ok(())
}

/// From the same versions: ours has the lock in the state, the peer's requirements name all of it with hashes.
fn warm(
    bench: &Bench,
    subject: &Subject,
    folder: &Path,
    lock: &str,
    report: &mut Report,
) -> Result<()> {
    let (mut ratios, mut anew_ratios) = (vec![], vec![]);
    let (mut our_times, mut anew_times, mut peer_times) = (vec![], vec![], vec![]);
    peer::package(bench, subject, folder, Some(lock))?;
    for round in 0..bench.rounds(7) {
        let ours = || ours::package(bench, subject, folder, Some(lock), &[]);
        let peer = || peer::package(bench, subject, folder, Some(lock));
        let (ours, peer) = in_turn(round, ours, peer)?;
        let anew = ours::package(bench, subject, folder, None, &[])?;
        our_times.push(millis(ours.took));
        anew_times.push(millis(anew.took));
        peer_times.push(millis(peer));
        ratios.push(millis(peer) / millis(ours.took));
        anew_ratios.push(millis(peer) / millis(anew.took));
    }
    let part = "Wall time with warm caches, the peer's divided by ours";
    report.figures.push(figure(
        part,
        subject,
        (1, Some(Target::AtLeast(20.0))),
        ratios,
        format!("peer {}, ours {}", middle(&peer_times), middle(&our_times)),
    ));
    let mut anew = figure(
        part,
        subject,
        (1, None),
        anew_ratios,
        format!("ours {}", middle(&anew_times)),
    );
    anew.what.push_str(", versions resolved anew");
    report.figures.push(anew);
    Ok(())
}

/// Both, in an order that changes with each round.
fn in_turn<A, B>(
    round: usize,
    one: impl FnOnce() -> Result<A>,
    other: impl FnOnce() -> Result<B>,
) -> Result<(A, B)> {
    if round.is_multiple_of(2) {
        let other = other()?;
        Ok((one()?, other))
    } else {
        Ok((one()?, other()?))
    }
}

fn figure(
    part: &'static str,
    subject: &Subject,
    (digits, target): (usize, Option<Target>),
    rounds: Vec<f64>,
    note: String,
) -> Figure {
    Figure {
        part,
        what: subject.name.to_owned(),
        unit: "",
        digits,
        target,
        rounds,
        note,
    }
}

fn middle(times: &[f64]) -> String {
    format!("{:.0} ms", Spread::of(times).median)
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

fn size(path: &Path) -> Result<f64> {
    Ok(fs::metadata(path).map_err(|error| at(path, error))?.len() as f64)
}

fn make_dir(path: &Path) -> Result<()> {
    fs::create_dir_all(path).map_err(|error| at(path, error))
}

fn save(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).map_err(|error| at(path, error))
}

fn at(path: &Path, error: std::io::Error) -> String {
    format!("{}: {error}", path.display())
}

/// Runs `command` to its end; what it printed.
fn output(command: &mut Command) -> Result<String> {
    let output = command
        .output()
        .map_err(|error| format!("{:?}: {error}", command.get_program()))?;
    if !output.status.success() {
        return Err(format!(
            "{command:?} ended with {}: {}{}",
            output.status,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        ));
    }
    String::from_utf8(output.stdout).map_err(|error| error.to_string())
}
