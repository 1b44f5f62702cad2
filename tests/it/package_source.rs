//! What users write after `uvx` means what it means to `uvx`, and everything else is refused with the element that holds it.

use mcplambda::package::{
    Architecture, Attribute, ErrorKind, PackageError, ServerSpec, plan_source,
};

use crate::package_support::{source, spec};

fn identity(args: &[&str]) -> Vec<String> {
    source(args).identity().lines().map(str::to_owned).collect()
}

fn refusal(spec: &ServerSpec) -> (Option<Attribute>, String) {
    let error = plan_source(spec).expect_err("to be refused");
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
fn every_form_of_a_package_becomes_the_requirement_that_uvx_installs() {
    let table: [(&[&str], &str); 17] = [
        (&["mcp-server-time"], "mcp-server-time"),
        (&["mcp-server-time@1.2.3"], "mcp-server-time==1.2.3"),
        (&["mcp-server-time@latest"], "mcp-server-time@latest"),
        (&["mcp-server-time==1.2"], "mcp-server-time==1.2"),
        (&["mcp-server-time>=1,<2"], "mcp-server-time>=1,<2"),
        (&["mcp-server-time >= 1"], "mcp-server-time>= 1"),
        (&["mcp[cli]"], "mcp[cli]"),
        (&["mcp[cli, rich]@1.0"], "mcp[cli,rich]==1.0"),
        (&["mcp[cli]==1.0"], "mcp[cli]==1.0"),
        (
            &["awslabs.core_mcp@2026.1rc1"],
            "awslabs.core_mcp==2026.1rc1",
        ),
        (&["--from", "mcp[cli]", "mcp", "run"], "mcp[cli]"),
        (&["--from=mcp==1.0", "mcp"], "mcp==1.0"),
        (&["--from", "mcp@1.0", "mcp"], "mcp==1.0"),
        (&["--isolated", "-q", "-vv", "--no-cache", "mcp"], "mcp"),
        (&["--color", "never", "mcp"], "mcp"),
        (&["--", "mcp"], "mcp"),
        (
            &["--link-mode=copy", "-U", "--refresh-package", "x", "mcp"],
            "mcp",
        ),
    ];
    for (args, requirement) in table {
        assert_eq!(
            identity(args),
            ["uvx python3.13 x86_64", requirement],
            "{args:?}"
        );
    }
}

#[test]
fn with_adds_requirements_one_by_one_or_as_a_list() {
    assert_eq!(
        identity(&[
            "--with",
            "a>=1,<2,b[x,y]",
            "-w",
            "c",
            "-wd",
            "--with=e@3",
            "srv"
        ]),
        [
            "uvx python3.13 x86_64",
            "srv",
            "a>=1,<2",
            "b[x,y]",
            "c",
            "d",
            "e==3"
        ]
    );
}

#[test]
fn packages_are_installed_besides() {
    let mut spec = spec(&["srv"]);
    spec.packages = vec![
        "mcp<2".to_owned(),
        "httpx ; python_version > '3'".to_owned(),
    ];
    let source = plan_source(&spec).expect("valid");
    assert_eq!(
        source.identity(),
        "uvx python3.13 x86_64\nsrv\nmcp<2\nhttpx; python_version > '3'"
    );
}

#[test]
fn options_about_indexes_and_versions_are_kept() {
    let args = [
        "--index",
        "https://a.example/simple",
        "--default-index=https://b.example",
        "-i",
        "https://c.example",
        "--extra-index-url",
        "https://d.example",
        "-f",
        "wheels",
        "--no-index",
        "--prerelease=allow",
        "--exclude-newer",
        "2026-01-01",
        "srv",
    ];
    assert_eq!(
        identity(&args),
        [
            "uvx python3.13 x86_64",
            "srv",
            "--index=https://a.example/simple",
            "--default-index=https://b.example",
            "--index-url=https://c.example",
            "--extra-index-url=https://d.example",
            "--find-links=wheels",
            "--no-index",
            "--prerelease=allow",
            "--exclude-newer=2026-01-01",
        ]
    );
}

#[test]
fn words_after_the_package_belong_to_the_server_and_choose_no_versions() {
    assert_eq!(
        identity(&["srv", "--from", "x", "--with", "y", "-p", "3.9"]),
        identity(&["srv"])
    );
    assert_eq!(
        identity(&["--from", "srv", "cmd", "--python", "2"]),
        identity(&["srv"])
    );
}

#[test]
fn uv_tool_run_is_uvx_and_so_is_uvx_by_its_path() {
    let tool_run = ServerSpec {
        command: "uv".to_owned(),
        ..spec(&["tool", "run", "--with", "a", "srv"])
    };
    let uvx = plan_source(&spec(&["--with", "a", "srv"]))
        .expect("valid")
        .identity();
    assert_eq!(plan_source(&tool_run).expect("valid").identity(), uvx);
    for command in ["/opt/homebrew/bin/uvx", "C:\\tools\\uvx.exe"] {
        let by_path = ServerSpec {
            command: command.to_owned(),
            ..spec(&["--with", "a", "srv"])
        };
        assert_eq!(plan_source(&by_path).expect("valid").identity(), uvx);
    }
}

#[test]
fn python_chooses_the_runtime() {
    let table = [
        (&["srv"][..], "python3.13"),
        (&["--python", "3.12", "srv"], "python3.12"),
        (&["--python=python3.11", "srv"], "python3.11"),
        (&["-p", "cpython@3.14", "srv"], "python3.14"),
        (&["-p3.10", "srv"], "python3.10"),
        (&["-p", "cp312", "srv"], "python3.12"),
        (&["-p", "3", "srv"], "python3.13"),
        (&["-p", ">=3.11", "srv"], "python3.13"),
        (&["-p", ">=3.10,<3.13", "srv"], "python3.12"),
        (&["-p", ">3.13", "srv"], "python3.14"),
        (&["-p", "!=3.13,<=3.13", "srv"], "python3.12"),
    ];
    for (args, runtime) in table {
        assert_eq!(source(args).runtime(), runtime, "{args:?}");
    }
    let given = ServerSpec {
        runtime: Some("python3.12".to_owned()),
        ..spec(&["-p", ">=3.11", "srv"])
    };
    assert_eq!(plan_source(&given).expect("valid").runtime(), "python3.12");
}

#[test]
fn the_identity_changes_with_runtime_and_architecture() {
    let arm = ServerSpec {
        architecture: Architecture::Arm64,
        runtime: Some("python3.12".to_owned()),
        ..spec(&["srv"])
    };
    assert_eq!(
        plan_source(&arm).expect("valid").identity(),
        "uvx python3.12 arm64\nsrv"
    );
}

#[test]
fn an_unknown_command_names_what_is_supported() {
    for command in ["", "uvx2"] {
        let spec = ServerSpec {
            command: command.to_owned(),
            ..spec(&["srv"])
        };
        assert_eq!(
            refusal(&spec),
            (
                Some(Attribute {
                    name: "command",
                    index: None
                }),
                format!(
                    "`{command}` is not a server command that can be packaged. Supported: `uvx` (and `uv tool run`), which runs a \
                     server published as a Python package; `npx`, which runs one published as an npm package; `docker run` and an image; `python3` or `node` and a script in `source_dir`; or a program that comes with the \
                     server: put it into the folder that `source_dir` names and write its path there, such as `./server`"
                )
            )
        );
    }
}

#[test]
fn uv_without_tool_run_is_refused() {
    let spec = ServerSpec {
        command: "uv".to_owned(),
        ..spec(&["run", "server.py"])
    };
    assert_eq!(
        refusal(&spec),
        (
            Some(Attribute { name: "args", index: None }),
            "args: of `uv`, only `uv tool run` starts a published server; write command = \"uvx\" and the package, or, for a server of your \
             own, command = \"python3\", the script in `args` and its folder as `source_dir`"
                .to_owned()
        )
    );
}

#[test]
fn empty_args_say_what_is_missing() {
    assert_eq!(
        refusal(&spec(&[])),
        (
            Some(Attribute {
                name: "args",
                index: None
            }),
            "args: the package to run is missing; for example args = [\"mcp-server-time\"]"
                .to_owned()
        )
    );
    assert_eq!(
        refusal(&spec(&["-q"])),
        (element("args", 0), "args[0]: the package to run is missing after the options; for example \"mcp-server-time\"".to_owned())
    );
    assert_eq!(
        refusal(&spec(&["--from", "mcp[cli]"])),
        (
            element("args", 1),
            "args[1]: the command to start is missing after `--from mcp[cli]`; add its name, for example `mcp`".to_owned()
        )
    );
    assert_eq!(
        refusal(&spec(&[""])),
        (
            element("args", 0),
            "args[0]: a package is expected, this is empty".to_owned()
        )
    );
}

#[test]
fn a_faulty_word_is_named_with_its_element() {
    let table: [(&[&str], usize, &str); 19] = [
        (
            &["--with", "a", "--bogus", "srv"],
            2,
            "`--bogus` is not an option of uvx that is known here. Options for the server itself come after the package's name",
        ),
        (
            &["-z", "srv"],
            0,
            "`-z` is not an option of uvx that is known here. Options for the server itself come after the package's name",
        ),
        (&["--from"], 0, "`--from` needs a value after it"),
        (
            &["--with=", "srv"],
            0,
            "`--with` needs a value, this one is empty",
        ),
        (&["--isolated=yes", "srv"], 0, "`--isolated` takes no value"),
        (
            &["--env-file", ".env", "srv"],
            0,
            "`--env-file` of uvx cannot be used here: set `env` on the resource instead",
        ),
        (
            &["--python-platform=linux", "srv"],
            0,
            "`--python-platform` of uvx cannot be used here: the platform is Lambda's; `architecture` and `runtime` choose it",
        ),
        (
            &["--with-requirements", "r.txt", "srv"],
            0,
            "`--with-requirements` of uvx cannot be used here: files of this machine are not read; list the requirements in `packages`",
        ),
        (
            &["--from", "git+https://example.com/srv", "srv"],
            1,
            "`git+https://example.com/srv` is not in a package index. Git repositories, URLs and paths cannot be packaged, because they \
             would have to be built; name a release that is published as a wheel",
        ),
        (
            &["./srv"],
            0,
            "`./srv` is not in a package index. Git repositories, URLs and paths cannot be packaged, because they would have to be \
             built; name a release that is published as a wheel",
        ),
        (
            &["srv@newest"],
            0,
            "`newest` in `srv@newest` is not a version; write `srv@1.2.3`, `srv@latest` or `srv>=1.2`",
        ),
        (
            &["srv[cli"],
            0,
            "`srv[cli` opens its extras with `[` and does not close them",
        ),
        (
            &["srv cmd"],
            0,
            "`cmd` in `srv cmd` is not a version specifier; write `srv@1.2.3` or `srv>=1.2`",
        ),
        (
            &["--with", "a,,b", "srv"],
            1,
            "a package is expected, this is empty",
        ),
        (
            &["--with", "a --index-url=https://evil.example", "srv"],
            1,
            "`a --index-url=https://evil.example` is not in a package index. Git repositories, URLs and paths cannot be packaged, \
             because they would have to be built; name a release that is published as a wheel",
        ),
        (
            &["--with", "a --pre", "srv"],
            1,
            "`--pre` in `a --pre` is not a version specifier; write `a@1.2.3` or `a>=1.2`",
        ),
        (
            &["a>=1 --hash=sha256:00"],
            0,
            "`a>=1 --hash=sha256:00` holds an option; only a package and its version can be named here",
        ),
        (
            &["python"],
            0,
            "`python` is the Python interpreter itself, not a server's package",
        ),
        (
            &["a\nb"],
            0,
            "\"a\\nb\" holds a control character; write one package per element",
        ),
    ];
    for (args, index, reason) in table {
        assert_eq!(
            refusal(&spec(args)),
            (element("args", index), format!("args[{index}]: {reason}")),
            "{args:?}"
        );
    }
}

#[test]
fn a_faulty_requirement_in_packages_is_named_with_its_element() {
    let mut spec = spec(&["srv"]);
    spec.packages = vec!["ok".to_owned(), "-r other.txt".to_owned()];
    assert_eq!(
        refusal(&spec),
        (
            element("packages", 1),
            "packages[1]: `-r other.txt` does not begin with the name of a package".to_owned()
        )
    );
}

#[test]
fn a_runtime_that_lambda_does_not_offer_is_refused() {
    let unknown = ServerSpec {
        runtime: Some("nodejs22.x".to_owned()),
        ..spec(&["srv"])
    };
    assert_eq!(
        refusal(&unknown),
        (
            Some(Attribute { name: "runtime", index: None }),
            "runtime: `nodejs22.x` is not a runtime that a Python package can run on; use one of python3.10, python3.11, python3.12, \
             python3.13, python3.14"
                .to_owned()
        )
    );
    assert_eq!(
        refusal(&spec(&["-p", "3.8", "srv"])),
        (
            element("args", 1),
            "args[1]: Lambda has no runtime for Python `3.8`; it offers python3.10, python3.11, python3.12, python3.13, python3.14"
                .to_owned()
        )
    );
    assert_eq!(
        refusal(&spec(&["-p", "3.12.4", "srv"])),
        (element("args", 1), "args[1]: Lambda chooses the patch release of `3.12.4` and keeps it up to date; write `3.12`".to_owned())
    );
    assert_eq!(
        refusal(&spec(&["-p", "pypy3.10", "srv"])),
        (
            element("args", 1),
            "args[1]: `pypy3.10` is not a Python version that can be chosen on Lambda; write `3.12` or a range such as `>=3.11,<3.14`"
                .to_owned()
        )
    );
}

#[test]
fn a_runtime_that_contradicts_python_is_refused() {
    let spec = ServerSpec {
        runtime: Some("python3.13".to_owned()),
        ..spec(&["--python", "3.12", "srv"])
    };
    let error = plan_source(&spec).expect_err("a contradiction");
    assert!(matches!(error, PackageError::Invalid { .. }));
    assert_eq!(
        error.to_string(),
        "runtime: `python3.13` contradicts `--python 3.12` (args[1]); remove one of the two or make them agree"
    );
}
