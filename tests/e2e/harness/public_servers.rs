//! `tests/servers.toml`: public servers, each as one HCL block.
//!
//! Refuses what it does not know: an entry that is misspelled fails the test that reads it.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    server: Vec<Server>,
}

/// Where a server's package comes from.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
pub(crate) enum Registry {
    #[serde(rename = "PyPI")]
    PyPi,
    #[serde(rename = "npm")]
    Npm,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Server {
    pub(crate) package: String,
    pub(crate) version: String,
    pub(crate) registry: Registry,
    pub(crate) author: String,
    pub(crate) calls: Vec<Call>,
    /// Part of the text that the last call answers.
    pub(crate) says: String,
    #[serde(default)]
    arguments: Vec<String>,
    #[serde(default)]
    env: BTreeMap<String, String>,
    /// What has to be in its working directory.
    #[serde(default)]
    pub(crate) files: BTreeMap<String, String>,
    script: Option<String>,
    /// Members of the bridge's description, which are attributes of the same names.
    #[serde(default)]
    settings: BTreeMap<String, String>,
    /// What only the tests in `tests/outside` look at.
    #[serde(default, rename = "outside")]
    _outside: Option<toml::Table>,
    pub(crate) deployed: Option<Deployed>,
}

/// A tool and its arguments.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Call {
    pub(crate) tool: String,
    pub(crate) arguments: Value,
}

/// How the server gets into a function.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Deployed {
    pub(crate) kind: Kind,
    /// One of those that every run tries.
    #[serde(default)]
    pub(crate) quick: bool,
    /// Installed beside it.
    #[serde(default)]
    pub(crate) packages: Vec<String>,
    cwd: Option<String>,
    /// Of `own`: program and arguments.
    #[serde(default)]
    command: Vec<String>,
    /// Of `own`: the files of its folder.
    #[serde(default)]
    pub(crate) files: BTreeMap<String, String>,
    /// Of `own`: `uv lock` is run in its folder.
    #[serde(default)]
    pub(crate) uv_lock: bool,
    /// Of `own`: `npm install --package-lock-only` is run in its folder.
    #[serde(default)]
    pub(crate) npm_lock: bool,
    /// Of `docker`: the image's entry point.
    #[serde(default)]
    pub(crate) entrypoint: Vec<String>,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    Uvx,
    Npx,
    Docker,
    Own,
}

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Uvx => "uvx",
            Self::Npx => "npx",
            Self::Docker => "docker",
            Self::Own => "own",
        }
    }
}

/// The servers that are deployed, by kind.
pub(crate) fn deployed() -> Vec<Server> {
    let text = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/servers.toml");
    let text = std::fs::read_to_string(text).expect("it is there");
    let table: Table = toml::from_str(&text).expect("tests/servers.toml is read");
    let mut servers = table.server;
    servers.retain(|server| server.deployed.is_some());
    servers.sort_by_key(|server| (server.how().kind, server.package.clone()));
    servers
}

impl Server {
    pub(crate) fn how(&self) -> &Deployed {
        self.deployed.as_ref().expect("it is deployed")
    }

    /// Name in the configuration: letters, digits and hyphens.
    pub(crate) fn label(&self) -> String {
        self.package
            .trim_start_matches('@')
            .replace(['/', '.'], "-")
    }

    pub(crate) fn address(&self) -> String {
        format!("mcplambda_server.{}", self.label())
    }

    /// The HCL block. `image`: the image that was made for it.
    pub(crate) fn block(&self, image: Option<&str>) -> String {
        let how = self.how();
        let package = |separator: &str| format!("{}{separator}{}", self.package, self.version);
        let mut args: Vec<String> = Vec::new();
        let mut attributes = vec![("name", json!(self.label()))];
        let command = match how.kind {
            Kind::Uvx => {
                match &self.script {
                    Some(script) => {
                        args.extend(["--from".to_owned(), package("=="), script.clone()])
                    }
                    None => args.push(package("==")),
                }
                "uvx"
            }
            Kind::Npx => {
                args.extend(["-y".to_owned(), package("@")]);
                "npx"
            }
            Kind::Docker => {
                args.extend(["run", "-i", "--rm"].map(str::to_owned));
                if let Some(cwd) = &how.cwd {
                    args.extend(["-w".to_owned(), cwd.clone()]);
                }
                for (name, value) in &self.env {
                    args.extend(["-e".to_owned(), format!("{name}={value}")]);
                }
                args.push(image.expect("an image was made").to_owned());
                "docker"
            }
            Kind::Own => {
                args.extend_from_slice(&how.command[1..]);
                attributes.push(("source_dir", json!(self.label())));
                &how.command[0]
            }
        };
        args.extend_from_slice(&self.arguments);
        attributes.extend([("command", json!(command)), ("args", json!(args))]);
        if how.kind != Kind::Docker {
            attributes.push(("env", json!(self.env)));
            attributes.extend(how.cwd.as_ref().map(|cwd| ("cwd", json!(cwd))));
        }
        if !how.packages.is_empty() && how.kind != Kind::Docker {
            attributes.push(("packages", json!(how.packages)));
        }
        attributes.extend(
            self.settings
                .iter()
                .map(|(name, value)| (name.as_str(), json!(value))),
        );
        let attributes: String = attributes
            .iter()
            .map(|(name, value)| format!("  {name} = {value}\n"))
            .collect();
        format!(
            "resource \"mcplambda_server\" \"{}\" {{\n{attributes}}}\n",
            self.label()
        )
    }
}
