//! Cold starts: from the runtime's process to its first answer, beside the peer's, and what the bridge adds to the server's own start.
//!
//! Enters: servers. Leaves: figures in milliseconds. Programs and their compiled files are in the page cache: what differs is what the processes do.

use std::time::Duration;

use crate::process::Result;
use crate::report::{Figure, Report, Target};
use crate::runtime::{Places, Runtime};
use crate::server::{Kind, Server};
use crate::stats::{Spread, differences, median};
use crate::stdio::Client;

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

/// What the bridge adds from the start of the first process until its server has answered the handshake and the bridge has asked for an event.
pub(crate) fn added(
    report: &mut Report,
    places: &Places,
    server: &Server,
    rounds: usize,
    starts: usize,
) -> Result<()> {
    let (mut bare_medians, mut added) = (vec![], vec![]);
    for _ in 0..rounds {
        let (mut bare, mut bridged) = (vec![], vec![]);
        for start in 0..starts {
            let alone = || Client::start(server, &places.environment(), &places.log);
            if start % 2 == 0 {
                bare.push(millis(alone()?.started_in));
            }
            bridged.push(millis(Runtime::bridge(places, server)?.ready_after));
            if start % 2 == 1 {
                bare.push(millis(alone()?.started_in));
            }
        }
        bare_medians.push(median(&bare));
        added.push(median(&differences(&bridged, &bare)));
    }
    report.figures.push(Figure {
        part: "Added to the server's own start",
        what: server.name.to_owned(),
        unit: "ms",
        digits: 1,
        target: Some(Target::AtMost(15.0)),
        rounds: added,
        note: format!("server alone {:.1} ms", Spread::of(&bare_medians).median),
    });
    Ok(())
}

/// The bridge's time to the first answer divided by the peer's, the event being there from the start. `ours` may be newer versions of the server.
pub(crate) fn against_peer(
    report: &mut Report,
    places: &Places,
    ours: &[Server],
    theirs: &Server,
    rounds: usize,
    starts: usize,
) -> Result<()> {
    let kind = Kind::AgentCore;
    let mut ratios = vec![Vec::new(); ours.len()];
    let mut bridge_medians = vec![Vec::new(); ours.len()];
    let mut peer_medians = vec![];
    for _ in 0..rounds {
        let mut with_bridge = vec![Vec::new(); ours.len()];
        let mut with_peer = vec![];
        for _ in 0..starts {
            for (server, times) in ours.iter().zip(&mut with_bridge) {
                times.push(millis(Runtime::bridge(places, server)?.first_answer(kind)?));
            }
            with_peer.push(millis(Runtime::peer(places, theirs)?.first_answer(kind)?));
        }
        peer_medians.push(median(&with_peer));
        for (index, times) in with_bridge.iter().enumerate() {
            bridge_medians[index].push(median(times));
            ratios[index].push(median(times) / median(&with_peer));
        }
    }
    for (index, rounds) in ratios.into_iter().enumerate() {
        report.figures.push(Figure {
            part: "Cold start to the first answer, divided by the peer's",
            what: format!("{}, AgentCore", ours[index].name),
            unit: "",
            digits: 2,
            // Another version of the server starts in another time, whatever stands before it.
            target: (ours[index].name == theirs.name).then_some(Target::AtMost(0.5)),
            rounds,
            note: format!(
                "peer {:.0} ms, bridge {:.0} ms",
                Spread::of(&peer_medians).median,
                Spread::of(&bridge_medians[index]).median
            ),
        });
    }
    Ok(())
}
