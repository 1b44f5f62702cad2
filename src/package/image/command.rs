//! A command line of `docker run` in, which image it starts and with what out. Refuses options that are unknown or that
//! mean nothing in a Lambda function, naming the element of `args` that holds them and the reason.
//!
//! Options and their values: `docker run --help` of Docker 28.

use std::collections::BTreeMap;

use crate::package::error::Attribute;
use crate::package::{Architecture, PackageError};

/// What a command line of `docker run` asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DockerRun {
    /// As written: `mcp/time`, `ghcr.io/a/b:1`.
    pub(crate) image: String,
    /// The element of `args` that holds it.
    pub(crate) image_at: usize,
    /// `-e NAME=value`.
    pub(crate) variables: BTreeMap<String, String>,
    /// The elements of `args` that hold them.
    pub(crate) variables_at: BTreeMap<String, usize>,
    /// `-e NAME`, and the element of `args` that holds it: handed on from the environment of the caller.
    pub(crate) passed_on: Vec<(String, usize)>,
    /// `--entrypoint`; an empty one takes the image's away.
    pub(crate) entrypoint: Option<String>,
    /// `--workdir`.
    pub(crate) workdir: Option<String>,
    /// What follows the image: replaces the image's command.
    pub(crate) args: Vec<String>,
}

enum Meaning {
    Env,
    Entrypoint,
    Workdir,
    Platform,
    Network,
    Tmpfs,
    /// Lambda does it anyway, or it says nothing about what is started.
    Ignored,
    Refused(&'static str),
}

struct RunOption {
    long: &'static str,
    short: Option<char>,
    takes_value: bool,
    meaning: Meaning,
}

const fn value(long: &'static str, short: Option<char>, meaning: Meaning) -> RunOption {
    RunOption {
        long,
        short,
        takes_value: true,
        meaning,
    }
}

const fn flag(long: &'static str, short: Option<char>, meaning: Meaning) -> RunOption {
    RunOption {
        long,
        short,
        takes_value: false,
        meaning,
    }
}

const NO_HOST_FILES: &str = "a Lambda function sees no directory of this machine; put the files into the image, or let the \
                             server write below /tmp (`ephemeral_storage` sizes it)";
const NO_PORTS: &str = "nobody can connect to a Lambda function's ports; the server is spoken to over its standard input";
const USE_MEMORY: &str = "set `memory` on the resource instead; Lambda gives CPU in proportion";
const NO_DEVICES: &str = "Lambda gives a function no devices and no further privileges";
const OWN_SANDBOX: &str = "every Lambda function is alone in a sandbox of its own";
const USE_VPC: &str =
    "Lambda decides a function's network; set `vpc_config` on the resource to reach private hosts";
const OWN_LOGS: &str = "the server's log goes to the function's log group";

const OPTIONS: &[RunOption] = &[
    value("--env", Some('e'), Meaning::Env),
    value("--entrypoint", None, Meaning::Entrypoint),
    value("--workdir", Some('w'), Meaning::Workdir),
    value("--platform", None, Meaning::Platform),
    value("--network", None, Meaning::Network),
    value("--net", None, Meaning::Network),
    value("--tmpfs", None, Meaning::Tmpfs),
    flag("--interactive", Some('i'), Meaning::Ignored),
    flag("--tty", Some('t'), Meaning::Ignored),
    flag("--rm", None, Meaning::Ignored),
    flag("--init", None, Meaning::Ignored),
    flag("--quiet", Some('q'), Meaning::Ignored),
    flag("--read-only", None, Meaning::Ignored),
    flag("--sig-proxy", None, Meaning::Ignored),
    flag("--no-healthcheck", None, Meaning::Ignored),
    value("--name", None, Meaning::Ignored),
    value("--pull", None, Meaning::Ignored),
    value("--label", Some('l'), Meaning::Ignored),
    value("--attach", Some('a'), Meaning::Ignored),
    value("--restart", None, Meaning::Ignored),
    value("--stop-signal", None, Meaning::Ignored),
    value("--stop-timeout", None, Meaning::Ignored),
    value("--cap-drop", None, Meaning::Ignored),
    value("--security-opt", None, Meaning::Ignored),
    value("--hostname", Some('h'), Meaning::Ignored),
    value("--volume", Some('v'), Meaning::Refused(NO_HOST_FILES)),
    value("--mount", None, Meaning::Refused(NO_HOST_FILES)),
    value("--volumes-from", None, Meaning::Refused(NO_HOST_FILES)),
    value("--volume-driver", None, Meaning::Refused(NO_HOST_FILES)),
    value("--publish", Some('p'), Meaning::Refused(NO_PORTS)),
    flag("--publish-all", Some('P'), Meaning::Refused(NO_PORTS)),
    value("--expose", None, Meaning::Refused(NO_PORTS)),
    value(
        "--env-file",
        None,
        Meaning::Refused("set `env` on the resource instead"),
    ),
    value(
        "--label-file",
        None,
        Meaning::Refused("no file of this machine is read"),
    ),
    value(
        "--cidfile",
        None,
        Meaning::Refused("no file of this machine is written"),
    ),
    value(
        "--user",
        Some('u'),
        Meaning::Refused(
            "Lambda runs every image as a user of its own, who may read everything and write below /tmp",
        ),
    ),
    value(
        "--group-add",
        None,
        Meaning::Refused("Lambda runs every image as a user of its own"),
    ),
    flag(
        "--detach",
        Some('d'),
        Meaning::Refused(
            "an MCP server is spoken to over its standard input and output; leave it out",
        ),
    ),
    value("--memory", Some('m'), Meaning::Refused(USE_MEMORY)),
    value("--memory-swap", None, Meaning::Refused(USE_MEMORY)),
    value("--memory-reservation", None, Meaning::Refused(USE_MEMORY)),
    value("--cpus", None, Meaning::Refused(USE_MEMORY)),
    value("--cpu-shares", Some('c'), Meaning::Refused(USE_MEMORY)),
    value("--cpuset-cpus", None, Meaning::Refused(USE_MEMORY)),
    value(
        "--shm-size",
        None,
        Meaning::Refused("a Lambda function has no /dev/shm"),
    ),
    value("--gpus", None, Meaning::Refused(NO_DEVICES)),
    value("--device", None, Meaning::Refused(NO_DEVICES)),
    value("--cap-add", None, Meaning::Refused(NO_DEVICES)),
    flag("--privileged", None, Meaning::Refused(NO_DEVICES)),
    value("--sysctl", None, Meaning::Refused(NO_DEVICES)),
    value("--runtime", None, Meaning::Refused(OWN_SANDBOX)),
    value("--pid", None, Meaning::Refused(OWN_SANDBOX)),
    value("--ipc", None, Meaning::Refused(OWN_SANDBOX)),
    value("--uts", None, Meaning::Refused(OWN_SANDBOX)),
    value("--userns", None, Meaning::Refused(OWN_SANDBOX)),
    value("--cgroupns", None, Meaning::Refused(OWN_SANDBOX)),
    value(
        "--ulimit",
        None,
        Meaning::Refused("Lambda sets a function's limits"),
    ),
    value(
        "--pids-limit",
        None,
        Meaning::Refused("Lambda sets a function's limits"),
    ),
    value("--link", None, Meaning::Refused(OWN_SANDBOX)),
    value("--add-host", None, Meaning::Refused(USE_VPC)),
    value("--dns", None, Meaning::Refused(USE_VPC)),
    value("--ip", None, Meaning::Refused(USE_VPC)),
    value("--network-alias", None, Meaning::Refused(USE_VPC)),
    value("--log-driver", None, Meaning::Refused(OWN_LOGS)),
    value("--log-opt", None, Meaning::Refused(OWN_LOGS)),
    flag("--help", None, Meaning::Refused("it starts no server")),
];

impl DockerRun {
    /// Reads `args`, `run` included.
    pub(crate) fn parse(args: &[String], architecture: Architecture) -> Result<Self, PackageError> {
        let mut next = match args {
            [run, ..] if run == "run" => 1,
            [container, run, ..] if container == "container" && run == "run" => 2,
            [] => {
                return Err(PackageError::Invalid {
                    attribute: Attribute::whole("args"),
                    reason: "of `docker`, `docker run` starts a server; for example args = [\"run\", \"-i\", \"--rm\", \"mcp/time\"]"
                        .to_owned(),
                });
            }
            [other, ..] => {
                return Err(PackageError::in_args(
                    0,
                    format!("of `docker`, only `docker run` starts a server; `{other}` does not"),
                ));
            }
        };
        let mut run = Self {
            image: String::new(),
            image_at: 0,
            variables: BTreeMap::new(),
            variables_at: BTreeMap::new(),
            passed_on: Vec::new(),
            entrypoint: None,
            workdir: None,
            args: Vec::new(),
        };
        while let Some(word) = args.get(next) {
            let at = next;
            next += 1;
            if word == "--" {
                continue;
            }
            if !word.starts_with('-') || word == "-" {
                run.image.clone_from(word);
                run.image_at = at;
                run.args = args[next..].to_vec();
                return Ok(run);
            }
            for (option, attached) in options_of(word, at)? {
                let value = match (option.takes_value, attached) {
                    (false, None) => String::new(),
                    // `--rm=true` is how scripts write it.
                    (false, Some(value)) if value == "true" => String::new(),
                    (false, Some(_)) => {
                        return Err(PackageError::in_args(
                            at,
                            format!("`{}` takes no value", option.long),
                        ));
                    }
                    (true, Some(value)) => value,
                    (true, None) => {
                        let value = args.get(next).cloned();
                        next += 1;
                        value.ok_or_else(|| {
                            PackageError::in_args(at, format!("`{word}` needs a value after it"))
                        })?
                    }
                };
                run.take(option, value, at, next - 1, architecture)?;
            }
        }
        Err(PackageError::in_args(
            args.len() - 1,
            "the image is missing after the options; for example \"mcp/time\"".to_owned(),
        ))
    }

    /// One option; `holder` is the element that holds its value.
    fn take(
        &mut self,
        option: &RunOption,
        value: String,
        at: usize,
        holder: usize,
        architecture: Architecture,
    ) -> Result<(), PackageError> {
        match option.meaning {
            Meaning::Env => match value.split_once('=') {
                Some((name, value)) if is_name(name) => {
                    self.passed_on.retain(|(other, _)| other != name);
                    self.variables.insert(name.to_owned(), value.to_owned());
                    self.variables_at.insert(name.to_owned(), holder);
                }
                None if is_name(&value) => {
                    self.variables.remove(&value);
                    self.variables_at.remove(&value);
                    self.passed_on.push((value, holder));
                }
                _ => {
                    return Err(PackageError::in_args(
                        holder,
                        format!(
                            "`{value}` is not a variable: write NAME or NAME=value. For Lambda a name begins with a letter and holds only \
                             letters, digits and underscores, at least two characters"
                        ),
                    ));
                }
            },
            Meaning::Entrypoint => self.entrypoint = Some(value),
            Meaning::Workdir if value.starts_with('/') => self.workdir = Some(value),
            Meaning::Workdir => {
                return Err(PackageError::in_args(
                    holder,
                    format!("the working directory `{value}` is not absolute; begin it with `/`"),
                ));
            }
            Meaning::Platform => platform(&value, holder, architecture)?,
            Meaning::Network if matches!(value.as_str(), "bridge" | "default") => {}
            Meaning::Network => {
                return Err(refused(at, option.long, USE_VPC));
            }
            Meaning::Tmpfs => {
                let directory = value.split(':').next().unwrap_or_default();
                if directory != "/tmp" && !directory.starts_with("/tmp/") {
                    return Err(refused(
                        at,
                        option.long,
                        "of a Lambda function only /tmp can be written to",
                    ));
                }
            }
            Meaning::Ignored => {}
            Meaning::Refused(reason) => return Err(refused(at, option.long, reason)),
        }
        Ok(())
    }
}

/// The platform has to be the function's.
fn platform(value: &str, at: usize, architecture: Architecture) -> Result<(), PackageError> {
    let asked = match value {
        "linux/amd64" | "amd64" | "linux/x86_64" => Architecture::X86_64,
        "linux/arm64" | "arm64" | "linux/arm64/v8" | "linux/aarch64" => Architecture::Arm64,
        _ => {
            return Err(PackageError::in_args(
                at,
                format!(
                    "Lambda does not run `{value}`; use linux/amd64 or linux/arm64, or leave `--platform` out"
                ),
            ));
        }
    };
    if asked == architecture {
        return Ok(());
    }
    Err(PackageError::in_args(
        at,
        format!(
            "`{value}` is not the platform of a function for {architecture}; set architecture = \"{asked}\", or leave \
             `--platform` out"
        ),
    ))
}

/// The options that `word` names, the last with the value attached to it: `--env=A=b`, `-eA=b`, `-it`, `-ie`.
fn options_of(
    word: &str,
    at: usize,
) -> Result<Vec<(&'static RunOption, Option<String>)>, PackageError> {
    if word.starts_with("--") {
        let (name, attached) = match word.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (word, None),
        };
        let option = OPTIONS.iter().find(|option| option.long == name);
        return option
            .map(|option| vec![(option, attached)])
            .ok_or_else(|| unknown(name, at));
    }
    let mut options = Vec::new();
    let mut letters = word[1..].chars();
    while let Some(letter) = letters.next() {
        let option = OPTIONS
            .iter()
            .find(|option| option.short == Some(letter))
            .ok_or_else(|| unknown(&format!("-{letter}"), at))?;
        let rest = letters.as_str();
        if option.takes_value && !rest.is_empty() {
            options.push((
                option,
                Some(rest.strip_prefix('=').unwrap_or(rest).to_owned()),
            ));
            return Ok(options);
        }
        options.push((option, None));
    }
    Ok(options)
}

/// Lambda's own rule for names of variables (API reference, "Environment").
fn is_name(name: &str) -> bool {
    name.len() >= 2
        && name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

fn refused(at: usize, option: &str, reason: &str) -> PackageError {
    PackageError::in_args(
        at,
        format!("`{option}` of docker run cannot be used here: {reason}"),
    )
}

fn unknown(name: &str, at: usize) -> PackageError {
    PackageError::in_args(
        at,
        format!(
            "`{name}` is not an option of docker run that is known here. Options for the server itself come after the image"
        ),
    )
}
