//! Where `pip` is told to find packages: its variables and configuration files in, what they say together out.
//!
//! Only what says where from and whom to trust. Files that cannot be read or lines that say nothing are passed over, as nobody asked
//! for `pip` here.
//!
//! Source: pip's documentation, "Configuration": global, user (unless `PIP_CONFIG_FILE` is there), virtual environment, `PIP_CONFIG_FILE`, then
//! variables; in each file `[global]`, then `[install]`. The later wins.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

/// What `pip install` would use. May hold credentials.
#[derive(Default, Clone, PartialEq, Eq)]
pub(crate) struct PipSettings {
    pub(crate) index_url: Option<String>,
    pub(crate) extra_index_urls: Vec<String>,
    /// Host, or host and port.
    pub(crate) trusted_hosts: Vec<String>,
    /// A file of certificates.
    pub(crate) certificates: Option<PathBuf>,
}

impl PipSettings {
    /// Reads variables and files.
    pub(crate) fn read(environment: &BTreeMap<OsString, OsString>) -> Self {
        let mut values = BTreeMap::new();
        for path in files(environment) {
            if let Ok(text) = std::fs::read(&path) {
                take(&String::from_utf8_lossy(&text), &mut values);
            }
        }
        for (variable, value) in environment {
            let (Some(variable), Some(value)) = (variable.to_str(), value.to_str()) else {
                continue;
            };
            if let Some(name) = variable.strip_prefix("PIP_")
                && !value.is_empty()
            {
                values.insert(normal(name), value.to_owned());
            }
        }
        let words = |name: &str| {
            let words = values.get(name).map(String::as_str).unwrap_or_default();
            words.split_whitespace().map(str::to_owned).collect()
        };
        let one = |name: &str| values.get(name).filter(|value| !value.is_empty()).cloned();
        Self {
            index_url: one("index-url"),
            extra_index_urls: words("extra-index-url"),
            trusted_hosts: words("trusted-host"),
            certificates: one("cert").map(PathBuf::from),
        }
    }
}

/// The files that `pip` reads, the later over the earlier.
fn files(environment: &BTreeMap<OsString, OsString>) -> Vec<PathBuf> {
    let get = |name: &str| {
        let value = environment.get(OsStr::new(name));
        value.filter(|value| !value.is_empty()).map(PathBuf::from)
    };
    let own = get("PIP_CONFIG_FILE");
    if own.as_deref() == Some(Path::new(if cfg!(windows) { "nul" } else { "/dev/null" })) {
        return Vec::new();
    }
    let mut files = Vec::new();
    let home = get("HOME").or_else(|| get("USERPROFILE"));
    let name = if cfg!(windows) { "pip.ini" } else { "pip.conf" };
    if cfg!(windows) {
        files.extend(get("PROGRAMDATA").map(|data| data.join("pip").join(name)));
    } else if cfg!(target_os = "macos") {
        files.push("/Library/Application Support/pip/pip.conf".into());
    } else {
        let places = environment.get(OsStr::new("XDG_CONFIG_DIRS"));
        let places = places
            .filter(|places| !places.is_empty())
            .map_or_else(|| OsString::from("/etc/xdg"), Clone::clone);
        files.extend(std::env::split_paths(&places).map(|place| place.join("pip").join(name)));
        files.push("/etc/pip.conf".into());
    }
    if !own.as_deref().is_some_and(Path::exists) {
        let old = if cfg!(windows) { "pip" } else { ".pip" };
        files.extend(home.as_ref().map(|home| home.join(old).join(name)));
        let config = if cfg!(windows) {
            get("APPDATA")
        } else {
            let library = home
                .as_ref()
                .map(|home| home.join("Library/Application Support"));
            let library =
                library.filter(|place| cfg!(target_os = "macos") && place.join("pip").is_dir());
            library
                .or_else(|| get("XDG_CONFIG_HOME"))
                .or_else(|| home.map(|home| home.join(".config")))
        };
        files.extend(config.map(|config| config.join("pip").join(name)));
    }
    files.extend(get("VIRTUAL_ENV").map(|place| place.join(name)));
    files.extend(own);
    files
}

/// Takes what a file says in `[global]`, and over it what it says in `[install]`.
fn take(text: &str, values: &mut BTreeMap<String, String>) {
    let mut sections: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    let (mut section, mut last) = (String::new(), None::<String>);
    for line in text.lines() {
        let bare = line.trim();
        if bare.is_empty() || bare.starts_with(['#', ';']) {
            continue;
        }
        let continues = line.starts_with(char::is_whitespace);
        if continues && let Some(name) = &last {
            let value = sections
                .entry(section.clone())
                .or_default()
                .entry(name.clone())
                .or_default();
            value.push('\n');
            value.push_str(bare);
        } else if let Some(name) = bare
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
        {
            section = name.to_owned();
            last = None;
        } else if let Some((name, value)) = bare.split_once(['=', ':']) {
            let name = normal(name);
            sections
                .entry(section.clone())
                .or_default()
                .insert(name.clone(), value.trim().to_owned());
            last = Some(name);
        }
    }
    for name in ["global", "install"] {
        values.extend(sections.remove(name).unwrap_or_default());
    }
}

/// `INDEX_URL`, `index_url` and `index-url` are one.
fn normal(name: &str) -> String {
    let name = name.trim().trim_start_matches("--");
    name.to_ascii_lowercase().replace('_', "-")
}
