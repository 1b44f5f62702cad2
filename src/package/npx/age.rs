//! Keeps `npm` from choosing releases that are too fresh: the minimum age and the user's own settings of `npm` in, options of `npm` out; and
//! why nothing could be chosen.
//!
//! The stricter of the two counts; the user's exceptions do not. Refuses releases of which a registry does not say when they were published: `npm`
//! chooses them in silence.
//!
//! Source: npm documentation, "config" (`before`, `min-release-age`, `min-release-age-exclude`), "outdated"; registry API, `time` of a package.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::SystemTime;

use nodejs_semver::Version;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Map, Value, json};

use super::NpxSource;
use super::lock::NpmLock;
use super::npm::{self, Failure};
use super::tree::PROJECT;
use super::{report, spec};
use crate::package::{MinimumAge, PackageError, Tool, Tools, release_age};

/// What `npm` is told, and what that means.
pub(crate) struct Limit {
    kept: Option<Kept>,
    /// The user's own, and that.
    pub(crate) resolver_options: Vec<String>,
}

#[derive(Clone, Copy)]
struct Kept {
    minimum: MinimumAge,
    /// The last moment of publication that will do, by the minimum age alone.
    last: SystemTime,
}

/// Options of the user that say the same, in the notation of the command line that was read.
const OPTIONS: [&str; 2] = ["--before=", "--min-release-age="];

/// No package is excepted, whatever `.npmrc` says.
const NO_EXCEPTIONS: &str = "--min-release-age-exclude=";

/// Before anything was published. Not the first moment of all: a time of zero could be taken for none.
const BEFORE_ALL: &str = "--before=1970-01-02T00:00:00Z";

/// What a registry says of a package besides its releases.
#[derive(Deserialize, Default)]
#[serde(rename_all = "kebab-case", default)]
struct Published {
    /// Version to moment.
    time: BTreeMap<String, String>,
    dist_tags: BTreeMap<String, String>,
}

impl Limit {
    /// The limit for `source`, which is resolved in the directory `project`.
    pub(crate) async fn of(
        tools: &Tools,
        source: &NpxSource,
        project: &Path,
    ) -> Result<Self, PackageError> {
        let options = &source.command.resolver_options;
        let Some(minimum) = tools.minimum_age else {
            return Ok(Self {
                kept: None,
                resolver_options: options.clone(),
            });
        };
        let (same, mut others): (Vec<String>, Vec<String>) = options
            .iter()
            .cloned()
            .partition(|option| OPTIONS.iter().any(|start| option.starts_with(start)));
        let last = minimum.last(tools.now);
        let own = of_user(tools, source, project, &same).await?;
        let strictest = own.map_or(last, |own| own.min(last));
        others.push(format!("--before={}", release_age::rfc3339(strictest)));
        others.push(NO_EXCEPTIONS.to_owned());
        Ok(Self {
            kept: Some(Kept { minimum, last }),
            resolver_options: others,
        })
    }

    /// Whether `npm` could look at the age of everything in `lock`, which was resolved with this limit. `project` is used up.
    ///
    /// `npm outdated` lists what could be had of what a project asks for. Of what was published before anything was that is only what has no time.
    ///
    /// # Errors
    ///
    /// [`PackageError::NoUploadTime`].
    pub(crate) async fn check(
        &self,
        tools: &Tools,
        source: &NpxSource,
        project: &Path,
        lock: &NpmLock,
    ) -> Result<(), PackageError> {
        let Some(kept) = self.kept else {
            return Ok(());
        };
        let releases = releases(source, lock);
        let needs: Map<String, Value> = (0..)
            .zip(&releases)
            .map(|(number, (name, version))| {
                let wanted = format!("npm:{name}@{version}");
                (alias(number), Value::from(wanted))
            })
            .collect();
        let package = json!({"name": PROJECT, "private": true, "dependencies": needs});
        npm::write_project(&source.npm, project, &package.to_string(), None).await?;
        let mut options = self.resolver_options.clone();
        // What was read to choose is there still.
        options.extend([BEFORE_ALL, "--prefer-offline"].map(str::to_owned));
        let listed = match npm::run(tools, &source.npm, project, &["outdated"], &options).await {
            Ok(listed) => listed,
            // Some releases of npm end with 1 where anything is listed.
            Err(Failure::Complaint(complaint)) if complaint.code.is_empty() => complaint.output,
            Err(failure) => return Err(unanswered(source, failure)),
        };
        let listed: BTreeMap<String, IgnoredAny> =
            serde_json::from_str(&listed).map_err(|error| PackageError::ToolFailed {
                tool: Tool::Npm,
                action: SAY_WHEN,
                output: format!("its answer cannot be read: {error}"),
            })?;
        let untold = (0..).zip(&releases).find(|(number, (name, version))| {
            listed.contains_key(&format!("{}:{name}@{version}", alias(*number)))
        });
        match untold {
            None => Ok(()),
            Some((_, (name, _))) => Err(PackageError::NoUploadTime {
                index: "npm registry",
                package: (*name).to_owned(),
                minimum: kept.minimum,
            }),
        }
    }

    /// What `error` is when the limit is its reason.
    pub(crate) async fn explain(
        &self,
        tools: &Tools,
        source: &NpxSource,
        project: &Path,
        error: PackageError,
    ) -> PackageError {
        let Some(kept) = self.kept else {
            return error;
        };
        let PackageError::VersionNotFound {
            package, wanted, ..
        } = &error
        else {
            return error;
        };
        let Ok(published) = published(tools, source, project, package).await else {
            return error;
        };
        let found = published.newest(wanted);
        match found.filter(|(_, moment)| *moment > kept.last) {
            Some((version, moment)) => PackageError::TooFresh {
                package: format!("{package} {version}"),
                needed_by: String::new(),
                age: release_age::age(moment, tools.now),
                minimum: kept.minimum,
            },
            None => error,
        }
    }
}

impl Published {
    /// The newest release that `wanted` asks for, and when it was published.
    fn newest(&self, wanted: &str) -> Option<(&str, SystemTime)> {
        let tagged = self.dist_tags.get(wanted);
        let versions = self.time.iter().filter_map(|(version, moment)| {
            let asked = match tagged {
                Some(tagged) => tagged == version,
                None => spec::admits(wanted, version),
            };
            let parsed = Version::parse(version).ok().filter(|_| asked)?;
            let moment = release_age::from_rfc3339(moment)?;
            Some((parsed, version.as_str(), moment))
        });
        let newest = versions.max_by(|a, b| a.0.cmp(&b.0))?;
        Some((newest.1, newest.2))
    }
}

/// Name in the registry and version of all that is in `lock`; first those that the configuration names.
fn releases<'a>(source: &'a NpxSource, lock: &'a NpmLock) -> Vec<(&'a str, &'a str)> {
    let named = source.npm.named.iter();
    let named = named.filter_map(|spec| Some((spec.name.as_str(), lock.top(&spec.name)?)));
    let all = lock
        .pins()
        .iter()
        .filter_map(|(place, pin)| Some((place.last()?.as_str(), pin)));
    let mut releases = Vec::new();
    let mut seen = BTreeSet::new();
    for (name, pin) in named.chain(all) {
        let name = pin.alias_of.as_deref().unwrap_or(name);
        if seen.insert((name, pin.version.as_str())) {
            releases.push((name, pin.version.as_str()));
        }
    }
    releases
}

/// The name by which a project asks for the release of that number: it may ask for two releases of one package.
fn alias(number: usize) -> String {
    format!("p{number}")
}

const SAY_WHEN: &str = "say when a package was published";

fn unanswered(source: &NpxSource, failure: Failure) -> PackageError {
    report::read(failure, SAY_WHEN, &source.npm.target())
}

/// What the registry says of `package`.
async fn published(
    tools: &Tools,
    source: &NpxSource,
    project: &Path,
    package: &str,
) -> Result<Published, PackageError> {
    let arguments = ["view", package, "time", "dist-tags"];
    let told = npm::run(tools, &source.npm, project, &arguments, &[]).await;
    let text = told.map_err(|failure| unanswered(source, failure))?;
    // Nothing at all, or only one of the two, where the registry does not say.
    Ok(serde_json::from_str(&text).unwrap_or_default())
}

/// The last moment of publication that the user's own settings allow (environment, `.npmrc` and `options`).
async fn of_user(
    tools: &Tools,
    source: &NpxSource,
    project: &Path,
    options: &[String],
) -> Result<Option<SystemTime>, PackageError> {
    let arguments = ["config", "get", "before", "min-release-age"];
    let text = match npm::run(tools, &source.npm, project, &arguments, options).await {
        Ok(text) => text,
        Err(Failure::Unusable(error)) => return Err(error),
        // Releases that do not know the younger of the two settings.
        Err(Failure::Complaint(_)) => return Ok(None),
    };
    let value = |name: &str| {
        let mut lines = text.lines();
        let value = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        value.map(str::trim).filter(|value| *value != "null")
    };
    let before = value("before").and_then(release_age::from_javascript);
    let days: Option<f64> = value("min-release-age").and_then(|days| days.parse().ok());
    let age = days.and_then(MinimumAge::days);
    let by_age = age.map(|age| age.last(tools.now));
    Ok(before.into_iter().chain(by_age).min())
}
