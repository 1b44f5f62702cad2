//! A command line of `uvx` in, what it installs and starts out. Refuses options that are unknown or that mean nothing in
//! a Lambda function, naming the element of `args` that holds them.
//!
//! Options and their values: `uvx --help` of uv 0.13.9.

use super::PackageError;
use super::error::Attribute;
use super::requirement::{Requirement, normalise, split_list};

/// What a command line of `uvx` asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct UvxCommand {
    /// Name of the console script to start.
    pub(crate) executable: String,
    /// The script was named besides the package (`--from`), so no other will do.
    pub(crate) executable_is_explicit: bool,
    /// Normalised name of the package that should offer it.
    pub(crate) package: String,
    /// The package itself, then each `--with`.
    pub(crate) requirements: Vec<Requirement>,
    /// `--python`: its value and the element of `args` that holds it.
    pub(crate) python: Option<(String, usize)>,
    /// Options of `uv` that say where packages come from; for resolving and installing.
    pub(crate) index_options: Vec<String>,
    /// Options of `uv` that say which versions are chosen; for resolving only.
    pub(crate) resolver_options: Vec<String>,
    /// What the server itself is given.
    pub(crate) server_args: Vec<String>,
}

enum Meaning {
    From,
    With,
    Python,
    Index,
    Resolver,
    /// Says nothing about what is installed or started.
    Ignored,
    Refused(&'static str),
}

struct UvxOption {
    long: &'static str,
    short: Option<char>,
    takes_value: bool,
    meaning: Meaning,
}

const fn value(long: &'static str, short: Option<char>, meaning: Meaning) -> UvxOption {
    UvxOption {
        long,
        short,
        takes_value: true,
        meaning,
    }
}

const fn flag(long: &'static str, short: Option<char>, meaning: Meaning) -> UvxOption {
    UvxOption {
        long,
        short,
        takes_value: false,
        meaning,
    }
}

const USE_PACKAGES: &str =
    "files of this machine are not read; list the requirements in `packages`";
const USE_ARCHITECTURE: &str = "the platform is Lambda's; `architecture` and `runtime` choose it";
const USE_ENV: &str = "set `env` on the resource instead";
const NOT_BUILT: &str = "packages are installed from wheels only, nothing is built";

const OPTIONS: &[UvxOption] = &[
    value("--from", None, Meaning::From),
    value("--with", Some('w'), Meaning::With),
    value("--python", Some('p'), Meaning::Python),
    value("--index", None, Meaning::Index),
    value("--default-index", None, Meaning::Index),
    value("--index-url", Some('i'), Meaning::Index),
    value("--extra-index-url", None, Meaning::Index),
    value("--find-links", Some('f'), Meaning::Index),
    flag("--no-index", None, Meaning::Index),
    value("--index-strategy", None, Meaning::Index),
    value("--keyring-provider", None, Meaning::Index),
    value("--allow-insecure-host", None, Meaning::Index),
    flag("--system-certs", None, Meaning::Index),
    flag("--native-tls", None, Meaning::Index),
    value("--config-file", None, Meaning::Index),
    flag("--no-config", None, Meaning::Index),
    flag("--offline", None, Meaning::Index),
    value("--prerelease", None, Meaning::Resolver),
    value("--prerelease-package", None, Meaning::Resolver),
    value("--resolution", None, Meaning::Resolver),
    value("--exclude-newer", None, Meaning::Resolver),
    value("--exclude-newer-package", None, Meaning::Resolver),
    flag("--isolated", None, Meaning::Ignored),
    flag("--quiet", Some('q'), Meaning::Ignored),
    flag("--verbose", Some('v'), Meaning::Ignored),
    flag("--no-progress", None, Meaning::Ignored),
    value("--color", None, Meaning::Ignored),
    flag("--no-cache", Some('n'), Meaning::Ignored),
    flag("--refresh", None, Meaning::Ignored),
    value("--refresh-package", None, Meaning::Ignored),
    flag("--upgrade", Some('U'), Meaning::Ignored),
    value("--upgrade-package", Some('P'), Meaning::Ignored),
    flag("--reinstall", None, Meaning::Ignored),
    value("--reinstall-package", None, Meaning::Ignored),
    flag("--managed-python", None, Meaning::Ignored),
    flag("--no-managed-python", None, Meaning::Ignored),
    flag("--no-python-downloads", None, Meaning::Ignored),
    flag("--no-env-file", None, Meaning::Ignored),
    flag("--compile-bytecode", None, Meaning::Ignored),
    value("--link-mode", None, Meaning::Ignored),
    flag("--no-build", None, Meaning::Ignored),
    value("--no-build-package", None, Meaning::Ignored),
    value("--with-editable", None, Meaning::Refused(USE_PACKAGES)),
    value("--with-requirements", None, Meaning::Refused(USE_PACKAGES)),
    value("--constraints", Some('c'), Meaning::Refused(USE_PACKAGES)),
    value("--overrides", None, Meaning::Refused(USE_PACKAGES)),
    value(
        "--build-constraints",
        Some('b'),
        Meaning::Refused(NOT_BUILT),
    ),
    flag("--no-binary", None, Meaning::Refused(NOT_BUILT)),
    value("--no-binary-package", None, Meaning::Refused(NOT_BUILT)),
    value("--config-setting", Some('C'), Meaning::Refused(NOT_BUILT)),
    value(
        "--python-platform",
        None,
        Meaning::Refused(USE_ARCHITECTURE),
    ),
    value("--env-file", None, Meaning::Refused(USE_ENV)),
    value(
        "--directory",
        None,
        Meaning::Refused("set `cwd` on the resource instead"),
    ),
    flag("--help", Some('h'), Meaning::Refused("it starts no server")),
    flag(
        "--version",
        Some('V'),
        Meaning::Refused("it starts no server"),
    ),
];

impl UvxCommand {
    /// Reads `args`; those before `start` belong to the words `tool run`.
    pub(crate) fn parse(args: &[String], start: usize) -> Result<Self, PackageError> {
        let mut from: Option<(String, usize)> = None;
        let mut with: Vec<(String, usize)> = Vec::new();
        let mut python = None;
        let mut index_options = Vec::new();
        let mut resolver_options = Vec::new();
        let mut next = start;
        let (first, at) = loop {
            let Some(word) = args.get(next) else {
                return Err(nothing_to_start(from.as_ref(), args.len()));
            };
            let at = next;
            next += 1;
            if word == "--" {
                continue;
            }
            if word == "-" || !word.starts_with('-') {
                break (word, at);
            }
            let (option, attached) = find_option(word, at)?;
            let value = match (option.takes_value, attached) {
                (false, None) => String::new(),
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
            if option.takes_value && value.is_empty() {
                return Err(PackageError::in_args(
                    at,
                    format!("`{}` needs a value, this one is empty", option.long),
                ));
            }
            // The element that holds the value: this one, or the one after it.
            let holder = next - 1;
            match &option.meaning {
                Meaning::From => from = Some((value, holder)),
                Meaning::With => with.push((value, holder)),
                Meaning::Python => python = Some((value, holder)),
                Meaning::Index => push_option(&mut index_options, option, value),
                Meaning::Resolver => push_option(&mut resolver_options, option, value),
                Meaning::Ignored => {}
                Meaning::Refused(reason) => {
                    return Err(PackageError::in_args(
                        at,
                        format!("`{}` of uvx cannot be used here: {reason}", option.long),
                    ));
                }
            }
        };
        let explicit = from.is_some();
        let (spec, spec_at) = from.unwrap_or_else(|| (first.clone(), at));
        let main = Requirement::parse(&spec, Attribute::element("args", spec_at))?;
        let executable = if explicit {
            first.clone()
        } else {
            script_name(&spec)
        };
        if explicit && (executable.is_empty() || executable.contains(['@', '/', '\\'])) {
            return Err(PackageError::in_args(
                at,
                format!(
                    "`{executable}` is not the name of a command; `--from` already names the package"
                ),
            ));
        }
        if !explicit && is_interpreter(&main.name) {
            return Err(PackageError::in_args(
                at,
                format!("`{first}` is the Python interpreter itself, not a server's package"),
            ));
        }
        let mut requirements = vec![main.clone()];
        for (list, holder) in with {
            for text in split_list(&list) {
                requirements.push(Requirement::parse(
                    &text,
                    Attribute::element("args", holder),
                )?);
            }
        }
        Ok(Self {
            executable,
            executable_is_explicit: explicit,
            package: main.name,
            requirements,
            python,
            index_options,
            resolver_options,
            server_args: args[next..].to_vec(),
        })
    }
}

fn nothing_to_start(from: Option<&(String, usize)>, count: usize) -> PackageError {
    let (attribute, reason) = match from {
        Some((spec, at)) => (
            Attribute::element("args", *at),
            format!(
                "the command to start is missing after `--from {spec}`; add its name, for example `{}`",
                script_name(spec)
            ),
        ),
        None if count == 0 => (
            Attribute::whole("args"),
            "the package to run is missing; for example args = [\"mcp-server-time\"]".to_owned(),
        ),
        None => (
            Attribute::element("args", count - 1),
            "the package to run is missing after the options; for example \"mcp-server-time\""
                .to_owned(),
        ),
    };
    PackageError::Invalid { attribute, reason }
}

/// The option that `word` names and the value attached to it: `--from=x`, `-p3.12`, `-p=3.12`.
fn find_option(
    word: &str,
    at: usize,
) -> Result<(&'static UvxOption, Option<String>), PackageError> {
    if word.starts_with("--") {
        let (name, attached) = match word.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (word, None),
        };
        if let Some(option) = OPTIONS.iter().find(|option| option.long == name) {
            return Ok((option, attached));
        }
        return Err(unknown(name, at));
    }
    let mut letters = word.chars().skip(1);
    let letter = letters.next();
    let rest: String = letters.collect();
    let option = OPTIONS
        .iter()
        .find(|option| option.short.is_some() && option.short == letter);
    match option {
        Some(option) if rest.is_empty() => Ok((option, None)),
        Some(option) if option.takes_value => Ok((
            option,
            Some(rest.strip_prefix('=').unwrap_or(&rest).to_owned()),
        )),
        // -qq, -vvv
        Some(option) if rest.chars().all(|c| Some(c) == option.short) => Ok((option, None)),
        _ => Err(unknown(word, at)),
    }
}

fn unknown(name: &str, at: usize) -> PackageError {
    PackageError::in_args(
        at,
        format!(
            "`{name}` is not an option of uvx that is known here. Options for the server itself come after the package's name"
        ),
    )
}

fn push_option(options: &mut Vec<String>, option: &UvxOption, value: String) {
    if option.takes_value {
        options.push(format!("{}={value}", option.long));
    } else {
        options.push(option.long.to_owned());
    }
}

/// The package's name as the user wrote it, without extras and version.
fn script_name(spec: &str) -> String {
    let end = spec
        .find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')))
        .unwrap_or(spec.len());
    spec[..end].to_owned()
}

fn is_interpreter(name: &str) -> bool {
    let name = normalise(name);
    let rest = name
        .strip_prefix("python")
        .or_else(|| name.strip_prefix("pythonw"));
    rest.is_some_and(|rest| rest.chars().all(|c| c.is_ascii_digit() || c == '-'))
}
