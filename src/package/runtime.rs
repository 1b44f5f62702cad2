//! Lambda's Python runtimes: `runtime` and `--python` in, one runtime out. Refuses what Lambda does not offer and two
//! words that contradict each other.
//!
//! Runtimes and their C libraries: AWS Lambda Developer Guide, "Lambda runtimes" (read November 2026).

use super::error::Attribute;
use super::{Architecture, PackageError};

/// A Python runtime of Lambda.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PythonRuntime {
    /// `13` for Python 3.13.
    pub(crate) minor: u8,
    /// The newest glibc 2.x whose wheels run there.
    pub(crate) glibc: u8,
}

/// Oldest first. Amazon Linux 2 (3.10, 3.11) has glibc 2.26; `uv` knows no platform between 2.17 and 2.28, so wheels for
/// up to 2.17 are taken there.
const RUNTIMES: [PythonRuntime; 5] = [
    PythonRuntime {
        minor: 10,
        glibc: 17,
    },
    PythonRuntime {
        minor: 11,
        glibc: 17,
    },
    PythonRuntime {
        minor: 12,
        glibc: 34,
    },
    PythonRuntime {
        minor: 13,
        glibc: 34,
    },
    PythonRuntime {
        minor: 14,
        glibc: 34,
    },
];

const DEFAULT_MINOR: u8 = 13;

impl PythonRuntime {
    /// Lambda's identifier.
    pub(crate) fn name(self) -> String {
        format!("python3.{}", self.minor)
    }

    /// As `uv --python-version` wants it.
    pub(crate) fn version(self) -> String {
        format!("3.{}", self.minor)
    }

    /// As `uv --python-platform` wants it.
    pub(crate) fn platform(self, architecture: Architecture) -> String {
        let machine = machine(architecture);
        format!("{machine}-manylinux_2_{}", self.glibc)
    }

    /// Whether version specifiers such as `>=3.11,<3.14` allow it. What cannot be read is left to `uv`, which knows the rules.
    pub(crate) fn satisfies(self, specifiers: &str) -> bool {
        // Lambda's patch releases are not known here: only the minor version counts.
        let minor_only = |part: &str| {
            let part = part.trim();
            let digits = part
                .find(|c: char| c.is_ascii_digit())
                .unwrap_or(part.len());
            let (operator, version) = part.split_at(digits);
            let version: Vec<_> = version.trim_end_matches(".*").split('.').take(2).collect();
            let strict = version.len() == 2
                && part[digits..].trim_end_matches(".*").matches('.').count() == 2;
            // `>3.12.1` and `<3.12.9` leave room in 3.12.
            let operator = match (operator.trim(), strict) {
                (">", true) => ">=",
                ("<", true) => "<=",
                ("!=", true) => return None,
                (other, _) => other,
            };
            Some(format!("{operator}{}", version.join(".")))
        };
        let parts: Vec<_> = specifiers.split(',').filter_map(minor_only).collect();
        parse_request(&parts.join(","), 0).map_or(true, |request| request.allows(self.minor))
    }

    /// The other runtimes, newest first.
    pub(crate) fn others(self) -> impl Iterator<Item = Self> {
        RUNTIMES
            .into_iter()
            .rev()
            .filter(move |other| *other != self)
    }
}

/// The processor's name in platform tags of wheels.
pub(crate) fn machine(architecture: Architecture) -> &'static str {
    match architecture {
        Architecture::X86_64 => "x86_64",
        Architecture::Arm64 => "aarch64",
    }
}

/// The runtime that `runtime` names, else the one that `--python` asks for, else the default.
///
/// `request` is the value of `--python` and the element of `args` that holds it.
pub(crate) fn choose(
    runtime: Option<&str>,
    request: Option<(&str, usize)>,
) -> Result<PythonRuntime, PackageError> {
    let request = match request {
        Some((text, index)) => Some((parse_request(text, index)?, text, index)),
        None => None,
    };
    let Some(name) = runtime else {
        let Some((wanted, text, index)) = request else {
            return Ok(default());
        };
        if wanted.allows(DEFAULT_MINOR) {
            return Ok(default());
        }
        return RUNTIMES
            .into_iter()
            .rev()
            .find(|runtime| wanted.allows(runtime.minor))
            .ok_or_else(|| PackageError::Invalid {
                attribute: Attribute::element("args", index),
                reason: format!(
                    "Lambda has no runtime for Python `{text}`; it offers {}",
                    offered()
                ),
            });
    };
    let chosen = RUNTIMES
        .into_iter()
        .find(|known| known.name() == name)
        .ok_or_else(|| PackageError::Invalid {
            attribute: Attribute::whole("runtime"),
            reason: format!(
                "`{name}` is not a runtime that a Python package can run on; use one of {}",
                offered()
            ),
        })?;
    match request {
        Some((wanted, text, index)) if !wanted.allows(chosen.minor) => Err(PackageError::Invalid {
            attribute: Attribute::whole("runtime"),
            reason: format!(
                "`{name}` contradicts `--python {text}` (args[{index}]); remove one of the two or make them agree"
            ),
        }),
        _ => Ok(chosen),
    }
}

/// The runtime that `runtime` names, else the one of a command such as `python3.12`, else the default. `minor` is that of `command`.
pub(crate) fn choose_for_command(
    runtime: Option<&str>,
    minor: Option<u8>,
    command: &str,
) -> Result<PythonRuntime, PackageError> {
    let Some(minor) = minor else {
        return choose(runtime, None);
    };
    let asked = RUNTIMES.into_iter().find(|known| known.minor == minor);
    let asked = asked.ok_or_else(|| PackageError::Invalid {
        attribute: Attribute::whole("command"),
        reason: format!(
            "Lambda has no runtime for `{command}`; it offers {}",
            offered()
        ),
    })?;
    match runtime {
        Some(name) if choose(runtime, None)? != asked => Err(PackageError::Invalid {
            attribute: Attribute::whole("runtime"),
            reason: format!(
                "`{name}` contradicts `{command}` (command); remove it or make them agree"
            ),
        }),
        _ => Ok(asked),
    }
}

fn default() -> PythonRuntime {
    RUNTIMES
        .into_iter()
        .find(|runtime| runtime.minor == DEFAULT_MINOR)
        .unwrap_or(RUNTIMES[0])
}

fn offered() -> String {
    RUNTIMES.map(PythonRuntime::name).join(", ")
}

/// What `--python` asks for, as bounds on the minor version of Python 3.
struct Request {
    bounds: Vec<(Operator, u8)>,
}

enum Operator {
    Equal,
    NotEqual,
    AtLeast,
    Above,
    AtMost,
    Below,
}

impl Request {
    fn allows(&self, minor: u8) -> bool {
        self.bounds.iter().all(|(operator, bound)| match operator {
            Operator::Equal => minor == *bound,
            Operator::NotEqual => minor != *bound,
            Operator::AtLeast => minor >= *bound,
            Operator::Above => minor > *bound,
            Operator::AtMost => minor <= *bound,
            Operator::Below => minor < *bound,
        })
    }
}

/// Takes `3.12`, `3`, `python3.12`, `cpython@3.12`, `cp312`, and ranges such as `>=3.11,<3.13`.
fn parse_request(text: &str, index: usize) -> Result<Request, PackageError> {
    let invalid = |reason: String| PackageError::Invalid {
        attribute: Attribute::element("args", index),
        reason,
    };
    let unknown = || {
        invalid(format!(
            "`{text}` is not a Python version that can be chosen on Lambda; write `3.12` or a range such as `>=3.11,<3.14`"
        ))
    };
    let lower = text.trim().to_ascii_lowercase();
    let mut bounds = Vec::new();
    if lower.starts_with(['<', '>', '=', '!', '~']) {
        for part in lower.split(',').map(str::trim) {
            let (operator, version) = [
                (">=", Operator::AtLeast),
                ("<=", Operator::AtMost),
                ("==", Operator::Equal),
                ("!=", Operator::NotEqual),
                ("~=", Operator::AtLeast),
                (">", Operator::Above),
                ("<", Operator::Below),
            ]
            .into_iter()
            .find_map(|(sign, operator)| {
                part.strip_prefix(sign)
                    .map(|version| (operator, version.trim()))
            })
            .ok_or_else(unknown)?;
            let version = version.strip_suffix(".*").unwrap_or(version);
            match version {
                "3" if matches!(operator, Operator::AtLeast) => {}
                "4" | "4.0" if matches!(operator, Operator::Below) => {}
                _ => bounds.push((operator, minor_of(version).ok_or_else(unknown)?)),
            }
        }
        return Ok(Request { bounds });
    }
    let bare = ["cpython", "python"]
        .into_iter()
        .find_map(|name| lower.strip_prefix(name))
        .unwrap_or(&lower);
    let version = bare.trim_start_matches(['@', '-']);
    if version == "3" || (version.is_empty() && !lower.is_empty()) {
        return Ok(Request { bounds });
    }
    if let Some(minor) = version
        .strip_prefix("cp3")
        .and_then(|minor| minor.parse().ok())
    {
        return Ok(Request {
            bounds: vec![(Operator::Equal, minor)],
        });
    }
    if version.starts_with("3.") && version.matches('.').count() == 2 {
        return Err(invalid(format!(
            "Lambda chooses the patch release of `{text}` and keeps it up to date; write `{}`",
            version.rsplit_once('.').map_or(version, |(minor, _)| minor)
        )));
    }
    let minor = minor_of(version).ok_or_else(unknown)?;
    Ok(Request {
        bounds: vec![(Operator::Equal, minor)],
    })
}

fn minor_of(version: &str) -> Option<u8> {
    version.strip_prefix("3.")?.parse().ok()
}
