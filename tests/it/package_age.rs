//! `minimum_package_age`: what is chosen was published long enough ago, and why it could not be says so. Of packages from PyPI and npm.

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use mcplambda::package::{
    Attribute, ErrorKind, MinimumAge, PackageError, ServerSpec, Tools, open, plan_source, resolve,
};

use crate::npm_registry::{Package, Registry};
use crate::package_support::{Index, Wheel, spec};
use crate::{npx_support, package_support};

/// 2026-11-26T00:00:00Z.
fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_795_651_200)
}

/// Published so many days before.
const DAYS_30: &str = "2026-10-27T00:00:00Z";
const DAYS_10: &str = "2026-11-16T00:00:00Z";
const DAYS_3: &str = "2026-11-23T00:00:00.123456Z";

fn aged(tools: Tools, days: f64) -> Tools {
    Tools {
        minimum_age: MinimumAge::days(days),
        now: now(),
        ..tools
    }
}

fn of_uv(index: &Index, home: &Path, days: f64) -> Tools {
    aged(package_support::tools(&index.url(), home), days)
}

fn of_npm(registry: &Registry, home: &Path, days: f64) -> Tools {
    aged(npx_support::tools(registry, home), days)
}

/// `name version`, one a line, of what `spec` resolves to.
async fn chosen(tools: &Tools, spec: &ServerSpec) -> Result<String, PackageError> {
    let source = open(plan_source(spec)?).await?;
    let versions = resolve(tools, &source).await?.versions();
    let lines = versions
        .iter()
        .map(|(name, version)| format!("{name} {version}"));
    Ok(lines.collect::<Vec<_>>().join("\n"))
}

/// Where the refusal points, and its text.
async fn refusal(tools: &Tools, spec: &ServerSpec) -> (String, String) {
    let source = open(plan_source(spec).expect("valid"))
        .await
        .expect("valid");
    let error = resolve(tools, &source).await.expect_err("to be refused");
    assert_eq!(error.kind(), ErrorKind::Unresolvable, "{error}");
    let attribute = error.locate(&source).as_ref().map(Attribute::to_string);
    (attribute.unwrap_or_default(), error.to_string())
}

fn pair(attribute: &str, text: &str) -> (String, String) {
    (attribute.to_owned(), text.to_owned())
}

fn home() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary directory")
}

/// `srv` 1 and 2, of which 2 is three days old, needing `lib` 1, 2 and 3, of which 3 is three days old and 2 ten.
fn index() -> Index {
    let index = Index::start();
    index.release_at(&Wheel::new("srv", "1.0").needs("lib"), DAYS_30);
    index.release_at(&Wheel::new("srv", "2.0").needs("lib"), DAYS_3);
    index.release_at(&Wheel::new("lib", "1.0"), DAYS_30);
    index.release_at(&Wheel::new("lib", "2.0"), DAYS_10);
    index.release_at(&Wheel::new("lib", "3.0"), DAYS_3);
    index
}

#[tokio::test]
async fn the_newest_python_releases_that_are_old_enough_are_chosen() {
    let index = index();
    for (days, expected) in [
        (0.0, "lib 3.0\nsrv 2.0"),
        (2.5, "lib 3.0\nsrv 2.0"),
        (7.0, "lib 2.0\nsrv 1.0"),
        (14.0, "lib 1.0\nsrv 1.0"),
    ] {
        let home = home();
        let tools = of_uv(&index, home.path(), days);
        assert_eq!(
            chosen(&tools, &spec(&["srv"])).await.expect("resolved"),
            expected,
            "{days}"
        );
    }
}

#[tokio::test]
async fn a_python_release_that_is_asked_for_and_too_fresh_is_named_with_its_age() {
    let index = index();
    let home = home();
    let tools = of_uv(&index, home.path(), 7.0);
    assert_eq!(
        refusal(&tools, &spec(&["srv==2.0"])).await,
        pair(
            "args[0]",
            "`srv 2.0` was published 3 days ago, and `minimum_package_age` is 7 days. Ask for an older release, or lower `minimum_package_age`"
        )
    );
    let further = ServerSpec {
        packages: vec!["lib>2".to_owned()],
        ..spec(&["srv"])
    };
    assert_eq!(
        refusal(&tools, &further).await,
        pair(
            "packages[0]",
            "`lib 3.0` was published 3 days ago, and `minimum_package_age` is 7 days. Ask for an older release, or lower `minimum_package_age`"
        )
    );
    index.release_at(&Wheel::new("needy", "1.0").needs("lib>=3"), DAYS_30);
    assert_eq!(
        refusal(&tools, &spec(&["needy"])).await,
        pair(
            "minimum_package_age",
            "`lib 3.0` (needed by `needy`) was published 3 days ago, and `minimum_package_age` is 7 days. Ask for an older release, or lower \
             `minimum_package_age`"
        )
    );
    // What no release satisfies, of whatever age.
    assert_eq!(
        refusal(&tools, &spec(&["srv==9"])).await.1,
        "there is no release of `srv` that satisfies `==9`; the newest that runs on python3.13 for x86_64 is 1.0. Ask for another version"
    );
}

#[tokio::test]
async fn the_stricter_of_the_age_and_of_uvs_own_settings_counts() {
    let index = index();
    let lib = spec(&["--from", "lib", "x"]);
    for (setting, days, expected) in [
        ("2026-10-30T00:00:00Z", 7.0, "lib 1.0"),
        ("14 days", 7.0, "lib 1.0"),
        ("P14D", 7.0, "lib 1.0"),
        ("2026-11-25", 7.0, "lib 2.0"),
        ("2026-11-25", 14.0, "lib 1.0"),
    ] {
        let home = home();
        let mut tools = of_uv(&index, home.path(), days);
        tools
            .environment
            .insert("UV_EXCLUDE_NEWER".into(), setting.into());
        assert_eq!(
            chosen(&tools, &lib).await.expect("resolved"),
            expected,
            "{setting} {days}"
        );
        // And as an option of uvx.
        tools
            .environment
            .remove(std::ffi::OsStr::new("UV_EXCLUDE_NEWER"));
        let by_option = spec(&["--exclude-newer", setting, "--from", "lib", "x"]);
        assert_eq!(
            chosen(&tools, &by_option).await.expect("resolved"),
            expected,
            "{setting} {days}"
        );
    }
    // In the configuration file of the server's folder.
    let folder = home();
    std::fs::write(folder.path().join("main.py"), "").expect("written");
    std::fs::write(folder.path().join("requirements.txt"), "lib\n").expect("written");
    std::fs::write(
        folder.path().join("uv.toml"),
        "exclude-newer = \"2026-10-30T00:00:00Z\"\n",
    )
    .expect("written");
    let script = ServerSpec {
        command: "python3".to_owned(),
        source_dir: Some(folder.path().display().to_string()),
        ..spec(&["main.py"])
    };
    let home = home();
    let mut tools = of_uv(&index, home.path(), 7.0);
    tools
        .environment
        .remove(std::ffi::OsStr::new("UV_NO_CONFIG"));
    assert_eq!(chosen(&tools, &script).await.expect("resolved"), "lib 1.0");
    // An exception for one package does not loosen the age.
    let excepted = spec(&[
        "--exclude-newer-package",
        "lib=2026-11-25",
        "--from",
        "lib",
        "x",
    ]);
    assert_eq!(
        refusal(&tools, &excepted).await,
        pair(
            "args[3]",
            "`lib 3.0` was published 3 days ago, and `minimum_package_age` is 7 days. Ask for an older release, or lower `minimum_package_age`"
        )
    );
}

#[tokio::test]
async fn an_index_that_does_not_say_when_wheels_were_uploaded_is_refused() {
    let index = Index::start();
    index.release(&Wheel::new("srv", "1.0"));
    let home = home();
    let tools = of_uv(&index, home.path(), 7.0);
    assert_eq!(
        refusal(&tools, &spec(&["srv"])).await,
        pair(
            "minimum_package_age",
            "the package index does not say when `srv` was published, so `minimum_package_age` (7 days) cannot be kept. Use an index that gives \
             the time of upload, or remove `minimum_package_age`"
        )
    );
}

#[tokio::test]
async fn what_a_projects_own_hashes_pin_stays() {
    let index = index();
    let hash = Wheel::new("lib", "3.0").sha256();
    let folder = home();
    std::fs::write(folder.path().join("main.py"), "").expect("written");
    std::fs::write(
        folder.path().join("requirements.txt"),
        format!("lib==3.0 --hash=sha256:{hash}\n"),
    )
    .expect("written");
    let script = ServerSpec {
        command: "python3".to_owned(),
        source_dir: Some(folder.path().display().to_string()),
        ..spec(&["main.py"])
    };
    let home = home();
    let tools = of_uv(&index, home.path(), 7.0);
    assert_eq!(chosen(&tools, &script).await.expect("resolved"), "lib 3.0");
    // What is asked for besides is chosen here.
    let more = ServerSpec {
        packages: vec!["srv".to_owned()],
        ..script
    };
    assert_eq!(
        chosen(&tools, &more).await.expect("resolved"),
        "lib 3.0\nsrv 1.0"
    );
}

fn registry() -> Registry {
    let server = |version: &str| {
        Package::new("srv", version)
            .bin("srv", "index.js")
            .needs("lib", ">=1")
    };
    let registry = Registry::with([]);
    registry.release_at(&server("1.0.0"), DAYS_30);
    registry.release_at(&server("2.0.0"), DAYS_3);
    registry.release_at(&Package::new("lib", "1.0.0"), DAYS_30);
    registry.release_at(&Package::new("lib", "2.0.0"), DAYS_10);
    registry.release_at(&Package::new("lib", "3.0.0"), DAYS_3);
    registry
}

#[tokio::test]
async fn the_newest_npm_releases_that_are_old_enough_are_chosen() {
    let registry = registry();
    for (days, expected) in [
        (0.0, "lib 3.0.0\nsrv 2.0.0"),
        (7.0, "lib 2.0.0\nsrv 1.0.0"),
        (14.0, "lib 1.0.0\nsrv 1.0.0"),
    ] {
        let home = home();
        let tools = of_npm(&registry, home.path(), days);
        assert_eq!(
            chosen(&tools, &npx_support::spec(&["srv"]))
                .await
                .expect("resolved"),
            expected,
            "{days}"
        );
    }
}

#[tokio::test]
async fn an_npm_release_that_is_asked_for_and_too_fresh_is_named_with_its_age() {
    let registry = registry();
    let home = home();
    let tools = of_npm(&registry, home.path(), 7.0);
    for wanted in ["srv@2.0.0", "srv@^2"] {
        assert_eq!(
            refusal(&tools, &npx_support::spec(&["-y", wanted])).await,
            pair(
                "args[1]",
                "`srv 2.0.0` was published 3 days ago, and `minimum_package_age` is 7 days. Ask for an older release, or lower \
                 `minimum_package_age`"
            ),
            "{wanted}"
        );
    }
    // A tag only says what is preferred.
    registry.tag("srv", "next", "2.0.0");
    let tagged = chosen(&tools, &npx_support::spec(&["srv@next"])).await;
    assert_eq!(tagged.expect("resolved"), "lib 2.0.0\nsrv 1.0.0");
    registry.release_at(
        &Package::new("needy", "1.0.0")
            .bin("needy", "index.js")
            .needs("lib", "^3"),
        DAYS_30,
    );
    assert_eq!(
        refusal(&tools, &npx_support::spec(&["needy"])).await,
        pair(
            "minimum_package_age",
            "`lib 3.0.0` was published 3 days ago, and `minimum_package_age` is 7 days. Ask for an older release, or lower `minimum_package_age`"
        )
    );
    assert_eq!(
        refusal(&tools, &npx_support::spec(&["srv@9"])).await.1,
        "there is no release of `srv` that satisfies `9`. Ask for another version"
    );
}

#[tokio::test]
async fn the_stricter_of_the_age_and_of_npms_own_settings_counts() {
    let registry = registry();
    for (setting, options, days, expected) in [
        (
            "before=2026-10-30T00:00:00Z",
            &[][..],
            7.0,
            "lib 1.0.0\nsrv 1.0.0",
        ),
        ("before=2026-11-25", &[], 7.0, "lib 2.0.0\nsrv 1.0.0"),
        ("min-release-age=14", &[], 7.0, "lib 1.0.0\nsrv 1.0.0"),
        ("min-release-age=1", &[], 7.0, "lib 2.0.0\nsrv 1.0.0"),
        ("", &["--before", "2026-10-30"], 7.0, "lib 1.0.0\nsrv 1.0.0"),
        ("", &["--before=2026-11-25"], 7.0, "lib 2.0.0\nsrv 1.0.0"),
    ] {
        let home = home();
        std::fs::write(home.path().join(".npmrc"), format!("{setting}\n")).expect("written");
        let tools = of_npm(&registry, home.path(), days);
        let args = [options, &["srv"]].concat();
        assert_eq!(
            chosen(&tools, &npx_support::spec(&args))
                .await
                .expect("resolved"),
            expected,
            "{setting} {options:?}"
        );
    }
}

#[tokio::test]
async fn a_registry_that_does_not_say_when_packages_were_published_is_refused() {
    let registry = Registry::with([Package::new("srv", "1.0.0").bin("srv", "index.js")]);
    let home = home();
    let tools = of_npm(&registry, home.path(), 7.0);
    assert_eq!(
        refusal(&tools, &npx_support::spec(&["srv"])).await,
        pair(
            "minimum_package_age",
            "the npm registry does not say when `srv` was published, so `minimum_package_age` (7 days) cannot be kept. Use an index that gives the \
             time of upload, or remove `minimum_package_age`"
        )
    );
}

#[tokio::test]
async fn a_release_without_a_time_is_refused_however_deep_it_lies() {
    let registry = Registry::with([]);
    registry.release_at(
        &Package::new("srv", "1.0.0")
            .bin("srv", "index.js")
            .needs("lib", "^1")
            .needs("other", "npm:@team/real@^2"),
        DAYS_30,
    );
    registry.release_at(&Package::new("lib", "1.0.0").needs("deep", "^1"), DAYS_30);
    registry.release_at(&Package::new("@team/real", "2.0.0"), DAYS_30);
    // Which needs what has a time.
    registry.release(&Package::new("deep", "1.0.0").needs("@team/real", "^2"));
    let untold = |name: &str| {
        pair(
            "minimum_package_age",
            &format!(
                "the npm registry does not say when `{name}` was published, so `minimum_package_age` (7 days) cannot be kept. Use an index that gives \
                 the time of upload, or remove `minimum_package_age`"
            ),
        )
    };
    let srv = npx_support::spec(&["srv"]);
    let of_deep = home();
    let tools = of_npm(&registry, of_deep.path(), 7.0);
    assert_eq!(refusal(&tools, &srv).await, untold("deep"));
    // Times of other releases of it are none of this one.
    registry.release_at(&Package::new("deep", "0.9.0"), DAYS_30);
    registry.release_at(&Package::new("deep", "1.0.1"), DAYS_3);
    let of_other = home();
    let tools = of_npm(&registry, of_other.path(), 7.0);
    assert_eq!(refusal(&tools, &srv).await, untold("deep"));
    registry.release_at(&Package::new("deep", "1.0.0"), DAYS_30);
    registry.release(&Package::new("@team/real", "2.1.0"));
    let of_real = home();
    let tools = of_npm(&registry, of_real.path(), 7.0);
    assert_eq!(refusal(&tools, &srv).await, untold("@team/real"));
    registry.release_at(&Package::new("@team/real", "2.1.0"), DAYS_10);
    let of_all = home();
    let tools = of_npm(&registry, of_all.path(), 7.0);
    assert_eq!(
        chosen(&tools, &srv).await.expect("resolved"),
        "deep 1.0.0\nlib 1.0.0\nother 2.1.0\nsrv 1.0.0"
    );
}

#[tokio::test]
async fn an_exception_among_npms_own_settings_does_not_loosen_the_age() {
    let registry = registry();
    let home = home();
    std::fs::write(
        home.path().join(".npmrc"),
        "min-release-age=3\nmin-release-age-exclude[]=lib\nmin-release-age-exclude[]=srv\n",
    )
    .expect("written");
    let tools = of_npm(&registry, home.path(), 7.0);
    let srv = npx_support::spec(&["srv"]);
    assert_eq!(
        chosen(&tools, &srv).await.expect("resolved"),
        "lib 2.0.0\nsrv 1.0.0"
    );
}

#[test]
fn an_image_takes_no_minimum_age() {
    let image = ServerSpec {
        command: "docker".to_owned(),
        ..spec(&["run", "-i", "mcp/fetch"])
    };
    let source = plan_source(&image).expect("valid");
    let error = source.takes_minimum_age().expect_err("refused");
    assert_eq!(
        (
            error.attribute().as_ref().map(Attribute::to_string),
            error.to_string().as_str()
        ),
        (
            Some("minimum_package_age".to_owned()),
            "minimum_package_age: the packages in the image `docker.io/mcp/fetch:latest` were chosen when it was built, and none is chosen here; remove it, and \
             name a digest of the image if it is to stay the same"
        )
    );
    let server = plan_source(&spec(&["srv"])).expect("valid");
    server.takes_minimum_age().expect("it does");
}
