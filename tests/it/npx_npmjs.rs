//! Public packages from npm's registry, by both roads to a package. Needs the internet.

use mcplambda::package::{ServerSpec, Tools, build_around, resolve};

use crate::npm_registry::Registry;
use crate::npx_support::{BRIDGE, fetching, home, installs, source, spec, tools};
use crate::package_support::contents;

/// A scope, versions inside of others, bundled packages, packages for platforms, install scripts that do not run, a thousand folders.
const PACKAGES: [&str; 4] = ["cdk8s@2", "esbuild@0.25", "eslint@9", "sharp@0.34"];

/// This machine's own settings, and folders of the test's.
fn public(tools: Tools) -> Tools {
    let mut environment = tools.environment;
    for (name, value) in std::env::vars_os() {
        environment.entry(name).or_insert(value);
    }
    for name in ["npm_config_registry", "npm_config_globalconfig"] {
        environment.remove(std::ffi::OsStr::new(name));
    }
    Tools {
        environment,
        ..tools
    }
}

#[tokio::test]
async fn public_packages_are_the_same_whether_npm_installs_them_or_not() {
    let (home, other) = (home(), home());
    let nothing = Registry::with([]);
    let spec = ServerSpec {
        packages: PACKAGES.map(str::to_owned).to_vec(),
        ..spec(&["@modelcontextprotocol/server-everything@2026.8.31"])
    };
    let source = source(&spec);
    let of_npm = public(tools(&nothing, other.path()));
    let lock = resolve(&of_npm, &source)
        .await
        .expect("a lock from npm's registry");
    let tools = fetching(public(tools(&nothing, home.path())), home.path());
    let fetched = build_around(BRIDGE, &tools, &source, &lock)
        .await
        .expect("a package");
    assert_eq!(installs(home.path()), 0);
    let installed = build_around(BRIDGE, &of_npm, &source, &lock)
        .await
        .expect("a package");
    let names =
        |zip: &[u8]| -> Vec<String> { contents(zip).into_iter().map(|(name, ..)| name).collect() };
    assert_eq!(names(&fetched.zip), names(&installed.zip));
    assert!(fetched == installed);
    let bundled = |name: &String| name.starts_with("node_modules/cdk8s/node_modules/yaml/");
    assert!(names(&fetched.zip).iter().any(bundled));
}
