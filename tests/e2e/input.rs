//! Bad input: each mistake is told at its line, before anything is made.

use crate::harness::aws::{Aws, REGION};
use crate::harness::index::Index;
use crate::harness::local_aws::LocalAws;
use crate::harness::mcp_server::Server;
use crate::harness::workspace::{Diagnostic, Workspace};

/// Applies and requires one error that holds all `phrases`, at a line that begins with `line`, with nothing made.
#[track_caller]
fn refused(
    local: &LocalAws,
    workspace: &Workspace,
    main: &str,
    line: &str,
    phrases: &[&str],
) -> Diagnostic {
    workspace.write(main);
    local.clear_calls();
    let error = workspace.apply().error();
    let text = format!("{}\n{}", error.summary, error.detail);
    for phrase in phrases {
        assert!(text.contains(phrase), "{phrase:?} is not in {text:?}");
    }
    assert!(
        error.line.starts_with(line),
        "points at {:?}, not at {line:?}: {text}",
        error.line
    );
    assert_eq!(local.changes(), Vec::<String>::new());
    error
}

fn server(lines: &str) -> String {
    format!("resource \"mcplambda_server\" \"tools\" {{\n{lines}\n}}\n")
}

fn tiny(lines: &str) -> String {
    server(&format!(
        "  name = \"tools\"\n  command = \"uvx\"\n  args = [\"tiny-tools\"]\n{lines}"
    ))
}

#[test]
fn every_mistake_in_a_server_is_told_at_its_attribute() {
    let local = LocalAws::start();
    let index = Index::with([
        Server::new("tiny-tools", "1.0.0"),
        Server::new("needs-windows", "1.0.0").requiring("windows-only"),
        Server::new("windows-only", "1.0.0").tagged("cp313-cp313-win_amd64"),
    ]);
    let workspace = Workspace::new(&local, Some(&index), "");
    let named = |name: &str| {
        server(&format!(
            "  name = \"tools\"\n  function_name = \"{name}\"\n  command = \"uvx\"\n  args = [\"tiny-tools\"]"
        ))
    };
    let uvx = |args: &str| {
        server(&format!(
            "  name = \"tools\"\n  command = \"uvx\"\n  args = {args}"
        ))
    };
    let cases: Vec<(String, &str, Vec<&str>)> = vec![
        (
            server("  name = \"tools\"\n  command = \"brew\"\n  args = [\"tiny-tools\"]"),
            "command",
            vec!["brew", "uvx"],
        ),
        (uvx("[]"), "args", vec!["args"]),
        (uvx("[\"no-such-tools\"]"), "args", vec!["no-such-tools"]),
        (
            uvx("[\"tiny-tools@9.9.9\"]"),
            "args",
            vec!["tiny-tools", "9.9.9"],
        ),
        (uvx("[\"needs-windows\"]"), "args", vec!["windows-only"]),
        (
            tiny("  timeout = 901"),
            "timeout",
            vec!["between 1 and 900", "901"],
        ),
        (tiny("  timeout = 0"), "timeout", vec!["between 1 and 900"]),
        (
            tiny("  memory = 64"),
            "memory",
            vec!["between 128 and 10240", "64"],
        ),
        (named(&"a".repeat(65)), "function_name", vec!["64"]),
        (named("no spaces"), "function_name", vec!["letter"]),
        (
            server(&format!(
                "  name = \"{}\"\n  command = \"uvx\"\n  args = [\"tiny-tools\"]",
                "a".repeat(60)
            )),
            "name",
            vec!["64"],
        ),
        (
            tiny("  role_arn = \"arn:aws:iam::123456789012:role/theirs\"\n  policy_json = \"{}\""),
            "role_arn",
            vec!["role_arn", "policy_json"],
        ),
        (tiny("  policy_json = \"{\""), "policy_json", vec!["JSON"]),
        (
            tiny("  architecture = \"sparc\""),
            "architecture",
            vec!["x86_64", "arm64"],
        ),
        (
            tiny("  runtime = \"python2.7\""),
            "runtime",
            vec!["python3.13"],
        ),
        (
            // Terraform finds no line for what is inside an attribute.
            tiny("  function_url = { auth_type = \"OAUTH\" }"),
            "resource",
            vec!["function_url.auth_type", "AWS_IAM", "NONE"],
        ),
        (
            tiny("  function_url = { allowed_origins = [\"https://example.com/path\"] }"),
            "resource",
            vec!["function_url.allowed_origins", "without a path"],
        ),
        (
            tiny("  secrets = { KEY = \"arn:aws:s3:::bucket\" }"),
            "secrets",
            vec!["neither secretsmanager nor ssm", "arn:aws:s3:::bucket"],
        ),
        (
            tiny(
                "  secrets = { AWS_REGION = \"arn:aws:ssm:eu-central-1:123456789012:parameter/p\" }",
            ),
            "secrets",
            vec!["AWS_REGION is reserved"],
        ),
        (
            tiny(
                "  env = { KEY = \"a\" }\n  secrets = { KEY = \"arn:aws:ssm:eu-central-1:123456789012:parameter/p\" }",
            ),
            "secrets",
            vec!["KEY is in `secrets` and in `env`"],
        ),
        (
            tiny("  secrets_ttl = 60"),
            "secrets_ttl",
            vec!["secrets_ttl", "secrets"],
        ),
        (
            tiny("  include_tools = [\"get_[\"]"),
            "include_tools",
            vec!["get_[", "set"],
        ),
        (
            tiny("  tool_prefix = \"my tools\""),
            "tool_prefix",
            vec!["letter, digit, underscore or hyphen"],
        ),
        (
            tiny("  log_format = \"XML\""),
            "log_format",
            vec!["Text", "JSON"],
        ),
        (
            tiny("  tracing = \"On\""),
            "tracing",
            vec!["PassThrough", "Active"],
        ),
        (
            tiny("  lock = \"tiny-tools\""),
            "lock",
            vec!["tiny-tools", "name==version"],
        ),
    ];
    for (main, line, phrases) in cases {
        refused(&local, &workspace, &main, line, &phrases);
    }
    assert_eq!(Aws::new(&local, REGION).everything(), Vec::<String>::new());
}

#[test]
fn every_mistake_in_the_provider_block_is_told_at_its_attribute() {
    let local = LocalAws::start();
    let index = Index::with([Server::new("tiny-tools", "1.0.0")]);
    let workspace = Workspace::new(&local, Some(&index), "");
    let cases = [
        (
            "region = \"us-esat-1\"",
            "region",
            vec!["not a valid region name", "us-east-1"],
        ),
        (
            "allowed_account_ids = [\"111111111111\"]",
            "allowed_account_ids",
            vec!["123456789012", "111111111111"],
        ),
        (
            "forbidden_account_ids = [\"123456789012\"]",
            "forbidden_account_ids",
            vec!["123456789012"],
        ),
        ("profile = \"wrok\"", "profile", vec!["wrok"]),
        ("uv_path = \"/nonexistent/uv\"", "", vec!["/nonexistent/uv"]),
    ];
    for (line, attribute, phrases) in cases {
        let main = format!("provider \"mcplambda\" {{\n  {line}\n}}\n{}", tiny(""));
        refused(&local, &workspace, &main, attribute, &phrases);
    }
}

#[test]
fn without_credentials_the_places_that_were_tried_are_named() {
    let local = LocalAws::start();
    let index = Index::with([Server::new("tiny-tools", "1.0.0")]);
    let mut workspace = Workspace::new(&local, Some(&index), "");
    workspace.unset("AWS_ACCESS_KEY_ID");
    workspace.unset("AWS_SECRET_ACCESS_KEY");
    let error = refused(
        &local,
        &workspace,
        &format!("provider \"mcplambda\" {{}}\n{}", tiny("")),
        "",
        &["No AWS credentials", "AWS_ACCESS_KEY_ID", "profile"],
    );
    assert_eq!(error.summary, "No AWS credentials");
}

#[test]
fn an_index_that_cannot_be_reached_is_a_warning_at_plan_and_an_error_at_apply() {
    let local = LocalAws::start();
    let index = Index::with([Server::new("tiny-tools", "1.0.0")]);
    let mut workspace = Workspace::new(&local, Some(&index), &tiny(""));
    let cache = workspace.path("empty-cache");
    workspace.set("UV_CACHE_DIR", &cache.display().to_string());
    workspace.set("UV_HTTP_RETRIES", "0");
    index.set_offline(true);
    let plan = workspace.run(&["plan", "-json", "-out=saved.tfplan"]);
    assert_eq!(plan.status, 0, "{}", plan.output);
    let warnings: Vec<_> = plan
        .diagnostics
        .iter()
        .map(|diagnostic| diagnostic.severity.as_str())
        .collect();
    assert_eq!(warnings, ["warning"], "{:#?}", plan.diagnostics);

    local.clear_calls();
    let error = workspace.run(&["apply", "-json", "saved.tfplan"]).error();
    assert!(
        error.detail.contains("tiny-tools") || error.detail.contains(&index.url),
        "{error:?}"
    );
    assert_eq!(local.changes(), Vec::<String>::new());

    index.set_offline(false);
    workspace.converge();
}

/// `text` with its first number after `mark` as `N`: how old a release is depends on the day.
fn undated(text: &str, mark: &str) -> String {
    let (before, after) = text.split_once(mark).expect("a mark");
    let rest = after.trim_start_matches(|c: char| c.is_ascii_digit());
    format!("{before}{mark}N{rest}")
}

#[test]
fn a_release_that_is_too_fresh_is_refused_where_it_is_named_and_planned_once_it_is_old_enough() {
    let local = LocalAws::start();
    // The public registries, which say when releases were published.
    let workspace = Workspace::new(&local, None, "");
    let main = |command: &str, package: &str, days: u32| {
        server(&format!(
            "  name = \"tools\"\n  command = \"{command}\"\n  args = [\"{package}\"]\n  minimum_package_age = {days}"
        ))
    };
    for (command, pinned, name, version) in [
        (
            "uvx",
            "mcp-server-time==2025.9.25",
            "mcp-server-time",
            "2025.9.25",
        ),
        (
            "npx",
            "@modelcontextprotocol/server-sequential-thinking@2025.7.1",
            "@modelcontextprotocol/server-sequential-thinking",
            "2025.7.1",
        ),
    ] {
        let error = refused(
            &local,
            &workspace,
            &main(command, pinned, 36500),
            "args",
            &[],
        );
        assert_eq!(
            (
                error.summary.as_str(),
                error.line.as_str(),
                undated(&error.detail, "was published ").as_str()
            ),
            (
                "Packages cannot be resolved",
                format!("args = [\"{pinned}\"]").as_str(),
                format!(
                    "`{name} {version}` was published N days ago, and `minimum_package_age` is 36500 days. Ask for an older release, or lower \
                     `minimum_package_age`"
                )
                .as_str()
            )
        );
        workspace.write(&main(command, pinned, 7));
        let plan = workspace.plan();
        plan.changes(&[("mcplambda_server.tools", "create")]);
        assert_eq!(plan.diagnostics, []);
    }
}
