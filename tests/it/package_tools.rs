//! `uv` is found where the user says or on PATH, and its absence says how to get it.

use std::ffi::OsString;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use mcplambda::package::{
    Architecture, ErrorKind, PackageError, ServerSpec, Tools, bridge, build, plan_source, resolve,
};

use crate::package_support::{Index, Wheel, contents, spec, tools};

fn path_of(directories: &[&Path]) -> Vec<(OsString, OsString)> {
    vec![(
        "PATH".into(),
        std::env::join_paths(directories).expect("plain names"),
    )]
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
    let found =
        Tools::find(None, None, path_of(&[Path::new("relative"), &early, &late])).expect("uv");
    assert_eq!(found.uv, late.join("uv"));
    let given = Tools::find(Some(&late.join("uv")), Some(home.path()), path_of(&[])).expect("uv");
    assert_eq!(
        (given.uv, given.cache_dir.as_deref()),
        (late.join("uv"), Some(home.path()))
    );
}

#[test]
fn a_missing_uv_says_where_it_was_sought_and_how_to_get_it() {
    let advice = "It resolves and installs the server's packages; install it (`pip install uv`, or see \
                  https://docs.astral.sh/uv/getting-started/installation/) or set `uv_path` in the provider's configuration";
    let error =
        Tools::find(None, None, path_of(&[Path::new("/nonexistent")])).expect_err("nothing there");
    assert_eq!(error.kind(), ErrorKind::Tool);
    assert_eq!(
        error.to_string(),
        format!("`uv` was not found on PATH. {advice}")
    );
    let error = Tools::find(Some(Path::new("/nonexistent/uv")), None, path_of(&[]))
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
