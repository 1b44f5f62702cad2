//! Where npm packages come from on this machine, as `npm` would say, which may not be there yet or takes its time: variables and `.npmrc` files in,
//! registries and what they are told about who asks out.
//!
//! Source: npm's documentation, "npmrc" and "config": variables `npm_config_*`, then the project's, the user's, the machine's and npm's own file;
//! `${NAME}` is the variable; credentials stand under the address without its scheme.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use super::packages::NpmPackages;
use crate::package::Tools;

const NPMJS: &str = "https://registry.npmjs.org/";

type Environment = BTreeMap<OsString, OsString>;

/// npm's settings. Holds credentials, and shows none.
#[derive(Clone, PartialEq, Eq)]
pub struct NpmSettings {
    values: BTreeMap<String, String>,
    /// `NODE_EXTRA_CA_CERTS`.
    further_certificates: Option<PathBuf>,
}

/// Settings under which `npm` speaks to registries in a way that only itself knows.
const FOR_NPM_ALONE: [&str; 12] = [
    "proxy",
    "http-proxy",
    "https-proxy",
    "noproxy",
    "no-proxy",
    "ca",
    "ca[]",
    "cert",
    "key",
    "local-address",
    "maxsockets",
    "allow-registry",
];

impl std::fmt::Debug for NpmSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "NpmSettings({})", self.registry())
    }
}

impl NpmSettings {
    /// What counts for a run in `directory`.
    pub fn read(environment: &Environment, directory: &Path) -> Self {
        let variables = variables(environment);
        let global = variables.get("globalconfig").map(PathBuf::from);
        let layers = [
            global.map(|path| file(&path, environment)),
            user_file(&variables, environment).map(|path| file(&path, environment)),
            Some(file(&directory.join(".npmrc"), environment)),
            Some(variables),
        ];
        Self::layered(layers.into_iter().flatten(), environment)
    }

    /// What counts for the `npm` of `tools` when it installs `packages`; `None` where only `npm` can tell, or can speak to registries as it says.
    pub(crate) fn of(tools: &Tools, packages: &NpmPackages) -> Option<Self> {
        let environment = &tools.environment;
        let variable = |name: &str| environment.contains_key(OsStr::new(name));
        // A script of someone's own may set anything.
        let npm = std::fs::canonicalize(tools.npm().ok()?).ok()?;
        let npm = npm.ends_with("bin/npm-cli.js").then_some(npm)?;
        let node = std::fs::canonicalize(tools.node()?).ok()?;
        if cfg!(windows) || variable("PREFIX") || variable("DESTDIR") {
            return None;
        }
        let own = file(&npm.parent()?.parent()?.join("npmrc"), environment);
        let variables = variables(environment);
        let user = file(&user_file(&variables, environment)?, environment);
        let project = packages.settings_file();
        let project = project.map_or_else(BTreeMap::new, |path| file(&path, environment));
        let prefixes = [&variables, &project, &user, &own];
        let global = match variables.get("globalconfig") {
            Some(path) => PathBuf::from(path),
            None => {
                let prefix = prefixes.iter().find_map(|layer| layer.get("prefix"));
                let prefix = match prefix {
                    Some(given) => absolute(given, environment)?,
                    None => node.parent()?.parent()?.to_owned(),
                };
                prefix.join("etc/npmrc")
            }
        };
        let global = file(&global, environment);
        let mut options = BTreeMap::new();
        for option in &packages.registry_options {
            let (name, value) = option.strip_prefix("--")?.split_once('=')?;
            if name != "registry" && !name.ends_with(":registry") {
                return None;
            }
            options.insert(name.to_owned(), value.to_owned());
        }
        let layers = [own, global, user, project, variables, options];
        let settings = Self::layered(layers, environment);
        settings.are_plain().then_some(settings)
    }

    /// The later layers win.
    fn layered(
        layers: impl IntoIterator<Item = BTreeMap<String, String>>,
        environment: &Environment,
    ) -> Self {
        let further = environment.get(OsStr::new("NODE_EXTRA_CA_CERTS"));
        Self {
            values: layers.into_iter().flatten().collect(),
            further_certificates: further.filter(|path| !path.is_empty()).map(PathBuf::from),
        }
    }

    /// Whether a request with a header is all that they ask for.
    fn are_plain(&self) -> bool {
        let set = |value: &String| !value.is_empty() && value != "null";
        let for_npm_alone = self.values.iter().any(|(name, value)| {
            let alone = FOR_NPM_ALONE.contains(&name.as_str())
                || [":certfile", ":keyfile", ":cert", ":key"]
                    .iter()
                    .any(|suffix| name.ends_with(suffix))
                || (name == "strict-ssl" && value == "false");
            alone && set(value)
        });
        !for_npm_alone && !self.offline()
    }

    /// The registry of packages without a scope; ends in `/`.
    pub fn registry(&self) -> String {
        let registry = self.given("registry").unwrap_or(NPMJS);
        format!("{}/", registry.trim_end_matches('/'))
    }

    /// Where registries have the tarball of a release, by the name that `npm publish` gives it.
    pub(crate) fn tarball(&self, package: &str, version: &str) -> String {
        let (scope, name) = package.rsplit_once('/').unwrap_or(("", package));
        let registry = match self.given(&format!("{scope}:registry")) {
            Some(registry) => format!("{}/", registry.trim_end_matches('/')),
            None => self.registry(),
        };
        format!("{registry}{package}/-/{name}-{version}.tgz")
    }

    fn given(&self, name: &str) -> Option<&str> {
        let given = self.values.get(name).map(String::as_str);
        given.filter(|text| !text.is_empty())
    }

    /// `offline`: nothing is asked.
    pub fn offline(&self) -> bool {
        self.values
            .get("offline")
            .is_some_and(|value| value == "true")
    }

    /// Files of certificates that are trusted.
    pub fn certificates(&self) -> Vec<PathBuf> {
        let given = self.given("cafile").map(PathBuf::from);
        given
            .into_iter()
            .chain(self.further_certificates.clone())
            .collect()
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

/// The user's own file.
fn user_file(variables: &BTreeMap<String, String>, environment: &Environment) -> Option<PathBuf> {
    let folder = |name: &str| environment.get(OsStr::new(name)).map(PathBuf::from);
    let home = || folder("HOME").or_else(|| folder("USERPROFILE"));
    let given = variables.get("userconfig").map(PathBuf::from);
    given.or_else(|| Some(home()?.join(".npmrc")))
}

/// What the file at `path` sets; nothing where it cannot be read.
fn file(path: &Path, environment: &Environment) -> BTreeMap<String, String> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let lines = text.lines();
    lines
        .filter_map(|line| setting(line, environment))
        .collect()
}

/// A folder as settings name it.
fn absolute(given: &str, environment: &Environment) -> Option<PathBuf> {
    let path = match given.strip_prefix("~/") {
        Some(below) => Path::new(environment.get(OsStr::new("HOME"))?).join(below),
        None => PathBuf::from(given),
    };
    path.is_absolute().then_some(path)
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
    if line.is_empty() || line.starts_with(['#', ';', '[']) {
        return None;
    }
    let (name, value) = line.split_once('=').unwrap_or((line, "true"));
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
            (NPMJS, Vec::new())
        );
        let user = settings(&[], home, "");
        assert_eq!(user.registry(), "https://user.example/npm/");
        assert_eq!(user.certificates(), [PathBuf::from("/etc/ours.pem")]);
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
