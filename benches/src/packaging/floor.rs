//! What no packaging falls below that leaves the choice of versions to `uv` and `npm` and packs what servers import.
//!
//! Enters: a subject, and our zip of it. Leaves: how long the package manager alone takes with an empty cache, and the bytes of the files that are
//! machine code.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::json;

use super::{Bench, Registry, Subject, make_dir, output, save};
use crate::process::Result;

/// `uv` that chooses versions and installs them, or `npm` that chooses versions: into an empty directory, with an empty cache.
pub(crate) fn package_manager(bench: &Bench, subject: &Subject, folder: &Path) -> Result<Duration> {
    let directory = folder.join("floor");
    let _ = fs::remove_dir_all(&directory);
    make_dir(&directory)?;
    let mut runs = match subject.registry {
        Registry::PyPi => {
            let one = format!("{}=={}\n", subject.name, subject.version);
            save(&directory.join("requirements.in"), &one)?;
            let mut choose = Command::new("uv");
            choose.args(["pip", "compile", "--quiet", "--only-binary", ":all:"]);
            choose.args(["--output-file", "requirements.txt", "requirements.in"]);
            let mut install = Command::new("uv");
            install.args([
                "pip",
                "install",
                "--quiet",
                "--no-deps",
                "--target",
                "installed",
            ]);
            install.args(["--link-mode", "hardlink"]);
            install.args(["--requirement", "requirements.txt"]);
            vec![choose, install]
        }
        Registry::Npm => {
            let package = json!({"dependencies": {subject.name: subject.version}});
            save(&directory.join("package.json"), &package.to_string())?;
            let mut choose = Command::new("npm");
            choose.args(["install", "--package-lock-only", "--ignore-scripts"]);
            choose.args(["--no-audit", "--no-fund", "--no-update-notifier"]);
            vec![choose]
        }
    };
    let cache = directory.join("cache");
    for run in &mut runs {
        bench.environment(run);
        run.current_dir(&directory);
        run.env("UV_CACHE_DIR", &cache)
            .env("npm_config_cache", &cache);
    }
    let begun = Instant::now();
    for run in &mut runs {
        output(run)?;
    }
    Ok(begun.elapsed())
}

/// Adds up what machine code takes in a zip; the bridge is some.
const MACHINE_CODE: &str = "import sys, zipfile
archive = zipfile.ZipFile(sys.argv[1])
print(sum(file.compress_size for file in archive.infolist() if archive.read(file).startswith(b'\\x7fELF')))";

/// Compressed bytes of the programs and libraries in `zip`.
pub(crate) fn machine_code(bench: &Bench, zip: &Path) -> Result<f64> {
    let said = output(
        Command::new(&bench.python)
            .args(["-c", MACHINE_CODE])
            .arg(zip),
    )?;
    said.trim()
        .parse()
        .map_err(|error| format!("{said:?}: {error}"))
}
