//! Names derived from what the user wrote. Pure.
//!
//! In: the display name. Out: a legal function name. Refuses: names from which no letter or digit is left.

/// What the library that this project replaces puts in front of every function's name.
pub(crate) const FUNCTION_NAME_PREFIX: &str = "mcp-server-";

/// Characters that Lambda allows in a function's name (Lambda API reference, `CreateFunction`, `FunctionName`).
pub(crate) const FUNCTION_NAME_LENGTH: usize = 64;

/// `mcp-server-` and the slug of `name`: lower case, runs of anything but `a-z0-9` become one hyphen.
///
/// `None` when nothing is left of the name, or when the result is longer than Lambda allows: cutting it would let two
/// names meet in one function.
pub(crate) fn function_name(name: &str) -> Option<String> {
    let slug = slug(name);
    let full = format!("{FUNCTION_NAME_PREFIX}{slug}");
    (!slug.is_empty() && full.len() <= FUNCTION_NAME_LENGTH).then_some(full)
}

fn slug(name: &str) -> String {
    let mut slug = String::with_capacity(name.len());
    for character in name.chars() {
        if character.is_ascii_alphanumeric() {
            slug.push(character.to_ascii_lowercase());
        } else if !slug.is_empty() && !slug.ends_with('-') {
            slug.push('-');
        }
    }
    slug.truncate(slug.trim_end_matches('-').len());
    slug
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_display_name_becomes_a_legal_function_name() {
        for (name, expected) in [
            ("time", Some("mcp-server-time")),
            ("My Time  Server!", Some("mcp-server-my-time-server")),
            ("--a__b--", Some("mcp-server-a-b")),
            ("Zeit für Tee", Some("mcp-server-zeit-f-r-tee")),
            ("日本", None),
            ("", None),
        ] {
            assert_eq!(function_name(name).as_deref(), expected, "{name:?}");
        }
    }

    #[test]
    fn a_name_that_would_have_to_be_cut_is_refused() {
        assert_eq!(
            function_name(&"a".repeat(53)).map(|name| name.len()),
            Some(64)
        );
        assert_eq!(function_name(&"a".repeat(54)), None);
    }
}
