//! The resource's typed model: one field per attribute of the schema.

use std::collections::{BTreeMap, BTreeSet};

crate::model! {
    /// `mcplambda_server` as configured, planned or stored.
    pub(crate) struct Server {
        pub(crate) name: String,
        pub(crate) description: String,
        pub(crate) command: String,
        pub(crate) args: Vec<String>,
        pub(crate) env: BTreeMap<String, String>,
        pub(crate) secrets: BTreeMap<String, String>,
        pub(crate) secrets_ttl: u32,
        pub(crate) timeout: i32,
        pub(crate) memory: i32,
        pub(crate) reserved_concurrency: i32,
        pub(crate) dead_letter_queue: bool,
        pub(crate) vpc_config: VpcConfig,

        pub(crate) function_name: String,
        pub(crate) tags: BTreeMap<String, String>,
        pub(crate) tags_all: BTreeMap<String, String>,
        pub(crate) region: String,

        pub(crate) cwd: String,
        pub(crate) source_dir: String,
        pub(crate) source_excludes: Vec<String>,
        pub(crate) source_hash: String,
        pub(crate) packages: Vec<String>,
        pub(crate) allow_scripts: Vec<String>,
        pub(crate) compile_bytecode: bool,
        pub(crate) minimum_package_age: f64,
        pub(crate) lock: String,
        pub(crate) process_scope: String,
        pub(crate) startup_timeout: u32,
        pub(crate) aws_credentials: bool,
        pub(crate) auto_upgrade: bool,
        pub(crate) include_tools: BTreeSet<String>,
        pub(crate) exclude_tools: BTreeSet<String>,
        pub(crate) tool_prefix: String,

        pub(crate) architecture: String,
        pub(crate) runtime: String,
        pub(crate) ephemeral_storage: i32,
        pub(crate) layers: Vec<String>,
        pub(crate) log_retention_days: i32,
        pub(crate) log_format: String,
        pub(crate) metrics: bool,
        pub(crate) tracing: String,
        pub(crate) alias: String,
        pub(crate) function_url: FunctionUrl,

        pub(crate) role_arn: String,
        pub(crate) policy_json: String,
        pub(crate) managed_policy_arns: BTreeSet<String>,
        pub(crate) permissions_boundary: String,

        pub(crate) artifact_bucket: String,
        pub(crate) image_repository_url: String,

        pub(crate) verify: bool,
        pub(crate) timeouts: Timeouts,

        pub(crate) id: String,
        pub(crate) arn: String,
        pub(crate) qualified_arn: String,
        pub(crate) invoke_arn: String,
        pub(crate) version: String,
        pub(crate) log_group_name: String,
        pub(crate) url: String,
        pub(crate) dead_letter_queue_arn: String,
        pub(crate) code_sha256: String,
        pub(crate) package_type: String,
        pub(crate) package_size: i64,
        pub(crate) resolved_packages: BTreeMap<String, String>,
        pub(crate) sbom_json: String,
        pub(crate) tools: Vec<Tool>,
        pub(crate) tool_schema_json: String,
        pub(crate) tool_schema_notes: Vec<String>,
        pub(crate) gateway_config_json: String,
        pub(crate) verification: Verification,
    }

    /// Where the function's network interfaces are.
    pub(crate) struct VpcConfig {
        pub(crate) subnet_ids: BTreeSet<String>,
        pub(crate) security_group_ids: BTreeSet<String>,
    }

    /// An HTTPS endpoint of the alias.
    pub(crate) struct FunctionUrl {
        pub(crate) auth_type: String,
        pub(crate) invoke_mode: String,
        pub(crate) allowed_origins: BTreeSet<String>,
        pub(crate) cors: Cors,
    }

    /// What Lambda answers browsers itself.
    pub(crate) struct Cors {
        pub(crate) allow_origins: BTreeSet<String>,
        pub(crate) allow_methods: BTreeSet<String>,
        pub(crate) allow_headers: BTreeSet<String>,
        pub(crate) expose_headers: BTreeSet<String>,
        pub(crate) allow_credentials: bool,
        pub(crate) max_age: i32,
    }

    /// How long each operation may take, as Go writes durations.
    pub(crate) struct Timeouts {
        pub(crate) create: String,
        pub(crate) update: String,
        pub(crate) delete: String,
    }

    /// A tool as the server described it.
    pub(crate) struct Tool {
        pub(crate) name: String,
        pub(crate) description: String,
        pub(crate) input_schema_json: String,
        pub(crate) output_schema_json: String,
    }

    /// What was seen when the server answered through the function.
    pub(crate) struct Verification {
        pub(crate) server_name: String,
        pub(crate) server_version: String,
        pub(crate) protocol_version: String,
        pub(crate) cold_start_ms: f64,
        pub(crate) init_ms: f64,
        pub(crate) memory_used_mb: i64,
    }
}
