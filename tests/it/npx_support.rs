//! What the tests of `npx` share: `npm` with a home and a cache of its own, and one registry.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use mcplambda::package::{
    Artifact, Lock, PackageError, ServerSpec, Source, Tools, build_around, plan_source, resolve,
};
use mcplambda::provider::downloads;
use tempfile::TempDir;

use crate::npm_registry::Registry;
use crate::package_support;

/// Stands for the bridge.
pub(crate) const BRIDGE: &[u8] = b"\x7fELF bridge";

/// The `npm` that tests use: `MCPLAMBDA_TEST_NPM`, else the one on PATH.
pub(crate) fn npm() -> PathBuf {
    if let Some(given) = std::env::var_os("MCPLAMBDA_TEST_NPM") {
        return given.into();
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path)
        .map(|directory| directory.join("npm"))
        .find(|npm| npm.is_file());
    found.expect("these tests need npm: install Node 20 or newer with npm, or set MCPLAMBDA_TEST_NPM to its path")
}

/// `npm` with `registry` as the only place to look; nothing of the user's settings.
pub(crate) fn tools(registry: &Registry, home: &Path) -> Tools {
    let mut environment: BTreeMap<OsString, OsString> = BTreeMap::new();
    // Node, and the shell for scripts.
    environment.insert("PATH".into(), std::env::var_os("PATH").unwrap_or_default());
    environment.insert("HOME".into(), home.into());
    environment.insert("TMPDIR".into(), home.into());
    environment.insert("npm_config_registry".into(), registry.url().into());
    environment.insert("npm_config_globalconfig".into(), home.join("none").into());
    environment.insert("npm_config_fetch_retries".into(), "0".into());
    Tools {
        uv_path: None,
        npm_path: Some(npm()),
        cache_dir: Some(home.join("cache")),
        environment,
        minimum_age: None,
        now: SystemTime::now(),
        downloads: None,
    }
}

/// `tools` that fetch, whose `npm` writes down what it is called for.
pub(crate) fn fetching(tools: Tools, home: &Path) -> Tools {
    let real = std::fs::canonicalize(npm()).expect("npm");
    let folder = home.join("counted/bin");
    std::fs::create_dir_all(&folder).expect("a folder");
    let script = format!(
        "require('fs').appendFileSync({:?}, process.argv[2] + '\\n');\nrequire({real:?});\n",
        calls(home)
    );
    let path = folder.join("npm-cli.js");
    std::fs::write(&path, script).expect("a script");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("executable");
    Tools {
        npm_path: Some(path),
        downloads: Some(downloads::over_http()),
        ..tools
    }
}

fn calls(home: &Path) -> PathBuf {
    home.join("calls")
}

/// How often `npm ci` ran.
pub(crate) fn installs(home: &Path) -> usize {
    let calls = std::fs::read_to_string(calls(home)).unwrap_or_default();
    calls.lines().filter(|call| *call == "ci").count()
}

pub(crate) fn home() -> TempDir {
    tempfile::tempdir().expect("a temporary directory")
}

/// A spec for `npx` on x86_64 and the default runtime.
pub(crate) fn spec(args: &[&str]) -> ServerSpec {
    ServerSpec {
        command: "npx".to_owned(),
        ..package_support::spec(args)
    }
}

pub(crate) fn source(spec: &ServerSpec) -> Source {
    plan_source(spec).expect("a valid command line")
}

/// The text of the lock that `spec` resolves to.
pub(crate) async fn lock(registry: &Registry, spec: &ServerSpec) -> Result<Lock, PackageError> {
    let home = home();
    resolve(&tools(registry, home.path()), &source(spec)).await
}

/// Resolves and builds.
pub(crate) async fn built(tools: &Tools, spec: &ServerSpec) -> Result<Artifact, PackageError> {
    let source = source(spec);
    let lock = resolve(tools, &source).await?;
    build_around(BRIDGE, tools, &source, &lock).await
}

/// The first bytes of a shared library for a processor: EM_X86_64 is 62, EM_AARCH64 183.
pub(crate) fn elf(machine: u16) -> Vec<u8> {
    let mut bytes = vec![0; 64];
    bytes[..6].copy_from_slice(b"\x7fELF\x02\x01");
    bytes[18..20].copy_from_slice(&machine.to_le_bytes());
    bytes
}

pub(crate) const X86_64: u16 = 62;
pub(crate) const ARM64: u16 = 183;
