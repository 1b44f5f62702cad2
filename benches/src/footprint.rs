//! What the bridge takes: size on disk, memory when idle and around large results, and whether anything grows over ten thousand calls.
//!
//! Enters: binaries and servers. Leaves: figures in MB (of 1,000,000 bytes), KiB and counts.

use std::fs;
use std::path::Path;
use std::time::Duration;

use crate::process::Result;
use crate::report::{Figure, Report, Target};
use crate::runtime::{Places, Runtime};
use crate::server::{Kind, Server};
use crate::stats::{Spread, differences, median};
use crate::stdio::Client;

const MB: f64 = 1_000_000.0;
/// Calls until memory is looked at for the first time, and for the last.
const FIRST_LOOK: usize = 1_000;
const LAST_LOOK: usize = 10_000;

fn megabytes(kib: u64) -> f64 {
    kib as f64 * 1024.0 / MB
}

/// The size of a bridge, as it is shipped.
pub(crate) fn size(report: &mut Report, what: &str, binary: &Path) -> Result<()> {
    let length = fs::metadata(binary)
        .map_err(|error| format!("{}: {error}", binary.display()))?
        .len();
    report.figures.push(Figure {
        part: "Size of the bridge",
        what: what.to_owned(),
        unit: "MB",
        digits: 2,
        target: Some(Target::AtMost(2.5)),
        rounds: vec![length as f64 / MB],
        note: format!("{length} bytes, stripped, static"),
    });
    Ok(())
}

/// Resident memory of the bridge while it waits for an event, its server warm.
pub(crate) fn idle(
    report: &mut Report,
    places: &Places,
    server: &Server,
    kinds: &[Kind],
    rounds: usize,
) -> Result<()> {
    let (mut resident, mut proportional, mut anonymous) = (vec![], vec![], vec![]);
    for _ in 0..rounds {
        let mut bridge = Runtime::bridge(places, server)?;
        for _ in 0..10 {
            for kind in kinds {
                bridge.call(*kind)?;
            }
        }
        let memory = bridge.process.memory()?;
        resident.push(megabytes(memory.resident));
        proportional.push(megabytes(memory.proportional));
        anonymous.push(megabytes(memory.anonymous));
    }
    let note = format!("of it {:.2} MB in no file", Spread::of(&anonymous).median);
    for (what, rounds, note) in [
        ("resident", resident, note),
        ("proportional", proportional, String::new()),
    ] {
        report.figures.push(Figure {
            part: "Memory of the idle bridge",
            what: format!("{what}, {} warm", server.name),
            unit: "MB",
            digits: 2,
            target: Some(Target::AtMost(4.0)),
            rounds,
            note,
        });
    }
    Ok(())
}

/// A result of `bytes`: how much longer than over the bare pipe, and what the bridge needs for it.
pub(crate) fn large(
    report: &mut Report,
    places: &Places,
    server: &Server,
    bytes: usize,
    kind: Kind,
    rounds: usize,
    calls: usize,
) -> Result<()> {
    let millis = |duration: Duration| duration.as_secs_f64() * 1000.0;
    let (mut floors, mut added, mut copies, mut kept) = (vec![], vec![], vec![], vec![]);
    for _ in 0..rounds {
        let mut floor = Client::start(server, &places.environment(), &places.log)?;
        let mut bridge = Runtime::bridge(places, server)?;
        let before = bridge.process.memory()?;
        bridge.process.forget_peak()?;
        floor.call()?;
        bridge.call(kind)?;
        let (mut bare, mut cycles) = (vec![], vec![]);
        for call in 0..calls {
            if call % 2 == 0 {
                bare.push(millis(floor.call()?));
            }
            cycles.push(millis(bridge.call(kind)?.cycle));
            if call % 2 == 1 {
                bare.push(millis(floor.call()?));
            }
        }
        let after = bridge.process.memory()?;
        floors.push(median(&bare));
        added.push(median(&differences(&cycles, &bare)));
        let above = after.peak.saturating_sub(before.resident);
        copies.push(above as f64 * 1024.0 / bytes as f64);
        kept.push(megabytes(after.resident) - megabytes(before.resident));
    }
    let part = "A result of 5 MB";
    let what = kind.name();
    report.figures.push(Figure {
        part,
        what: format!("{what}, added to the server's own time"),
        unit: "ms",
        digits: 1,
        target: Some(Target::AtMost(30.0)),
        rounds: added,
        note: format!("server alone {:.1} ms", Spread::of(&floors).median),
    });
    report.figures.push(Figure {
        part,
        what: format!("{what}, peak memory above idle, in copies of the body"),
        unit: "",
        digits: 2,
        target: Some(Target::AtMost(3.0)),
        rounds: copies,
        note: String::new(),
    });
    report.figures.push(Figure {
        part,
        what: format!("{what}, memory kept afterwards"),
        unit: "MB",
        digits: 2,
        target: None,
        rounds: kept,
        note: String::new(),
    });
    Ok(())
}

/// Ten thousand calls in a row, of all `kinds` in turn: what has grown since the thousandth.
pub(crate) fn growth(
    report: &mut Report,
    places: &Places,
    server: &Server,
    kinds: &[Kind],
) -> Result<()> {
    let mut bridge = Runtime::bridge(places, server)?;
    let call = |bridge: &mut Runtime, number: usize| bridge.call(kinds[number % kinds.len()]);
    for number in 0..FIRST_LOOK {
        call(&mut bridge, number)?;
    }
    let look = |bridge: &Runtime| -> Result<_> {
        let process = &bridge.process;
        Ok((
            process.memory()?,
            process.open_files()?,
            process.descendants()?,
        ))
    };
    let (memory, files, processes) = look(&bridge)?;
    for number in FIRST_LOOK..LAST_LOOK {
        call(&mut bridge, number)?;
    }
    let (memory_then, files_then, processes_then) = look(&bridge)?;
    let difference = |then: f64, now: f64| vec![then - now];
    for (what, unit, rounds, note) in [
        (
            "resident memory",
            "KiB",
            difference(memory_then.resident as f64, memory.resident as f64),
            format!("{} KiB after 10,000 calls", memory_then.resident),
        ),
        (
            "open files",
            "",
            difference(files_then as f64, files as f64),
            format!("{files_then} after 10,000 calls"),
        ),
        (
            "processes below the bridge",
            "",
            difference(processes_then as f64, processes as f64),
            format!("{processes_then} after 10,000 calls"),
        ),
    ] {
        report.figures.push(Figure {
            part: "Grown from the 1,000th to the 10,000th call",
            what: format!("{}, {what}", server.name),
            unit,
            digits: 0,
            target: Some(Target::AtMost(0.0)),
            rounds,
            note,
        });
    }
    Ok(())
}
