//! A folder of this machine in, the files of it that belong into the package out, with one hash over all of them.
//!
//! The hash covers names and contents: neither modes nor times, which differ by umask and by checkout. Symbolic links are followed, so
//! that the package holds files alone. Refuses links that lead out of the folder, to nothing or in a circle, what is neither file nor
//! directory, names that are not UTF-8, and names that the package needs for itself.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use ignore::gitignore::{Gitignore, GitignoreBuilder};
use sha2::{Digest, Sha256};

use super::error::Attribute;
use super::stage::Content;
use super::{PackageError, digest, elf, sbom, zip};

/// Where a folder is and what of it is left out, as the configuration says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FolderSpec {
    /// Relative to the working directory of this process, which is the root module's, unless absolute.
    pub(crate) path: PathBuf,
    /// What the kind of server leaves out, after [`DEFAULT_EXCLUDES`].
    pub(crate) of_kind: &'static [&'static str],
    /// What the user leaves out, in the syntax of gitignore, after those.
    pub(crate) excludes: Vec<String>,
}

/// What no package needs: version control, Terraform's own files, what tools leave behind, and virtual environments, whose files are
/// those of one machine. In the syntax of gitignore, so `!name` in the user's list takes one back.
pub const DEFAULT_EXCLUDES: [&str; 17] = [
    ".git",
    ".hg",
    ".svn",
    ".terraform/",
    ".terraform.lock.hcl",
    "*.tfstate",
    "*.tfstate.*",
    "*.tfvars",
    "__pycache__/",
    "*.pyc",
    ".venv/",
    ".mypy_cache/",
    ".pytest_cache/",
    ".ruff_cache/",
    ".tox/",
    ".nox/",
    ".DS_Store",
];

/// Says that the directory that holds it is a virtual environment of Python, whatever that is called.
const VIRTUAL_ENVIRONMENT: &str = "pyvenv.cfg";

/// Names at the top of the package that are not the user's.
const RESERVED: [&str; 5] = [
    zip::BRIDGE_NAME,
    zip::BOOTSTRAP_NAME,
    zip::LOCK_NAME,
    zip::PACKAGES_NAME,
    sbom::NAME,
];

/// The files of a folder that are packaged, by their path in it with `/` between names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Folder {
    pub(crate) files: BTreeMap<String, FolderFile>,
}

/// One file, as it was when the folder was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FolderFile {
    pub(crate) content: Content,
    sha256: [u8; 32],
    /// Bytes.
    pub(crate) size: u64,
    /// The first bytes, up to [`HEAD`].
    pub(crate) head: Vec<u8>,
}

/// Bytes of each file that are kept: an ELF header, or a script's first line.
const HEAD: usize = 256;

impl Folder {
    /// Reads every file that is not left out.
    ///
    /// # Errors
    ///
    /// [`PackageError::Invalid`] at `source_dir` or an element of `source_excludes`; [`PackageError::Io`] for what cannot be read.
    pub(crate) fn read(spec: &FolderSpec) -> Result<Self, PackageError> {
        let root = root(&spec.path)?;
        let mut reader = Reader {
            excluded: excludes(spec.of_kind, &spec.excludes)?,
            shown: &spec.path,
            root: root.clone(),
            files: BTreeMap::new(),
        };
        reader.directory(&root, "", &mut vec![root.clone()])?;
        let files = reader.files;
        if files.is_empty() {
            return Err(PackageError::in_source_dir(format!(
                "`{}` holds no file that would be packaged; check the folder and `source_excludes`",
                spec.path.display()
            )));
        }
        for reserved in RESERVED {
            let inside = format!("{reserved}/");
            if files
                .keys()
                .any(|path| path == reserved || path.starts_with(&inside))
            {
                return Err(PackageError::in_source_dir(format!(
                    "`{reserved}` in `{}` has a name that the package needs for itself; rename it, or leave it out with `source_excludes`",
                    spec.path.display()
                )));
            }
        }
        Ok(Self { files })
    }

    /// The files of a package that came from its folder: all but those that this provider put there. `node`: npm's packages are
    /// where it installs them. `compiled`: bytecode is among them.
    pub(crate) fn of_package(files: BTreeMap<String, Vec<u8>>, node: bool, compiled: bool) -> Self {
        let installed = node && files.contains_key(zip::LOCK_NAME);
        let own = |path: &str| {
            let top = path.split('/').next().unwrap_or(path);
            RESERVED.contains(&top)
                || installed && top == zip::NODE_MODULES
                || compiled && path.split('/').any(|part| part == "__pycache__")
        };
        let files = files
            .into_iter()
            .filter(|(path, _)| !own(path))
            .map(|(path, bytes)| {
                let file = FolderFile {
                    sha256: Sha256::digest(&bytes).into(),
                    size: bytes.len() as u64,
                    head: bytes.iter().copied().take(HEAD).collect(),
                    content: Content::Bytes(bytes),
                };
                (path, file)
            });
        Self {
            files: files.collect(),
        }
    }

    /// SHA-256 over names and contents, 64 lower-case hexadecimal digits.
    pub(crate) fn hash(&self) -> String {
        let mut all = Sha256::new();
        for (path, file) in &self.files {
            all.update(path.as_bytes());
            // No name holds a NUL, so no two lists of files have the same bytes.
            all.update([0]);
            all.update(file.sha256);
        }
        digest::hex(&all.finalize())
    }

    /// Bytes of all files.
    pub(crate) fn size(&self) -> u64 {
        self.files.values().map(|file| file.size).sum()
    }

    /// A file's text, when there is such a file.
    pub(crate) fn text(&self, path: &str) -> Result<Option<String>, PackageError> {
        let Some(file) = self.files.get(path) else {
            return Ok(None);
        };
        let text = String::from_utf8(file.content.read()?).map_err(|_| {
            PackageError::in_source_dir(format!(
                "`{path}` in it is not UTF-8 text, so it cannot be read"
            ))
        })?;
        Ok(Some(text))
    }

    /// Whether some packaged file lies in this directory.
    pub(crate) fn has_directory(&self, path: &str) -> bool {
        let inside = format!("{path}/");
        self.files
            .range(inside.clone()..)
            .next()
            .is_some_and(|(found, _)| found.starts_with(&inside))
    }
}

/// Whether these patterns can be read, without looking at a folder.
///
/// # Errors
///
/// [`PackageError::Invalid`] at the element of `source_excludes`.
pub(crate) fn excludes(of_kind: &[&str], patterns: &[String]) -> Result<Gitignore, PackageError> {
    // Paths are matched relative to the folder, so the matcher's own root is of no account.
    let mut builder = GitignoreBuilder::new("");
    let unreadable = |index: usize, error: ignore::Error| PackageError::Invalid {
        attribute: Attribute::element("source_excludes", index),
        reason: format!(
            "{error}; write a pattern as .gitignore has them, such as `tests/` or `*.log`"
        ),
    };
    for pattern in DEFAULT_EXCLUDES.iter().chain(of_kind) {
        builder
            .add_line(None, pattern)
            .map_err(|error| unreadable(0, error))?;
    }
    for (index, pattern) in patterns.iter().enumerate() {
        builder
            .add_line(None, pattern)
            .map_err(|error| unreadable(index, error))?;
    }
    builder.build().map_err(|error| PackageError::Invalid {
        attribute: Attribute::whole("source_excludes"),
        reason: error.to_string(),
    })
}

fn io(action: &'static str, path: &Path, source: std::io::Error) -> PackageError {
    PackageError::Io {
        action,
        path: path.to_owned(),
        source,
    }
}

/// The folder itself, free of links.
fn root(path: &Path) -> Result<PathBuf, PackageError> {
    let shown = path.display();
    match path.metadata() {
        Ok(found) if found.is_dir() => {}
        Ok(_) => {
            return Err(PackageError::in_source_dir(format!(
                "`{shown}` is not a folder; name the folder that holds it"
            )));
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let from = std::env::current_dir().unwrap_or_default();
            let seen = match path.is_absolute() {
                true => String::new(),
                false => format!(" in `{}`", from.display()),
            };
            return Err(PackageError::in_source_dir(format!(
                "there is no folder `{shown}`{seen}. A folder of a module is `${{path.module}}/…`; if something makes it during apply, take \
                 its path from that resource, so that it is unknown while planning"
            )));
        }
        Err(error) => return Err(io("read", path, error)),
    }
    path.canonicalize().map_err(|error| io("read", path, error))
}

struct Reader<'a> {
    excluded: Gitignore,
    /// As the user wrote it, for messages.
    shown: &'a Path,
    /// Free of links.
    root: PathBuf,
    files: BTreeMap<String, FolderFile>,
}

impl Reader<'_> {
    /// Reads a directory; `ancestors` are the real paths of it and of what it lies in, by the way that was taken.
    fn directory(
        &mut self,
        place: &Path,
        relative: &str,
        ancestors: &mut Vec<PathBuf>,
    ) -> Result<(), PackageError> {
        let entries = place.read_dir().map_err(|error| io("read", place, error))?;
        for entry in entries {
            let entry = entry.map_err(|error| io("read", place, error))?;
            let name = entry.file_name();
            let name = name
                .to_str()
                .ok_or_else(|| self.refused(&entry.path(), "its name is not UTF-8"))?;
            let path = match relative {
                "" => name.to_owned(),
                _ => format!("{relative}/{name}"),
            };
            self.entry(&entry.path(), path, ancestors)?;
        }
        Ok(())
    }

    fn entry(
        &mut self,
        place: &Path,
        path: String,
        ancestors: &mut Vec<PathBuf>,
    ) -> Result<(), PackageError> {
        let itself = place
            .symlink_metadata()
            .map_err(|error| io("read", place, error))?;
        let is_link = itself.file_type().is_symlink();
        // A link is left out by its own name, whatever it leads to; patterns for directories count for links to them.
        let target = place.metadata();
        let is_directory = target.as_ref().is_ok_and(std::fs::Metadata::is_dir);
        if self.excluded.matched(&path, is_directory).is_ignore()
            || is_directory && place.join(VIRTUAL_ENVIRONMENT).is_file()
        {
            return Ok(());
        }
        let real = match is_link {
            true => self.follow(place)?,
            false => place.to_owned(),
        };
        let target = target.map_err(|error| io("read", place, error))?;
        if is_directory {
            if is_link && ancestors.contains(&real) {
                return Err(self.refused(place, "this link leads to a directory that it lies in"));
            }
            ancestors.push(real.clone());
            self.directory(&real, &path, ancestors)?;
            ancestors.pop();
            return Ok(());
        }
        if !target.is_file() {
            return Err(self.refused(
                place,
                "it is neither a file nor a directory; Lambda unpacks nothing else",
            ));
        }
        let file = read(&real)?;
        self.files.insert(path, file);
        Ok(())
    }

    /// Where a link leads, if that is inside the folder.
    fn follow(&self, link: &Path) -> Result<PathBuf, PackageError> {
        let says = std::fs::read_link(link).map_err(|error| io("read", link, error))?;
        let real = link.canonicalize().map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => self.refused(
                link,
                &format!(
                    "this link leads to `{}`, which does not exist",
                    says.display()
                ),
            ),
            // `canonicalize` gives up on a circle of links.
            _ => self.refused(
                link,
                &format!("this link leads to `{}`: {error}", says.display()),
            ),
        })?;
        if real.starts_with(&self.root) {
            return Ok(real);
        }
        Err(self.refused(
            link,
            &format!(
                "this link leads out of the folder, to `{}`. Only what is in the folder is packaged; copy it there, or leave the link out \
                 with `source_excludes`",
                says.display()
            ),
        ))
    }

    fn refused(&self, place: &Path, reason: &str) -> PackageError {
        let inside = place.strip_prefix(&self.root).unwrap_or(place);
        PackageError::in_source_dir(format!("`{}`: {reason}", self.shown.join(inside).display()))
    }
}

fn read(place: &Path) -> Result<FolderFile, PackageError> {
    let mut file = std::fs::File::open(place).map_err(|error| io("read", place, error))?;
    let mut all = Sha256::new();
    let mut head = Vec::new();
    let mut size = 0;
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let count = file
            .read(&mut buffer)
            .map_err(|error| io("read", place, error))?;
        if count == 0 {
            break;
        }
        let missing = HEAD.saturating_sub(head.len());
        head.extend(buffer[..count].iter().take(missing));
        all.update(&buffer[..count]);
        size += count as u64;
    }
    let sha256 = all.finalize().into();
    Ok(FolderFile {
        content: Content::Seen {
            path: place.to_owned(),
            sha256,
        },
        sha256,
        size,
        head,
    })
}

/// The first file, by path, that is built for another processor than the function's.
///
/// Some folders carry programs for many processors and start the right one by its name; those are passed over.
pub(crate) fn foreign_file(
    folder: &Folder,
    architecture: super::Architecture,
) -> Option<(&str, String)> {
    folder.files.iter().find_map(|(path, file)| {
        if super::stage::names_a_processor(path) {
            return None;
        }
        let found = elf::foreign(&file.head, architecture);
        // Other files may well be for other systems; a native addon is to be loaded here.
        let other = || elf::other_system(&file.head).filter(|_| path.ends_with(".node"));
        let found = found.or_else(|| other().map(str::to_owned))?;
        Some((path.as_str(), found))
    })
}
