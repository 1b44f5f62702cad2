//! What a command line of `npx` means, and every mistake in one, with its place and its message.

use mcplambda::package::{Architecture, Attribute, ErrorKind, Lock, ServerSpec, plan_source};

use crate::npx_support::{source, spec};

fn refusal(spec: &ServerSpec) -> (Option<Attribute>, String) {
    let error = plan_source(spec).expect_err("refused");
    assert_eq!(error.kind(), ErrorKind::Input);
    (error.attribute(), error.to_string())
}

fn element(name: &'static str, index: usize) -> Option<Attribute> {
    Some(Attribute {
        name,
        index: Some(index),
    })
}

#[test]
fn a_command_line_becomes_packages_and_the_servers_own_arguments() {
    for (args, identity, server_args) in [
        (&["srv"][..], "srv@*", &[][..]),
        (
            &["-y", "@s/srv@1.2.3", "-y", "x"],
            "@s/srv@1.2.3",
            &["-y", "x"],
        ),
        (&["--yes", "srv@latest"], "srv@latest", &[]),
        (&["srv@^1 || ^2"], "srv@^1 || ^2", &[]),
        (
            &["-p", "@s/srv", "--package=zod@3", "run", "-p"],
            "@s/srv@*\nzod@3",
            &["-p"],
        ),
        (&["--", "srv", "--", "x"], "srv@*", &["--", "x"]),
        (
            &["--registry", "http://r.example", "--tag", "next", "srv"],
            "srv@*\n--registry=http://r.example\n--tag=next",
            &[],
        ),
        (
            &["--@s:registry=http://r.example", "@s/srv"],
            "@s/srv@*\n--@s:registry=http://r.example",
            &[],
        ),
    ] {
        let source = source(&spec(args));
        assert_eq!(
            source.identity(),
            format!("npx nodejs22.x x86_64\n{identity}"),
            "{args:?}"
        );
        assert_eq!(source.server_args(), server_args, "{args:?}");
    }
    let by_path = ServerSpec {
        command: "C:\\Program Files\\nodejs\\npx.cmd".to_owned(),
        packages: vec!["zod@3".to_owned()],
        runtime: Some("nodejs24.x".to_owned()),
        architecture: Architecture::Arm64,
        ..spec(&["srv"])
    };
    let source = source(&by_path);
    assert_eq!(source.identity(), "npx nodejs24.x arm64\nsrv@*\nzod@3");
    assert_eq!(
        (source.package(), source.runtime().as_str()),
        ("srv", "nodejs24.x")
    );
}

#[test]
fn a_wrong_word_is_told_at_its_place() {
    for (args, at, expected) in [
        (
            &[][..],
            None,
            "args: the package to run is missing; for example",
        ),
        (
            &["-y"],
            Some(0),
            "args[0]: the package to run is missing after the options",
        ),
        (
            &["-p", "srv"],
            Some(1),
            "args[1]: the command to start is missing after `--package srv`; add its name, for example `srv`",
        ),
        (&["-p"], Some(0), "args[0]: `-p` needs a value after it"),
        (
            &["--package=", "x"],
            Some(0),
            "args[0]: `--package` needs a value, this one is empty",
        ),
        (
            &["--yes=perhaps", "x"],
            Some(0),
            "args[0]: `--yes` takes no value",
        ),
        (
            &["--verboze", "srv"],
            Some(0),
            "args[0]: `--verboze` is not an option of npx that is known here",
        ),
        (
            &["-c", "srv --x"],
            Some(0),
            "args[0]: `-c` of npx cannot be used here: it runs a line of shell",
        ),
        (
            &["--allow-scripts=x", "srv"],
            Some(0),
            "args[0]: `--allow-scripts` of npx cannot be used here: set `allow_scripts` on the resource",
        ),
        (
            &["--cpu", "arm64", "srv"],
            Some(0),
            "args[0]: `--cpu` of npx cannot be used here: the platform is Lambda's",
        ),
        (
            &["--help"],
            Some(0),
            "args[0]: `--help` of npx cannot be used here: it starts no server",
        ),
        (
            &["-p", "srv", "@s/srv"],
            Some(2),
            "args[2]: `@s/srv` is not the name of a command; `--package` already names the package",
        ),
        (
            &["./folder"],
            Some(0),
            "args[0]: `./folder` is not in a registry. Git repositories, URLs, paths and aliases cannot be packaged",
        ),
        (
            &["user/repository"],
            Some(0),
            "args[0]: `user/repository` is not in a registry",
        ),
        (
            &["github:user/repository"],
            Some(0),
            "args[0]: `github:user/repository` is not in a registry",
        ),
        (
            &["https://r.example/x.tgz"],
            Some(0),
            "args[0]: `https://r.example/x.tgz` is not in a registry",
        ),
        (
            &["srv@npm:other@1"],
            Some(0),
            "args[0]: `srv@npm:other@1` is not in a registry",
        ),
        (
            &["s p"],
            Some(0),
            "args[0]: `s p` does not begin with the name of an npm package",
        ),
        (
            &["srv@"],
            Some(0),
            "args[0]: `srv@` has no version after `@`; write `srv@1.2.3`",
        ),
        (
            &["srv@1;x"],
            Some(0),
            "args[0]: `1;x` in `srv@1;x` is not a version, a range or a tag",
        ),
        (
            &["-p", "srv", "-p", "srv@2", "srv"],
            Some(3),
            "args[3]: `srv` is named a second time",
        ),
    ] {
        let (attribute, said) = refusal(&spec(args));
        assert!(said.starts_with(expected), "{args:?}: {said}");
        let expected = Attribute {
            name: "args",
            index: at,
        };
        assert_eq!(attribute, Some(expected), "{args:?}");
    }
}

#[test]
fn other_attributes_are_read_with_the_command() {
    let packages = ServerSpec {
        packages: vec!["zod@3".to_owned(), "../zod".to_owned()],
        ..spec(&["srv"])
    };
    let (attribute, said) = refusal(&packages);
    assert_eq!(attribute, element("packages", 1));
    assert!(
        said.starts_with("packages[1]: `../zod` is not in a registry"),
        "{said}"
    );

    let scripts = ServerSpec {
        allow_scripts: Some(vec!["sharp@1".to_owned()]),
        ..spec(&["srv"])
    };
    let (attribute, said) = refusal(&scripts);
    assert_eq!(attribute, element("allow_scripts", 0));
    assert_eq!(
        said,
        "allow_scripts[0]: `sharp@1` is not the name of an npm package; write `name` or `@scope/name`, without a version"
    );

    let runtime = ServerSpec {
        runtime: Some("nodejs20.x".to_owned()),
        ..spec(&["srv"])
    };
    assert_eq!(
        refusal(&runtime).1,
        "runtime: `nodejs20.x` is not a runtime that a Node server can run on; use one of nodejs22.x, nodejs24.x"
    );

    let folder = ServerSpec {
        source_dir: Some("server".to_owned()),
        ..spec(&["srv"])
    };
    let said = refusal(&folder).1;
    assert!(
        said.starts_with("source_dir: `npx` runs a published package and sees no other files"),
        "{said}"
    );

    let python = ServerSpec {
        command: "uvx".to_owned(),
        allow_scripts: Some(Vec::new()),
        ..spec(&["srv"])
    };
    assert_eq!(
        refusal(&python).1,
        "allow_scripts: only npm packages have install scripts, and `uvx` installs none; remove it"
    );
}

const HASH: &str = "sha512-2NIUWVZrA8uplHcTC5IAv3TFY9B0vmn9lUCejxWTykYYl2wDWLs1B8Wu9dVjMqQ6+GZK7oNBCDXVI6WFmm63ng==";

#[test]
fn a_lock_is_read_and_written_alike() {
    let text = format!(
        "@s/srv@1.2.3 {HASH} install-script node=\">=18\"\na@1.0.0 {HASH}\na>b@2.0.0-rc.1 {HASH}\nc@npm:@s/d@1.0.0 {HASH}\n"
    );
    let untidy: String = text
        .lines()
        .rev()
        .map(|line| format!("  {line}\r\n"))
        .collect();
    for given in [text.clone(), format!("# reviewed\n\n{untidy}")] {
        let lock: Lock = given.parse().expect("a lock");
        assert_eq!(lock.to_string(), text);
        assert_eq!(
            lock.versions().into_iter().collect::<Vec<_>>(),
            [
                ("@s/srv", "1.2.3"),
                ("a", "1.0.0"),
                ("a>b", "2.0.0-rc.1"),
                ("c", "1.0.0")
            ]
            .map(|(name, version)| (name.to_owned(), version.to_owned()))
        );
    }
}

#[test]
fn the_bill_of_materials_names_what_was_published_with_its_hash() {
    let lock: Lock = format!("a>c@npm:@s/d@1.0.0 {HASH}\na@1.0.0 {HASH}\n")
        .parse()
        .expect("a lock");
    let digest = "d8d2145956".to_owned();
    let sbom: serde_json::Value = serde_json::from_str(&lock.sbom()).expect("JSON");
    let components = sbom["components"].as_array().expect("a list");
    let purls: Vec<_> = components.iter().map(|c| &c["purl"]).collect();
    assert_eq!(purls, ["pkg:npm/%40s/d@1.0.0", "pkg:npm/a@1.0.0"]);
    let hash = &components[0]["hashes"][0];
    assert_eq!(hash["alg"], "SHA-512");
    let content = hash["content"].as_str().expect("a digest");
    assert!(
        content.len() == 128 && content.starts_with(&digest),
        "{content}"
    );
}

#[test]
fn a_lock_that_does_not_say_which_bytes_run_is_refused() {
    for (line, expected) in [
        (
            format!("a@^1 {HASH}"),
            "does not begin with an exact version, `name@1.2.3`",
        ),
        ("a@1.0.0".to_owned(), "has no hash; add ` sha512-…`"),
        (
            "a@1.0.0 sha512-AAAA==".to_owned(),
            "holds no SHA-512 as npm writes it",
        ),
        (
            format!("../a@1.0.0 {HASH}"),
            "does not begin with the name of a package",
        ),
        (format!("a@1.0.0 {HASH} twice"), "holds something else"),
        (
            format!("a@1.0.0 {HASH}\na@1.0.1 {HASH}"),
            "names a place that an earlier line has taken already",
        ),
        (
            format!("a>b@1.0.0 {HASH}"),
            "`a>b` lies inside `a`, which has no line",
        ),
    ] {
        let said = line.parse::<Lock>().expect_err("refused").to_string();
        assert!(
            said.starts_with("lock: ") && said.contains(expected),
            "{line}: {said}"
        );
    }
}

#[test]
fn a_lock_must_fit_the_configuration() {
    let lock = |text: &str| text.parse::<Lock>().expect("a lock");
    let wrong = |lock: Lock, spec: &ServerSpec| {
        let error = lock.check(&source(spec)).expect_err("refused");
        (error.attribute().map(|at| at.name), error.to_string())
    };
    let srv = lock(&format!("srv@1.2.3 {HASH} node=\">=24\"\n"));
    assert_eq!(
        wrong(srv.clone(), &spec(&["-y", "other"])),
        (
            Some("lock"),
            "lock: `other`, which args[1] asks for, is not in it. Make the lock anew for this configuration".to_owned()
        )
    );
    assert_eq!(
        wrong(srv.clone(), &spec(&["srv@2"])).1,
        "lock: it holds `srv` 1.2.3, but args[0] asks for 2. Make the lock anew for this configuration"
    );
    assert_eq!(
        wrong(srv.clone(), &spec(&["srv@1"])),
        (
            Some("runtime"),
            "`srv@1.2.3` needs Node >=24, which nodejs22.x is not. Set runtime = \"nodejs24.x\""
                .to_owned()
        )
    );
    let scripts = ServerSpec {
        allow_scripts: Some(vec!["sharp".to_owned()]),
        ..spec(&["srv"])
    };
    assert_eq!(
        wrong(srv.clone(), &scripts).1,
        "allow_scripts[0]: no package `sharp` is installed for this server"
    );
    let python = ServerSpec {
        command: "uvx".to_owned(),
        ..spec(&["srv"])
    };
    assert_eq!(
        wrong(srv, &python).1,
        "lock: it holds npm packages, but the server consists of Python packages. Make the lock anew for this configuration"
    );
    let hash = "0".repeat(64);
    assert_eq!(
        wrong(
            lock(&format!("srv==1 --hash=sha256:{hash}\n")),
            &spec(&["srv"])
        )
        .1,
        "lock: it holds Python packages, but the server consists of npm packages. Make the lock anew for this configuration"
    );
    let older = lock(&format!("srv@1.2.3 {HASH} node=\"^18 || ^20\"\n"));
    let source = source(&spec(&["srv"]));
    older.check(&source).expect("installed all the same");
    let notices: Vec<_> = older
        .notices(&source)
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        notices,
        [
            "`srv@1.2.3` says that it runs on Node ^18 || ^20, which nodejs22.x is not. It is installed all the same; another `runtime` may \
             fit it better."
        ]
    );
}
