//! Cold starts of both packages behind the same bridge: from the bridge's process to the answer to `tools/list`.
//!
//! Enters: both zips, and ours without bytecode where there is one. Leaves: a figure of each. All are unpacked and have been started once:
//! their files are in the page cache. Neither writes bytecode as it runs, because the bridge tells Python not to, as in Lambda.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::{Bench, Registry, Subject, WITHOUT, figure, make_dir, middle, millis, output};
use crate::packaging::ours::Package;
use crate::process::Result;
use crate::report::{Report, Target};
use crate::runtime::{Places, Runtime};
use crate::server::{self, Server};
use crate::stats::median;

const TASK_ROOT: &str = "/var/task";

pub(crate) fn compare(
    bench: &Bench,
    subject: &Subject,
    folder: &Path,
    (ours, plain): (&Package, Option<&Package>),
    report: &mut Report,
) -> Result<()> {
    let places = |name: &str, zip: &Path| -> Result<Places> {
        let task_root = folder.join(name);
        let _ = fs::remove_dir_all(&task_root);
        make_dir(&task_root)?;
        output(
            Command::new("unzip")
                .arg("-q")
                .arg(zip)
                .arg("-d")
                .arg(&task_root),
        )?;
        Ok(Places {
            bridge: bench.bridge.clone(),
            installed: folder.to_owned(),
            task_root,
            log: bench.work.join("stderr.log"),
        })
    };
    let peer_places = places("peer-task", &folder.join("peer.zip"))?;
    let python = bench.python.to_string_lossy();
    let task = peer_places.task_root.to_string_lossy();
    let peer_argv = match subject.registry {
        Registry::PyPi => vec![
            python.clone().into_owned(),
            "-c".to_owned(),
            format!("import sys; sys.path[0] = '{task}'; {}", subject.start),
        ],
        Registry::Npm => vec!["node".to_owned(), format!("{task}/{}", subject.start)],
    };
    let peer_server = server::packaged(subject.name, peer_argv);
    let start = |places: &Places, server: &Server| Runtime::bridge(places, server)?.first_listing();
    start(&peer_places, &peer_server)?;
    let variants = [("", Some(ours)), (WITHOUT, plain)];
    for (variant, package) in variants {
        let Some(package) = package else { continue };
        let our_places = places("our-task", &package.zip)?;
        let our_argv = package.argv.iter().enumerate().map(|(index, word)| {
            match (index, subject.registry) {
                // The same interpreter, not a shim in front of it.
                (0, Registry::PyPi) => python.clone().into_owned(),
                _ => word.replace(TASK_ROOT, &our_places.task_root.to_string_lossy()),
            }
        });
        let our_server = server::packaged(subject.name, our_argv.collect());
        start(&our_places, &our_server)?;
        let (mut ratios, mut our_medians, mut peer_medians) = (vec![], vec![], vec![]);
        for _ in 0..bench.rounds(7) {
            let (mut our_times, mut peer_times) = (vec![], vec![]);
            for _ in 0..4 {
                our_times.push(millis(start(&our_places, &our_server)?));
                peer_times.push(millis(start(&peer_places, &peer_server)?));
            }
            ratios.push(median(&our_times) / median(&peer_times));
            our_medians.push(median(&our_times));
            peer_medians.push(median(&peer_times));
        }
        let (ours, peer) = (middle(&our_medians), middle(&peer_medians));
        let mut figure = figure(
            "Cold start, ours divided by the peer's",
            subject,
            (2, Some(Target::AtMost(0.8))),
            ratios,
            format!("peer {peer}, ours {ours}"),
        );
        figure.what.push_str(variant);
        report.figures.push(figure);
    }
    Ok(())
}
