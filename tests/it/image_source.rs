//! What READMEs write after `docker run` means what it means to Docker, and everything else is refused with the element that
//! holds it and the reason.

use mcplambda::package::image::{ImageSource, Startup};
use mcplambda::package::{Architecture, Attribute, ErrorKind, Lock, ServerSpec, plan_source};

use crate::package_support::spec;

fn docker(args: &[&str]) -> ServerSpec {
    ServerSpec {
        command: "docker".to_owned(),
        ..spec(args)
    }
}

fn plan(args: &[&str]) -> ImageSource {
    ImageSource::plan(&docker(args)).unwrap_or_else(|error| panic!("{args:?}: {error}"))
}

fn refusal(spec: &ServerSpec) -> (Option<Attribute>, String) {
    let error = ImageSource::plan(spec).expect_err("to be refused");
    assert_eq!(error.kind(), ErrorKind::Input);
    (error.attribute(), error.to_string())
}

fn startup() -> Startup {
    Startup {
        entrypoint: vec!["server".to_owned()],
        command: vec!["--stdio".to_owned()],
        directory: "/app".to_owned(),
    }
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

#[test]
fn every_form_of_an_images_name_is_the_one_that_docker_pulls() {
    let digest = format!("sha256:{}", "a".repeat(64));
    let pinned = format!("mcp/time@{digest}");
    let both = format!("ghcr.io/a/b:1@{digest}");
    let table = [
        ("alpine", "docker.io/library/alpine:latest".to_owned()),
        ("mcp/time", "docker.io/mcp/time:latest".to_owned()),
        ("mcp/time:1.2", "docker.io/mcp/time:1.2".to_owned()),
        ("ghcr.io/a/b", "ghcr.io/a/b:latest".to_owned()),
        ("localhost:5000/a", "localhost:5000/a:latest".to_owned()),
        (&pinned, format!("docker.io/{pinned}")),
        (&both, both.clone()),
    ];
    for (image, name) in table {
        assert_eq!(
            plan(&["run", "-i", "--rm", image]).identity(),
            format!("image x86_64 {name}")
        );
    }
}

#[test]
fn options_are_read_as_docker_reads_them() {
    let forms: &[&[&str]] = &[
        &[
            "run",
            "-i",
            "--rm",
            "-e",
            "TOKEN",
            "-e",
            "URL=http://x/?a=b",
            "mcp/x",
            "serve",
        ],
        &[
            "run",
            "--rm",
            "-ie",
            "TOKEN",
            "--env=URL=http://x/?a=b",
            "mcp/x",
            "serve",
        ],
        &[
            "container",
            "run",
            "-it",
            "-eTOKEN",
            "--env",
            "URL=http://x/?a=b",
            "--",
            "mcp/x",
            "serve",
        ],
        &[
            "run",
            "--interactive=true",
            "--init",
            "--pull=always",
            "--name",
            "x",
            "-e",
            "TOKEN",
            "-e=URL=http://x/?a=b",
            "mcp/x",
            "serve",
        ],
        &[
            "run",
            "--network",
            "bridge",
            "--tmpfs",
            "/tmp:rw",
            "--cap-drop",
            "ALL",
            "-e",
            "TOKEN=old",
            "-e",
            "TOKEN",
            "-e",
            "URL=http://x/?a=b",
            "mcp/x",
            "serve",
        ],
    ];
    for form in forms {
        let source = plan(form);
        assert_eq!(source.identity(), "image x86_64 docker.io/mcp/x:latest");
        let variables: Vec<_> = source.variables().iter().collect();
        assert_eq!(
            variables,
            [(&"URL".to_owned(), &"http://x/?a=b".to_owned())],
            "{form:?}"
        );
        let passed: Vec<_> = source.passed_on().map(|(name, _)| name).collect();
        assert_eq!(passed, ["TOKEN"], "{form:?}");
        assert_eq!(
            source.argv(&startup()).expect("a command"),
            ["server", "serve"],
            "{form:?}"
        );
    }
}

#[test]
fn entry_point_command_and_directory_follow_dockers_rules() {
    let table: [(&[&str], &[&str]); 5] = [
        (&["run", "x"], &["server", "--stdio"]),
        (&["run", "x", "--http"], &["server", "--http"]),
        // Another entry point drops the image's command.
        (&["run", "--entrypoint", "sh", "x"], &["sh"]),
        (
            &["run", "--entrypoint=sh", "x", "-c", "y"],
            &["sh", "-c", "y"],
        ),
        // An empty one takes the image's away.
        (
            &["run", "--entrypoint", "", "x", "node", "y"],
            &["node", "y"],
        ),
    ];
    for (args, argv) in table {
        assert_eq!(
            plan(args).argv(&startup()).expect("a command"),
            words(argv),
            "{args:?}"
        );
    }
    assert_eq!(plan(&["run", "x"]).working_directory(&startup()), "/app");
    assert_eq!(
        plan(&["run", "-w", "/data", "x"]).working_directory(&startup()),
        "/data"
    );
    assert_eq!(
        plan(&["run", "x"]).working_directory(&Startup::default()),
        "/"
    );
}

#[test]
fn an_image_that_starts_nothing_says_what_to_write() {
    let error = plan(&["run", "-i", "x"])
        .argv(&Startup::default())
        .expect_err("nothing to start");
    assert_eq!(
        error.attribute(),
        Some(Attribute {
            name: "args",
            index: Some(2)
        })
    );
    assert_eq!(
        error.to_string(),
        "args[2]: image `docker.io/library/x:latest` does not say what to start; write the command after it, or use `--entrypoint`"
    );
}

#[test]
fn what_means_nothing_on_lambda_is_refused_with_the_reason_and_the_place() {
    let table: [(&[&str], usize, &str); 25] = [
        (
            &["run", "-v", "/a:/b", "x"],
            1,
            "`--volume` of docker run cannot be used here: a Lambda function sees no directory of this machine",
        ),
        (
            &["run", "--rm", "--mount", "type=bind,src=/a,dst=/b", "x"],
            2,
            "`--mount` of docker run cannot be used here: a Lambda function sees no directory",
        ),
        (
            &["run", "-p", "80:80", "x"],
            1,
            "`--publish` of docker run cannot be used here: nobody can connect",
        ),
        (
            &["run", "--network=host", "x"],
            1,
            "`--network` of docker run cannot be used here: Lambda decides a function's network; set `vpc_config`",
        ),
        (
            &["run", "-d", "x"],
            1,
            "`--detach` of docker run cannot be used here: an MCP server is spoken to over its standard input",
        ),
        (
            &["run", "--env-file", ".env", "x"],
            1,
            "set `env` on the resource instead",
        ),
        (
            &["run", "-u", "1000", "x"],
            1,
            "Lambda runs every image as a user of its own",
        ),
        (
            &["run", "-m", "512m", "x"],
            1,
            "set `memory` on the resource instead",
        ),
        (
            &["run", "--privileged", "x"],
            1,
            "no devices and no further privileges",
        ),
        (&["run", "--gpus", "all", "x"], 1, "no devices"),
        (
            &["run", "--tmpfs", "/data", "x"],
            1,
            "only /tmp can be written to",
        ),
        (&["run", "--shm-size=1g", "x"], 1, "no /dev/shm"),
        (&["run", "--log-driver", "none", "x"], 1, "log group"),
        (&["run", "--add-host", "a:1.2.3.4", "x"], 1, "vpc_config"),
        (&["run", "--help"], 1, "it starts no server"),
        (
            &["run", "--platform", "linux/arm64", "x"],
            2,
            "`linux/arm64` is not the platform of a function for x86_64; set architecture = \"arm64\"",
        ),
        (
            &["run", "--platform=windows/amd64", "x"],
            1,
            "Lambda does not run `windows/amd64`",
        ),
        (
            &["run", "-w", "data", "x"],
            2,
            "the working directory `data` is not absolute",
        ),
        (
            &["run", "-e", "A-B=c", "x"],
            2,
            "`A-B=c` is not a variable: write NAME or NAME=value",
        ),
        (
            &["run", "--rm", "-e", "A=b", "x"],
            3,
            "`A=b` is not a variable: write NAME or NAME=value. For Lambda a name begins with a letter and holds only letters, digits and \
             underscores, at least two characters",
        ),
        (
            &["run", "--frobnicate", "x"],
            1,
            "`--frobnicate` is not an option of docker run that is known here",
        ),
        (
            &["run", "-iz", "x"],
            1,
            "`-z` is not an option of docker run",
        ),
        (&["run", "-i=false", "x"], 1, "`-=` is not an option"),
        (
            &["run", "-i", "--rm"],
            2,
            "the image is missing after the options",
        ),
        (&["run", "-i", "-e"], 2, "`-e` needs a value after it"),
    ];
    for (args, index, message) in table {
        let (attribute, text) = refusal(&docker(args));
        assert_eq!(
            attribute,
            Some(Attribute {
                name: "args",
                index: Some(index)
            }),
            "{args:?}: {text}"
        );
        assert!(text.contains(message), "{args:?}: {text}");
    }
}

#[test]
fn other_commands_of_docker_start_no_server() {
    let (attribute, text) = refusal(&docker(&["compose", "up"]));
    assert_eq!(
        attribute,
        Some(Attribute {
            name: "args",
            index: Some(0)
        })
    );
    assert_eq!(
        text,
        "args[0]: of `docker`, only `docker run` starts a server; `compose` does not"
    );
    let (attribute, text) = refusal(&docker(&[]));
    assert_eq!(
        attribute,
        Some(Attribute {
            name: "args",
            index: None
        })
    );
    assert!(
        text.contains("args = [\"run\", \"-i\", \"--rm\", \"mcp/time\"]"),
        "{text}"
    );
}

#[test]
fn names_that_are_no_images_are_refused() {
    for image in ["UPPER/case", "a b", "x@sha256:123", ":tag"] {
        let (attribute, text) = refusal(&docker(&["run", image]));
        assert_eq!(
            attribute,
            Some(Attribute {
                name: "args",
                index: Some(1)
            })
        );
        assert!(
            text.contains(&format!("`{image}` is not the name of an image")),
            "{text}"
        );
    }
}

#[test]
fn what_belongs_to_packages_is_refused_for_images() {
    let (attribute, text) = refusal(&ServerSpec {
        runtime: Some("python3.13".to_owned()),
        ..docker(&["run", "x"])
    });
    assert_eq!(attribute.map(|attribute| attribute.name), Some("runtime"));
    assert!(
        text.contains("an image brings its own interpreter"),
        "{text}"
    );
    let (attribute, text) = refusal(&ServerSpec {
        packages: vec!["mcp".to_owned()],
        ..docker(&["run", "x"])
    });
    assert_eq!(attribute.map(|attribute| attribute.name), Some("packages"));
    assert!(
        text.contains("nothing is installed into an image"),
        "{text}"
    );
}

#[test]
fn the_platform_of_the_function_may_be_said() {
    plan(&["run", "--platform", "linux/amd64", "x"]);
    let arm = ServerSpec {
        architecture: Architecture::Arm64,
        ..docker(&["run", "--platform", "linux/arm64/v8", "x"])
    };
    ImageSource::plan(&arm).expect("the function's own platform");
}

#[test]
fn a_lock_of_another_image_or_of_packages_is_refused() {
    let source = plan_source(&docker(&["run", "mcp/time"])).expect("an image");
    let digest = format!("sha256:{}", "a".repeat(64));
    let own: Lock = format!("docker.io/mcp/time@{digest}")
        .parse()
        .expect("a lock");
    own.check(&source).expect("its own");
    assert_eq!(
        own.versions().into_iter().collect::<Vec<_>>(),
        [("docker.io/mcp/time".to_owned(), digest.clone())]
    );
    let packages = format!("mcp==1.0 --hash=sha256:{}", "a".repeat(64));
    for (lock, reason) in [
        (
            format!("docker.io/mcp/fetch@{digest}"),
            "lock: it pins `docker.io/mcp/fetch`, and `args` name an image of `docker.io/mcp/time`; make it anew".to_owned(),
        ),
        (
            packages,
            "lock: it pins packages, and the server is the image `docker.io/mcp/time:latest`; write `docker.io/mcp/time@sha256:…`".to_owned(),
        ),
    ] {
        let lock: Lock = lock.parse().expect("a lock");
        assert_eq!(lock.check(&source).expect_err("not its own").to_string(), reason);
    }
    let server = plan_source(&spec(&["srv"])).expect("a package");
    assert_eq!(
        own.check(&server).expect_err("not its own").to_string(),
        format!(
            "lock: it pins the image `docker.io/mcp/time@{digest}`, and the server is no image"
        )
    );
}
