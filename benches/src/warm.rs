//! Warm calls: what the bridge adds to the server's own time, and how the peer's time compares.
//!
//! Enters: servers. Leaves: figures in milliseconds. Calls of all sides alternate, so that each is measured beside its counterparts and whatever slows the
//! machine down slows all; processes are fresh in each round, because two processes of one program differ a little for as long as they live.

use std::time::Duration;

use crate::awake::Awake;
use crate::process::Result;
use crate::report::{Figure, Report, Target};
use crate::runtime::{Places, Runtime};
use crate::server::{Kind, Server};
use crate::stats::{Spread, differences, median, quantile};
use crate::stdio::Client;

/// Calls of each side before anything is counted.
const WARM_UP: usize = 50;
/// Calls of the bridge for each one of the peer.
const CALLS_PER_PEER_CALL: usize = 20;

/// What cores do that have nothing to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cores {
    /// As the machine has them.
    Sleep,
    /// See [`Awake`].
    Awake,
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

/// What the bridge adds to a call: the event handed out, the answer posted and acknowledged, the next event asked for, less the bare call.
pub(crate) fn added(
    report: &mut Report,
    places: &Places,
    server: &Server,
    kind: Kind,
    cores: Cores,
    rounds: usize,
    calls: usize,
) -> Result<()> {
    let _awake = match cores {
        Cores::Sleep => None,
        Cores::Awake => Some(Awake::start()?),
    };
    let (mut floors, mut answers, mut typical, mut rare) = (vec![], vec![], vec![], vec![]);
    let mut relays = vec![];
    let mut computing = vec![];
    for _ in 0..rounds {
        let mut floor = Client::start(server, &places.environment(), &places.log)?;
        let mut bridge = Runtime::bridge(places, server)?;
        let mut relay = Runtime::relay(places, server)?;
        for call in 0..WARM_UP {
            floor.call()?;
            bridge.call(kind)?;
            relay.relayed(call as u64 + 1)?;
        }
        let (mut bare, mut answered, mut cycles, mut relayed) = (vec![], vec![], vec![], vec![]);
        let before = bridge.process.processor_time()?;
        for call in 0..calls {
            // Who goes first changes, lest the second profit from what the first has warmed up.
            for turn in 0..3 {
                match (call + turn) % 3 {
                    0 => bare.push(millis(floor.call()?)),
                    1 => {
                        let answer = bridge.call(kind)?;
                        answered.push(millis(answer.answer));
                        cycles.push(millis(answer.cycle));
                    }
                    _ => relayed.push(millis(relay.relayed((WARM_UP + call) as u64 + 1)?.cycle)),
                }
            }
        }
        let computed = bridge.process.processor_time()?.saturating_sub(before);
        computing.push(millis(computed) / calls as f64);
        floors.push(median(&bare));
        answers.push(median(&differences(&answered, &bare)));
        typical.push(median(&differences(&cycles, &bare)));
        rare.push(quantile(&cycles, 0.99) - quantile(&bare, 0.99));
        relays.push((
            median(&differences(&relayed, &bare)),
            quantile(&relayed, 0.99) - quantile(&bare, 0.99),
        ));
    }
    let of_relay = |part: fn(&(f64, f64)) -> f64| {
        Spread::of(&relays.iter().map(part).collect::<Vec<_>>()).median
    };
    let note = format!(
        "the bridge is on a core for {:.2} ms; the relay adds {:.2} ms; server alone {:.2} ms; the answer itself is there after {:.2} ms more",
        Spread::of(&computing).median,
        of_relay(|(typical, _)| *typical),
        Spread::of(&floors).median,
        Spread::of(&answers).median
    );
    let rare_note = format!("the relay adds {:.2} ms", of_relay(|(_, rare)| *rare));
    let what = format!("{}, {}", server.name, kind.name());
    for (quantile, rounds, target, note) in
        [("p50", typical, 0.3, note), ("p99", rare, 1.0, rare_note)]
    {
        report.figures.push(Figure {
            part: match cores {
                Cores::Sleep => "Added to a warm tool call",
                Cores::Awake => "Added to a warm tool call, cores kept awake",
            },
            what: format!("{what}, {quantile}"),
            unit: "ms",
            digits: 2,
            target: Some(Target::AtMost(target)),
            rounds,
            note,
        });
    }
    Ok(())
}

/// How many times longer the peer takes for a warm AgentCore call. `ours` may be a newer version of the server than `theirs`.
pub(crate) fn against_peer(
    report: &mut Report,
    places: &Places,
    ours: &[Server],
    theirs: &Server,
    target: f64,
    rounds: usize,
    calls: usize,
) -> Result<()> {
    let kind = Kind::AgentCore;
    let mut ratios = vec![Vec::new(); ours.len()];
    let mut bridge_medians = vec![Vec::new(); ours.len()];
    let mut peer_medians = vec![];
    for _ in 0..rounds {
        let mut bridges = Vec::new();
        for server in ours {
            let mut bridge = Runtime::bridge(places, server)?;
            for _ in 0..WARM_UP {
                bridge.call(kind)?;
            }
            bridges.push(bridge);
        }
        let mut peer = Runtime::peer(places, theirs)?;
        peer.call(kind)?;
        let mut with_bridge = vec![Vec::new(); ours.len()];
        let mut with_peer = vec![];
        for _ in 0..calls {
            with_peer.push(millis(peer.call(kind)?.answer));
            for (bridge, times) in bridges.iter_mut().zip(&mut with_bridge) {
                for _ in 0..CALLS_PER_PEER_CALL {
                    times.push(millis(bridge.call(kind)?.answer));
                }
            }
        }
        peer_medians.push(median(&with_peer));
        for (index, times) in with_bridge.iter().enumerate() {
            bridge_medians[index].push(median(times));
            ratios[index].push(median(&with_peer) / median(times));
        }
    }
    for (index, rounds) in ratios.into_iter().enumerate() {
        report.figures.push(Figure {
            part: "Warm tool call, the peer's p50 divided by the bridge's",
            what: format!("{}, AgentCore", ours[index].name),
            unit: "",
            digits: 0,
            target: Some(Target::AtLeast(target)),
            rounds,
            note: format!(
                "peer {:.0} ms, bridge {:.2} ms",
                Spread::of(&peer_medians).median,
                Spread::of(&bridge_medians[index]).median
            ),
        });
    }
    Ok(())
}
