//! One package in npm's notation: `@scope/name@range` in, its name and what is wanted of it out.
//!
//! Refuses what would not come from a registry (git, URLs, paths, aliases): it has no integrity that a lock could hold.
//! Whether a version exists is left to `npm`.

use nodejs_semver::{Range, Version};

use crate::package::PackageError;
use crate::package::error::Attribute;

/// A package that the configuration names, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NpmSpec {
    pub(crate) name: String,
    /// Version, range or dist-tag; `*` when none is given, as `npx` has it.
    pub(crate) wanted: String,
    pub(crate) attribute: Attribute,
}

/// Most characters that a name may have (npm's documentation of package.json, "name").
const LONGEST_NAME: usize = 214;

impl NpmSpec {
    pub(crate) fn parse(text: &str, attribute: Attribute) -> Result<Self, PackageError> {
        let invalid = |reason: String| PackageError::Invalid { attribute, reason };
        let trimmed = text.trim();
        if trimmed.is_empty() {
            return Err(invalid("a package is expected, this is empty".to_owned()));
        }
        // The `@` that begins a scope does not begin a version.
        let at = trimmed
            .char_indices()
            .skip(1)
            .find_map(|(at, c)| (c == '@').then_some(at));
        let (name, wanted) = match at {
            Some(at) => (&trimmed[..at], trimmed[at + 1..].trim()),
            None => (trimmed, "*"),
        };
        if is_elsewhere(name) || wanted.contains([':', '/']) {
            return Err(invalid(format!(
                "`{trimmed}` is not in a registry. Git repositories, URLs, paths and aliases cannot be packaged; name a package that \
                 is published, as `name@version`"
            )));
        }
        if !is_name(name) {
            return Err(invalid(format!(
                "`{trimmed}` does not begin with the name of an npm package, `name` or `@scope/name`"
            )));
        }
        if wanted.is_empty() {
            return Err(invalid(format!(
                "`{trimmed}` has no version after `@`; write `{name}@1.2.3`, `{name}@latest` or `{name}`"
            )));
        }
        let known = |c: char| c.is_ascii_alphanumeric() || " .-_+^~<>=|*".contains(c);
        if wanted.starts_with('-') || !wanted.chars().all(known) {
            return Err(invalid(format!(
                "`{wanted}` in `{trimmed}` is not a version, a range or a tag; write `{name}@1.2.3`, `{name}@^1.2` or `{name}@latest`"
            )));
        }
        Ok(Self {
            name: name.to_owned(),
            wanted: wanted.to_owned(),
            attribute,
        })
    }

    /// Whether `version` is one that is asked for.
    pub(crate) fn admits(&self, version: &str) -> bool {
        admits(&self.wanted, version)
    }
}

/// Whether `wanted` asks for `version`; every version is where a dist-tag is, whose meaning only the registry knows.
pub(crate) fn admits(wanted: &str, version: &str) -> bool {
    match (Range::parse(wanted), Version::parse(version)) {
        (Ok(range), Ok(version)) => {
            // What a registry offers as `latest` may be a prerelease, which `*` does not match by npm's rules.
            wanted == "*" || range.satisfies(&version)
        }
        _ => true,
    }
}

/// What npm takes for a git repository, an address or a path.
fn is_elsewhere(name: &str) -> bool {
    let path = name.starts_with(['.', '/', '~']) || name.contains('\\');
    let archive = [".tgz", ".tar", ".tar.gz"]
        .iter()
        .any(|suffix| name.ends_with(suffix));
    // `user/repository` names one on GitHub.
    let repository = name.contains('/') && !name.starts_with('@');
    path || archive || repository || name.contains(':')
}

/// `name` or `@scope/name`, of characters that need no escape in a URL. Upper case only occurs in old names.
pub(crate) fn is_name(name: &str) -> bool {
    let part = |part: &str| {
        let known = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_' | '~');
        !part.is_empty()
            && !part.starts_with(['.', '_', '-'])
            && part.chars().all(known)
            && part != "node_modules"
    };
    let parts = match name.strip_prefix('@') {
        Some(scoped) => scoped
            .split_once('/')
            .is_some_and(|(scope, name)| part(scope) && part(name)),
        None => part(name),
    };
    parts && name.len() <= LONGEST_NAME
}

/// The name without its scope: what npx expects the command to be called.
pub(crate) fn unscoped(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}
