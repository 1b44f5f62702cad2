//! Globs over tool names, as in the launch contract's tool filter.
//!
//! Enters: a pattern: `*` is any characters, `?` is one, `[ab0-9]` one of a set, `[!ab]` one outside it; everything else is itself. A name matches as a
//! whole, case counts. Leaves: whether a name matches. Refuses: an empty pattern, and a set that is empty, runs backwards or is not closed: none of them can
//! match what its author meant. In a set, `]` stands first or not at all, `-` first or last.

use std::fmt;

/// A pattern that can be matched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Glob(Vec<Part>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Star,
    Any,
    Char(char),
    /// One of the ranges, both ends included; outside all of them when `negated`.
    Set {
        negated: bool,
        ranges: Vec<(char, char)>,
    },
}

/// Why a pattern is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GlobError {
    Empty,
    /// A `[` without its `]`.
    Open {
        pattern: String,
    },
    /// A range whose end comes before its start.
    Backwards {
        pattern: String,
        range: String,
    },
}

impl fmt::Display for GlobError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("a glob is empty; `*` matches every name"),
            Self::Open { pattern } => write!(
                f,
                "the glob `{pattern}` opens a set with `[` and does not close it with `]`; a `[` itself is `[[]`"
            ),
            Self::Backwards { pattern, range } => write!(
                f,
                "the glob `{pattern}` holds the range `{range}`, which runs backwards"
            ),
        }
    }
}

impl std::error::Error for GlobError {}

impl Glob {
    /// Reads a pattern.
    ///
    /// # Errors
    ///
    /// [`GlobError`], which names the pattern.
    pub fn parse(pattern: &str) -> Result<Self, GlobError> {
        if pattern.is_empty() {
            return Err(GlobError::Empty);
        }
        let mut parts = Vec::new();
        let mut rest = pattern.chars();
        while let Some(character) = rest.next() {
            parts.push(match character {
                // Two stars in a row say no more than one, and would cost time.
                '*' if parts.last() == Some(&Part::Star) => continue,
                '*' => Part::Star,
                '?' => Part::Any,
                '[' => {
                    let (set, after) = read_set(rest.as_str(), pattern)?;
                    rest = after.chars();
                    set
                }
                character => Part::Char(character),
            });
        }
        Ok(Self(parts))
    }

    /// Whether the whole of `name` matches.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        let mut part = 0;
        let mut rest = name.chars();
        // Behind the last star seen: where the pattern goes on, and what of the name the star has not swallowed yet.
        let mut star = None;
        loop {
            if self.0.get(part) == Some(&Part::Star) {
                part += 1;
                star = Some((part, rest.clone()));
                continue;
            }
            let matched = match (self.0.get(part), rest.next()) {
                (None, None) => return true,
                (Some(wanted), Some(character)) => wanted.admits(character),
                _ => false,
            };
            if matched {
                part += 1;
                continue;
            }
            // The star swallows one character more. Earlier stars need no second look: what they left is found by the last one too.
            let Some((after, swallowed)) = &mut star else {
                return false;
            };
            if swallowed.next().is_none() {
                return false;
            }
            part = *after;
            rest = swallowed.clone();
        }
    }
}

impl Part {
    fn admits(&self, character: char) -> bool {
        match self {
            Self::Star => false,
            Self::Any => true,
            Self::Char(own) => *own == character,
            Self::Set { negated, ranges } => {
                let within = ranges
                    .iter()
                    .any(|(first, last)| (*first..=*last).contains(&character));
                within != *negated
            }
        }
    }
}

/// Reads what follows a `[`; returns the set and what follows its `]`.
fn read_set<'p>(text: &'p str, pattern: &str) -> Result<(Part, &'p str), GlobError> {
    let (negated, members) = match text.strip_prefix('!') {
        Some(members) => (true, members),
        None => (false, text),
    };
    // A `]` in the first place is a member: an empty set could match nothing.
    let close = members
        .char_indices()
        .skip(1)
        .find(|(_, character)| *character == ']')
        .map(|(at, _)| at)
        .ok_or_else(|| GlobError::Open {
            pattern: pattern.to_owned(),
        })?;
    let characters: Vec<char> = members[..close].chars().collect();
    let mut ranges = Vec::new();
    let mut at = 0;
    while at < characters.len() {
        match characters[at..] {
            [first, '-', last, ..] if first > last => {
                return Err(GlobError::Backwards {
                    pattern: pattern.to_owned(),
                    range: format!("{first}-{last}"),
                });
            }
            [first, '-', last, ..] => {
                ranges.push((first, last));
                at += 3;
            }
            [first, ..] => {
                ranges.push((first, first));
                at += 1;
            }
            [] => break,
        }
    }
    Ok((Part::Set { negated, ranges }, &members[close + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(pattern: &str, matching: &[&str], others: &[&str]) {
        let glob = Glob::parse(pattern).expect(pattern);
        for name in matching {
            assert!(glob.matches(name), "{pattern} has to match {name:?}");
        }
        for name in others {
            assert!(!glob.matches(name), "{pattern} must not match {name:?}");
        }
    }

    #[test]
    fn a_name_without_signs_is_itself_as_a_whole() {
        check(
            "get_time",
            &["get_time"],
            &["get_tim", "get_times", "Get_time", ""],
        );
        check("a.b-c/d", &["a.b-c/d"], &["axb-c/d"]);
    }

    #[test]
    fn a_star_is_any_characters_and_none() {
        check("*", &["", "a", "ab"], &[]);
        check("get_*", &["get_", "get_x"], &["get", "forget_x"]);
        check(
            "*_time",
            &["_time", "get_time", "a_time_time"],
            &["get_times"],
        );
        check(
            "a*b*c",
            &["abc", "aXbYc", "abbcc", "a_b_c_c"],
            &["acb", "abcd", "ab"],
        );
        check("a**b", &["ab", "axb"], &["a"]);
    }

    #[test]
    fn a_question_mark_is_one_character() {
        check("get?", &["gets", "get_", "geté"], &["get", "getxx"]);
        check("*?", &["a", "ab"], &[""]);
    }

    #[test]
    fn a_set_is_one_of_its_characters_and_ranges() {
        check("v[12]", &["v1", "v2"], &["v3", "v", "v12"]);
        check("v[0-9a]", &["v0", "v5", "va"], &["vb", "v-"]);
        check("[!a-z]*", &["A", "1x", "_"], &["a", "z1", ""]);
        check("[]]", &["]"], &["["]);
        check("[[]x]", &["[x]"], &["x"]);
        check("[a-]", &["a", "-"], &["b"]);
        check("[-a]", &["a", "-"], &["b"]);
        check("[a!]", &["a", "!"], &["b"]);
    }

    #[test]
    fn many_stars_in_front_of_a_name_that_almost_matches_take_no_time() {
        let pattern = format!("{}b", "a*".repeat(50));
        check(&pattern, &[], &[&"a".repeat(5_000)]);
    }

    #[test]
    fn what_cannot_be_meant_is_refused_by_name() {
        let message = |pattern: &str| Glob::parse(pattern).expect_err(pattern).to_string();
        assert_eq!(message(""), "a glob is empty; `*` matches every name");
        for pattern in ["get_[ab", "[", "[]", "[!]", "a[!"] {
            assert_eq!(
                message(pattern),
                format!(
                    "the glob `{pattern}` opens a set with `[` and does not close it with `]`; a `[` itself is `[[]`"
                )
            );
        }
        assert_eq!(
            message("v[9-0]"),
            "the glob `v[9-0]` holds the range `9-0`, which runs backwards"
        );
    }
}
