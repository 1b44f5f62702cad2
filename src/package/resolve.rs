//! Requirements in, the lock of the newest versions that satisfy it out: `uv` decides versions, this file picks the wheel of each
//! version that runs on the function and keeps its hash alone.
//!
//! Refuses source distributions: nothing is built, because what is built here would not run there.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::time::SystemTime;

use serde::Deserialize;

use super::error::Attribute;
use super::python_lock::{Pin, PythonLock};
use super::python_packages::PythonPackages;
use super::requirement::normalise;
use super::runtime::PythonRuntime;
use super::tools::Tool;
use super::uv::{self, Complaint, Failure, Output, Step};
use super::uv_age::Limit;
use super::uv_report::{self, Finding, Report, name_of};
use super::{
    Architecture, ErrorKind, Notice, PackageError, Tools, release_age, requirements, wheel,
};

/// See [`super::resolve`].
pub(crate) async fn resolve(
    tools: &Tools,
    packages: &PythonPackages,
) -> Result<(PythonLock, Vec<Notice>), PackageError> {
    if packages
        .project
        .as_ref()
        .is_some_and(|project| project.uv_lock)
    {
        let (packages, options) = exported(tools, packages).await?;
        return resolve_named(tools, &packages, options).await;
    }
    resolve_named(tools, packages, Vec::new()).await
}

/// What `uv.lock` says for all platforms, as requirements; with the options that keep it as it is.
async fn exported(
    tools: &Tools,
    packages: &PythonPackages,
) -> Result<(PythonPackages, Vec<String>), PackageError> {
    let arguments = [
        "export",
        "--frozen",
        "--no-default-groups",
        "--no-emit-project",
        "--no-header",
        "--no-annotate",
    ];
    let mut arguments: Vec<String> = arguments.map(Into::into).into();
    arguments.extend(packages.place_options());
    let text = match uv::run(tools, Step::Resolve, &arguments, "").await {
        Ok(output) => output.text,
        Err(Failure::Unusable(error)) => return Err(error),
        Err(Failure::Complaint(complaint)) => {
            let report = Report::read(&complaint.0);
            return Err(match unusable(tools, packages, &report) {
                Some(error) => error,
                None => PackageError::Invalid {
                    attribute: Attribute::whole("source_dir"),
                    reason: format!("`uv` cannot read `uv.lock` in it:\n{}", report.text()),
                },
            });
        }
    };
    let named = requirements::exported(&text)?;
    // The lock holds all that its own packages need; what is asked for besides may need more.
    let options = match packages.requirements.is_empty() {
        true => vec!["--no-deps".to_owned()],
        false => Vec::new(),
    };
    let mut packages = packages.clone();
    packages.requirements.splice(0..0, named.requirements);
    if let Some(project) = &mut packages.project {
        project.hashes = named.hashes;
    }
    Ok((packages, options))
}

async fn resolve_named(
    tools: &Tools,
    packages: &PythonPackages,
    mut options: Vec<String>,
) -> Result<(PythonLock, Vec<Notice>), PackageError> {
    let input: String = packages
        .requirements
        .iter()
        .map(|requirement| format!("{}\n", requirement.text))
        .collect();
    if !stays_offline(tools, packages) {
        for latest in packages
            .requirements
            .iter()
            .filter(|requirement| requirement.latest)
        {
            options.push(format!("--refresh-package={}", latest.name));
        }
    }
    let limit = Limit::of(tools, packages).await?;
    let (platform, python) = (
        packages.python.platform(packages.architecture),
        packages.python,
    );
    let chosen = [options.as_slice(), &limit.resolver_options].concat();
    let complaint = match compile(tools, packages, platform.clone(), python, &chosen, &input).await
    {
        Ok(output) => {
            let found = read_lock(&output.text, packages)?;
            limit.check(&found, tools.now)?;
            return Ok((found.lock(), notices(&output.remarks, packages)));
        }
        Err(Failure::Unusable(error)) => return Err(error),
        Err(Failure::Complaint(complaint)) => complaint,
    };
    if let Some(error) = limit.blamed(&complaint) {
        return Err(error);
    }
    let error = explain(tools, packages, &limit, complaint).await;
    if limit.is_none() || error.kind() != ErrorKind::Unresolvable {
        return Err(error);
    }
    // Would it do without the limit?
    let chosen = [options.as_slice(), &packages.resolver_options].concat();
    let Ok(output) = compile(tools, packages, platform, python, &chosen, &input).await else {
        return Err(error);
    };
    let found = read_lock(&output.text, packages)?;
    Err(limit.explain(&found, error, tools.now))
}

/// What the index says against what was chosen.
fn notices(remarks: &str, packages: &PythonPackages) -> Vec<Notice> {
    let yanked = uv_report::yanked(remarks).into_iter();
    yanked
        .map(|(package, reason)| Notice::Yanked {
            attribute: packages
                .names(package)
                .unwrap_or_else(|| packages.attribute()),
            package: package.replace("==", " "),
            reason: reason.to_owned(),
        })
        .collect()
}

/// One run of `uv pip compile`; `options` besides the index's.
async fn compile(
    tools: &Tools,
    packages: &PythonPackages,
    platform: String,
    python: PythonRuntime,
    options: &[String],
    input: &str,
) -> Result<Output, Failure> {
    let mut arguments: Vec<String> = [
        "pip",
        "compile",
        "-",
        "--format",
        "pylock.toml",
        "--no-header",
    ]
    .map(Into::into)
    .into();
    arguments.extend(
        [
            "--no-universal",
            "--only-binary",
            ":all:",
            "--python-version",
        ]
        .map(Into::into),
    );
    arguments.extend([python.version(), "--python-platform".to_owned(), platform]);
    arguments.extend(packages.place_options());
    arguments.extend_from_slice(options);
    // The requirements first, so that a position among them that `uv` complains about can be found.
    let input = format!("{input}{}", packages.index_lines());
    uv::run(tools, Step::Resolve, &arguments, &input).await
}

fn stays_offline(tools: &Tools, packages: &PythonPackages) -> bool {
    let variable = tools.environment.get(OsStr::new("UV_OFFLINE"));
    variable.is_some_and(|value| !value.is_empty() && value != "0" && value != "false")
        || packages
            .index_options
            .iter()
            .any(|option| option == "--offline")
}

/// The part of PEP 751's `pylock.toml` that is needed here.
#[derive(Deserialize)]
struct PyLock {
    #[serde(default)]
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    version: Option<String>,
    #[serde(default)]
    wheels: Vec<Wheel>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Wheel {
    upload_time: Option<toml::value::Datetime>,
    name: Option<String>,
    url: Option<String>,
    path: Option<String>,
    #[serde(default)]
    hashes: BTreeMap<String, String>,
}

impl Wheel {
    /// The file's name: given, or the end of its URL or path.
    fn file_name(&self) -> Option<&str> {
        let place = self
            .name
            .as_deref()
            .or(self.url.as_deref())
            .or(self.path.as_deref())?;
        let place = place.split(['?', '#']).next().unwrap_or(place);
        place.rsplit(['/', '\\']).next()
    }
}

/// What `uv` chose.
pub(crate) struct Found {
    pins: BTreeMap<String, Pin>,
    /// When the wheel of each was published, where the index says it.
    pub(crate) published: BTreeMap<String, Option<SystemTime>>,
}

impl Found {
    fn lock(self) -> PythonLock {
        PythonLock::new(self.pins)
    }

    /// The version of a package, by its normalised name.
    pub(crate) fn version(&self, name: &str) -> Option<&str> {
        self.pins.get(name).map(|pin| pin.version.as_str())
    }
}

fn read_lock(text: &str, packages: &PythonPackages) -> Result<Found, PackageError> {
    let unreadable = |output: String| PackageError::ToolFailed {
        tool: Tool::Uv,
        action: "resolve the packages",
        output,
    };
    let pylock: PyLock = toml::from_str(text)
        .map_err(|error| unreadable(format!("its lock cannot be read: {error}")))?;
    let (mut pins, mut published) = (BTreeMap::new(), BTreeMap::new());
    for package in pylock.packages {
        let version = package.version.clone();
        let version = version.ok_or_else(|| {
            unreadable(format!("its lock gives no version of `{}`", package.name))
        })?;
        let hashes = packages.hashes(&package.name);
        let ranked = package.wheels.iter().filter_map(|candidate| {
            let hash = candidate.hashes.get("sha256");
            if hashes.is_some_and(|hashes| hash.is_none_or(|hash| !hashes.contains(hash))) {
                return None;
            }
            Some((
                wheel::rank(
                    candidate.file_name()?,
                    packages.python,
                    packages.architecture,
                )?,
                candidate,
            ))
        });
        // Of equals the first: `uv` lists indexes by precedence.
        let mut chosen: Option<(wheel::Rank, &Wheel)> = None;
        for (rank, candidate) in ranked {
            if chosen.as_ref().is_none_or(|(best, _)| rank < *best) {
                chosen = Some((rank, candidate));
            }
        }
        let Some((_, chosen)) = chosen else {
            if hashes.is_some() {
                return Err(PackageError::Invalid {
                    attribute: Attribute::whole("source_dir"),
                    reason: format!(
                        "none of the hashes that are locked in it for `{}` {version} is that of a wheel which the index has for {}. Lock it anew \
                         for this platform, and from this index",
                        package.name,
                        packages.target()
                    ),
                });
            }
            return Err(unreadable(format!(
                "its lock gives no wheel of `{}` {version} for {}",
                package.name,
                packages.target()
            )));
        };
        let hash = chosen.hashes.get("sha256").ok_or_else(|| {
            unreadable(format!(
                "the index gives no SHA-256 for the wheel of `{}` {version}, and this release of `uv` computes none",
                package.name
            ))
        })?;
        let uploaded = chosen.upload_time.as_ref().map(ToString::to_string);
        let uploaded = uploaded.and_then(|time| release_age::from_rfc3339(&time));
        published.insert(normalise(&package.name), uploaded);
        pins.insert(
            normalise(&package.name),
            Pin {
                version,
                sha256: vec![hash.to_lowercase()],
            },
        );
    }
    if pins.is_empty() {
        return Err(unreadable(format!(
            "markers exclude every package on {}",
            packages.target()
        )));
    }
    Ok(Found { pins, published })
}

/// Turns a complaint into an error, asking the index once more where that tells the user what would work.
async fn explain(
    tools: &Tools,
    packages: &PythonPackages,
    limit: &Limit,
    complaint: Complaint,
) -> PackageError {
    let report = Report::read(&complaint.0);
    if let Some(error) = unusable(tools, packages, &report) {
        return error;
    }
    match report.classify("resolve the packages", &packages.requirements) {
        Finding::Certain(error) => error,
        Finding::NoVersion {
            package,
            needed_by,
            wanted,
        } => {
            let newest = newest(tools, packages, limit, &package).await;
            PackageError::VersionNotFound {
                package,
                needed_by,
                wanted,
                newest,
            }
        }
        Finding::NoWheel {
            package,
            needed_by,
            hints,
        } => {
            let (available, next_step) = elsewhere(tools, packages, &package, hints).await;
            PackageError::NoWheel {
                package,
                needed_by,
                target: packages.target(),
                available,
                next_step,
            }
        }
    }
}

/// Complaints about `uv` and its options rather than about packages.
pub(crate) fn unusable(
    tools: &Tools,
    packages: &PythonPackages,
    report: &Report,
) -> Option<PackageError> {
    if report.lacks_interpreter() {
        return Some(PackageError::ToolUnusable {
            tool: Tool::Uv,
            // It has just run.
            path: tools.uv().unwrap_or_default(),
            reason: "it needs a Python interpreter on this machine, of any version, and finds none. Install one (for example \
                     `uv python install`)"
                .to_owned(),
        });
    }
    let said = report.misunderstood()?;
    let options = packages
        .index_options
        .iter()
        .chain(&packages.resolver_options);
    let by_user = options
        .map(|option| option.split('=').next().unwrap_or(option))
        .any(|option| said.contains(option));
    Some(if by_user {
        PackageError::Invalid {
            attribute: super::Attribute::whole("args"),
            reason: format!("`uv` refuses them: {said}"),
        }
    } else {
        PackageError::ToolUnusable {
            tool: Tool::Uv,
            // It has just run.
            path: tools.uv().unwrap_or_default(),
            reason: format!("it does not know what is asked of it ({said}). Use uv 0.7 or newer"),
        }
    })
}

/// `; the newest that runs on … is 1.2` or nothing.
async fn newest(tools: &Tools, packages: &PythonPackages, limit: &Limit, package: &str) -> String {
    let platform = packages.python.platform(packages.architecture);
    let options = [&["--no-deps".to_owned()], limit.options.as_slice()].concat();
    let Ok(output) = compile(
        tools,
        packages,
        platform,
        packages.python,
        &options,
        &format!("{package}\n"),
    )
    .await
    else {
        return String::new();
    };
    let found = read_lock(&output.text, packages).ok();
    let version = found
        .as_ref()
        .and_then(|found| found.version(&normalise(package)));
    version.map_or_else(String::new, |version| {
        format!(
            "; the newest that runs on {} is {version}",
            packages.target()
        )
    })
}

/// Where `package` would have a wheel, and what to do about it.
async fn elsewhere(
    tools: &Tools,
    packages: &PythonPackages,
    package: &str,
    hints: Vec<String>,
) -> (String, String) {
    let input = format!("{package}\n");
    let options = ["--no-deps".to_owned()];
    let name = name_of(package);
    let advice = |found: String| {
        let known: Vec<_> = hints.iter().cloned().chain([found]).collect();
        known.join("; ")
    };
    for python in packages.python.others() {
        let platform = python.platform(packages.architecture);
        if compile(tools, packages, platform, python, &options, &input)
            .await
            .is_ok()
        {
            let runtime = python.name();
            return (
                advice(format!("the index has one for {runtime}")),
                format!(
                    "Set runtime = \"{runtime}\", or ask for another version of `{name}` in `packages`"
                ),
            );
        }
    }
    let other = match packages.architecture {
        Architecture::X86_64 => Architecture::Arm64,
        Architecture::Arm64 => Architecture::X86_64,
    };
    if compile(
        tools,
        packages,
        packages.python.platform(other),
        packages.python,
        &options,
        &input,
    )
    .await
    .is_ok()
    {
        return (
            advice(format!("the index has one for {other} only")),
            format!(
                "Set architecture = \"{other}\", or ask for another version of `{name}` in `packages`"
            ),
        );
    }
    for (platform, system) in [("windows", "Windows"), ("macos", "macOS")] {
        if compile(
            tools,
            packages,
            platform.to_owned(),
            packages.python,
            &options,
            &input,
        )
        .await
        .is_ok()
        {
            return (
                advice(format!("the index has one for {system} only")),
                format!("`{name}` does not run on Linux; use a server that does not need it"),
            );
        }
    }
    let found = match hints.is_empty() {
        true => "the index has only a source distribution, and nothing is built here".to_owned(),
        false => hints.join("; "),
    };
    (
        found,
        format!(
            "Ask for a version of `{name}` that is published as a wheel in `packages`, or use a server that does not need it"
        ),
    )
}
