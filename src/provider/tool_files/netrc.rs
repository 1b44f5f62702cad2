//! A host in, the name and password that `.netrc` has for it out: `NETRC`, else `.netrc` (on Windows also `_netrc`) in the home folder.
//!
//! Source: the format as ftp(1) describes it, which curl, pip and uv read. Macros are passed over.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

/// Name and password for `host`, else those of `default`.
pub(super) fn find(
    environment: &BTreeMap<OsString, OsString>,
    host: &str,
) -> Option<(String, String)> {
    let get = |name: &str| {
        let value = environment.get(OsStr::new(name));
        value.filter(|value| !value.is_empty()).map(PathBuf::from)
    };
    let home = get("HOME").or_else(|| get("USERPROFILE"));
    let places = match get("NETRC") {
        Some(given) => vec![given],
        None => {
            let home = home?;
            vec![home.join(".netrc"), home.join("_netrc")]
        }
    };
    let text = places
        .iter()
        .find_map(|place| std::fs::read_to_string(place).ok())?;
    entry(&text, host)
}

fn entry(text: &str, host: &str) -> Option<(String, String)> {
    let plain = text
        .lines()
        .filter(|line| !line.trim_start().starts_with('#'));
    let plain: Vec<&str> = plain.collect();
    let text = plain.join("\n");
    let mut words = text.split_whitespace();
    let (mut ours, mut user, mut password) = (false, None, None);
    while let Some(word) = words.next() {
        match word {
            "machine" | "default" => {
                if ours {
                    break;
                }
                (user, password) = (None, None);
                ours = word == "default" || words.next() == Some(host);
            }
            "login" => user = words.next(),
            "password" => password = words.next(),
            _ => {}
        }
    }
    let found = (user.unwrap_or_default().to_owned(), password?.to_owned());
    ours.then_some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_entry_of_the_host_is_found_or_the_one_for_all() {
        let text = "# machine a.example login no password no\nmachine a.example\n  login me\n  password one\nmachine b.example password two\ndefault login x password y\n";
        let found = |host| entry(text, host).map(|(user, password)| format!("{user}:{password}"));
        assert_eq!(found("a.example").as_deref(), Some("me:one"));
        assert_eq!(found("b.example").as_deref(), Some(":two"));
        assert_eq!(found("c.example").as_deref(), Some("x:y"));
        assert_eq!(entry("machine a.example login me", "a.example"), None);
        assert_eq!(entry("", "a.example"), None);
    }
}
