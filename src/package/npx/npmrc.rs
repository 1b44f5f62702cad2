//! Where npm packages come from on this machine, for the time before there is an `npm` to say so: variables and `.npmrc` files in, the registry and
//! what it is told about who asks out.
//!
//! Source: npm's documentation, "npmrc" and "config": variables `npm_config_*`, then the project's, the user's and the machine's file; `${NAME}` is
//! the variable; credentials stand under the address without its scheme.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

const NPMJS: &str = "https://registry.npmjs.org/";

type Environment = BTreeMap<OsString, OsString>;

/// npm's settings. Holds credentials, and shows none.
#[derive(Clone, PartialEq, Eq)]
pub struct NpmSettings {
    values: BTreeMap<String, String>,
}

impl std::fmt::Debug for NpmSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "NpmSettings({})", self.registry())
    }
}

impl NpmSettings {
    /// What counts for a run in `directory`.
    pub fn read(environment: &Environment, directory: &Path) -> Self {
        let mut values = BTreeMap::new();
        let mut take = |path: Option<PathBuf>| {
            let text = path.and_then(|path| std::fs::read_to_string(path).ok());
            for line in text.unwrap_or_default().lines() {
                if let Some((name, value)) = setting(line, environment) {
                    values.insert(name, value);
                }
            }
        };
        let variables = variables(environment);
        let home = |name: &str| environment.get(OsStr::new(name)).map(PathBuf::from);
        let file = |name: &str| variables.get(name).map(PathBuf::from);
        take(file("globalconfig"));
        take(file("userconfig").or_else(|| {
            let home = home("HOME").or_else(|| home("USERPROFILE"))?;
            Some(home.join(".npmrc"))
        }));
        take(Some(directory.join(".npmrc")));
        values.extend(variables);
        Self { values }
    }

    /// The registry of packages without a scope; ends in `/`.
    pub fn registry(&self) -> String {
        let given = self.values.get("registry").map(String::as_str);
        let registry = given.filter(|text| !text.is_empty()).unwrap_or(NPMJS);
        format!("{}/", registry.trim_end_matches('/'))
    }

    /// `offline`: nothing is asked.
    pub fn offline(&self) -> bool {
        self.values
            .get("offline")
            .is_some_and(|value| value == "true")
    }

    /// A file of certificates that are trusted.
    pub fn certificates(&self) -> Option<PathBuf> {
        let given = self.values.get("cafile").filter(|path| !path.is_empty());
        given.map(PathBuf::from)
    }

    /// The value of the header `Authorization` for `url`.
    pub fn authorization(&self, url: &str) -> Option<String> {
        let (_, rest) = url.split_once("://")?;
        let mut place = rest.split(['?', '#']).next().unwrap_or(rest);
        loop {
            if let Some(found) = self.credentials(place) {
                return Some(found);
            }
            let parent = place.trim_end_matches('/').rfind('/')?;
            // `host/a/b`, then `host/a/`, then `host/`.
            place = &place[..=parent];
        }
    }

    fn credentials(&self, place: &str) -> Option<String> {
        use base64::Engine;
        use base64::engine::general_purpose::STANDARD;
        let value = |name: &str| {
            let with = self
                .values
                .get(&format!("//{}/:{name}", place.trim_end_matches('/')));
            let without = || {
                self.values
                    .get(&format!("//{}:{name}", place.trim_end_matches('/')))
            };
            with.or_else(without).filter(|value| !value.is_empty())
        };
        if let Some(token) = value("_authToken") {
            return Some(format!("Bearer {token}"));
        }
        if let Some(both) = value("_auth") {
            return Some(format!("Basic {both}"));
        }
        let password = STANDARD.decode(value("_password")?).ok()?;
        let both = [value("username")?.as_bytes(), b":", &password].concat();
        Some(format!("Basic {}", STANDARD.encode(both)))
    }
}

/// `npm_config_fetch_retries` is `fetch-retries`; case does not count but in addresses.
fn variables(environment: &Environment) -> BTreeMap<String, String> {
    let mut values = BTreeMap::new();
    for (name, value) in environment {
        let (Some(name), Some(value)) = (name.to_str(), value.to_str()) else {
            continue;
        };
        let Some((start, rest)) = name.split_at_checked("npm_config_".len()) else {
            continue;
        };
        if start.eq_ignore_ascii_case("npm_config_") && !value.is_empty() {
            let key = match rest.starts_with("//") {
                true => rest.to_owned(),
                false => rest.to_ascii_lowercase().replace('_', "-"),
            };
            values.insert(key, value.to_owned());
        }
    }
    values
}

/// `name = value`, with variables filled in.
fn setting(line: &str, environment: &Environment) -> Option<(String, String)> {
    let line = line.trim();
    if line.starts_with(['#', ';', '[']) {
        return None;
    }
    let (name, value) = line.split_once('=')?;
    let value = value.trim();
    let quoted = value
        .strip_prefix('"')
        .and_then(|value| value.strip_suffix('"'));
    Some((
        filled(name.trim(), environment),
        filled(quoted.unwrap_or(value), environment),
    ))
}

/// `${NAME}` becomes the variable; one that is not set stays as it stands, `${NAME?}` becomes nothing.
fn filled(text: &str, environment: &Environment) -> String {
    let mut filled = String::new();
    let mut rest = text;
    while let Some(start) = rest.find("${") {
        let Some(length) = rest[start..].find('}') else {
            break;
        };
        filled.push_str(&rest[..start]);
        let whole = &rest[start..=start + length];
        let name = &whole[2..whole.len() - 1];
        let (name, may_lack) = match name.strip_suffix('?') {
            Some(name) => (name, true),
            None => (name, false),
        };
        match environment
            .get(OsStr::new(name))
            .and_then(|value| value.to_str())
        {
            Some(value) => filled.push_str(value),
            None if may_lack => {}
            None => filled.push_str(whole),
        }
        rest = &rest[start + length + 1..];
    }
    filled.push_str(rest);
    filled
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Settings of a machine with these files in its home and in its working directory.
    fn settings(variables: &[(&str, &str)], home: &str, project: &str) -> NpmSettings {
        let folder = tempfile::tempdir().expect("a directory");
        let (user, here) = (folder.path().join("home"), folder.path().join("here"));
        for (place, text) in [(&user, home), (&here, project)] {
            std::fs::create_dir(place).expect("a directory");
            std::fs::write(place.join(".npmrc"), text).expect("a file");
        }
        let mut environment = Environment::from([("HOME".into(), user.into())]);
        for (name, value) in variables {
            environment.insert((*name).into(), (*value).into());
        }
        NpmSettings::read(&environment, &here)
    }

    #[test]
    fn variables_win_over_the_project_and_the_project_over_the_user() {
        let home = "# ours\nregistry = https://user.example/npm\ncafile=/etc/ours.pem\n";
        let here = "registry=\"https://${HOST}/npm/\"\n";
        let none = settings(&[], "", "");
        assert_eq!(
            (none.registry().as_str(), none.certificates()),
            (NPMJS, None)
        );
        let user = settings(&[], home, "");
        assert_eq!(user.registry(), "https://user.example/npm/");
        assert_eq!(user.certificates(), Some("/etc/ours.pem".into()));
        let project = settings(&[("HOST", "project.example")], home, here);
        assert_eq!(project.registry(), "https://project.example/npm/");
        let variable = settings(
            &[
                ("NPM_CONFIG_REGISTRY", "https://env.example"),
                ("npm_config_offline", "true"),
            ],
            home,
            here,
        );
        assert_eq!(variable.registry(), "https://env.example/");
        assert!(variable.offline() && !project.offline());
    }

    #[test]
    fn credentials_are_those_of_the_nearest_address_above() {
        let home = "//a.example/npm/:_authToken=${TOKEN}\n//a.example/:_auth=Ym90aA==\n//b.example:8080/:username=me\n\
                    //b.example:8080/:_password=c2VjcmV0\n//c.example/:_authToken=${MISSING?}\n";
        let settings = settings(&[("TOKEN", "t0ken")], home, "");
        let shown = |url| settings.authorization(url);
        assert_eq!(
            shown("https://a.example/npm/uv/-/uv-1.tgz").as_deref(),
            Some("Bearer t0ken")
        );
        assert_eq!(
            shown("https://a.example/other/x?y#z").as_deref(),
            Some("Basic Ym90aA==")
        );
        assert_eq!(
            shown("http://b.example:8080/x").as_deref(),
            Some("Basic bWU6c2VjcmV0")
        );
        for none in [
            "http://b.example/x",
            "https://c.example/x",
            "https://a.example.org/npm/x",
            "x",
        ] {
            assert_eq!(shown(none), None, "{none}");
        }
        assert!(!format!("{settings:?}").contains("t0ken"));
    }
}
