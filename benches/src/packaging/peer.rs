//! The peer: what `package.py` of terraform-aws-modules/terraform-aws-lambda (8.8.1) runs, as a command line.
//!
//! Python: `python -m pip install --no-compile --prefix= --target=. --requirement=requirements.txt` in an empty directory. Node: `npm install` beside
//! `package.json` and, once there is one, `package-lock.json`. Then the directory without those files, zipped at deflate's usual level.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::json;

use super::{Bench, Registry, Subject, at, make_dir, output, save};
use crate::process::Result;

/// Packages into `peer` and `peer.zip` in `folder`, with the cache there. `lock`: exactly these versions.
pub(crate) fn package(
    bench: &Bench,
    subject: &Subject,
    folder: &Path,
    lock: Option<&str>,
) -> Result<Duration> {
    let (directory, cache) = (folder.join("peer"), folder.join("peer-cache"));
    let zip = folder.join("peer.zip");
    let _ = fs::remove_dir_all(&directory);
    let _ = fs::remove_file(&zip);
    make_dir(&directory)?;
    let kept_lock = folder.join("package-lock.json");
    let (mut install, given): (Command, &[&str]) = match subject.registry {
        Registry::PyPi => {
            let one = format!("{}=={}\n", subject.name, subject.version);
            save(&directory.join("requirements.txt"), lock.unwrap_or(&one))?;
            let mut pip = Command::new(&bench.python);
            pip.args([
                "-m",
                "pip",
                "install",
                "--no-compile",
                "--prefix=",
                "--target=.",
            ]);
            pip.arg("--requirement=requirements.txt");
            pip.env("PIP_CACHE_DIR", &cache);
            // Its look for a newer pip is no part of the work.
            pip.env("PIP_DISABLE_PIP_VERSION_CHECK", "1");
            (pip, &["requirements.txt"])
        }
        Registry::Npm => {
            let package = json!({"dependencies": {subject.name: subject.version}});
            save(&directory.join("package.json"), &package.to_string())?;
            if lock.is_some() && kept_lock.exists() {
                let to = directory.join("package-lock.json");
                fs::copy(&kept_lock, &to).map_err(|error| at(&to, error))?;
            }
            let mut npm = Command::new("npm");
            npm.arg("install").env("npm_config_cache", &cache);
            npm.env("npm_config_update_notifier", "false");
            (npm, &["package.json", "package-lock.json"])
        }
    };
    install.current_dir(&directory);
    bench.environment(&mut install);
    let mut pack = Command::new("zip");
    pack.args(["-q", "-r", "-X", "../peer.zip", "."])
        .current_dir(&directory);

    let begun = Instant::now();
    output(&mut install)?;
    for name in given {
        let file = directory.join(name);
        if *name == "package-lock.json" && !kept_lock.exists() {
            fs::copy(&file, &kept_lock).map_err(|error| at(&file, error))?;
        }
        fs::remove_file(&file).map_err(|error| at(&file, error))?;
    }
    output(&mut pack)?;
    Ok(begun.elapsed())
}

/// Bytes of the last package with the bytecode that `pip install` makes without `--no-compile`.
pub(crate) fn compiled(bench: &Bench, folder: &Path) -> Result<f64> {
    let directory = folder.join("peer");
    let mut compile = Command::new(&bench.python);
    compile.args(["-m", "compileall", "-q", "-j0", "."]);
    // It fails for files that no Python of this version can read, which some packages bring; pip passes over them too.
    let _ = compile.current_dir(&directory).output();
    let zip = folder.join("peer-compiled.zip");
    let mut pack = Command::new("zip");
    pack.args(["-q", "-r", "-X"]).arg(&zip).arg(".");
    output(pack.current_dir(&directory))?;
    super::size(&zip)
}
