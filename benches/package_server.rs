//! Packages one server as the provider does, without Terraform and AWS: what `benches packaging` measures.
//!
//! Enters: a description as JSON, the only argument; the environment, which package managers see. Leaves: the zip, and what it is as JSON on
//! standard output. `make bench-packaging` builds the provider's code with optimisation for it.

use std::error::Error;
use std::io::Write;
use std::path::PathBuf;
use std::time::{Instant, SystemTime};

use mcplambda::package::{self, Architecture, Lock, ServerSpec, Tools};
use serde::Deserialize;
use serde_json::json;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Job {
    command: String,
    args: Vec<String>,
    runtime: Option<String>,
    /// Decided as a plan does without it.
    compile_bytecode: Option<bool>,
    /// What to install; resolved anew without it.
    lock: Option<String>,
    cache_dir: PathBuf,
    /// Where the zip goes.
    zip: PathBuf,
}

fn main() -> Result<(), Box<dyn Error>> {
    let job = std::env::args().nth(1).ok_or("usage: package-server JOB")?;
    let job: Job = serde_json::from_str(&job)?;
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?
        .block_on(package_one(job))
}

async fn package_one(job: Job) -> Result<(), Box<dyn Error>> {
    let mut spec = ServerSpec {
        command: job.command,
        args: job.args,
        packages: Vec::new(),
        allow_scripts: None,
        compile_bytecode: job.compile_bytecode.unwrap_or(false),
        runtime: job.runtime,
        architecture: Architecture::X86_64,
        cwd: None,
        source_dir: None,
        source_excludes: Vec::new(),
        layered: false,
    };
    let tools = Tools {
        uv_path: None,
        npm_path: None,
        cache_dir: Some(job.cache_dir),
        environment: std::env::vars_os().collect(),
        minimum_age: None,
        now: SystemTime::now(),
        downloads: Some(mcplambda::provider::downloads::over_http()),
    };
    let mut source = package::plan_source(&spec)?;
    let begun = Instant::now();
    if job.compile_bytecode.is_none() && source.takes_bytecode() {
        spec.compile_bytecode = package::find_compiler(&tools, &source).await.is_ok();
        source = package::plan_source(&spec)?;
    }
    let source = package::open(source).await?;
    let lock: Lock = match job.lock {
        Some(lock) => lock.parse()?,
        None => package::resolve(&tools, &source).await?,
    };
    let resolved = begun.elapsed();
    let artifact = package::build(&tools, &source, &lock).await?;
    let built = begun.elapsed() - resolved;
    std::fs::write(&job.zip, &artifact.zip)?;
    let said = json!({
        "code_sha256": artifact.code_sha256,
        "argv": artifact.argv,
        "lock": lock.to_string(),
        "resolve_ms": resolved.as_secs_f64() * 1000.0,
        "build_ms": built.as_secs_f64() * 1000.0,
    });
    writeln!(std::io::stdout(), "{said}")?;
    Ok(())
}
