//! What users write and read: the schema of `mcplambda_server`. Its descriptions are the documentation.

mod files;
mod function_url;
mod image;
mod observability;
mod secrets;
mod tools;

use std::time::Duration;

use crate::plugin::schema::{Attribute, Attributes, IdentitySchema, Schema};
use crate::plugin::validators::{self, Validator};
use crate::plugin::{Value, ValueType};

use super::environment;

/// Days that CloudWatch Logs can keep events (API reference, `PutRetentionPolicy`), and 0: for ever.
const LOG_RETENTION_DAYS: [i64; 23] = [
    0, 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922,
    3288, 3653,
];

/// Key prefix of the tags that the provider keeps for itself.
const OWN_TAGS: &str = "mcplambda:";

pub(crate) fn schema() -> Schema {
    let schema = Schema::new().version(0).description(
        "Runs an unmodified MCP (Model Context Protocol) stdio server as an AWS Lambda function.\n\n\
         The server named by `command` and `args` is resolved, locked and packaged, deployed behind a small bridge that keeps one \
         server process warm, and verified through the real function before an alias serves it. The outputs are what an Amazon \
         Bedrock AgentCore gateway needs: `qualified_arn` and `tool_schema_json`.\n\n\
         A gateway can also take the server as one that speaks MCP: with `function_url = {}`, give `url` as the `endpoint` of an \
         `mcp_server` target in the AWS provider's `aws_bedrockagentcore_gateway_target`, with `gateway_iam_role { service = \"lambda\" }` \
         as its credentials, and let the gateway's role `lambda:InvokeFunctionUrl` and `lambda:InvokeFunction` on `qualified_arn`. The \
         gateway then asks the server for its tools itself, with their whole JSON Schemas, and `tool_schema_json` is not needed.",
    );
    [
        mirrored,
        naming,
        secrets::secrets,
        server,
        files::files,
        tools::tools,
        function,
        files::layers,
        observability::observability,
        function_url::function_url,
        identity,
        files::artifact_bucket,
        image::image,
        behaviour,
        outputs,
    ]
    .into_iter()
    .fold(schema, |schema, group| group(schema))
}

pub(crate) fn identity_schema() -> IdentitySchema {
    IdentitySchema::new()
        .required(
            "function_name",
            ValueType::String,
            "Name of the Lambda function.",
        )
        .optional(
            "region",
            ValueType::String,
            "Region of the function; the provider's when not given.",
        )
        .optional(
            "account_id",
            ValueType::String,
            "Account of the function; the provider's when not given.",
        )
}

fn strings() -> Attribute {
    Attribute::list(ValueType::String)
}

/// The configuration schema of the library that this resource replaces.
fn mirrored(schema: Schema) -> Schema {
    schema
        .attribute(
            "name",
            Attribute::string()
                .required()
                .validate(validators::length_between(1, 128))
                .description("Name of the server. `function_name` is made from it unless that is given."),
        )
        .attribute(
            "description",
            Attribute::string()
                .optional()
                .validate(validators::length_between(1, 256))
                .description("Description of the Lambda function."),
        )
        .attribute(
            "command",
            Attribute::string().required().validate(validators::not_empty()).description(
                "Program that starts the server, as its README says. `uvx` (or `uv` with `args` that begin with `tool`, `run`): a server \
                 published as a Python package. `npx`: one published as an npm package. `docker` (with `args` that begin with `run`): a container image. `python3` (or `python3.12`) or `node`: a script of `source_dir` on Lambda's managed Python or Node. \
                 Anything else: a program that `source_dir` or a layer brings, such as `./server`, or that the system has, such as `bash`, on \
                 `provided.al2023`.",
            ),
        )
        .attribute(
            "args",
            strings().optional().description(
                "Arguments of `command`: its own options, the package or the script, then the arguments of the server. For `uvx`: \
                 `package`, `package@version`, `package@latest`, extras, `--from`, `--with`, `--python`. For `npx`: `package`, `@scope/package`, each with \
                 `@version`, `@range` or `@tag` behind it, `-y`, `--package`. For `docker`: `run`, \
                 options such as `-i`, `--rm`, `-e NAME=value`, `-e NAME` (given in `env` or `secrets`), `--entrypoint`, `-w`, the image by tag \
                 or digest, and what replaces its command.",
            ),
        )
        .attribute(
            "env",
            Attribute::map(ValueType::String)
                .optional()
                .validate(validators::each_key(variable()))
                .validate(validators::each_key(unreserved()))
                .description(
                    "Environment variables of the server. They are part of the function's configuration and of the state: keep \
                     secrets out of them, and put them into `secrets`. Lambda allows 4 KB for all variables of a function; the bridge needs a part of it.",
                ),
        )
        .attribute(
            "timeout",
            Attribute::integer()
                .optional()
                .computed()
                .default(60)
                .validate(validators::between(1, 900))
                .description("Seconds that one call may take."),
        )
        .attribute(
            "memory",
            Attribute::integer()
                .optional()
                .computed()
                .default(1024)
                .validate(validators::between(128, 10_240))
                .description("Memory of the function in MB. CPU grows with it."),
        )
        .attribute(
            "reserved_concurrency",
            Attribute::integer().optional().validate(validators::between(0, 1_000_000)).description(
                "Concurrent executions reserved for this function, and at the same time its upper bound; 0 stops it. Not given: \
                 the account's shared pool.",
            ),
        )
        .attribute(
            "dead_letter_queue",
            Attribute::bool().optional().computed().default(false).description(
                "Whether asynchronous calls that failed are sent to an encrypted SQS queue that is made for them, \
                 `<function_name>-dlq`.",
            ),
        )
        .attribute(
            "vpc_config",
            Attribute::single_nested(
                Attributes::new()
                    .attribute(
                        "subnet_ids",
                        Attribute::set(ValueType::String)
                            .required()
                            .validate(validators::items_between(1, 16))
                            .description("Subnets of the function's network interfaces."),
                    )
                    .attribute(
                        "security_group_ids",
                        Attribute::set(ValueType::String)
                            .required()
                            .validate(validators::items_between(1, 5))
                            .description("Security groups of the function's network interfaces."),
                    ),
            )
            .optional()
            .description("Connects the function to a VPC. The managed role gets the permissions for its network interfaces."),
        )
}

fn naming(schema: Schema) -> Schema {
    schema
        .attribute(
            "function_name",
            Attribute::string()
                .optional()
                .computed()
                .validate(validators::regex(
                    "^[a-zA-Z0-9_-]{1,64}$",
                    "must have 1 to 64 characters, each a letter, digit, hyphen or underscore",
                ))
                .requires_replace()
                .description("Name of the Lambda function. Default: `mcp-server-` and `name` in lower case with hyphens."),
        )
        .attribute("tags", {
            Attribute::map(ValueType::String)
                .optional()
                .validate(validators::items_between(0, 45))
                .validate(validators::each_key(foreign_tag()))
                .validate(validators::each_key(validators::length_between(1, 128)))
                .validate(validators::each(validators::length_at_most(256)))
                .description(
                    "Tags of everything that is made for the server. They win over the provider's `default_tags`. Keys that begin \
                     with `mcplambda:` are the provider's own.",
                )
        })
        .attribute(
            "tags_all",
            Attribute::map(ValueType::String)
                .computed()
                .description("`tags` and the provider's `default_tags` together."),
        )
        .attribute(
            "region",
            Attribute::string()
                .optional()
                .computed()
                .validate(validators::regex("^[a-z]{2,4}(-[a-z]+)+-[0-9]+$", "must be the name of a region, such as `eu-central-1`"))
                .requires_replace()
                .description("Region of the function. Default: the provider's."),
        )
}

fn server(schema: Schema) -> Schema {
    schema
        .attribute(
            "cwd",
            Attribute::string().optional().validate(validators::not_empty()).description(
                "Working directory of the server, relative to the function's code (`/var/task`) unless absolute. Only `/tmp` can \
                 be written to.",
            ),
        )
        .attribute(
            "packages",
            strings().optional().validate(validators::each(validators::not_empty())).description(
                "Further packages that are resolved together with the server's own: in pip's notation, such as `mcp<2`, for servers on \
                 Lambda's managed Python; in npm's, such as `zod@3`, for `npx`. A `node` server names all its packages in `package.json`.",
            ),
        )
        .attribute(
            "allow_scripts",
            strings().optional().validate(validators::each(validators::not_empty())).description(
                "npm packages whose install scripts run, by name. No other script runs. They run on the machine that applies, told that they \
                 install for Lambda; what they leave behind is not locked. `[]` says that none is needed. For `npx` and `node`.",
            ),
        )
        .attribute(
            "compile_bytecode",
            Attribute::bool().optional().computed().description(
                "Whether Python files are packaged with their bytecode, for servers on Lambda's managed Python: a cold start then compiles \
                 nothing, and takes about half as long. `true`: an error where the machine has no Python of exactly the runtime's minor version (on \
                 PATH, of pyenv, or one that `uv` knows), which compiles it. `false`: never. Not given: `true` where the machine that plans has such \
                 a Python, else `false`. That is decided whenever a new package is planned, shown in the plan, and stays until another change needs a \
                 new package; a `true` that turns `false` is a warning. A package with bytecode has the same bytes on two machines only if they have the \
                 same release of that Python. Give `true` or `false` where the machines that plan and apply are not alike: a plan with bytecode fails to \
                 apply, before anything is deployed, where none can be compiled. A Terraform that does not hand private state from plan to apply \
                 (before protocol 6.11) says, whichever of the two has such a Python, that the final plan is inconsistent, and names `compile_bytecode`.",
            ),
        )
        .attribute(
            "minimum_package_age",
            Attribute::number().optional().validate(validators::at_least(0)).description(
                "Days that a release must have been published for to be chosen, so that one that was taken over by someone is likely to have been \
                 found out. It counts where versions are chosen: what `lock`, the state, or a lock file in `source_dir` (`uv.lock`, \
                 `package-lock.json`, `requirements.txt` with hashes) pins was reviewed by its owner, and stays. A package that is asked for in \
                 a version that is too fresh is an error, those that others need are chosen in older versions. The index must say when releases were \
                 published. The stricter of this and of the settings of `uv` (`exclude-newer`) or `npm` (`before`, `min-release-age`) counts. Not for images.",
            ),
        )
        .attribute(
            "lock",
            Attribute::string().optional().computed().validate(validators::not_empty()).description(
                "What is installed: one line a package, `name==version --hash=sha256:…` of Python packages, `name@version sha512-…` of npm packages. Given (from the data source \
                 `mcplambda_package` or a file), exactly this is installed. Not given, the newest versions are resolved when the \
                 server is first applied, and kept in the state until `command`, the package part of `args`, `packages`, what \
                 `source_dir` asks for, `runtime` or `architecture` change. Servers for which nothing is installed have none. Where versions are chosen, yanked and \
                 deprecated releases are warnings; what is pinned here is not looked up again. Of an image: \
                 `registry/repository@sha256:…`, the digest for `architecture`.",
            ),
        )
        .attribute(
            "process_scope",
            Attribute::string()
                .optional()
                .computed()
                .default("environment")
                .validate(validators::one_of(&["environment", "invocation"]))
                .description(
                    "How long one server process lives: `environment` keeps one warm per execution environment, `invocation` starts \
                     a fresh one for every call.",
                ),
        )
        .attribute(
            "startup_timeout",
            Attribute::integer().optional().validate(validators::between(1, 900)).description(
                "Seconds that a call waits for a server that is still starting. Default: 60, and never longer than `timeout`.",
            ),
        )
        .attribute(
            "aws_credentials",
            Attribute::bool()
                .optional()
                .computed()
                .default(false)
                .description("Whether the server gets the credentials of the function's role, for servers that call AWS."),
        )
        .attribute(
            "auto_upgrade",
            Attribute::bool().optional().computed().default(false).description(
                "Whether every plan looks for newer versions of the packages and updates to them. Has no effect on a `lock` that \
                 is given.",
            ),
        )
}

fn function(schema: Schema) -> Schema {
    schema
        .attribute(
            "architecture",
            Attribute::string()
                .optional()
                .computed()
                .default("x86_64")
                .validate(validators::one_of(&["x86_64", "arm64"]))
                .description("Instruction set of the function."),
        )
        .attribute(
            "runtime",
            Attribute::string()
                .optional()
                .computed()
                // Which ones there are is checked with `command` and `args`.
                .description(
                    "Lambda runtime: `python3.10` to `python3.14`, `nodejs22.x` or `nodejs24.x`, or `provided.al2023`. Default: that of `--python` in \
                     `args` or of a `command` such as `python3.12`, else `python3.13`; for `npx` and `node` `nodejs22.x`; for programs `provided.al2023`. Images have none.",
                ),
        )
        .attribute(
            "ephemeral_storage",
            Attribute::integer()
                .optional()
                .computed()
                .default(512)
                .validate(validators::between(512, 10_240))
                .description("Size of `/tmp` in MB."),
        )
        .attribute(
            "log_retention_days",
            Attribute::integer()
                .optional()
                .computed()
                .default(30)
                .validate(one_of_numbers(&LOG_RETENTION_DAYS))
                .description("Days that the function's log is kept; 0 keeps it for ever."),
        )
        .attribute(
            "alias",
            Attribute::string()
                .optional()
                .computed()
                .default("live")
                .validate(validators::regex(
                    "^[a-zA-Z0-9-]{1,128}$",
                    "must have 1 to 128 characters, each a letter, digit or hyphen (AgentCore takes no underscore)",
                ))
                .validate(validators::regex("[a-zA-Z-]", "must not be a number: that would be a version"))
                .description("Alias that callers use. It moves to a new version only after that has answered."),
        )
}

fn identity(schema: Schema) -> Schema {
    schema
        .attribute(
            "role_arn",
            Attribute::string()
                .optional()
                .computed()
                .validate(validators::regex(
                    "^arn:aws[a-zA-Z-]*:iam::[0-9]{12}:role/.+$",
                    "must be the ARN of a role, such as `arn:aws:iam::123456789012:role/name`",
                ))
                .validate(validators::conflicts_with(&["policy_json", "managed_policy_arns", "permissions_boundary"]))
                .description(
                    "Role that the function runs with. Not given, a role of its own is made with the least permissions that it \
                     needs, `<function_name>-<region>`.",
                ),
        )
        .attribute(
            "policy_json",
            Attribute::string()
                .optional()
                .validate(validators::json())
                .description("IAM policy document with what the server needs beyond logging, put on the managed role."),
        )
        .attribute(
            "managed_policy_arns",
            Attribute::set(ValueType::String)
                .optional()
                .validate(validators::items_between(0, 20))
                .validate(validators::each(validators::regex("^arn:aws[a-zA-Z-]*:iam::", "must be the ARN of an IAM policy")))
                .description("Managed policies that are attached to the managed role, exactly these."),
        )
        .attribute(
            "permissions_boundary",
            Attribute::string()
                .optional()
                .validate(validators::regex("^arn:aws[a-zA-Z-]*:iam::", "must be the ARN of an IAM policy"))
                .description("ARN of the policy that bounds the managed role."),
        )
}

fn behaviour(schema: Schema) -> Schema {
    const MINUTE: u64 = 60;
    schema
        .attribute(
            "verify",
            Attribute::bool().optional().computed().default(true).description(
                "Whether each new version must answer `tools/list` before the alias serves it. Without it `tools`, \
                 `tool_schema_json` and `verification` stay empty.",
            ),
        )
        .attribute(
            "timeouts",
            Attribute::timeouts(&[
                ("create", Duration::from_secs(15 * MINUTE)),
                ("update", Duration::from_secs(15 * MINUTE)),
                ("delete", Duration::from_secs(20 * MINUTE)),
            ]),
        )
}

fn outputs(schema: Schema) -> Schema {
    let text = |description: &str| Attribute::string().computed().description(description);
    schema
        .attribute("id", text("Name of the function."))
        .attribute("arn", text("ARN of the function, without qualifier."))
        .attribute(
            "qualified_arn",
            text("ARN of the function through the alias: what AgentCore and other callers should be given."),
        )
        .attribute("invoke_arn", text("ARN for an API Gateway integration, through the alias."))
        .attribute("version", text("Version that the alias points to."))
        .attribute("log_group_name", text("Log group of the function."))
        .attribute("url", text("Address of the function URL, when `function_url` is set. MCP clients of Streamable HTTP take it as it is."))
        .attribute("dead_letter_queue_arn", text("ARN of the queue that is made with `dead_letter_queue`."))
        .attribute("code_sha256", text("SHA-256 of the package in base64, as Lambda reports it. The same inputs give the same value on every machine."))
        .attribute("package_type", text("`Zip` or `Image`."))
        .attribute("package_size", Attribute::integer().computed().description("Size of the package in bytes."))
        .attribute(
            "resolved_packages",
            Attribute::map(ValueType::String).computed().description("Installed packages: name to version; of an image its repository to its digest."),
        )
        .attribute(
            "sbom_json",
            text(
                "Bill of materials of the installed packages, as a CycloneDX 1.6 document. It lies in the package too, as `mcplambda.cdx.json`.",
            ),
        )
        .attribute("tools", Attribute::list_nested(tool()).computed().description("Tools of the server, as it describes them."))
        .attribute(
            "tool_schema_json",
            text("The tools as a list of tool definitions that an AgentCore gateway accepts, as JSON."),
        )
        .attribute(
            "tool_schema_notes",
            strings().computed().description("What the gateway's schema could not keep of the tools' own."),
        )
        .attribute("gateway_config_json", text("`{\"type\":\"lambda\",\"arn\":…,\"description\":…}` as JSON."))
        .attribute(
            "verification",
            Attribute::single_nested(verification())
                .computed()
                .description("What was seen when the served version was verified."),
        )
}

fn tool() -> Attributes {
    let text = |description: &str| Attribute::string().computed().description(description);
    Attributes::new()
        .attribute("name", text("Name of the tool."))
        .attribute(
            "description",
            text("Description of the tool; null when the server gives none."),
        )
        .attribute("input_schema_json", text("JSON Schema of the arguments."))
        .attribute(
            "output_schema_json",
            text("JSON Schema of the structured result; null when the server gives none."),
        )
}

fn verification() -> Attributes {
    let text = |description: &str| Attribute::string().computed().description(description);
    let number = |description: &str| Attribute::number().computed().description(description);
    Attributes::new()
        .attribute(
            "server_name",
            text("Name by which the server introduces itself."),
        )
        .attribute(
            "server_version",
            text("Version by which the server introduces itself."),
        )
        .attribute(
            "protocol_version",
            text("MCP protocol version that was spoken."),
        )
        .attribute(
            "cold_start_ms",
            number("Milliseconds from the first call to its answer, including the start."),
        )
        .attribute("init_ms", number("Milliseconds of Lambda's init phase."))
        .attribute(
            "memory_used_mb",
            number("Most memory that the verification used, in MB."),
        )
}

fn one_of_numbers(allowed: &'static [i64]) -> Validator {
    let list = allowed
        .iter()
        .map(|number| format!("`{number}`"))
        .collect::<Vec<_>>()
        .join(", ");
    let description = format!("must be one of {list}");
    let problem = description.clone();
    Validator::new(description, move |value| match value {
        Value::Number(number)
            if number
                .to_i64()
                .is_some_and(|number| allowed.contains(&number)) =>
        {
            Ok(())
        }
        Value::Number(number) => Err(format!("{problem}, got {number}")),
        _ => Err(problem.clone()),
    })
}

/// As Lambda wants its variables named.
fn variable() -> Validator {
    validators::regex(
        "^[a-zA-Z][a-zA-Z0-9_]+$",
        "must begin with a letter and hold only letters, digits and underscores, at least two characters",
    )
}

fn unreserved() -> Validator {
    Validator::new(
        "must not be a variable that Lambda or the bridge reserves",
        |value| match value {
            Value::String(name) if environment::reserved(name) => Err(format!(
                "must not be set: {name} is reserved for Lambda or for the bridge"
            )),
            _ => Ok(()),
        },
    )
}

fn foreign_tag() -> Validator {
    Validator::new(
        format!("must not begin with `{OWN_TAGS}` or `aws:`"),
        |value| match value {
            Value::String(key) if key.starts_with(OWN_TAGS) => Err(format!(
                "must not begin with `{OWN_TAGS}`: such tags are the provider's own"
            )),
            Value::String(key) if key.to_ascii_lowercase().starts_with("aws:") => {
                Err("must not begin with `aws:`: such tags are reserved for AWS".to_owned())
            }
            _ => Ok(()),
        },
    )
}
