//! A command line of `npx` in, what it installs and starts out. Refuses options that are unknown or that mean nothing in a
//! Lambda function, naming the element of `args` that holds them.
//!
//! Options and their values: `npm help exec` and `npm help config` of npm 11. What follows the package goes to the server as it is.

use super::spec::NpmSpec;
use crate::package::PackageError;
use crate::package::error::Attribute;

/// What a command line of `npx` asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NpxCommand {
    /// The package that is run, or each `--package`, in order.
    pub(crate) packages: Vec<NpmSpec>,
    /// The command that is named besides `--package`; without that, the package decides.
    pub(crate) executable: Option<(String, Attribute)>,
    /// Options of `npm` that say where packages come from; for resolving and installing.
    pub(crate) registry_options: Vec<String>,
    /// Options of `npm` that say which versions are chosen; for resolving only.
    pub(crate) resolver_options: Vec<String>,
    /// What the server itself is given.
    pub(crate) server_args: Vec<String>,
}

enum Meaning {
    Package,
    Registry,
    Resolver,
    /// Says nothing about what is installed or started.
    Ignored,
    Refused(&'static str),
}

struct NpxOption {
    names: &'static [&'static str],
    takes_value: bool,
    meaning: Meaning,
}

const fn value(names: &'static [&'static str], meaning: Meaning) -> NpxOption {
    NpxOption {
        names,
        takes_value: true,
        meaning,
    }
}

const fn flag(names: &'static [&'static str], meaning: Meaning) -> NpxOption {
    NpxOption {
        names,
        takes_value: false,
        meaning,
    }
}

const NO_SHELL: &str = "it runs a line of shell, and the function starts one program; name the package and its arguments, with \
                        `--package` where the command is called otherwise";
const NO_SERVER: &str = "it starts no server";
const NO_PROJECT: &str = "there is no project here; name the package";

const OPTIONS: &[NpxOption] = &[
    value(&["--package", "-p"], Meaning::Package),
    value(&["--registry", "--reg"], Meaning::Registry),
    value(&["--userconfig"], Meaning::Registry),
    value(&["--globalconfig"], Meaning::Registry),
    value(&["--proxy"], Meaning::Registry),
    value(&["--https-proxy"], Meaning::Registry),
    value(&["--noproxy"], Meaning::Registry),
    value(&["--cafile"], Meaning::Registry),
    value(&["--fetch-retries"], Meaning::Registry),
    value(&["--fetch-timeout"], Meaning::Registry),
    flag(&["--offline"], Meaning::Registry),
    flag(&["--prefer-offline"], Meaning::Registry),
    flag(&["--prefer-online"], Meaning::Registry),
    value(&["--tag"], Meaning::Resolver),
    value(&["--before", "--enjoy-by"], Meaning::Resolver),
    value(&["--min-release-age"], Meaning::Resolver),
    flag(&["--legacy-peer-deps"], Meaning::Resolver),
    flag(&["--strict-peer-deps"], Meaning::Resolver),
    flag(&["--prefer-dedupe"], Meaning::Resolver),
    flag(&["--yes", "-y"], Meaning::Ignored),
    // They keep npx from installing anything; here a package is installed before the command runs.
    flag(&["--no", "--no-yes", "--no-install"], Meaning::Ignored),
    flag(&["--quiet", "-q", "--silent", "-s"], Meaning::Ignored),
    flag(&["--verbose", "-d", "-dd", "-ddd"], Meaning::Ignored),
    flag(&["--ignore-existing"], Meaning::Ignored),
    flag(&["--ignore-scripts"], Meaning::Ignored),
    flag(
        &["--no-audit", "--no-fund", "--no-update-notifier"],
        Meaning::Ignored,
    ),
    flag(&["--no-progress", "--no-color"], Meaning::Ignored),
    value(&["--loglevel"], Meaning::Ignored),
    value(&["--cache"], Meaning::Ignored),
    value(&["--call", "-c"], Meaning::Refused(NO_SHELL)),
    value(&["--shell", "--script-shell"], Meaning::Refused(NO_SHELL)),
    flag(&["--shell-auto-fallback"], Meaning::Refused(NO_SHELL)),
    value(
        &["--node-arg", "-n"],
        Meaning::Refused("npx knows it no longer; set NODE_OPTIONS in `env`"),
    ),
    value(
        &["--node-options"],
        Meaning::Refused("set NODE_OPTIONS in `env` on the resource instead"),
    ),
    value(
        &["--allow-scripts"],
        Meaning::Refused("set `allow_scripts` on the resource instead"),
    ),
    flag(
        &["--dangerously-allow-all-scripts"],
        Meaning::Refused("set `allow_scripts` on the resource instead"),
    ),
    value(
        &["--os", "--cpu", "--libc"],
        Meaning::Refused("the platform is Lambda's; `architecture` and `runtime` choose it"),
    ),
    value(
        &["--prefix", "-C"],
        Meaning::Refused("set `cwd` on the resource instead"),
    ),
    value(&["--workspace", "-w"], Meaning::Refused(NO_PROJECT)),
    flag(
        &["--workspaces", "--ws", "--include-workspace-root", "--iwr"],
        Meaning::Refused(NO_PROJECT),
    ),
    flag(&["--help", "-h", "-?"], Meaning::Refused(NO_SERVER)),
    flag(&["--version", "-v"], Meaning::Refused(NO_SERVER)),
];

/// `--@scope:registry`, whose name has the scope in it.
const REGISTRY_OF_SCOPE: NpxOption = value(&[], Meaning::Registry);

fn is_registry_of_scope(name: &str) -> bool {
    let scope = name
        .strip_prefix("--@")
        .and_then(|rest| rest.strip_suffix(":registry"));
    scope.is_some_and(|scope| !scope.is_empty() && !scope.contains(['/', ':']))
}

impl NpxCommand {
    /// Reads `args`.
    pub(crate) fn parse(args: &[String]) -> Result<Self, PackageError> {
        let mut packages = Vec::new();
        let mut registry_options = Vec::new();
        let mut resolver_options = Vec::new();
        let mut next = 0;
        let mut options_end = false;
        let (first, at) = loop {
            let Some(word) = args.get(next) else {
                return Err(nothing_to_start(&packages, args.len()));
            };
            let at = next;
            next += 1;
            if word == "--" && !options_end {
                options_end = true;
                continue;
            }
            if options_end || word == "-" || !word.starts_with('-') {
                break (word, at);
            }
            let (name, attached) = match word.split_once('=') {
                Some((name, value)) => (name, Some(value)),
                None => (word.as_str(), None),
            };
            let option = OPTIONS
                .iter()
                .find(|option| option.names.contains(&name))
                .or_else(|| is_registry_of_scope(name).then_some(&REGISTRY_OF_SCOPE))
                .ok_or_else(|| unknown(name, at))?;
            if let Meaning::Refused(reason) = option.meaning {
                return Err(PackageError::in_args(
                    at,
                    format!("`{name}` of npx cannot be used here: {reason}"),
                ));
            }
            let value = match (option.takes_value, attached) {
                (false, None | Some("true")) => None,
                // `--offline=false` is as if it were not there.
                (false, Some("false")) => continue,
                (false, Some(_)) => {
                    return Err(PackageError::in_args(
                        at,
                        format!("`{name}` takes no value"),
                    ));
                }
                (true, Some(value)) => Some(value.to_owned()),
                (true, None) => {
                    let value = args.get(next).cloned();
                    next += 1;
                    let value = value.ok_or_else(|| {
                        PackageError::in_args(at, format!("`{name}` needs a value after it"))
                    })?;
                    Some(value)
                }
            };
            if value.as_deref() == Some("") {
                return Err(PackageError::in_args(
                    at,
                    format!("`{name}` needs a value, this one is empty"),
                ));
            }
            // The element that holds the value: this one, or the one after it.
            let holder = Attribute::element("args", next - 1);
            let long = option.names.first().copied().unwrap_or(name);
            let passed = match &value {
                Some(value) => format!("{long}={value}"),
                None => long.to_owned(),
            };
            match option.meaning {
                Meaning::Package => {
                    packages.push(NpmSpec::parse(&value.unwrap_or_default(), holder)?);
                }
                Meaning::Registry => registry_options.push(passed),
                Meaning::Resolver => resolver_options.push(passed),
                Meaning::Ignored | Meaning::Refused(_) => {}
            }
        };
        let here = Attribute::element("args", at);
        let executable = if packages.is_empty() {
            packages.push(NpmSpec::parse(first, here)?);
            None
        } else if first.is_empty() || first.contains(['@', '/', '\\', ' ']) {
            return Err(PackageError::in_args(
                at,
                format!(
                    "`{first}` is not the name of a command; `--package` already names the package"
                ),
            ));
        } else {
            Some((first.clone(), here))
        };
        Ok(Self {
            packages,
            executable,
            registry_options,
            resolver_options,
            server_args: args[next..].to_vec(),
        })
    }
}

fn unknown(name: &str, at: usize) -> PackageError {
    PackageError::in_args(
        at,
        format!(
            "`{name}` is not an option of npx that is known here. Options for the server itself come after the package's name"
        ),
    )
}

fn nothing_to_start(packages: &[NpmSpec], count: usize) -> PackageError {
    let (attribute, reason) = match packages.last() {
        Some(package) => (
            package.attribute,
            format!(
                "the command to start is missing after `--package {}`; add its name, for example `{}`",
                package.name,
                super::spec::unscoped(&package.name)
            ),
        ),
        None if count == 0 => (
            Attribute::whole("args"),
            "the package to run is missing; for example args = [\"-y\", \"@modelcontextprotocol/server-everything\"]"
                .to_owned(),
        ),
        None => (
            Attribute::element("args", count - 1),
            "the package to run is missing after the options; for example \"@modelcontextprotocol/server-everything\""
                .to_owned(),
        ),
    };
    PackageError::Invalid { attribute, reason }
}
