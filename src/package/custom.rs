//! A server that is started by any command, with a folder of its own or without: what runs it, what is in its package.
//!
//! Python and Node commands run on Lambda's managed runtimes, with the packages that the folder declares or `packages` names; every other
//! program runs on the plain runtime, where the bridge is the `bootstrap`. Refuses, as early as it can be known: programs and scripts that are
//! not in the folder, that are built for another machine, or whose interpreter is not there.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::assemble::{Parts, Subject};
use super::bytecode::{self, Compiler};
use super::error::Attribute;
use super::folder::{self, Folder, FolderFile, FolderSpec};
use super::managed::{Asked, Managed, Packages, SITE_HOOK_NAME};
use super::program::{self, Place, Runner, TASK_ROOT};
use super::requirement::Requirement;
use super::runtime::PythonRuntime;
use super::stage::Content;
use super::zip::{self, Measure};
use super::{
    Architecture, Artifact, Lock, PackageError, ServerSpec, Tools, assemble, elf, npx, source,
};

/// Lambda's runtime for programs that bring their own.
pub(crate) const PLAIN_RUNTIME: &str = "provided.al2023";

/// A server that any command starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CustomSource {
    command: String,
    args: Vec<String>,
    cwd: Option<String>,
    runner: Runner,
    /// `None`: the plain runtime.
    managed: Option<Managed>,
    folder: Option<FolderSpec>,
    pub(crate) architecture: Architecture,
    /// `packages`.
    requirements: Vec<Requirement>,
    /// npm packages whose install scripts run; `None` when the user did not say.
    allow_scripts: Option<Vec<String>>,
    layered: bool,
    pub(crate) compile_bytecode: bool,
    opened: Option<Arc<Opened>>,
}

/// What was found in the folder.
#[derive(Debug, PartialEq, Eq)]
struct Opened {
    /// Without files when there is no folder.
    folder: Folder,
    hash: Option<String>,
    fingerprint: String,
    packages: Option<Packages>,
}

impl CustomSource {
    /// Reads the command line.
    pub(crate) fn plan(spec: &ServerSpec) -> Result<Self, PackageError> {
        let runner = program::runner(&spec.command, spec.cwd.as_deref(), spec.layered)?;
        let managed = Managed::choose(&runner, spec)?;
        if managed.is_none() {
            check_plain_runtime(spec)?;
        }
        match runner {
            Runner::Node => npx::check_allowed(spec.allow_scripts.as_deref())?,
            Runner::Python { .. } | Runner::Program(_) => source::no_scripts(spec)?,
        }
        if spec.compile_bytecode && !matches!(managed, Some(Managed::Python(_))) {
            return Err(source::no_bytecode(&spec.command));
        }
        let mut requirements = Vec::new();
        for (index, text) in spec.packages.iter().enumerate() {
            let at = Attribute::element("packages", index);
            let Some(managed) = managed else {
                return Err(PackageError::Invalid {
                    attribute: at,
                    reason: format!(
                        "`{}` runs without a package manager, so nothing can be installed for it; put what it needs into `source_dir`",
                        spec.command
                    ),
                });
            };
            requirements.push(managed.requirement(text, at)?);
        }
        let folder = match &spec.source_dir {
            Some(path) => {
                folder::excludes(&[], &spec.source_excludes)?;
                Some(FolderSpec {
                    path: path.into(),
                    of_kind: managed.map(Managed::excludes).unwrap_or_default(),
                    excludes: spec.source_excludes.clone(),
                })
            }
            None if !spec.source_excludes.is_empty() => {
                return Err(PackageError::Invalid {
                    attribute: Attribute::whole("source_excludes"),
                    reason: "there is no `source_dir` that something could be left out of"
                        .to_owned(),
                });
            }
            None => None,
        };
        let source = Self {
            command: spec.command.clone(),
            args: spec.args.clone(),
            cwd: spec.cwd.clone(),
            runner,
            managed,
            folder,
            architecture: spec.architecture,
            requirements,
            allow_scripts: spec.allow_scripts.clone(),
            layered: spec.layered,
            compile_bytecode: spec.compile_bytecode,
            opened: None,
        };
        for (path, attribute) in source.named_files()? {
            if source.folder.is_none() {
                return Err(PackageError::Invalid {
                    attribute,
                    reason: format!(
                        "`{path}` is a file of the server itself; set `source_dir` to the folder that holds it"
                    ),
                });
            }
        }
        Ok(source)
    }

    /// The files of the package that the command line names, by their path in it.
    fn named_files(&self) -> Result<Vec<(String, Attribute)>, PackageError> {
        if let Runner::Program(place) = &self.runner {
            return Ok(match place {
                Place::Package(path) => vec![(path.clone(), Attribute::whole("command"))],
                Place::Elsewhere => Vec::new(),
            });
        }
        let Some((index, script)) = program::script(&self.runner, &self.args) else {
            return Ok(Vec::new());
        };
        let at = Attribute::element("args", index);
        Ok(match program::place(script, self.cwd.as_deref(), at)? {
            Place::Package(path) => vec![(path, at)],
            Place::Elsewhere => Vec::new(),
        })
    }

    /// Lambda's runtime identifier.
    pub(crate) fn runtime(&self) -> String {
        self.managed
            .map_or_else(|| PLAIN_RUNTIME.to_owned(), Managed::name)
    }

    /// The first word of the command line in the function.
    fn program(&self) -> String {
        self.managed
            .map_or_else(|| self.command.clone(), Managed::program)
    }

    pub(crate) fn args(&self) -> &[String] {
        &self.args
    }

    pub(crate) fn subject(&self) -> Subject {
        match self.folder {
            Some(_) => Subject {
                package: self.name().to_owned(),
                attribute: Attribute::whole("source_dir"),
                ways_out: "leave out what the server does not need with `source_excludes`, keep data in S3 or EFS, ask for fewer or \
                           smaller packages, or build a container image and run that (`command = \"docker\"`)",
            },
            None => Subject {
                package: self.name().to_owned(),
                attribute: Attribute::whole("packages"),
                ways_out: "ask for fewer or smaller packages, or build a container image and run that (`command = \"docker\"`)",
            },
        }
    }

    /// What the server is called in messages.
    pub(crate) fn name(&self) -> &str {
        match program::script(&self.runner, &self.args) {
            Some((_, script)) => script,
            None => &self.command,
        }
    }

    pub(crate) fn identity(&self) -> String {
        // The program is part of it: what was built says how the server is started.
        let mut lines = vec![format!(
            "{} {} {}",
            self.program(),
            self.runtime(),
            self.architecture
        )];
        lines.extend(
            self.requirements
                .iter()
                .map(|requirement| requirement.text.clone()),
        );
        match self.opened.as_deref() {
            Some(opened) if !opened.fingerprint.is_empty() => {
                lines.push(format!("declared {}", opened.fingerprint))
            }
            _ => {}
        }
        lines.join("\n")
    }

    /// See [`Source::start_identity`](super::Source::start_identity).
    pub(crate) fn start_identity(&self) -> String {
        self.allow_scripts
            .iter()
            .flatten()
            .cloned()
            .collect::<Vec<_>>()
            .join("\n")
    }

    /// See [`Source::content_hash`](super::Source::content_hash).
    pub(crate) fn content_hash(&self) -> Option<&str> {
        self.opened.as_deref()?.hash.as_deref()
    }

    /// See [`Source::python`](super::Source::python).
    pub(crate) fn python(&self) -> Option<PythonRuntime> {
        match self.managed {
            Some(Managed::Python(python)) => Some(python),
            Some(Managed::Node(_)) | None => None,
        }
    }

    /// Whether the folder was read, where there is one.
    pub(crate) fn is_open(&self) -> bool {
        self.opened.is_some()
    }

    /// What has to be installed; `None` also before the folder was read.
    pub(crate) fn packages(&self) -> Option<&Packages> {
        self.opened.as_deref()?.packages.as_ref()
    }

    /// Where to point for an error about the packages together.
    pub(crate) fn attribute(&self) -> Attribute {
        let declared = self
            .opened
            .as_deref()
            .is_some_and(|opened| !opened.fingerprint.is_empty());
        Attribute::whole(if declared { "source_dir" } else { "packages" })
    }

    /// Whether the folder that was read has this file.
    fn has_file(&self, path: &str) -> bool {
        let opened = self.opened.as_deref();
        opened.is_some_and(|opened| opened.folder.files.contains_key(path))
    }

    /// Reads the folder.
    pub(crate) fn open(&self) -> Result<Self, PackageError> {
        let folder = match &self.folder {
            Some(spec) => Folder::read(spec)?,
            None => Folder::default(),
        };
        self.with(folder)
    }

    /// The same with the files of a package that was built from it.
    pub(crate) fn opened_as(&self, zip: &[u8]) -> Result<Self, PackageError> {
        let folder = match self.folder {
            Some(_) => {
                let node = matches!(self.managed, Some(Managed::Node(_)));
                Folder::of_package(zip::read_all(zip)?, node, self.compile_bytecode)
            }
            None => Folder::default(),
        };
        self.with(folder)
    }

    fn with(&self, folder: Folder) -> Result<Self, PackageError> {
        for (path, attribute) in self.named_files()? {
            self.check_file(&folder, &path, attribute)?;
        }
        if let Some((file, found)) = folder::foreign_file(&folder, self.architecture) {
            return Err(PackageError::WrongMachine {
                attribute: Attribute::whole("source_dir"),
                file: file.to_owned(),
                found,
                architecture: self.architecture,
            });
        }
        self.check_size(&folder)?;
        let (packages, fingerprint) = match self.managed {
            Some(managed) => {
                let asked = Asked {
                    requirements: self.requirements.clone(),
                    allow_scripts: self.allow_scripts.clone(),
                    directory: self.folder.as_ref().map(|folder| folder.path.clone()),
                    architecture: self.architecture,
                };
                managed.declared(&folder, asked)?
            }
            None => (None, String::new()),
        };
        let hash = self.folder.as_ref().map(|_| folder.hash());
        Ok(Self {
            opened: Some(Arc::new(Opened {
                folder,
                hash,
                fingerprint,
                packages,
            })),
            ..self.clone()
        })
    }

    /// Whether the program or script is there and can run.
    fn check_file(
        &self,
        folder: &Folder,
        path: &str,
        attribute: Attribute,
    ) -> Result<(), PackageError> {
        let invalid = |reason: String| PackageError::Invalid { attribute, reason };
        let Some(file) = folder.files.get(path) else {
            if self
                .managed
                .is_some_and(|managed| managed.runs(folder, path))
            {
                return Ok(());
            }
            let what = match folder.has_directory(path) {
                true => "is a directory in `source_dir`, not a program",
                false => "is not among the files of `source_dir` that are packaged",
            };
            return Err(invalid(format!(
                "`{path}` {what}. The folder is the function's `{TASK_ROOT}`; paths are relative to it or to `cwd`"
            )));
        };
        if self.managed.is_some() {
            return Ok(());
        }
        check_program(path, file, attribute, self.architecture)
    }

    /// What is over the limit before anything is installed need not be installed.
    fn check_size(&self, folder: &Folder) -> Result<(), PackageError> {
        zip::check_limit(
            &self.subject(),
            Measure::Unzipped,
            folder.size(),
            zip::Limits::LAMBDA,
            &sizes(folder),
        )
    }
}

/// Bytes of each file.
fn sizes(folder: &Folder) -> BTreeMap<String, u64> {
    let size = |(path, file): (&String, &FolderFile)| (path.clone(), file.size);
    folder.files.iter().map(size).collect()
}

fn check_plain_runtime(spec: &ServerSpec) -> Result<(), PackageError> {
    match spec.runtime.as_deref() {
        None | Some(PLAIN_RUNTIME) => Ok(()),
        Some(other) => Err(PackageError::Invalid {
            attribute: Attribute::whole("runtime"),
            reason: format!(
                "`{other}` is not a runtime for `{}`, which brings what it runs with it; use `{PLAIN_RUNTIME}`, or leave `runtime` out. Scripts \
                 of a managed runtime are started with `python3` or `node` as `command`, and the script in `args`",
                spec.command
            ),
        }),
    }
}

/// Whether a file can be started by Linux on Lambda's plain runtime.
fn check_program(
    path: &str,
    file: &FolderFile,
    attribute: Attribute,
    architecture: Architecture,
) -> Result<(), PackageError> {
    let invalid = |reason: String| PackageError::Invalid { attribute, reason };
    if elf::is_elf(&file.head) {
        return match elf::foreign(&file.head, architecture) {
            None => Ok(()),
            Some(found) => Err(PackageError::WrongMachine {
                attribute,
                file: path.to_owned(),
                found,
                architecture,
            }),
        };
    }
    if let Some(system) = elf::other_system(&file.head) {
        return Err(invalid(format!(
            "`{path}` is a program for {system}; functions run Linux on {architecture}, so build it for that"
        )));
    }
    let first_line = file
        .head
        .split(|byte| *byte == b'\n')
        .next()
        .unwrap_or_default();
    let first_line = String::from_utf8_lossy(first_line);
    let Some(interpreter) = first_line.strip_prefix("#!") else {
        return Err(invalid(format!(
            "`{path}` is neither a Linux program nor a script whose first line names its interpreter, such as `#!/bin/sh`"
        )));
    };
    if interpreter.ends_with('\r') {
        return Err(invalid(format!(
            "the first line of `{path}` ends in a carriage return, as on Windows, so Linux would not find its interpreter; save it with LF \
             line ends"
        )));
    }
    let mut words = interpreter
        .split_whitespace()
        .map(|word| word.rsplit('/').next().unwrap_or(word));
    let name = match words.next() {
        Some("env") => words.find(|word| !word.starts_with('-')),
        name => name,
    }
    .unwrap_or_default();
    let managed = ["python", "node"]
        .into_iter()
        .find(|managed| name.starts_with(managed));
    if let Some(managed) = managed {
        return Err(invalid(format!(
            "`{path}` is a script for `{name}`, which Lambda's plain runtime does not have; write command = \"{managed}\" and the script as \
             the first of `args`"
        )));
    }
    Ok(())
}

/// See [`super::build`]. `source` is open; `lock` is that of the packages, `None` when there are none.
pub(crate) async fn build(
    tools: &Tools,
    source: &CustomSource,
    lock: Option<&Lock>,
    bridge: &[u8],
    compiler: Option<&Compiler>,
) -> Result<Artifact, PackageError> {
    let brought = match (source.packages(), lock) {
        (Some(packages), Some(lock)) => {
            packages.check(lock)?;
            let hooked = source.has_file(SITE_HOOK_NAME);
            Some(packages.install(tools, lock, hooked).await?)
        }
        (None, None) => None,
        (Some(_), None) => return Err(super::no_lock()),
        (None, Some(_)) => return Err(nothing_to_lock()),
    };
    let (mut files, mut sizes) = (BTreeMap::new(), BTreeMap::new());
    if let Some(opened) = source.opened.as_deref() {
        let contents = opened.folder.files.iter();
        files.extend(contents.map(|(path, file)| (path.clone(), file.content.clone())));
        sizes.extend(self::sizes(&opened.folder));
    }
    // The installed files are there until they are packed.
    let work = brought.map(|brought| {
        sizes.extend(brought.sizes);
        files.extend(brought.files);
        brought.work
    });
    if let Some(compiler) = compiler {
        let bytecode = compiler.compile(tools, &files).await?;
        bytecode::add_size(&mut sizes, &bytecode)?;
        files.extend(bytecode);
    }
    let (lock, bridge) = (lock.cloned(), bridge.to_vec());
    super::in_background(source.clone(), move |source| {
        let _work = work;
        pack(source, files, sizes, lock, bridge)
    })
    .await
}

/// A lock was given where nothing is installed.
pub(crate) fn nothing_to_lock() -> PackageError {
    PackageError::InvalidLock {
        reason: "nothing is installed from a package index for this server, so there is nothing to lock; remove it".to_owned(),
    }
}

fn pack(
    source: &CustomSource,
    files: BTreeMap<String, Content>,
    sizes: BTreeMap<String, u64>,
    lock: Option<Lock>,
    bridge: Vec<u8>,
) -> Result<Artifact, PackageError> {
    let mut argv = vec![source.program()];
    argv.extend_from_slice(&source.args);
    assemble::assemble(Parts {
        subject: source.subject(),
        files,
        sizes,
        bridge,
        bridge_name: match source.managed {
            Some(_) => zip::BRIDGE_NAME,
            None => zip::BOOTSTRAP_NAME,
        },
        lock,
        argv,
        runtime: source.runtime(),
    })
}
