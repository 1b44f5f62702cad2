//! Keeps `uv` from choosing releases that are too fresh: the minimum age and the user's own settings of `uv` in, options of `uv` out; and
//! what it chose, or could not choose, is held against them.
//!
//! The stricter of the two counts. Packages whose hashes a project gives were chosen by its owner, and are let through. Refuses an index
//! that does not say when releases were published.
//!
//! Source: uv documentation, "Reproducible resolutions" (`exclude-newer`), "Configuration files" (which file is read).

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::Deserialize;

use super::python_packages::PythonPackages;
use super::requirement::normalise;
use super::resolve::{Found, unusable};
use super::tools::Tool;
use super::uv::{self, Complaint, Failure, Step};
use super::uv_report::Report;
use super::{MinimumAge, PackageError, Tools, release_age};

/// What `uv` is told, and what that means.
#[derive(Debug, Default)]
pub(crate) struct Limit {
    kept: Option<Kept>,
    /// For every run that chooses.
    pub(crate) options: Vec<String>,
    /// The user's own, and those.
    pub(crate) resolver_options: Vec<String>,
    /// Normalised names of packages that are let through.
    exempt: Vec<String>,
}

#[derive(Debug, Clone, Copy)]
struct Kept {
    minimum: MinimumAge,
    /// The last moment of publication that will do, by the minimum age alone.
    last: SystemTime,
}

const OPTION: &str = "--exclude-newer=";

impl Limit {
    /// The limit for `packages`; none where there is no minimum age, or where a lock file has chosen everything.
    pub(crate) async fn of(tools: &Tools, packages: &PythonPackages) -> Result<Self, PackageError> {
        let unlimited = Self {
            resolver_options: packages.resolver_options.clone(),
            ..Self::default()
        };
        let Some(minimum) = tools.minimum_age else {
            return Ok(unlimited);
        };
        let locked = |name: &str| packages.hashes(name).is_some();
        if packages
            .requirements
            .iter()
            .all(|requirement| locked(&requirement.name))
        {
            return Ok(unlimited);
        }
        let last = minimum.last(tools.now);
        let own = of_user(tools, packages).await?;
        let strictest = own.map_or(last, |own| own.min(last));
        let mut options = vec![format!("{OPTION}{}", release_age::rfc3339(strictest))];
        let exempt: Vec<String> = packages
            .requirements
            .iter()
            .filter(|requirement| locked(&requirement.name))
            .map(|requirement| requirement.name.clone())
            .collect();
        let now = release_age::rfc3339(tools.now);
        options.extend(
            exempt
                .iter()
                .map(|name| format!("--exclude-newer-package={name}={now}")),
        );
        let others = packages.resolver_options.iter();
        let others = others.filter(|option| !option.starts_with(OPTION)).cloned();
        Ok(Self {
            kept: Some(Kept { minimum, last }),
            resolver_options: others.chain(options.iter().cloned()).collect(),
            options,
            exempt,
        })
    }

    pub(crate) fn is_none(&self) -> bool {
        self.kept.is_none()
    }

    /// Whether what was chosen is old enough: an exception among the user's settings of `uv` does not loosen the minimum age.
    ///
    /// # Errors
    ///
    /// [`PackageError::TooFresh`], and [`PackageError::NoUploadTime`].
    pub(crate) fn check(&self, found: &Found, now: SystemTime) -> Result<(), PackageError> {
        let Some(kept) = self.kept else {
            return Ok(());
        };
        for (name, published) in &found.published {
            match published {
                _ if self.exempt.contains(name) => {}
                None => return Err(no_upload_time(name, kept.minimum)),
                Some(published) if *published > kept.last => {
                    return Err(too_fresh(found, name, *published, now, kept, ""));
                }
                Some(_) => {}
            }
        }
        Ok(())
    }

    /// Whether `uv` left files out because the index does not say when they were published.
    pub(crate) fn blamed(&self, complaint: &Complaint) -> Option<PackageError> {
        let kept = self.kept?;
        let (before, _) = complaint.0.split_once(" is missing an upload date")?;
        let file = before
            .rsplit([' ', '`', '\n'])
            .find(|word| !word.is_empty())?;
        let name = file.split('-').next().unwrap_or(file);
        Some(no_upload_time(&normalise(name), kept.minimum))
    }

    /// Why nothing could be chosen, when `found` would be without the limit and `error` is what was said with it.
    pub(crate) fn explain(
        &self,
        found: &Found,
        error: PackageError,
        now: SystemTime,
    ) -> PackageError {
        let Some(kept) = self.kept else {
            return error;
        };
        let fresh: Vec<(&str, SystemTime)> = found
            .published
            .iter()
            .filter_map(|(name, published)| Some((name.as_str(), (*published)?)))
            .filter(|(name, published)| {
                *published > kept.last && !self.exempt.iter().any(|exempt| exempt == name)
            })
            .collect();
        if let PackageError::VersionNotFound {
            package, needed_by, ..
        } = &error
            && let Some((name, published)) = fresh
                .iter()
                .find(|(name, _)| *name == normalise(package).as_str())
        {
            return too_fresh(found, name, *published, now, kept, needed_by);
        }
        if fresh.is_empty() {
            // The user's own settings are what is in the way.
            return error;
        }
        let described = fresh.iter().map(|(name, published)| {
            let version = found.version(name).unwrap_or("?");
            format!(
                "`{name} {version}` ({} old)",
                release_age::age(*published, now)
            )
        });
        PackageError::NoneOldEnough {
            fresh: described.collect::<Vec<_>>().join(", "),
            minimum: kept.minimum,
        }
    }
}

fn too_fresh(
    found: &Found,
    name: &str,
    published: SystemTime,
    now: SystemTime,
    kept: Kept,
    needed_by: &str,
) -> PackageError {
    PackageError::TooFresh {
        package: format!("{name} {}", found.version(name).unwrap_or("?")),
        needed_by: needed_by.to_owned(),
        age: release_age::age(published, now),
        minimum: kept.minimum,
    }
}

fn no_upload_time(package: &str, minimum: MinimumAge) -> PackageError {
    PackageError::NoUploadTime {
        index: "package index",
        package: package.to_owned(),
        minimum,
    }
}

/// The part of a lock of `uv` that says by which settings it was made.
#[derive(Deserialize, Default)]
#[serde(rename_all = "kebab-case", default)]
struct Settings {
    options: Options,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "kebab-case", default)]
struct Options {
    exclude_newer: Option<String>,
    /// Given as a length of time; the other says nothing then.
    exclude_newer_span: Option<String>,
}

/// The last moment of publication that the user's own settings allow (environment, options, configuration files), as `uv` writes it into
/// a lock for a project of nothing.
async fn of_user(
    tools: &Tools,
    packages: &PythonPackages,
) -> Result<Option<SystemTime>, PackageError> {
    let place = tools.temporary_directory();
    let io = |action, path: PathBuf| {
        move |source| PackageError::Io {
            action,
            path,
            source,
        }
    };
    let work = tempfile::Builder::new()
        .prefix("mcplambda-")
        .tempdir_in(&place)
        .map_err(io("make a directory in", place))?;
    let project = work.path().join("pyproject.toml");
    let nothing = "[project]\nname = \"mcplambda\"\nversion = \"0\"\nrequires-python = \">=3.8\"\n";
    std::fs::write(&project, nothing).map_err(io("write", project))?;
    let start = packages
        .project
        .as_ref()
        .map(|project| project.directory.as_path());
    if let Some(setting) = configured(start.unwrap_or(Path::new(""))) {
        let file = work.path().join("uv.toml");
        let text = toml::Table::from_iter([("exclude-newer".to_owned(), setting)]).to_string();
        std::fs::write(&file, text).map_err(io("write", file))?;
    }
    let mut arguments = vec![
        "lock".to_owned(),
        "--offline".to_owned(),
        format!("--directory={}", work.path().display()),
    ];
    let options = packages.resolver_options.iter();
    arguments.extend(options.filter(|option| option.starts_with(OPTION)).cloned());
    let unreadable = |output: String| PackageError::ToolFailed {
        tool: Tool::Uv,
        action: "say how new packages may be",
        output,
    };
    match uv::run(tools, Step::Resolve, &arguments, "").await {
        Ok(_) => {}
        Err(Failure::Unusable(error)) => return Err(error),
        Err(Failure::Complaint(complaint)) => {
            let report = Report::read(&complaint.0);
            let error = unusable(tools, packages, &report);
            return Err(error.unwrap_or_else(|| unreadable(report.text().to_owned())));
        }
    }
    let file = work.path().join("uv.lock");
    let text = std::fs::read_to_string(&file).map_err(io("read", file))?;
    let settings: Settings =
        toml::from_str(&text).map_err(|error| unreadable(error.to_string()))?;
    match settings.options {
        Options {
            exclude_newer_span: Some(span),
            ..
        } => match release_age::from_iso_span(&span) {
            Some(span) => Ok(tools.now.checked_sub(span)),
            None => Err(unreadable(format!("`{span}` is no length of time"))),
        },
        Options {
            exclude_newer: Some(moment),
            ..
        } => match release_age::from_rfc3339(&moment) {
            Some(moment) => Ok(Some(moment)),
            None => Err(unreadable(format!("`{moment}` is no moment"))),
        },
        _ => Ok(None),
    }
}

/// `exclude-newer` in the configuration file that `uv` finds from a directory upwards: the first `uv.toml`, or `pyproject.toml` with
/// settings of `uv`. What cannot be read is left to `uv`, which reads it too.
fn configured(start: &Path) -> Option<toml::Value> {
    let start = std::path::absolute(match start.as_os_str().is_empty() {
        true => Path::new("."),
        false => start,
    })
    .ok()?;
    let table = |path: &Path| -> Option<toml::Table> {
        toml::from_str(&std::fs::read_to_string(path).ok()?).ok()
    };
    let settings = start.ancestors().find_map(|directory| {
        table(&directory.join("uv.toml")).or_else(|| {
            let project = table(&directory.join("pyproject.toml"))?;
            project.get("tool")?.get("uv")?.as_table().cloned()
        })
    });
    settings?.get("exclude-newer").cloned()
}
