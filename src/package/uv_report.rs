//! What `uv` wrote on standard error in, what went wrong out.
//!
//! `uv` has no machine-readable complaints, so short phrases of its text are matched, in this file only. Its whole text is
//! kept wherever nothing is recognised: an unknown complaint is shown, never guessed. Phrases: uv 0.13.9; older releases
//! draw boxes around the same words, which [`Report::read`] takes away.

use super::PackageError;
use super::error::Attribute;
use super::requirement::{Requirement, normalise};
use super::tools::Tool;

/// A complaint, with its lines joined so that phrases can be found across line breaks.
pub(crate) struct Report {
    flat: String,
    /// What failed, why, and what `uv` suggests; each one line.
    paragraphs: Vec<(Role, String)>,
    /// As `uv` wrote it, without warnings.
    text: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Error,
    Cause,
    Hint,
}

/// How a line begins that starts a paragraph; the last two as older releases of `uv` draw them.
const BEGINNINGS: [(&str, Role); 6] = [
    ("error: ", Role::Error),
    ("cause: ", Role::Cause),
    ("Caused by: ", Role::Cause),
    ("hint: ", Role::Hint),
    ("× ", Role::Error),
    ("╰─▶ ", Role::Cause),
];

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
        let mut paragraphs: Vec<(Role, String)> = Vec::new();
        for line in lines.iter().map(|line| line.trim_start_matches(['│', ' '])) {
            let beginning = BEGINNINGS
                .iter()
                .find_map(|(start, role)| Some((*role, line.strip_prefix(start)?)));
            match (beginning, paragraphs.last_mut()) {
                (Some((role, rest)), _) => paragraphs.push((role, rest.trim().to_owned())),
                (None, Some((_, paragraph))) if !line.is_empty() => {
                    paragraph.push(' ');
                    paragraph.push_str(line.trim());
                }
                _ => {}
            }
        }
        let flat = paragraphs
            .iter()
            .map(|(_, paragraph)| paragraph.as_str())
            .collect::<Vec<_>>()
            .join(" ");
        let flat = if flat.is_empty() { text.clone() } else { flat };
        Self {
            flat,
            paragraphs,
            text,
        }
    }

    /// All that `uv` said, without warnings.
    pub(crate) fn text(&self) -> &str {
        &self.text
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
            let digest = |line: &str| {
                line.starts_with("sha256:") || line == "Expected:" || line == "Computed:"
            };
            let detail = self.text.lines().map(str::trim).filter(|line| digest(line));
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
            tool: Tool::Uv,
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

    fn paragraphs(&self, wanted: Role) -> impl DoubleEndedIterator<Item = &str> {
        self.paragraphs
            .iter()
            .filter(move |(role, _)| *role == wanted)
            .map(|(_, paragraph)| paragraph.as_str())
    }

    fn network_detail(&self) -> String {
        if self.has("network was disabled") || self.has("connectivity is disabled") {
            let missing = self.between("Because ", " was not found in the cache");
            let missing = missing.map_or_else(String::new, |name| {
                format!(", and `{name}` is not in its cache")
            });
            return format!("`uv` was told to stay offline (UV_OFFLINE){missing}");
        }
        let url = self.flat.split_once("Failed to fetch: ");
        let url = url
            .and_then(|(_, after)| after.split(' ').next())
            .map(|url| url.trim_matches('`'));
        match (url, self.paragraphs(Role::Cause).next_back()) {
            (Some(url), Some(last)) => format!("`{url}`: {last}"),
            (None, Some(last)) => last.to_owned(),
            _ => self.text.clone(),
        }
    }

    fn refusal(&self) -> Option<String> {
        let refused =
            |text: &str| text.contains("401 Unauthorized") || text.contains("403 Forbidden");
        let said = self.paragraphs(Role::Hint).find(|hint| refused(hint));
        let said = said.or_else(|| self.paragraphs(Role::Cause).find(|cause| refused(cause)));
        said.map(|said| said.trim_end_matches('.').to_owned())
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
        // What follows in the text points at the place below a copy of the requirement.
        let mut lines = self.text.lines().map(str::trim);
        let cause = lines.find_map(|line| {
            line.strip_prefix("cause: ")
                .or(line.strip_prefix("Caused by: "))
        });
        let why = cause.unwrap_or(&self.text);
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
            let (available, clause) = rest.split_once(" is available and ")?;
            let clause = clause.split(", we can conclude").next()?;
            let asked = clause.strip_prefix("you require ");
            let asked = asked.or_else(|| {
                clause
                    .split_once(" depends on ")
                    .or(clause.split_once(" depend on "))
                    .map(|(_, spec)| spec)
            });
            asked.filter(|spec| name_of(spec) == name_of(available) && !spec.contains(' '))?
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
        let telling = self
            .paragraphs(Role::Hint)
            .filter(|hint| !hint.contains("--no-build"));
        telling
            .map(|hint| lower_first(hint.trim_end_matches('.')))
            .collect()
    }

    /// The cause as `uv` explains it, a line for each step, without its hints about its own options.
    fn explanation(&self) -> String {
        let cause = self.paragraphs(Role::Cause).next().unwrap_or(&self.text);
        let steps = cause
            .replace(". And because ", ".\n  And because ")
            .replace(") Because ", ")\n  Because ");
        format!("  {steps}")
    }
}

/// Releases that `uv` warns of, `name==version`, and why; the reason is empty where the index gives none.
///
/// Its words: "warning: `x==1.0` is yanked (reason: "broken")".
pub(crate) fn yanked(stderr: &str) -> Vec<(&str, &str)> {
    let told = stderr.lines().filter_map(|line| {
        let (package, rest) = line.strip_prefix("warning: `")?.split_once("` is yanked")?;
        let reason = rest.trim().strip_prefix("(reason: ");
        let reason = reason.and_then(|reason| reason.strip_suffix(')'));
        Some((package, reason.unwrap_or_default().trim_matches('"')))
    });
    told.collect()
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

#[cfg(test)]
mod tests {
    use super::*;

    fn found(stderr: &str) -> String {
        match Report::read(stderr).classify("resolve the packages", &[]) {
            Finding::Certain(error) => error.to_string(),
            Finding::NoWheel {
                package,
                needed_by,
                hints,
            } => {
                format!("no wheel: {package}{needed_by}; {}", hints.join("; "))
            }
            Finding::NoVersion {
                package,
                needed_by,
                wanted,
            } => format!("no version: {package}{needed_by} {wanted}"),
        }
    }

    /// Texts of uv 0.9.0, which draws boxes and breaks lines.
    #[test]
    fn older_releases_of_uv_are_understood() {
        let table = [
            (
                "warning: The requested Python version 3.13 is not available; 3.11.7 will be used to build dependencies instead.
  × No solution found when resolving dependencies:
  ╰─▶ Because all versions of docopt have no usable wheels and you require
      docopt, we can conclude that your requirements are unsatisfiable.

      hint: Wheels are required for `docopt` because building from source is
      disabled for all packages (i.e., with `--no-build`)
",
                "no wheel: docopt; ",
            ),
            (
                "  × No solution found when resolving dependencies:
  ╰─▶ Because srv depends on pywin32 and pywin32>=307 has no wheels with a
      matching platform tag (e.g., `manylinux_2_34_x86_64`) and you require
      srv, we can conclude that your requirements are unsatisfiable.

      hint: Wheels are available for `pywin32` (v312) on the following
      platforms: `win32`, `win_amd64`, `win_arm64`
",
                "no wheel: pywin32>=307 (needed by `srv`); wheels are available for `pywin32` (v312) on the following platforms: \
                 `win32`, `win_amd64`, `win_arm64`",
            ),
            (
                "error: Failed to fetch: `http://127.0.0.1:1/simple/six/`
  Caused by: error sending request for url (http://127.0.0.1:1/simple/six/)
  Caused by: client error (Connect)
  Caused by: tcp connect error
  Caused by: Connection refused (os error 111)
",
                "the package index could not be reached: `http://127.0.0.1:1/simple/six/`: Connection refused (os error 111). Check \
                 the network and proxy settings, and the index that `uv` is told to use (UV_DEFAULT_INDEX, UV_INDEX_URL, uv.toml)",
            ),
            (
                "  × No solution found when resolving dependencies:
  ╰─▶ Because six was not found in the package registry and you require six,
      we can conclude that your requirements are unsatisfiable.

      hint: An index URL (http://127.0.0.1:8766/401/) could not be queried due
      to a lack of valid authentication credentials (401 Unauthorized).
",
                "the package index refuses the request: An index URL (http://127.0.0.1:8766/401/) could not be queried due to a lack \
                 of valid authentication credentials (401 Unauthorized). Check the credentials that `uv` is given for it",
            ),
            (
                "  × No solution found when resolving dependencies:
  ╰─▶ Because all versions of srv depend on pydantic>=2.0.0
      and you require srv, we can conclude that you require
      pydantic>=2.0.0.
      And because you require pydantic<2, we can conclude that your
      requirements are unsatisfiable.
",
                "no set of versions satisfies every requirement:\n  Because all versions of srv depend on pydantic>=2.0.0 and you \
                 require srv, we can conclude that you require pydantic>=2.0.0.\n  And because you require pydantic<2, we can conclude \
                 that your requirements are unsatisfiable.\nLoosen one of the requirements in `args` or `packages`",
            ),
            (
                "  × No solution found when resolving dependencies:
  ╰─▶ Because there is no version of srv==99 and you require
      srv==99, we can conclude that your requirements are
      unsatisfiable.
",
                "no version: srv ==99",
            ),
            (
                "  × No solution found when resolving dependencies:
  ╰─▶ Because only srv<=1.4 is available and user==1.0 depends on srv>=7, we
      can conclude that user==1.0 cannot be used.
",
                "no version: srv (needed by `user==1.0`) >=7",
            ),
            (
                "  × No solution found when resolving dependencies:
  ╰─▶ Because only srv==1.0 is available and srv==1.0 depends on lib>=2,
      we can conclude that all versions of srv depend on lib>=2.
",
                "no set of versions satisfies every requirement:\n  Because only srv==1.0 is available and srv==1.0 depends on lib>=2, we \
                 can conclude that all versions of srv depend on lib>=2.\nLoosen one of the requirements in `args` or `packages`",
            ),
        ];
        for (stderr, expected) in table {
            assert_eq!(found(stderr), expected);
        }
    }

    #[test]
    fn yanked_releases_are_found_among_other_remarks() {
        assert_eq!(
            yanked(
                "Using CPython 3.11.7\nResolved 1 package in 9ms\nwarning: `attrs==21.1.0` is yanked (reason: \"Installable but not importable \
                 (on Python 3.4).\")\nwarning: `x==1` is yanked\nwarning: something else\n"
            ),
            [
                (
                    "attrs==21.1.0",
                    "Installable but not importable (on Python 3.4)."
                ),
                ("x==1", "")
            ]
        );
    }

    #[test]
    fn a_complaint_that_is_not_known_is_shown_whole() {
        assert_eq!(
            found("warning: not this\nerror: the moon is full\n  cause: it happens\n"),
            "`uv` failed to resolve the packages:\nerror: the moon is full\n  cause: it happens"
        );
        assert_eq!(
            found("Segmentation fault"),
            "`uv` failed to resolve the packages:\nSegmentation fault"
        );
    }
}
