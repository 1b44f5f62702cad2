//! A directory into which `uv` installed in, the files that belong into the zip out: the same on every machine.
//!
//! Only what some wheel claims (`RECORD`) is taken. Left out: launchers with the path of this machine's interpreter, bytecode, the
//! installer's notes, and what `python_prune` says. Rewritten: `RECORD` (sorted, without the files left out and without hashes, which do
//! not compress) and the first line of Python files in `bin/`. Refuses symbolic links and names that are not UTF-8.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::entry_point::{self, Offer};
use super::requirement::normalise;
use super::{Architecture, PackageError, elf, python_prune, zip};

/// Where a file's bytes are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Content {
    File(PathBuf),
    /// A file that others may change, as it was when it was first read.
    Seen {
        path: PathBuf,
        sha256: [u8; 32],
    },
    Bytes(Vec<u8>),
}

impl Content {
    pub(crate) fn read(&self) -> Result<Vec<u8>, PackageError> {
        match self {
            Self::File(path) => std::fs::read(path).map_err(|error| io("read", path, error)),
            Self::Seen { path, sha256 } => {
                let bytes = std::fs::read(path).map_err(|error| io("read", path, error))?;
                let found: [u8; 32] = Sha256::digest(&bytes).into();
                match found == *sha256 {
                    true => Ok(bytes),
                    false => Err(PackageError::Unpackageable {
                        path: path.display().to_string(),
                        reason: "it was changed while it was being packaged; apply again once nothing writes to it".to_owned(),
                    }),
                }
            }
            Self::Bytes(bytes) => Ok(bytes.clone()),
        }
    }

    pub(crate) fn size(&self) -> Result<u64, PackageError> {
        match self {
            Self::File(path) | Self::Seen { path, .. } => Ok(path
                .metadata()
                .map_err(|error| io("read", path, error))?
                .len()),
            Self::Bytes(bytes) => Ok(bytes.len() as u64),
        }
    }

    /// The first bytes, up to `count`.
    pub(crate) fn head(&self, count: usize) -> Result<Vec<u8>, PackageError> {
        match self {
            Self::File(path) | Self::Seen { path, .. } => {
                let file = std::fs::File::open(path).map_err(|error| io("read", path, error))?;
                let mut head = Vec::with_capacity(count);
                file.take(count as u64)
                    .read_to_end(&mut head)
                    .map_err(|error| io("read", path, error))?;
                Ok(head)
            }
            Self::Bytes(bytes) => Ok(bytes.iter().copied().take(count).collect()),
        }
    }
}

/// The files of the package, by their path under `site-packages/`, with `/` between names.
#[derive(Debug)]
pub(crate) struct Stage {
    pub(crate) files: BTreeMap<String, Content>,
    /// Normalised distribution name to the paths that it claims.
    claims: BTreeMap<String, BTreeSet<String>>,
    /// Normalised distribution name to what it offers to start.
    pub(crate) offers: BTreeMap<String, Offer>,
    /// Paths that several distributions bring with different content, and the one that wins: the last by name.
    pub(crate) contested: BTreeMap<String, String>,
}

/// Notes of the installer and signatures over the `RECORD` that is rewritten.
const INSTALLER_NOTES: [&str; 7] = [
    "INSTALLER",
    "REQUESTED",
    "direct_url.json",
    "uv_cache.json",
    "uv_build.json",
    "RECORD.jws",
    "RECORD.p7s",
];

impl Stage {
    /// Reads what was installed into `root`.
    pub(crate) fn read(root: &Path) -> Result<Self, PackageError> {
        let present = walk(root)?;
        let mut stage = Self {
            files: BTreeMap::new(),
            claims: BTreeMap::new(),
            offers: BTreeMap::new(),
            contested: BTreeMap::new(),
        };
        let mut hashes: BTreeMap<String, String> = BTreeMap::new();
        let mut launchers = BTreeSet::new();
        for (path, file) in &present {
            let Some((directory, "RECORD")) = path.rsplit_once('/') else {
                continue;
            };
            let Some((name, version)) = dist_info(directory) else {
                continue;
            };
            let record = read_text(file)?;
            let mut claimed = BTreeSet::new();
            for line in record.lines() {
                let (claim, hash) = record_row(line);
                if !present.contains_key(&claim) {
                    continue;
                }
                match hashes.get(&claim) {
                    Some(before) if *before != hash || hash.is_empty() => {
                        let winner = stage
                            .contested
                            .entry(claim.clone())
                            .or_insert_with(|| name.clone());
                        *winner = (*winner).clone().max(name.clone());
                    }
                    _ => {}
                }
                // A path that two claim counts for the last by name, whatever order the directory was read in.
                hashes.insert(claim.clone(), hash);
                claimed.insert(claim);
            }
            let entry_points = match present.get(&format!("{directory}/entry_points.txt")) {
                Some(file) => read_text(file)?,
                None => String::new(),
            };
            launchers.extend(entry_point::launcher_names(&entry_points));
            let scripts = entry_point::console_scripts(&entry_points);
            stage.offers.insert(
                name.clone(),
                Offer {
                    version,
                    scripts,
                    ..Offer::default()
                },
            );
            stage.claims.insert(name, claimed);
        }
        stage.take(&present, &launchers)?;
        Ok(stage)
    }

    fn take(
        &mut self,
        present: &BTreeMap<String, PathBuf>,
        launchers: &BTreeSet<String>,
    ) -> Result<(), PackageError> {
        let claimed: BTreeSet<&String> = self.claims.values().flatten().collect();
        for path in claimed {
            let Some(file) = present.get(path) else {
                continue;
            };
            if is_left_out(path, launchers) {
                continue;
            }
            let content = match path.strip_prefix("bin/") {
                Some(_) => relocatable(Content::File(file.clone()))?,
                None => Content::File(file.clone()),
            };
            self.files.insert(path.clone(), content);
        }
        for useless in python_prune::useless(&self.files, &self.claims)? {
            self.files.remove(&useless);
        }
        let files = &self.files;
        self.contested.retain(|path, _| files.contains_key(path));
        for (name, claimed) in &mut self.claims {
            claimed.retain(|path| files.contains_key(path));
            let offer = self.offers.entry(name.clone()).or_default();
            for program in claimed.iter().filter_map(|path| path.strip_prefix("bin/")) {
                let Some(content) = files.get(&format!("bin/{program}")) else {
                    continue;
                };
                let head = content.head(elf::HEADER.max(PYTHON_LINE.len()))?;
                if elf::is_elf(&head) {
                    offer.binaries.push(program.to_owned());
                } else if head.starts_with(PYTHON_LINE.as_bytes()) {
                    offer.python_files.push(program.to_owned());
                }
            }
        }
        self.rewrite_records();
        Ok(())
    }

    fn rewrite_records(&mut self) {
        for claimed in self.claims.values() {
            let Some(record) = claimed
                .iter()
                .find(|path| path.ends_with(".dist-info/RECORD"))
            else {
                continue;
            };
            let mut text = String::new();
            for path in claimed {
                if path.contains([',', '"']) {
                    text.push_str(&format!("\"{}\",,\n", path.replace('"', "\"\"")));
                } else {
                    text.push_str(&format!("{path},,\n"));
                }
            }
            self.files
                .insert(record.clone(), Content::Bytes(text.into_bytes()));
        }
    }

    /// Takes the contested files of `winner` from `root`, where it was installed alone.
    pub(crate) fn settle(&mut self, winner: &str, root: &Path) -> Result<(), PackageError> {
        let alone = walk(root)?;
        for (path, _) in self.contested.iter().filter(|(_, name)| *name == winner) {
            let file = alone.get(path).ok_or_else(|| PackageError::Unpackageable {
                path: path.clone(),
                reason: format!("`{winner}` was installed without it the second time"),
            })?;
            let content = Content::File(file.clone());
            let content = if path.starts_with("bin/") {
                relocatable(content)?
            } else {
                content
            };
            self.files.insert(path.clone(), content);
        }
        Ok(())
    }

    /// The files by their path in the package.
    pub(crate) fn in_package(&self) -> BTreeMap<String, Content> {
        let files = self.files.iter();
        let file = |(path, content): (&String, &Content)| {
            (format!("{}/{path}", zip::PACKAGES_NAME), content.clone())
        };
        files.map(file).collect()
    }

    /// Normalised name to version of what was installed.
    pub(crate) fn versions(&self) -> BTreeMap<String, String> {
        self.offers
            .iter()
            .map(|(name, offer)| (name.clone(), offer.version.clone()))
            .collect()
    }

    /// Whether the packages bring `.pth` files that do something. That of setuptools only matters while building.
    pub(crate) fn has_site_hooks(&self) -> bool {
        self.files.keys().any(|path| {
            !path.contains('/') && path.ends_with(".pth") && path != "distutils-precedence.pth"
        })
    }

    /// Bytes of each distribution's files.
    pub(crate) fn sizes(&self) -> Result<BTreeMap<String, u64>, PackageError> {
        let mut sizes = BTreeMap::new();
        for (name, claimed) in &self.claims {
            let mut total = 0;
            for content in claimed.iter().filter_map(|path| self.files.get(path)) {
                total += content.size()?;
            }
            sizes.insert(name.clone(), total);
        }
        Ok(sizes)
    }

    /// Refuses libraries and programs for another processor than the function's.
    ///
    /// Some packages carry libraries for many processors and load the right one by its name; those are passed over.
    pub(crate) fn check_architecture(
        &self,
        architecture: Architecture,
    ) -> Result<(), PackageError> {
        for (path, content) in &self.files {
            let name = path.rsplit('/').next().unwrap_or(path);
            let extension_module =
                name.ends_with(".so") && (name.contains(".cpython-") || name.contains(".abi3."));
            let library = name.ends_with(".so") || name.contains(".so.");
            if !(extension_module || (library && !names_a_processor(path))) {
                continue;
            }
            if let Some(found) = elf::foreign(&content.head(elf::HEADER)?, architecture) {
                let owner = self
                    .claims
                    .iter()
                    .find(|(_, claimed)| claimed.contains(path));
                return Err(PackageError::WrongArchitecture {
                    file: path.clone(),
                    distribution: owner.map_or_else(String::new, |(name, _)| name.clone()),
                    found,
                    architecture,
                });
            }
        }
        Ok(())
    }
}

fn io(action: &'static str, path: &Path, source: std::io::Error) -> PackageError {
    PackageError::Io {
        action,
        path: path.to_owned(),
        source,
    }
}

fn read_text(path: &Path) -> Result<String, PackageError> {
    let bytes = std::fs::read(path).map_err(|error| io("read", path, error))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Every file under `root` by its relative path.
pub(crate) fn walk(root: &Path) -> Result<BTreeMap<String, PathBuf>, PackageError> {
    let mut files = BTreeMap::new();
    for entry in walkdir::WalkDir::new(root) {
        let entry = entry.map_err(|error| {
            let path = error.path().unwrap_or(root).to_owned();
            let source = error
                .into_io_error()
                .unwrap_or_else(|| std::io::Error::other("a loop of links"));
            PackageError::Io {
                action: "read",
                path,
                source,
            }
        })?;
        if entry.file_type().is_dir() {
            continue;
        }
        let relative = entry.path().strip_prefix(root).unwrap_or(entry.path());
        let refused = |reason: &str| PackageError::Unpackageable {
            path: relative.display().to_string(),
            reason: reason.to_owned(),
        };
        if !entry.file_type().is_file() {
            return Err(refused(
                "it is neither a file nor a directory; Lambda unpacks nothing else",
            ));
        }
        let names: Option<Vec<&str>> = relative.iter().map(|name| name.to_str()).collect();
        let names = names.ok_or_else(|| refused("its name is not UTF-8"))?;
        files.insert(names.join("/"), entry.path().to_owned());
    }
    Ok(files)
}

/// Normalised name and version of `name-1.0.dist-info`.
fn dist_info(directory: &str) -> Option<(String, String)> {
    let (name, version) = directory.strip_suffix(".dist-info")?.split_once('-')?;
    (!directory.contains('/')).then(|| (normalise(name), version.to_owned()))
}

/// Path and hash of a row; paths with commas or quotes are quoted, as CSV has it.
fn record_row(line: &str) -> (String, String) {
    let Some(quoted) = line.strip_prefix('"') else {
        let mut fields = line.split(',');
        return (
            fields.next().unwrap_or_default().to_owned(),
            fields.next().unwrap_or_default().to_owned(),
        );
    };
    let mut path = String::new();
    let mut rest = quoted.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '"' if rest.peek() == Some(&'"') => {
                rest.next();
                path.push('"');
            }
            '"' => break,
            _ => path.push(c),
        }
    }
    let after: String = rest.collect();
    (
        path,
        after
            .trim_start_matches(',')
            .split(',')
            .next()
            .unwrap_or_default()
            .to_owned(),
    )
}

fn is_left_out(path: &str, launchers: &BTreeSet<String>) -> bool {
    if path.split('/').any(|part| part == "__pycache__") {
        return true;
    }
    if let Some(program) = path.strip_prefix("bin/") {
        let program = program.strip_suffix(".exe").unwrap_or(program);
        return launchers.contains(program);
    }
    path.rsplit_once('/').is_some_and(|(directory, name)| {
        directory.ends_with(".dist-info") && INSTALLER_NOTES.contains(&name)
    })
}

const PYTHON_LINE: &str = "#!/usr/bin/env python3\n";

/// Replaces the interpreter of this machine in the first line of a Python file in `bin/`.
///
/// Installers write `#!<path>`, or, for long paths, three lines that are valid both as shell and as Python.
fn relocatable(content: Content) -> Result<Content, PackageError> {
    if content.head(2)? != *b"#!" {
        return Ok(content);
    }
    let bytes = content.read()?;
    let Ok(text) = std::str::from_utf8(&bytes) else {
        return Ok(content);
    };
    let (first, rest) = text.split_once('\n').unwrap_or((text, ""));
    if first.contains("python") {
        return Ok(Content::Bytes(format!("{PYTHON_LINE}{rest}").into_bytes()));
    }
    if rest.starts_with("'''exec'")
        && let Some((_exec, rest)) = rest.split_once('\n')
        && let Some((_closing, rest)) = rest.split_once('\n')
    {
        return Ok(Content::Bytes(format!("{PYTHON_LINE}{rest}").into_bytes()));
    }
    Ok(content)
}

pub(crate) fn names_a_processor(path: &str) -> bool {
    let lower = path.to_ascii_lowercase();
    [
        "x86",
        "x64",
        "amd64",
        "i386",
        "i686",
        "arm",
        "aarch64",
        "ppc64",
        "s390x",
        "riscv",
        "mips",
        "loongarch",
    ]
    .iter()
    .any(|word| lower.contains(word))
}
