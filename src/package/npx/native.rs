//! Native addons of a staged tree: those that the function cannot load are taken out where the package has one that it can, and
//! refused where it has none.
//!
//! Packages ship addons for many platforms side by side (`prebuilds/darwin-arm64/…`) and load the right one by its name. One that
//! is for another C library (`musl`) is only known by its name.

use std::collections::BTreeMap;

use super::lock::{NpmLock, Place};
use super::packages::NpmPackages;
use super::stage::Stage;
use crate::package::{Architecture, PackageError, elf};

/// Whether the function can load an addon.
enum Fit {
    Fits,
    /// By its name for another C library.
    Musl,
    Foreign(String),
}

/// Takes out or refuses what does not fit.
///
/// # Errors
///
/// [`PackageError::ForeignAddon`] for a package that has addons, none of which fits, unless it is called after another platform.
pub(crate) fn check(
    stage: &mut Stage,
    npm: &NpmPackages,
    lock: &NpmLock,
) -> Result<(), PackageError> {
    let mut addons: BTreeMap<Place, Vec<(String, Fit)>> = BTreeMap::new();
    for (file, content) in &stage.files {
        if !file.ends_with(".node") {
            continue;
        }
        let Some((package, place)) = stage.package_of(file) else {
            continue;
        };
        let head = content.head(elf::HEADER)?;
        let fit = match foreign(&head, npm.architecture) {
            Some(found) => Fit::Foreign(found),
            None if file[package.len()..].contains("musl") => Fit::Musl,
            None => Fit::Fits,
        };
        addons
            .entry(place.clone())
            .or_default()
            .push((file.clone(), fit));
    }
    for (place, addons) in addons {
        if addons.iter().any(|(_, fit)| matches!(fit, Fit::Fits)) {
            for (file, fit) in addons {
                if !matches!(fit, Fit::Fits) {
                    stage.files.remove(&file);
                }
            }
            continue;
        }
        let only_foreign = addons.into_iter().find_map(|(file, fit)| match fit {
            Fit::Foreign(found) => Some((file, found)),
            Fit::Fits | Fit::Musl => None,
        });
        let name = place.last().map_or("", String::as_str);
        let Some((file, found)) = only_foreign.filter(|_| !is_of_a_platform(name)) else {
            continue;
        };
        let may_run = npm.allowed_scripts().iter().any(|allowed| allowed == name);
        let has_script = lock
            .pins()
            .get(&place)
            .is_some_and(|pin| pin.install_script);
        return Err(PackageError::ForeignAddon {
            file,
            package: lock.described(&place),
            found,
            target: npm.target(),
            next_step: match (has_script, may_run) {
                (true, false) => format!(
                    "Its install script may fetch or build the right one: allow_scripts = [\"{name}\"]"
                ),
                _ => format!(
                    "Ask for another release of `{name}` in {}, set `architecture`, or use a server that does not need it",
                    npm.asked_in()
                ),
            },
        });
    }
    Ok(())
}

/// What an addon is for when the function cannot load it.
fn foreign(head: &[u8], architecture: Architecture) -> Option<String> {
    match elf::other_system(head) {
        Some(system) => Some(system.to_owned()),
        None => elf::foreign(head, architecture),
    }
}

/// Whether a package is called after the platform that it is for: `@img/sharp-darwin-x64`. Such packages come by the dozen, and
/// only the right one is loaded.
fn is_of_a_platform(name: &str) -> bool {
    name.split(['-', '/', '_', '.']).any(|word| {
        [
            "darwin", "win32", "windows", "linux", "freebsd", "android", "macos",
        ]
        .contains(&word)
    })
}
