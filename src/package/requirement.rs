//! One requirement in pip's notation: text in, its name and what else is needed of it out.
//!
//! Refuses what would not come from a package index as a wheel (git, URLs, paths) and what could smuggle an option of
//! `uv` into a list of requirements. Version specifiers are left to `uv`, which knows the rules.

use super::PackageError;
use super::error::Attribute;

/// A requirement and where the user wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Requirement {
    /// As `uv` is given it: `name[extra]>=1`.
    pub(crate) text: String,
    /// Normalised name.
    pub(crate) name: String,
    /// Asked for as `name@latest`: an index answer from the cache will not do.
    pub(crate) latest: bool,
    pub(crate) attribute: Attribute,
}

impl Requirement {
    /// Reads pip's notation and, as `uvx` does, `name@version` and `name@latest`.
    pub(crate) fn parse(text: &str, attribute: Attribute) -> Result<Self, PackageError> {
        let invalid = |reason: String| PackageError::Invalid { attribute, reason };
        let trimmed = text.trim();
        if trimmed.is_empty() {
            return Err(invalid("a package is expected, this is empty".to_owned()));
        }
        if trimmed.chars().any(char::is_control) {
            return Err(invalid(format!(
                "{trimmed:?} holds a control character; write one package per element"
            )));
        }
        if is_elsewhere(trimmed) {
            return Err(invalid(format!(
                "`{trimmed}` is not in a package index. Git repositories, URLs and paths cannot be packaged, because they \
                 would have to be built; name a release that is published as a wheel"
            )));
        }
        let (name, rest) = split_name(trimmed).ok_or_else(|| {
            invalid(format!(
                "`{trimmed}` does not begin with the name of a package"
            ))
        })?;
        let (extras, rest) = split_extras(rest).ok_or_else(|| {
            invalid(format!(
                "`{trimmed}` opens its extras with `[` and does not close them"
            ))
        })?;
        let rest = rest.trim_start();
        let base = Self {
            text: format!("{name}{extras}"),
            name: normalise(name),
            latest: false,
            attribute,
        };
        if rest.is_empty() {
            return Ok(base);
        }
        if let Some(version) = rest.strip_prefix('@') {
            let version = version.trim();
            return match version {
                "latest" => Ok(Self {
                    latest: true,
                    ..base
                }),
                _ if is_version(version) => Ok(Self {
                    text: format!("{}=={version}", base.text),
                    ..base
                }),
                _ => Err(invalid(format!(
                    "`{version}` in `{trimmed}` is not a version; write `{name}@1.2.3`, `{name}@latest` or `{name}>=1.2`"
                ))),
            };
        }
        if rest.contains(" -") {
            return Err(invalid(format!(
                "`{trimmed}` holds an option; only a package and its version can be named here"
            )));
        }
        if rest.starts_with(['=', '<', '>', '~', '!', ';', '(']) {
            return Ok(Self {
                text: format!("{}{rest}", base.text),
                ..base
            });
        }
        Err(invalid(format!(
            "`{rest}` in `{trimmed}` is not a version specifier; write `{name}@1.2.3` or `{name}>=1.2`"
        )))
    }

    /// The version when exactly one is asked for, as plain numbers; `None` for everything else.
    pub(crate) fn pinned(&self) -> Option<&str> {
        let (_, version) = self.text.split_once("==")?;
        let version = version.trim();
        let plain = !version.is_empty() && version.chars().all(|c| c.is_ascii_digit() || c == '.');
        plain.then_some(version)
    }
}

/// PEP 503: lower case, runs of `-`, `_` and `.` are one `-`.
pub(crate) fn normalise(name: &str) -> String {
    let mut normal = String::with_capacity(name.len());
    for c in name.chars() {
        if !matches!(c, '-' | '_' | '.') {
            normal.push(c.to_ascii_lowercase());
        } else if !normal.ends_with('-') {
            normal.push('-');
        }
    }
    normal
}

/// `1.0` and `1.0.0` are one version.
pub(crate) fn same_release(a: &str, b: &str) -> bool {
    fn significant(version: &str) -> &str {
        let mut version = version;
        while let Some(shorter) = version.strip_suffix(".0") {
            version = shorter;
        }
        version
    }
    significant(a) == significant(b)
}

/// Splits a list such as `a>=1,<2,b[x,y]` where a new requirement begins, as `uvx --with` does: a comma inside brackets
/// or before an operator does not.
pub(crate) fn split_list(list: &str) -> Vec<String> {
    let mut parts: Vec<String> = Vec::new();
    let mut depth = 0_u32;
    let mut current = String::new();
    for c in list.chars() {
        match c {
            '[' => depth += 1,
            ']' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                parts.push(std::mem::take(&mut current));
                continue;
            }
            _ => {}
        }
        current.push(c);
    }
    parts.push(current);
    let mut joined: Vec<String> = Vec::new();
    for part in parts {
        match joined.last_mut() {
            Some(last) if part.trim_start().starts_with(['<', '>', '=', '~', '!']) => {
                last.push(',');
                last.push_str(part.trim());
            }
            _ => joined.push(part.trim().to_owned()),
        }
    }
    joined
}

fn is_elsewhere(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    text.contains("://")
        || text.starts_with(['.', '/', '~'])
        || text.contains('\\')
        || lower.starts_with("git+")
        || lower.starts_with("file:")
        || [".whl", ".tar.gz", ".tar.bz2"]
            .iter()
            .any(|suffix| lower.ends_with(suffix))
        || text
            .split(['[', ';', '@'])
            .next()
            .is_some_and(|name| name.contains('/'))
}

fn split_name(text: &str) -> Option<(&str, &str)> {
    let end = text
        .find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')))
        .unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    let alphanumeric = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    (alphanumeric(name.chars().next()) && alphanumeric(name.chars().last())).then_some((name, rest))
}

fn split_extras(rest: &str) -> Option<(String, &str)> {
    let trimmed = rest.trim_start();
    let Some(inside) = trimmed.strip_prefix('[') else {
        return Some((String::new(), rest));
    };
    let (extras, rest) = inside.split_once(']')?;
    let extras: Vec<_> = extras.split(',').map(str::trim).collect();
    Some((format!("[{}]", extras.join(",")), rest))
}

fn is_version(text: &str) -> bool {
    text.strip_prefix('v')
        .unwrap_or(text)
        .starts_with(|c: char| c.is_ascii_digit())
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '!' | '+' | '-' | '_'))
}
