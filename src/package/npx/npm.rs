//! Runs `npm` for a project in a directory of its own: arguments in, nothing or a complaint out.
//!
//! The user's registries, credentials, proxies and certificates count (environment, user's and machine's `.npmrc`, and the `.npmrc` of the
//! server's folder, else of the directory that Terraform runs in). What would make the outcome depend on the machine is set here, on the command line, which
//! wins over all of them.

use std::path::{Path, PathBuf};

use serde_json::Value;
use tokio::process::Command;

use super::packages::NpmPackages;
use super::tree::{LIBC, OS, cpu};
use crate::package::fetched_tools::is_script;
use crate::package::tools::{self, Tool};
use crate::package::{PackageError, Tools};

/// Settings of every run. A release of `npm` that does not know one of them says so and goes on.
const SETTINGS: [&str; 24] = [
    "--json",
    "--loglevel=error",
    "--logs-max=0",
    "--color=false",
    "--progress=false",
    "--unicode=false",
    "--audit=false",
    "--fund=false",
    "--update-notifier=false",
    "--dry-run=false",
    "--global=false",
    "--workspaces=false",
    "--package-lock=true",
    "--package-lock-only=false",
    "--lockfile-version=3",
    // No address in the lock: whichever registry has the same bytes will do.
    "--omit-lockfile-registry-resolved",
    "--install-strategy=hoisted",
    "--omit=dev",
    "--include=prod",
    "--include=optional",
    "--include=peer",
    "--engine-strict=false",
    "--force=false",
    "--ignore-scripts",
];

/// `npm` ended with another status than 0.
#[derive(Debug)]
pub(crate) struct Complaint {
    /// `E404`, `ETARGET`; empty when it gave none.
    pub(crate) code: String,
    pub(crate) summary: String,
    pub(crate) detail: String,
    /// What it wrote on standard error.
    pub(crate) text: String,
    /// What it wrote on standard output.
    pub(crate) output: String,
}

/// Why a run did not succeed.
pub(crate) enum Failure {
    Complaint(Complaint),
    Unusable(PackageError),
}

/// Runs `npm` in `project`, with `arguments` and `options` after the settings; the later wins. Returns its standard output.
pub(crate) async fn run(
    tools: &Tools,
    npm: &NpmPackages,
    project: &Path,
    arguments: &[&str],
    options: &[String],
) -> Result<String, Failure> {
    let path = tools.npm().map_err(Failure::Unusable)?;
    let mut command = match is_script(&path) {
        true => {
            let mut command = Command::new(node(tools, &path).map_err(Failure::Unusable)?);
            command.arg(&path);
            command
        }
        false => Command::new(&path),
    };
    command
        .args(&arguments[..1])
        .args(SETTINGS)
        .arg(format!("--os={OS}"))
        .arg(format!("--cpu={}", cpu(npm.architecture)))
        .arg(format!("--libc={LIBC}"))
        .args(&npm.registry_options)
        .args(options)
        .args(&arguments[1..])
        .current_dir(project)
        .env_clear()
        .envs(&tools.environment)
        // For install scripts, which fetch or build for this platform: the names that prebuild-install, node-gyp-build and
        // node-pre-gyp read.
        .env("npm_config_platform", OS)
        .env("npm_config_target_platform", OS)
        .env("npm_config_arch", cpu(npm.architecture))
        .env("npm_config_target_arch", cpu(npm.architecture))
        .env("npm_config_target_libc", LIBC);
    if let Some(cache_dir) = &tools.cache_dir {
        command.arg("--cache").arg(cache_dir.join("npm"));
    }
    let ended = tools::run(Tool::Npm, &path, command, "")
        .await
        .map_err(Failure::Unusable)?;
    if ended.status.success() {
        return Ok(ended.output);
    }
    Err(Failure::Complaint(complaint(
        &ended.output,
        &ended.complaints,
        &ended.status.to_string(),
    )))
}

/// The Node that runs the script `npm`.
fn node(tools: &Tools, npm: &Path) -> Result<PathBuf, PackageError> {
    tools.node().ok_or_else(|| PackageError::ToolUnusable {
        tool: Tool::Npm,
        path: npm.to_owned(),
        reason: "it is a script for Node, and there is no `node` on PATH".to_owned(),
    })
}

/// Reads the object that `--json` puts on standard output; text of scripts may stand around it.
fn complaint(output: &str, complaints: &str, status: &str) -> Complaint {
    let object = output.find('{').and_then(|start| {
        let mut values = serde_json::Deserializer::from_str(&output[start..]).into_iter::<Value>();
        values.next()?.ok()
    });
    let error = object.as_ref().and_then(|object| object.get("error"));
    let field = |name: &str| {
        error
            .and_then(|error| error.get(name))
            .and_then(Value::as_str)
            .unwrap_or_default()
            .trim()
            .to_owned()
    };
    let text: Vec<&str> = complaints
        .lines()
        .map(|line| {
            ["npm error", "npm ERR!"]
                .iter()
                .find_map(|start| line.strip_prefix(start))
                .unwrap_or(line)
                .trim_end()
        })
        .filter(|line| !line.is_empty() && !line.contains("complete log of this run"))
        .collect();
    Complaint {
        code: field("code"),
        summary: field("summary"),
        detail: field("detail"),
        text: match text.is_empty() {
            true => format!("it ended with {status} and said nothing"),
            false => text.join("\n"),
        },
        output: output.to_owned(),
    }
}

/// Makes the project's files. The `.npmrc` is the one that `npm` would read in the server's folder, or `npx` in the working directory.
pub(crate) async fn write_project(
    npm: &NpmPackages,
    project: &Path,
    package: &str,
    lock: Option<&str>,
) -> Result<(), PackageError> {
    let write = async |name: &str, text: &[u8]| {
        let path = project.join(name);
        tokio::fs::write(&path, text)
            .await
            .map_err(|source| PackageError::Io {
                action: "write",
                path,
                source,
            })
    };
    write("package.json", package.as_bytes()).await?;
    if let Some(lock) = lock {
        write("package-lock.json", lock.as_bytes()).await?;
    }
    for directory in [npm.folder.as_deref(), Some(Path::new(""))]
        .into_iter()
        .flatten()
    {
        let path = directory.join(".npmrc");
        match tokio::fs::read(&path).await {
            Ok(settings) => return write(".npmrc", &settings).await,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(source) => {
                return Err(PackageError::Io {
                    action: "read",
                    path,
                    source,
                });
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_complaint_is_read_from_between_other_output() {
        let output = "> thing@1 install\n{\"error\": {\"code\": \"E404\", \"summary\": \"Not Found \", \"detail\": \"x\"}}\nrest";
        let found = complaint(
            output,
            "npm error code E404\nnpm ERR! 404\n\nnpm error A complete log of this run can be found in: /x\n",
            "exit status: 1",
        );
        assert_eq!(
            (
                found.code.as_str(),
                found.summary.as_str(),
                found.detail.as_str()
            ),
            ("E404", "Not Found", "x")
        );
        assert_eq!(found.text, " code E404\n 404");
        let silent = complaint("", "", "signal: 9 (SIGKILL)");
        assert_eq!(
            silent.text,
            "it ended with signal: 9 (SIGKILL) and said nothing"
        );
    }
}
