//! `uv` is found where the user says or on PATH, and its absence says how to get it.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::SystemTime;

use mcplambda::package::{
    Architecture, ErrorKind, PackageError, ServerSpec, Tools, bridge, build, plan_source, resolve,
};

use crate::package_support::{Index, Wheel, contents, spec, tools};

/// Tools of a machine with this `PATH`, whose provider block names `uv_path`.
fn machine(path: &[&Path], uv_path: Option<&Path>) -> Tools {
    let path = std::env::join_paths(path).expect("plain names");
    Tools {
        uv_path: uv_path.map(Path::to_owned),
        npm_path: None,
        cache_dir: None,
        environment: BTreeMap::from([("PATH".into(), path)]),
        minimum_age: None,
        now: SystemTime::now(),
        downloads: None,
    }
}

#[test]
fn uv_is_the_given_one_or_the_first_program_on_path() {
    let home = tempfile::tempdir().expect("a temporary directory");
    let (early, late) = (home.path().join("early"), home.path().join("late"));
    for (directory, mode) in [(&early, 0o644), (&late, 0o755)] {
        std::fs::create_dir(directory).expect("a directory");
        std::fs::write(directory.join("uv"), "").expect("a file");
        std::fs::set_permissions(directory.join("uv"), std::fs::Permissions::from_mode(mode))
            .expect("a mode");
    }
    // The early one is no program.
    let path = [Path::new("relative"), &early, &late];
    assert_eq!(machine(&path, None).uv().expect("uv"), late.join("uv"));
    let given = late.join("uv");
    assert_eq!(machine(&[], Some(&given)).uv().expect("uv"), given);
}

#[test]
fn a_missing_uv_says_where_it_was_sought_and_how_to_get_it() {
    let advice = "It resolves and installs the server's packages; install it (`pip install uv`, or see \
                  https://docs.astral.sh/uv/getting-started/installation/) or set `uv_path` in the provider's configuration";
    let error = machine(&[Path::new("/nonexistent")], None)
        .uv()
        .expect_err("nothing there");
    assert_eq!(error.kind(), ErrorKind::Tool);
    assert_eq!(
        error.to_string(),
        format!("`uv` was not found on PATH. {advice}")
    );
    let error = machine(&[], Some(Path::new("/nonexistent/uv")))
        .uv()
        .expect_err("nothing there");
    assert_eq!(
        error.to_string(),
        format!(
            "`uv` was not found: there is no program at `/nonexistent/uv` (`uv_path`). {advice}"
        )
    );
}

#[tokio::test]
async fn a_build_carries_the_embedded_bridge_or_says_that_there_is_none() {
    let (index, home) = (
        Index::start(),
        tempfile::tempdir().expect("a temporary directory"),
    );
    index.release(&Wheel::new("srv", "1.0").script("srv", "srv:main"));
    let tools = tools(&index.url(), home.path());
    for architecture in Architecture::ALL {
        let source = plan_source(&ServerSpec {
            architecture,
            ..spec(&["srv"])
        })
        .expect("valid");
        let lock = resolve(&tools, &source).await.expect("a lock");
        match (
            build(&tools, &source, &lock).await,
            bridge::binary(architecture),
        ) {
            (Ok(artifact), Some(binary)) => {
                let (name, mode, bytes) = contents(&artifact.zip).remove(0);
                assert_eq!((name.as_str(), mode & 0o777), ("mcplambda-bridge", 0o755));
                assert!(bytes == binary, "another bridge than the embedded one");
            }
            (Err(error @ PackageError::NoBridge { .. }), None) => assert_eq!(
                error.to_string(),
                format!(
                    "this build of the provider carries no bridge for {architecture}. Build it with `make build`, or use a released \
                     provider"
                )
            ),
            (built, embedded) => panic!(
                "{:?} with a bridge of {:?} bytes",
                built.map(|a| a.argv),
                embedded.map(<[u8]>::len)
            ),
        }
    }
}
