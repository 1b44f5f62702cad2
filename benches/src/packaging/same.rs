//! The same package twenty times, each on what might be another machine: another user, umask, time zone, language, temporary directory on another
//! file system (and so another order of its files), a cold or a warm cache.
//!
//! Enters: a lock. Leaves: how many of the packages have the first one's hash.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::{Bench, Subject, figure, make_dir, ours, output};
use crate::process::Result;
use crate::report::{Report, Target};

/// Where the interpreter is that all users have.
const SYSTEM: &str = "/usr/bin";
/// A user id that no account has.
const STRANGER: &str = "60993";
pub(crate) const BUILDS: usize = 20;

pub(crate) fn hashes(
    bench: &Bench,
    subject: &Subject,
    folder: &Path,
    lock: &str,
    report: &mut Report,
) -> Result<()> {
    // SAFETY: takes nothing and cannot fail.
    let root = unsafe { libc::geteuid() } == 0;
    // One that every user may start: another release of Python compiles a few modules otherwise, and is not what is asked here.
    let given = std::env::var_os("PATH").unwrap_or_default();
    let path = std::iter::once(PathBuf::from(SYSTEM)).chain(std::env::split_paths(&given));
    let path = std::env::join_paths(path).map_err(|error| error.to_string())?;
    let mut first = None;
    let builds = bench.builds();
    let mut same = 0;
    for build in 0..builds {
        // In memory and on the disk in turn.
        let place = match build % 2 {
            0 => PathBuf::from("/dev/shm"),
            _ => folder.to_owned(),
        };
        let place = place.join(format!("same-{}-{build}", std::process::id()));
        let cold = build % 4 < 2;
        let stranger = root && build % 3 == 1;
        let cache = match cold {
            true => place.join("cache"),
            // Warm only for who owns it: the first stranger fills theirs.
            false => folder.join(if stranger {
                "stranger-cache"
            } else {
                "our-cache"
            }),
        };
        for directory in [&place, &cache] {
            make_dir(directory)?;
            if stranger {
                output(Command::new("chown").arg(STRANGER).arg(directory))?;
            }
        }
        let job = ours::job(bench, subject, &cache, &place, Some(lock), &[]);
        let mut command = Command::new("sh");
        command.args([
            "-c",
            "umask $0; exec \"$@\"",
            ["022", "077", "002", "000", "027"][build % 5],
        ]);
        if stranger {
            command.args([
                "setpriv",
                "--reuid",
                STRANGER,
                "--regid",
                STRANGER,
                "--clear-groups",
            ]);
        }
        command.arg(&bench.ours).arg(job.to_string());
        command
            .env("PATH", &path)
            .env("TMPDIR", &place)
            .env("HOME", &place)
            .env("USER", format!("user-{build}"))
            .env(
                "TZ",
                ["UTC", "Asia/Tokyo", "America/New_York", "Pacific/Chatham"][build % 4],
            )
            .env("LC_ALL", ["C", "C.UTF-8", "POSIX"][build % 3])
            .env(
                "SOURCE_DATE_EPOCH",
                format!("{}", 1_000_000_000 + build * 86_400),
            );
        let said = output(&mut command)?;
        let package = ours::package_of(&said, &job, Duration::ZERO)?;
        let first = first.get_or_insert_with(|| package.code_sha256.clone());
        same += usize::from(package.code_sha256 == *first);
        fs::remove_dir_all(&place).map_err(|error| super::at(&place, error))?;
    }
    let users = if root { "two users, " } else { "" };
    report.figures.push(figure(
        "Builds with the same hash, of 20",
        subject,
        (0, Some(Target::AtLeast(BUILDS as f64))),
        vec![same as f64],
        format!("{users}5 umasks, 4 time zones, 2 file systems, caches cold and warm"),
    ));
    Ok(())
}
