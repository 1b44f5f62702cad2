//! Where `uv` looks for packages: where it is told to, else where `pip` is.

use std::path::Path;

use mcplambda::package::{ErrorKind, PythonIndexes, Tools, resolve};
use tempfile::TempDir;

use crate::package_support::{Index, Wheel, source, tools};

fn home() -> TempDir {
    tempfile::tempdir().expect("a temporary directory")
}

/// `uv` with nothing of its own but what its configuration files say, and this `pip.conf`.
fn with_pip(home: &Path, conf: &str) -> Tools {
    let mut tools = tools("", home);
    let path = home.join("pip.conf");
    std::fs::write(&path, conf).expect("a file");
    for name in ["UV_DEFAULT_INDEX", "UV_NO_CONFIG"] {
        tools.environment.remove(std::ffi::OsStr::new(name));
    }
    tools
        .environment
        .insert("PIP_CONFIG_FILE".into(), path.into());
    tools
        .environment
        .insert("XDG_CONFIG_DIRS".into(), home.into());
    tools
}

async fn version(tools: &Tools) -> String {
    let lock = resolve(tools, &source(&["srv"])).await;
    let versions = lock.unwrap_or_else(|error| panic!("{error}")).versions();
    versions["srv"].clone()
}

#[tokio::test]
async fn pips_index_is_used_where_uv_has_none_of_its_own() {
    let (pips, own, home) = (Index::start(), Index::start(), home());
    pips.release(&Wheel::new("srv", "1.0").script("srv", "srv:main"));
    pips.ask_for("me", "secret");
    own.release(&Wheel::new("srv", "2.0").script("srv", "srv:main"));
    let url = format!("http://me:secret@{}/simple", pips.address());
    let conf = format!("# ours\n[global]\nindex_url = {url}\n");
    let mut tools = with_pip(home.path(), &conf);
    assert_eq!(version(&tools).await, "1.0");

    tools
        .environment
        .insert("UV_INDEX".into(), own.url().into());
    tools
        .environment
        .insert("UV_DEFAULT_INDEX".into(), own.url().into());
    assert_eq!(version(&tools).await, "2.0");
    for name in ["UV_INDEX", "UV_DEFAULT_INDEX"] {
        tools.environment.remove(std::ffi::OsStr::new(name));
    }

    let settings = home.path().join(".config/uv");
    std::fs::create_dir_all(&settings).expect("a directory");
    let text = format!("[[index]]\nurl = \"{}\"\ndefault = true\n", own.url());
    std::fs::write(settings.join("uv.toml"), text).expect("a file");
    assert_eq!(version(&tools).await, "2.0");
}

#[tokio::test]
async fn the_section_install_and_the_variables_of_pip_win_over_its_file() {
    let (first, second, third, home) = (Index::start(), Index::start(), Index::start(), home());
    for (index, version) in [(&first, "1.0"), (&second, "2.0"), (&third, "3.0")] {
        index.release(&Wheel::new("srv", version).script("srv", "srv:main"));
    }
    let conf = format!(
        "[install]\nindex-url: {}\n[global]\nindex-url = {}\ntrusted-host =\n    a.example\n    b.example:8443\n",
        second.url(),
        first.url()
    );
    let mut tools = with_pip(home.path(), &conf);
    assert_eq!(version(&tools).await, "2.0");
    tools
        .environment
        .insert("PIP_INDEX_URL".into(), third.url().into());
    assert_eq!(version(&tools).await, "3.0");
}

#[tokio::test]
async fn a_package_of_pips_further_index_is_taken_from_there_alone() {
    let (public, team, home) = (Index::start(), Index::start(), home());
    public.release(&Wheel::new("srv", "9.0").script("srv", "srv:main"));
    team.release(&Wheel::new("srv", "1.0").script("srv", "srv:main"));
    let conf = format!(
        "[global]\nindex-url = {}\nextra-index-url =\n  http://127.0.0.1:9/none\n  {}\n",
        public.url(),
        team.url()
    );
    let conf = conf.replace("  http://127.0.0.1:9/none\n", "");
    assert_eq!(version(&with_pip(home.path(), &conf)).await, "1.0");
}

#[tokio::test]
async fn a_password_of_pips_index_is_in_no_error() {
    let (index, home) = (Index::start(), home());
    index.ask_for("me", "right");
    let url = format!("http://me:wr0ng-secret@{}/simple", index.address());
    let tools = with_pip(home.path(), &format!("[global]\nindex-url = {url}\n"));
    let error = resolve(&tools, &source(&["srv"]))
        .await
        .expect_err("a wrong password");
    assert_eq!(error.kind(), ErrorKind::Unresolvable, "{error}");
    assert!(
        !format!("{error} {error:?}").contains("wr0ng-secret"),
        "{error:?}"
    );
}

#[test]
fn the_indexes_are_those_of_uv_in_its_order_else_those_of_pip() {
    let home = home();
    let write = |name: &str, text: &str| {
        let path = home.path().join(name);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
        std::fs::write(path, text).expect("a file");
    };
    let urls = |variables: &[(&str, &str)]| {
        let mut environment = std::collections::BTreeMap::from([
            ("HOME".into(), home.path().into()),
            ("XDG_CONFIG_DIRS".into(), home.path().into()),
            (
                "PIP_CONFIG_FILE".into(),
                home.path().join("pip.conf").into(),
            ),
        ]);
        for (name, value) in variables {
            environment.insert((*name).into(), (*value).into());
        }
        let read = PythonIndexes::read(&environment, &home.path().join("project/deep"));
        read.indexes
            .into_iter()
            .map(|index| index.url)
            .collect::<Vec<_>>()
    };
    assert_eq!(urls(&[]), ["https://pypi.org/simple"]);
    write(
        "pip.conf",
        "[global]\nindex-url = https://pip.example/simple\nextra-index-url = https://x.example/simple https://y.example/simple\n",
    );
    assert_eq!(
        urls(&[]),
        [
            "https://x.example/simple",
            "https://y.example/simple",
            "https://pip.example/simple"
        ]
    );
    write("project/pyproject.toml", "[tool.other]\n");
    write(
        "project/uv.toml",
        "extra-index-url = [\"https://project.example/simple\"]\n",
    );
    write(
        ".config/uv/uv.toml",
        "[[index]]\nname = \"team\"\nurl = \"https://me:secret@team.example/simple\"\n[pip]\nindex-url = \"https://user.example/simple\"\n",
    );
    assert_eq!(
        urls(&[]),
        [
            "https://project.example/simple",
            "https://team.example/simple",
            "https://user.example/simple"
        ]
    );
    assert_eq!(
        urls(&[
            ("UV_DEFAULT_INDEX", "https://env.example/simple"),
            ("UV_INDEX", "https://a.example/simple")
        ]),
        [
            "https://a.example/simple",
            "https://project.example/simple",
            "https://team.example/simple",
            "https://env.example/simple"
        ]
    );
    assert_eq!(
        urls(&[
            ("UV_NO_CONFIG", "1"),
            ("UV_INDEX_URL", "https://env.example/simple")
        ]),
        ["https://env.example/simple"]
    );
}
