//! Where Python packages come from on this machine: settings of `uv`, else those of `pip`, in; indexes in order, and variables for `uv`, out.
//!
//! `uv` reads its own settings itself and knows nothing of those of `pip`: they are handed on to it only where it has none of its own. What is read here of
//! `uv`'s serves to fetch `uv` itself. Credentials in addresses are kept from what people read.
//!
//! Source: uv's documentation, "Package indexes", "Configuration files", "Environment variables".

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use toml::{Table, Value};

use super::pip_settings::PipSettings;

const PYPI: &str = "https://pypi.org/simple";

/// Variables by which a user tells `uv` where to look.
const OWN_VARIABLES: [&str; 6] = [
    "UV_DEFAULT_INDEX",
    "UV_INDEX_URL",
    "UV_INDEX",
    "UV_EXTRA_INDEX_URL",
    "UV_NO_INDEX",
    "UV_FIND_LINKS",
];

/// Keys of `uv.toml` that do.
const OWN_KEYS: [&str; 5] = [
    "index",
    "index-url",
    "extra-index-url",
    "no-index",
    "find-links",
];

type Environment = BTreeMap<OsString, OsString>;

/// An index, with what its address and the variables of its name say about who asks.
#[derive(Clone, PartialEq, Eq)]
pub struct PythonIndex {
    /// Without credentials.
    pub url: String,
    /// Name and password.
    pub credentials: Option<(String, String)>,
}

/// Keeps the password to itself.
impl std::fmt::Debug for PythonIndex {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PythonIndex({})", self.url)
    }
}

/// The indexes in the order in which they are asked, and the certificates that are trusted besides the system's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PythonIndexes {
    pub indexes: Vec<PythonIndex>,
    pub certificates: Option<PathBuf>,
    /// `UV_OFFLINE`: nothing is asked.
    pub offline: bool,
}

impl PythonIndexes {
    /// What counts for a run in `directory`.
    pub fn read(environment: &Environment, directory: &Path) -> Self {
        let pip = PipSettings::read(environment);
        let files = configuration(environment, directory);
        let mut extra = Vec::new();
        let mut default = None;
        for name in ["UV_INDEX", "UV_EXTRA_INDEX_URL"] {
            extra.extend(words(environment, name));
        }
        for name in ["UV_DEFAULT_INDEX", "UV_INDEX_URL"] {
            default = default.or_else(|| words(environment, name).into_iter().next());
        }
        for file in &files {
            take(file, &mut extra, &mut default);
        }
        if !has_own(environment, &files) {
            extra.extend(pip.extra_index_urls);
            default = default.or(pip.index_url);
        }
        extra.push(default.unwrap_or_else(|| PYPI.to_owned()));
        Self {
            indexes: extra.iter().map(|text| index(environment, text)).collect(),
            certificates: pip.certificates,
            offline: is_set(environment, "UV_OFFLINE"),
        }
    }
}

/// What `uv` is told of pip's settings when it runs in `directory`; `chosen`: the index was chosen for this run already.
pub(super) fn from_pip(
    environment: &Environment,
    directory: &Path,
    chosen: bool,
) -> Vec<(&'static str, OsString)> {
    let pip = PipSettings::read(environment);
    let unset = |name: &str| {
        environment
            .get(OsStr::new(name))
            .is_none_or(|value| value.is_empty())
    };
    let mut variables = Vec::new();
    if !chosen && !has_own(environment, &configuration(environment, directory)) {
        if let Some(url) = pip.index_url {
            variables.push(("UV_DEFAULT_INDEX", url.into()));
        }
        if !pip.extra_index_urls.is_empty() {
            variables.push(("UV_INDEX", pip.extra_index_urls.join(" ").into()));
        }
    }
    if !pip.trusted_hosts.is_empty() && unset("UV_INSECURE_HOST") {
        variables.push(("UV_INSECURE_HOST", pip.trusted_hosts.join(" ").into()));
    }
    if let Some(path) = pip.certificates
        && unset("SSL_CERT_FILE")
        && unset("SSL_CERT_DIR")
    {
        variables.push(("SSL_CERT_FILE", path.into()));
    }
    variables
}

fn is_set(environment: &Environment, name: &str) -> bool {
    let value = environment.get(OsStr::new(name));
    value.is_some_and(|value| !value.is_empty() && value != "0" && value != "false")
}

fn words(environment: &Environment, name: &str) -> Vec<String> {
    let text = environment
        .get(OsStr::new(name))
        .and_then(|text| text.to_str());
    let words = text.unwrap_or_default().split_whitespace();
    words.map(str::to_owned).collect()
}

/// Whether the user told `uv` where to look.
fn has_own(environment: &Environment, files: &[Table]) -> bool {
    let in_variables = OWN_VARIABLES.iter().any(|name| {
        environment
            .get(OsStr::new(name))
            .is_some_and(|value| !value.is_empty())
    });
    in_variables
        || files
            .iter()
            .any(|file| OWN_KEYS.iter().any(|key| file.contains_key(*key)))
}

/// The tables of uv's configuration files that count in `directory`, the first over the later; `[pip]` of each after it.
fn configuration(environment: &Environment, directory: &Path) -> Vec<Table> {
    let path = |name: &str| {
        let value = environment.get(OsStr::new(name));
        value.filter(|value| !value.is_empty()).map(PathBuf::from)
    };
    if is_set(environment, "UV_NO_CONFIG") {
        return Vec::new();
    }
    let mut tables = Vec::new();
    if let Some(file) = path("UV_CONFIG_FILE") {
        tables.extend(read(&file));
    } else {
        tables.extend(project(directory));
        let user = match cfg!(windows) {
            true => path("APPDATA"),
            false => {
                path("XDG_CONFIG_HOME").or_else(|| path("HOME").map(|home| home.join(".config")))
            }
        };
        let system = match cfg!(windows) {
            true => path("PROGRAMDATA").into_iter().collect(),
            false => {
                let places = environment.get(OsStr::new("XDG_CONFIG_DIRS"));
                let places = places.map(|places| std::env::split_paths(places).collect());
                let mut places: Vec<PathBuf> = places.unwrap_or_default();
                places.push("/etc".into());
                places
            }
        };
        let files = user.into_iter().chain(system);
        tables.extend(files.filter_map(|place| read(&place.join("uv/uv.toml"))));
    }
    tables
        .into_iter()
        .flat_map(|mut table| {
            let pip = match table.remove("pip") {
                Some(Value::Table(pip)) => Some(pip),
                _ => None,
            };
            std::iter::once(table).chain(pip)
        })
        .collect()
}

/// `uv.toml`, or `[tool.uv]` of `pyproject.toml`, in `directory` or the nearest folder above it that has one.
fn project(directory: &Path) -> Option<Table> {
    let directory = std::path::absolute(directory).ok()?;
    directory.ancestors().find_map(|folder| {
        read(&folder.join("uv.toml")).or_else(|| {
            let mut table = read(&folder.join("pyproject.toml"))?;
            let mut tool = match table.remove("tool") {
                Some(Value::Table(tool)) => tool,
                _ => return None,
            };
            match tool.remove("uv") {
                Some(Value::Table(uv)) => Some(uv),
                _ => None,
            }
        })
    })
}

/// `uv` complains itself about files that it cannot read.
fn read(path: &Path) -> Option<Table> {
    std::fs::read_to_string(path).ok()?.parse().ok()
}

/// Adds the indexes of one table; those with a name as `name=address`.
fn take(table: &Table, extra: &mut Vec<String>, default: &mut Option<String>) {
    let string = |value: &Value| value.as_str().map(str::to_owned);
    for entry in table
        .get("index")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        let Some(url) = entry.get("url").and_then(string) else {
            continue;
        };
        let named = match entry.get("name").and_then(Value::as_str) {
            Some(name) => format!("{name}={url}"),
            None => url,
        };
        match entry.get("default").and_then(Value::as_bool) {
            Some(true) => *default = default.take().or(Some(named)),
            _ => extra.push(named),
        }
    }
    let further = table.get("extra-index-url").and_then(Value::as_array);
    extra.extend(further.into_iter().flatten().filter_map(string));
    if default.is_none() {
        *default = table.get("index-url").and_then(string);
    }
}

/// `address` or `name=address`, with credentials in it or without.
fn index(environment: &Environment, text: &str) -> PythonIndex {
    let named = text
        .split_once('=')
        .filter(|(name, _)| !name.contains([':', '/', '?']));
    let (name, address) = match named {
        Some((name, address)) => (Some(name), address),
        None => (None, text),
    };
    let Ok(mut url) = url::Url::parse(address) else {
        return PythonIndex {
            url: address.to_owned(),
            credentials: None,
        };
    };
    let decoded = |text: &str| {
        percent_encoding::percent_decode_str(text)
            .decode_utf8_lossy()
            .into_owned()
    };
    let in_address = !url.username().is_empty() || url.password().is_some();
    let mut credentials = in_address.then(|| {
        (
            decoded(url.username()),
            decoded(url.password().unwrap_or_default()),
        )
    });
    // Both fail only for addresses that cannot have them.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    if let Some(name) = name {
        let name = name
            .to_ascii_uppercase()
            .replace(|c: char| !c.is_ascii_alphanumeric(), "_");
        let part = |part: &str| {
            let name = format!("UV_INDEX_{name}_{part}");
            environment
                .get(OsStr::new(&name))
                .and_then(|value| value.to_str())
                .map(str::to_owned)
        };
        let (user, password) = (part("USERNAME"), part("PASSWORD"));
        if user.is_some() || password.is_some() {
            credentials = Some((user.unwrap_or_default(), password.unwrap_or_default()));
        }
    }
    PythonIndex {
        url: url.to_string(),
        credentials,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uv_is_told_of_pip_what_it_does_not_know_itself() {
        let home = tempfile::tempdir().expect("a directory");
        let conf = home.path().join("pip.conf");
        let text = "[global]\nindex-url = https://i.example/simple\ntrusted-host =\n    a.example\n    b.example:8443\ncert = /etc/ours.pem\n";
        std::fs::write(&conf, text).expect("a file");
        let told = |variables: &[(&str, &str)], chosen| {
            let mut environment = Environment::from([
                ("HOME".into(), home.path().into()),
                ("XDG_CONFIG_DIRS".into(), home.path().into()),
                ("PIP_CONFIG_FILE".into(), conf.clone().into()),
            ]);
            for (name, value) in variables {
                environment.insert((*name).into(), (*value).into());
            }
            from_pip(&environment, home.path(), chosen)
        };
        let index = (
            "UV_DEFAULT_INDEX",
            OsString::from("https://i.example/simple"),
        );
        let hosts = (
            "UV_INSECURE_HOST",
            OsString::from("a.example b.example:8443"),
        );
        let certificates = ("SSL_CERT_FILE", OsString::from("/etc/ours.pem"));
        assert_eq!(
            told(&[], false),
            [index.clone(), hosts.clone(), certificates.clone()]
        );
        assert_eq!(told(&[], true), [hosts.clone(), certificates.clone()]);
        assert_eq!(
            told(
                &[
                    ("UV_INDEX", "https://o.example"),
                    ("SSL_CERT_FILE", "/etc/system.pem")
                ],
                false
            ),
            [hosts]
        );
        assert_eq!(
            told(&[("UV_INSECURE_HOST", "c.example")], false),
            [index, certificates]
        );
        let nothing = if cfg!(windows) { "nul" } else { "/dev/null" };
        assert_eq!(told(&[("PIP_CONFIG_FILE", nothing)], false), []);
    }
}
