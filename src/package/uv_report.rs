//! What `uv` wrote on standard error in, what went wrong out.
//!
//! `uv` has no machine-readable complaints, so short phrases of its text are matched, in this file only. Its whole text is
//! kept wherever nothing is recognised: an unknown complaint is shown, never guessed. Phrases: uv 0.13.9; older releases
//! draw boxes around the same words, which [`Report::read`] takes away.

use super::PackageError;
use super::error::Attribute;
use super::requirement::{Requirement, normalise};

/// A complaint, with its lines joined so that phrases can be found across line breaks.
pub(crate) struct Report {
    flat: String,
    /// As `uv` wrote it, without warnings.
    text: String,
}

/// What a complaint is about. Some need another look at the index before they can be told to the user.
pub(crate) enum Finding {
    /// Complete as it is.
    Certain(PackageError),
    /// No wheel of `package` (name and perhaps versions) fits.
    NoWheel {
        package: String,
        needed_by: String,
        hints: Vec<String>,
    },
    /// Releases exist, none of them satisfies.
    NoVersion {
        package: String,
        needed_by: String,
        wanted: String,
    },
}

const UNREACHABLE: [&str; 10] = [
    "error sending request",
    "dns error",
    "tcp connect error",
    "client error (Connect)",
    "HTTP status server error",
    "429 Too Many Requests",
    "operation timed out",
    "request timed out",
    "network was disabled",
    "connectivity is disabled",
];

impl Report {
    /// Takes standard error as it came.
    pub(crate) fn read(stderr: &str) -> Self {
        let mut lines: Vec<&str> = Vec::new();
        for line in stderr.lines() {
            let line = line.trim_end();
            let progress = [
                "warning:",
                "Using CPython",
                "Resolved ",
                "Prepared ",
                "Downloading ",
                " Downloaded ",
                "Updating ",
            ];
            if !progress.iter().any(|start| line.starts_with(start)) {
                lines.push(line);
            }
        }
        let text = lines.join("\n").trim().to_owned();
        let unboxed = text.replace(['×', '╰', '─', '▶', '│', '├'], " ");
        let flat = unboxed.split_whitespace().collect::<Vec<_>>().join(" ");
        Self { flat, text }
    }

    /// `action` completes "`uv` failed to …"; `sent` is what was written to `uv`, in order.
    pub(crate) fn classify(self, action: &'static str, sent: &[Requirement]) -> Finding {
        if UNREACHABLE.iter().any(|phrase| self.has(phrase)) {
            return Finding::Certain(PackageError::Network {
                detail: self.network_detail(),
            });
        }
        if let Some(detail) = self.refusal() {
            return Finding::Certain(PackageError::IndexRefused { detail });
        }
        if let Some(package) = self.between("Hash mismatch for `", "`") {
            let detail = self
                .text
                .lines()
                .filter(|line| line.contains(":"))
                .map(str::trim);
            let detail =
                detail.filter(|line| !line.starts_with("error:") && !line.starts_with("cause:"));
            let detail = detail
                .map(|line| format!("  {line}"))
                .collect::<Vec<_>>()
                .join("\n");
            return Finding::Certain(PackageError::HashMismatch {
                package: package.to_owned(),
                detail,
            });
        }
        if self.has("parse requirement in `-` at position") {
            return Finding::Certain(self.bad_requirement(sent));
        }
        if self.has("No solution found") {
            return self.no_solution();
        }
        Finding::Certain(PackageError::ToolFailed {
            action,
            output: self.text,
        })
    }

    /// Whether `uv` did not understand an option or its value, and what it said.
    pub(crate) fn misunderstood(&self) -> Option<&str> {
        let odd = [
            "unexpected argument",
            "invalid value",
            "unrecognized subcommand",
            "cannot be used with",
        ];
        odd.iter().any(|phrase| self.has(phrase)).then(|| {
            let first = self.text.lines().next().unwrap_or(&self.text);
            first.strip_prefix("error: ").unwrap_or(first)
        })
    }

    /// `uv` found no Python interpreter at all, of any version.
    pub(crate) fn lacks_interpreter(&self) -> bool {
        self.has("No interpreter found")
    }

    fn has(&self, phrase: &str) -> bool {
        self.flat.contains(phrase)
    }

    fn between(&self, before: &str, after: &str) -> Option<&str> {
        let (_, rest) = self.flat.split_once(before)?;
        rest.split_once(after).map(|(found, _)| found)
    }

    fn network_detail(&self) -> String {
        if self.has("network was disabled") || self.has("connectivity is disabled") {
            let missing = self.between("Because ", " was not found in the cache");
            let missing = missing.map_or_else(String::new, |name| {
                format!(", and `{name}` is not in its cache")
            });
            return format!("`uv` was told to stay offline (UV_OFFLINE){missing}");
        }
        let url = self
            .text
            .lines()
            .find_map(|line| line.split_once("Failed to fetch: "));
        let url = url.map(|(_, url)| url.trim().trim_matches('`'));
        let last = self.text.lines().rev().find_map(|line| {
            let line = line.trim_start_matches(['╰', '─', '▶', '│', ' ', '├']);
            line.strip_prefix("cause: ")
                .or(Some(line))
                .filter(|line| !line.is_empty() && !line.starts_with("hint:"))
        });
        match (url, last) {
            (Some(url), Some(last)) => format!("`{url}`: {last}"),
            (None, Some(last)) => last.to_owned(),
            _ => self.text.clone(),
        }
    }

    fn refusal(&self) -> Option<String> {
        let refused = ["401 Unauthorized", "403 Forbidden"];
        refused.iter().any(|status| self.has(status)).then(|| {
            let line = self
                .text
                .lines()
                .find(|line| refused.iter().any(|status| line.contains(status)));
            let line = line.unwrap_or(&self.text).trim();
            let line = line
                .trim_start_matches("hint: ")
                .trim_start_matches("cause: ");
            line.trim_end_matches('.').to_owned()
        })
    }

    fn bad_requirement(&self, sent: &[Requirement]) -> PackageError {
        let position: Option<usize> = self
            .between("parse requirement in `-` at position ", " ")
            .and_then(|n| n.parse().ok());
        let mut end = 0;
        let faulty = position.and_then(|position| {
            sent.iter().find(|requirement| {
                end += requirement.text.len() + 1;
                position < end
            })
        });
        let why = self
            .text
            .lines()
            .find_map(|line| line.trim().strip_prefix("cause: "))
            .unwrap_or(&self.text);
        match faulty {
            Some(requirement) => PackageError::Invalid {
                attribute: requirement.attribute,
                reason: format!(
                    "`{}` is not a requirement: {}",
                    requirement.text,
                    lower_first(why)
                ),
            },
            None => PackageError::Invalid {
                attribute: Attribute::whole("args"),
                reason: lower_first(why),
            },
        }
    }

    fn no_solution(self) -> Finding {
        for phrase in ["no usable wheels", "no wheels with a matching"] {
            if let Some(package) = self.subject_before(phrase) {
                let needed_by = self.needed_by(&package);
                return Finding::NoWheel {
                    package,
                    needed_by,
                    hints: self.wheel_hints(),
                };
            }
        }
        if let Some((package, supports)) = self.other_python() {
            let needed_by = self.needed_by(&package);
            return Finding::NoWheel {
                package,
                needed_by,
                hints: vec![format!("it supports Python {supports}")],
            };
        }
        let missing = [
            " was not found in the package registry",
            " was not found in the provided package locations",
        ];
        for phrase in missing {
            if let Some(package) = self.subject_before(phrase) {
                let needed_by = self.needed_by(&package);
                return Finding::Certain(PackageError::PackageNotFound { package, needed_by });
            }
        }
        if let Some(found) = self.no_version() {
            return found;
        }
        Finding::Certain(PackageError::Conflict {
            explanation: self.explanation(),
        })
    }

    /// A package that is for other versions of Python, and which: "x==1 requires Python >=3.14 and …", "(e.g., all versions
    /// of x only support >=3.10)".
    fn other_python(&self) -> Option<(String, &str)> {
        if let Some((_, after)) = self.flat.split_once(" requires Python ") {
            let supports = after.split([' ', ')']).next()?.trim_end_matches(',');
            return Some((self.subject_before(" requires Python ")?, supports));
        }
        let hint = self.between("not supported by your dependencies (e.g., ", ")")?;
        let (package, supports) = hint.split_once(" only support")?;
        let supports = supports.strip_prefix('s').unwrap_or(supports).trim();
        Some((
            package.trim_start_matches("all versions of ").to_owned(),
            supports,
        ))
    }

    /// "there is no version of x==9 and …", "there are no versions of x and …", "only x<=2 is available and …".
    fn no_version(&self) -> Option<Finding> {
        let (_, cause) = self.flat.split_once("Because ")?;
        let first_sentence = cause.split(". ").next().unwrap_or(cause);
        let spec = if let Some(rest) = first_sentence.strip_prefix("there is no version of ") {
            rest.split(' ').next()?
        } else if let Some(rest) = first_sentence.strip_prefix("there are no versions of ") {
            rest.split(' ').next()?
        } else if let Some(rest) = first_sentence.strip_prefix("only ") {
            let name = name_of(rest.split_once(" is available and ")?.0);
            // What was asked for stands at the end of its clause: "you require x>9, we can conclude …".
            let start = rest.rfind(&format!(" {name}"))?;
            rest[start + 1..].split(", we can conclude").next()?
        } else {
            return None;
        };
        let package = name_of(spec).to_owned();
        let wanted = if spec.len() > package.len() {
            spec[package.len()..].to_owned()
        } else {
            "any version".to_owned()
        };
        let needed_by = self.needed_by(&package);
        Some(Finding::NoVersion {
            package,
            needed_by,
            wanted,
        })
    }

    /// The package that `phrase` is said about: "Because x==1 has no usable wheels", "all versions of x have no …".
    fn subject_before(&self, phrase: &str) -> Option<String> {
        let (before, _) = self.flat.split_once(phrase)?;
        let subject = before
            .trim_end()
            .trim_end_matches(" has")
            .trim_end_matches(" have")
            .rsplit(' ')
            .next()?;
        (!name_of(subject).is_empty()).then(|| subject.trim_end_matches(',').to_owned())
    }

    /// ` (needed by `y==2`)` when the complaint names a package that depends on `package`.
    fn needed_by(&self, package: &str) -> String {
        let name = normalise(name_of(package));
        let mut rest = self.flat.as_str();
        for phrase in [" depends on ", " depend on "] {
            while let Some((before, after)) = rest.split_once(phrase) {
                let dependent = before.rsplit(' ').next().unwrap_or_default();
                if normalise(name_of(after)) == name && !name_of(dependent).is_empty() {
                    return format!(" (needed by `{dependent}`)");
                }
                rest = after;
            }
            rest = self.flat.as_str();
        }
        String::new()
    }

    fn wheel_hints(&self) -> Vec<String> {
        let hints = self
            .text
            .lines()
            .filter_map(|line| line.trim().strip_prefix("hint: "));
        let telling = hints.filter(|hint| !hint.contains("--no-build"));
        telling
            .map(|hint| lower_first(hint.trim_end_matches('.')))
            .collect()
    }

    /// The cause as `uv` explains it, without its own headline and hints about its own options.
    fn explanation(&self) -> String {
        let body = self
            .text
            .lines()
            .skip_while(|line| line.contains("No solution found"));
        let body = body.take_while(|line| !line.starts_with("hint:"));
        let body = body.map(|line| {
            let line = line.trim().trim_start_matches(['╰', '─', '▶', '│', ' ']);
            format!("  {}", line.trim_start_matches("cause: "))
        });
        body.collect::<Vec<_>>().join("\n").trim_end().to_owned()
    }
}

/// The name at the beginning of `x>=1,<2`.
pub(crate) fn name_of(spec: &str) -> &str {
    let end = spec
        .find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')))
        .unwrap_or(spec.len());
    spec[..end].trim_end_matches('.')
}

fn lower_first(text: &str) -> String {
    let mut chars = text.chars();
    match chars.next() {
        Some(first) => first.to_lowercase().chain(chars).collect(),
        None => String::new(),
    }
}
