//! The files in which a Python project says what it needs in, requirements out. Pure: the files are those of a folder that was read.
//!
//! Precedence: `uv.lock` (with its `pyproject.toml`), else `requirements.txt`, else the dependencies in `pyproject.toml`. Requirement
//! files that it includes are read with it. Refuses what would have to be built (editable installs, paths, URLs), naming file and line, and
//! a `uv.lock` that does not fit the project.
//!
//! Source: pip documentation, "Requirements File Format"; PyPA specification "pyproject.toml".

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::error::Attribute;
use super::folder::Folder;
use super::requirement::Requirement;
use super::uv_lock::UvLock;
use super::{PackageError, digest};

const UV_LOCK: &str = "uv.lock";
const REQUIREMENTS: &str = "requirements.txt";
const PROJECT: &str = "pyproject.toml";

/// What a folder declares.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Declared {
    /// `uv.lock` is there, and `uv` has to be asked what it says.
    pub(crate) uv_lock: bool,
    /// Empty with `uv.lock`.
    pub(crate) named: Named,
    /// `requires-python` of `pyproject.toml`.
    pub(crate) requires_python: Option<String>,
    /// SHA-256 over the files that were read; empty when there are none.
    pub(crate) fingerprint: String,
}

/// What requirement files say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Named {
    pub(crate) requirements: Vec<Requirement>,
    /// Normalised name to the SHA-256 that its files may have, where some are given.
    pub(crate) hashes: BTreeMap<String, BTreeSet<String>>,
    /// Lines that say where packages come from, as they stand in the file: `--index-url https://…`.
    pub(crate) index_lines: Vec<String>,
    /// Files in the folder that bound versions without asking for packages.
    pub(crate) constraints: Vec<String>,
}

#[derive(Deserialize)]
struct PyProject {
    project: Option<Project>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Project {
    name: Option<String>,
    requires_python: Option<String>,
    dependencies: Option<Vec<String>>,
    #[serde(default)]
    dynamic: Vec<String>,
}

impl Project {
    /// They are computed by a build.
    fn has_dynamic_dependencies(&self) -> bool {
        self.dynamic.iter().any(|name| name == "dependencies")
    }
}

/// Reads what `folder` declares.
///
/// # Errors
///
/// [`PackageError::Invalid`] at `source_dir`, naming file and line.
pub(crate) fn declared(folder: &Folder) -> Result<Declared, PackageError> {
    let project_text = folder.text(PROJECT)?;
    let project = match &project_text {
        Some(text) => {
            toml::from_str::<PyProject>(text)
                .map_err(|error| {
                    PackageError::in_source_dir(format!(
                        "`{PROJECT}` in it cannot be read: {}",
                        error.message()
                    ))
                })?
                .project
        }
        None => None,
    };
    let mut declared = Declared {
        requires_python: project
            .as_ref()
            .and_then(|project| project.requires_python.clone()),
        ..Declared::default()
    };
    let mut read = Read {
        folder,
        seen: BTreeSet::new(),
        hash: Sha256::new(),
    };
    if let Some(lock) = folder.text(UV_LOCK)? {
        let Some(project_text) = project_text else {
            return Err(PackageError::in_source_dir(format!(
                "it holds `{UV_LOCK}` without the `{PROJECT}` that belongs to it; add that, or leave the lock out with `source_excludes`"
            )));
        };
        read.take(UV_LOCK, &lock);
        read.take(PROJECT, &project_text);
        let lock: UvLock = toml::from_str(&lock).map_err(|error| {
            PackageError::in_source_dir(format!(
                "`{UV_LOCK}` in it cannot be read: {}",
                error.message()
            ))
        })?;
        if let Some(project) = &project
            && let Some(name) = &project.name
            && !project.has_dynamic_dependencies()
        {
            lock.check(name, project.dependencies.as_deref().unwrap_or_default())?;
        }
        declared.uv_lock = lock.installs();
    } else if folder.files.contains_key(REQUIREMENTS) {
        read.file(REQUIREMENTS, &mut declared.named)?;
    } else if let Some(project) = project {
        if project.has_dynamic_dependencies() {
            return Err(PackageError::in_source_dir(format!(
                "`{PROJECT}` in it computes its dependencies (`dynamic`), which only a build could tell; write them to `{REQUIREMENTS}`, or add \
                 `{UV_LOCK}` (`uv lock`)"
            )));
        }
        for text in project.dependencies.unwrap_or_default() {
            let line = format!("`{text}` in the dependencies of `{PROJECT}`");
            declared.named.requirements.push(requirement(&text, &line)?);
        }
        read.take(PROJECT, &project_text.unwrap_or_default());
    }
    if declared.uv_lock || !declared.named.requirements.is_empty() {
        declared.fingerprint = digest::hex(&read.hash.finalize());
    }
    Ok(declared)
}

/// Reads requirements as `uv export` writes them.
///
/// # Errors
///
/// [`PackageError::Invalid`] at `source_dir`.
pub(crate) fn exported(text: &str) -> Result<Named, PackageError> {
    let mut named = Named::default();
    for (number, line) in logical_lines(text) {
        // The number is one of a text that nobody sees.
        let _ = number;
        entry(
            &line,
            &format!("`{line}`, which `{UV_LOCK}` locks,"),
            &mut named,
            None,
        )?;
    }
    Ok(named)
}

struct Read<'a> {
    folder: &'a Folder,
    /// Included files, each read once.
    seen: BTreeSet<String>,
    hash: Sha256,
}

impl Read<'_> {
    fn take(&mut self, path: &str, text: &str) {
        for part in [path, text] {
            self.hash.update((part.len() as u64).to_le_bytes());
            self.hash.update(part);
        }
    }

    fn file(&mut self, path: &str, named: &mut Named) -> Result<(), PackageError> {
        if !self.seen.insert(path.to_owned()) {
            return Ok(());
        }
        let Some(text) = self.folder.text(path)? else {
            return Err(PackageError::in_source_dir(format!(
                "a requirements file in it includes `{path}`, which is not in the folder, or is left out of the package"
            )));
        };
        self.take(path, &text);
        for (number, line) in logical_lines(&text) {
            let place = format!("line {number} of `{path}` (`{line}`)");
            entry(&line, &place, named, Some((self, path)))?;
        }
        Ok(())
    }
}

/// Takes one logical line. `files`: who reads the files that it includes, and the file that it stands in.
fn entry(
    line: &str,
    place: &str,
    named: &mut Named,
    files: Option<(&mut Read, &str)>,
) -> Result<(), PackageError> {
    if !line.starts_with('-') {
        let (text, hashes) = match line.find(" --") {
            Some(at) => line.split_at(at),
            None => (line, ""),
        };
        let requirement = requirement(text, place)?;
        for option in hashes.split_whitespace() {
            // The other options of a requirement are about building it, which is not done here.
            if let Some(hash) = option.strip_prefix("--hash=sha256:") {
                named
                    .hashes
                    .entry(requirement.name.clone())
                    .or_default()
                    .insert(hash.to_ascii_lowercase());
            }
        }
        named.requirements.push(requirement);
        return Ok(());
    }
    let (option, value) = option(line);
    match (option, files) {
        ("-r" | "--requirement", Some((read, including))) => {
            let path = beside(including, value, place)?;
            read.file(&path, named)
        }
        ("-c" | "--constraint", Some((read, including))) => {
            let path = beside(including, value, place)?;
            let mut bounds = Named::default();
            read.file(&path, &mut bounds)?;
            named.constraints.push(path);
            Ok(())
        }
        ("-i" | "--index-url" | "--extra-index-url" | "-f" | "--find-links" | "--no-index", _) => {
            named.index_lines.push(line.to_owned());
            Ok(())
        }
        // About how pip works, not about what is installed.
        (
            "--prefer-binary" | "--only-binary" | "--no-binary" | "--require-hashes"
            | "--use-feature" | "--trusted-host",
            _,
        ) => Ok(()),
        ("-e" | "--editable", _) => Err(PackageError::in_source_dir(format!(
            "{place} would have to be built. What is in the folder is packaged as it is: take the line out, and set `PYTHONPATH` in `env` when \
             modules lie below the top, such as `/var/task/src`"
        ))),
        _ => Err(PackageError::in_source_dir(format!(
            "{place} is an option that is not known here; take it out, or pin what it would choose"
        ))),
    }
}

/// `-r x`, `-rx`, `--requirement=x` as option and value.
fn option(line: &str) -> (&str, &str) {
    let (first, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    if let Some((option, value)) = first.split_once('=') {
        return (option, value);
    }
    if !first.starts_with("--") && first.len() > 2 && first.is_char_boundary(2) {
        return (&first[..2], &first[2..]);
    }
    (first, rest.trim())
}

/// The path in the folder of a file that another one includes.
fn beside(including: &str, included: &str, place: &str) -> Result<String, PackageError> {
    let directory = including
        .rsplit_once('/')
        .map_or("", |(directory, _)| directory);
    let mut parts: Vec<&str> = directory
        .split('/')
        .filter(|part| !part.is_empty())
        .collect();
    let outside = included.starts_with('/') || included.contains("://") || included.contains('\\');
    let mut leaves = outside;
    for part in included.split('/') {
        match part {
            "" | "." => {}
            ".." => leaves |= parts.pop().is_none(),
            _ => parts.push(part),
        }
    }
    if leaves {
        return Err(PackageError::in_source_dir(format!(
            "{place} includes a file outside of the folder; only what is in the folder counts, so copy it there"
        )));
    }
    Ok(parts.join("/"))
}

fn requirement(text: &str, place: &str) -> Result<Requirement, PackageError> {
    let attribute = Attribute::whole("source_dir");
    Requirement::parse(text, attribute).map_err(|error| match error {
        PackageError::Invalid { reason, .. } => {
            PackageError::in_source_dir(format!("{place}: {reason}"))
        }
        other => other,
    })
}

/// Lines without comments, those that end in `\` joined with the next, each with the number of its first line; empty ones are left out.
pub(crate) fn logical_lines(text: &str) -> Vec<(usize, String)> {
    let mut lines = Vec::new();
    let mut logical = String::new();
    let mut began = 1;
    for (index, physical) in text.lines().enumerate() {
        if logical.is_empty() {
            began = index + 1;
        }
        let physical = super::python_lock::strip_comment(physical).trim();
        if let Some(continued) = physical.strip_suffix('\\') {
            logical.push_str(continued);
            logical.push(' ');
            continue;
        }
        logical.push_str(physical);
        let line = std::mem::take(&mut logical).trim().to_owned();
        if !line.is_empty() {
            lines.push((began, line));
        }
    }
    let line = logical.trim().to_owned();
    if !line.is_empty() {
        lines.push((began, line));
    }
    lines
}
