//! An AWS API on loopback: moto for the control plane, and AWS's own Runtime Interface Emulator to
//! run Lambda functions.
//!
//! Enters: a few options. Leaves: one line of JSON on standard output when everything is ready;
//! then a server until SIGTERM, SIGINT, the end of standard input (if that is a pipe) or the death
//! of moto. Nothing that it started outlives it.
//!
//! # Layout
//!
//! `front` takes every request: `call` names it, `calls` notes it, `faults` may spoil it. `lambda`
//! answers Lambda's calls, with `moto` as the judge of what exists; `functions` runs them.
//! `supervise` and `sandbox` start processes and take care that they end.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

mod call;
mod calls;
mod faults;
mod front;
mod functions;
mod ids;
mod images;
mod lambda;
mod moto;
mod quick;
mod registry;
mod reply;
mod s3;
mod sandbox;
mod supervise;
mod url;

use functions::runtimes::Runtimes;
use functions::{Functions, Isolation};

const USAGE: &str = "\
usage: local-aws [options]
       local-aws front --bridge PATH --server JSON [options]    (local-aws front --help)

An AWS API on loopback. Prints one line of JSON when it is ready, and stops at SIGTERM, SIGINT or the end of standard input.

  --port PORT        port to listen on (default: a free one)
  --target DIR       build directory with venv/, tools/ and rootfs/, as install.sh makes them
                     (default: the one in which this program lies, else ./target)
  --venv DIR         virtual environment with moto (default: venv/ in the build directory)
  --pending-ms MS    how long functions stay Pending, and updates InProgress (default: 200)
  --isolation HOW    namespace: functions see Lambda's paths and nothing of the machine
                     plain: functions run where their code was unpacked
                     (default: namespace where the machine allows it)
  --prefer-rootfs    run functions in a root filesystem even if their interpreter is at hand
  --freeze           stop functions between events, as Lambda does
";

/// What the command line says.
struct Options {
    port: u16,
    target: PathBuf,
    venv: Option<PathBuf>,
    pending: Duration,
    isolation: Option<String>,
    prefer_rootfs: bool,
    freezes: bool,
}

/// What this process is for.
enum Task {
    /// An AWS API.
    Aws(Options),
    /// A function URL alone.
    Front(quick::Options),
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments
        .iter()
        .map(String::as_str)
        .collect::<Vec<_>>()
        .as_slice()
    {
        ["__supervise", spec] => return supervise::main(Path::new(spec)),
        ["__runtime", spec] => return functions::launch::main(Path::new(spec)),
        _ => {}
    }
    let parsed = match arguments.first().map(String::as_str) {
        Some("front") => (
            quick::parse(&arguments[1..]).map(|o| o.map(Task::Front)),
            quick::USAGE,
        ),
        _ => (parse(&arguments).map(|o| o.map(Task::Aws)), USAGE),
    };
    let task = match parsed {
        (Ok(Some(task)), _) => task,
        (Ok(None), usage) => {
            // A closed standard output is no reason to fail.
            let _ = std::io::stdout().write_all(usage.as_bytes());
            return ExitCode::SUCCESS;
        }
        (Err(error), usage) => {
            eprintln!("local-aws: {error}\n\n{usage}");
            return ExitCode::from(2);
        }
    };
    supervise::become_subreaper();
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("local-aws: {error}");
            return ExitCode::FAILURE;
        }
    };
    let ended = runtime.block_on(async {
        match task {
            Task::Aws(options) => run(options).await,
            Task::Front(options) => quick::run(options, told_to_stop()?).await,
        }
    });
    // What still runs (an event being handled) may not run on.
    supervise::kill_descendants();
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("local-aws: {error}");
            ExitCode::FAILURE
        }
    }
}

fn parse(arguments: &[String]) -> Result<Option<Options>, String> {
    let mut options = Options {
        port: 0,
        target: default_target(),
        venv: None,
        pending: Duration::from_millis(200),
        isolation: None,
        prefer_rootfs: false,
        freezes: false,
    };
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        let mut value = || {
            arguments
                .next()
                .ok_or_else(|| format!("{argument} needs a value"))
        };
        match argument.as_str() {
            "-h" | "--help" => return Ok(None),
            "--port" => {
                options.port = value()?.parse().map_err(|_| "--port needs a port number")?
            }
            "--target" => options.target = PathBuf::from(value()?),
            "--venv" => options.venv = Some(PathBuf::from(value()?)),
            "--pending-ms" => {
                let ms = value()?
                    .parse()
                    .map_err(|_| "--pending-ms needs a number of milliseconds")?;
                options.pending = Duration::from_millis(ms);
            }
            "--isolation" => match value()?.as_str() {
                how @ ("namespace" | "plain") => options.isolation = Some(how.to_owned()),
                how => return Err(format!("--isolation {how}: namespace or plain")),
            },
            "--prefer-rootfs" => options.prefer_rootfs = true,
            "--freeze" => options.freezes = true,
            unknown => return Err(format!("unknown argument {unknown}")),
        }
    }
    Ok(Some(options))
}

/// `target/` above `target/debug/local-aws`.
fn default_target() -> PathBuf {
    let own = std::env::current_exe().unwrap_or_default();
    let above = own
        .ancestors()
        .skip(1)
        .take(3)
        .find(|directory| directory.join("venv").is_dir());
    above.map_or_else(|| PathBuf::from("target"), Path::to_owned)
}

async fn run(options: Options) -> Result<(), String> {
    let mut stopped = std::pin::pin!(told_to_stop()?);
    let target = std::path::absolute(&options.target).map_err(text)?;
    let emulator = target.join("tools/aws-lambda-rie");
    if !emulator.is_file() {
        return Err(format!(
            "the Runtime Interface Emulator is missing ({}); run tests/local-aws/install.sh",
            emulator.display()
        ));
    }
    let work = tempfile::Builder::new()
        .prefix("local-aws-")
        .tempdir()
        .map_err(text)?;
    let listener = TcpListener::bind(("127.0.0.1", options.port))
        .await
        .map_err(|error| format!("port {}: {error}", options.port))?;
    let endpoint = format!("http://{}", listener.local_addr().map_err(text)?);

    let wanted = options.isolation.clone();
    let (probe_dir, probe_target) = (work.path().to_owned(), target.clone());
    let machine = tokio::task::spawn_blocking(move || {
        let isolation = isolation(wanted.as_deref(), &probe_dir)?;
        let runtimes = Runtimes::find(&probe_target, &isolation, options.prefer_rootfs);
        Ok::<_, String>((isolation, runtimes))
    });
    let venv = options.venv.unwrap_or_else(|| target.join("venv"));
    let (moto, machine, registry) = tokio::join!(
        moto::start(&venv, work.path()),
        machine,
        registry::start(work.path())
    );
    let moto::Running {
        mut supervised,
        moto,
    } = moto?;
    let (isolation, runtimes) = machine.map_err(text)??;
    let (registry_process, registry) = match registry? {
        Some(running) => (Some(running.supervised), Some(Arc::new(running.registry))),
        None => (None, None),
    };

    let ready = json!({
        "endpoint": endpoint,
        "moto": format!("http://{}", moto.address()),
        "region": "us-east-1",
        "account_id": moto::ACCOUNT,
        "isolation": match &isolation {
            Isolation::Namespace { user: Some(_) } => "namespace".to_owned(),
            Isolation::Namespace { user: None } => "user namespace".to_owned(),
            Isolation::Plain { why } => format!("plain: {why}"),
        },
        "runtimes": runtimes.to_json(),
        "registry": registry.as_ref().map(|registry| registry.host.clone()),
    });
    let functions = Functions::new(work.path().to_owned(), emulator, isolation, options.freezes);
    let lambda = Arc::new(
        lambda::Lambda::new(
            moto.clone(),
            endpoint,
            work.path(),
            functions,
            runtimes,
            registry.clone(),
        )
        .map_err(text)?,
    );
    let front = Arc::new(front::Front {
        moto,
        registry,
        lambda: Arc::clone(&lambda),
        calls: calls::Calls::default(),
        faults: faults::Faults::new(),
        pending: options.pending,
        ready: ready.clone(),
    });
    // Standard output may be closed already; the server is there all the same.
    let _ = writeln!(std::io::stdout(), "{ready}");

    let mut moto_ended = tokio::time::interval(Duration::from_millis(500));
    let served = front::serve(listener, front);
    tokio::pin!(served);
    let ended = loop {
        tokio::select! {
            () = &mut stopped => break Ok(()),
            Err(error) = &mut served => break Err(error.to_string()),
            _ = moto_ended.tick() => if supervised.ended() {
                break Err(format!("moto has ended; its output ends: {}", moto::output(work.path())));
            },
        }
    };
    lambda.functions.stop().await;
    if let Some(process) = registry_process {
        process.stop().await;
    }
    supervised.stop().await;
    ended
}

/// Returns when this process is to end: at SIGTERM, SIGINT or the end of its input.
fn told_to_stop() -> Result<impl Future<Output = ()>, String> {
    let mut terminate = signal(SignalKind::terminate()).map_err(text)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(text)?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            () = end_of_input() => {}
        }
    })
}

/// Returns when standard input is a pipe (or socket) and ends: the parent is gone. Never returns
/// otherwise.
async fn end_of_input() {
    use std::os::unix::fs::FileTypeExt;
    let kind = std::fs::metadata("/proc/self/fd/0").map(|metadata| metadata.file_type());
    if kind.is_ok_and(|kind| kind.is_fifo() || kind.is_socket()) {
        let (ended, at_end) = tokio::sync::oneshot::channel();
        // A thread of its own, for which nobody waits at the end.
        std::thread::spawn(move || {
            let _ = std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink());
            // Nobody waits any more when local-aws is stopping.
            let _ = ended.send(());
        });
        let _ = at_end.await;
    } else {
        std::future::pending::<()>().await;
    }
}

/// What keeps functions apart from the machine: tried, not guessed.
fn isolation(wanted: Option<&str>, work: &Path) -> Result<Isolation, String> {
    if wanted == Some("plain") {
        return Ok(Isolation::Plain {
            why: "as asked".to_owned(),
        });
    }
    match try_namespace(work) {
        Ok(()) => {
            // SAFETY: geteuid reads a number.
            let is_root = unsafe { libc::geteuid() } == 0;
            Ok(Isolation::Namespace {
                user: is_root.then_some(sandbox::FUNCTION_USER),
            })
        }
        Err(why) if wanted.is_none() => Ok(Isolation::Plain { why }),
        Err(why) => Err(format!("--isolation namespace: {why}")),
    }
}

/// Builds an empty function's root in a process of its own.
fn try_namespace(work: &Path) -> Result<(), String> {
    let probe = work.join("probe");
    for directory in ["root", "code"] {
        std::fs::create_dir_all(probe.join(directory)).map_err(text)?;
    }
    let root = sandbox::Root {
        dir: probe.join("root"),
        base: PathBuf::from("/"),
        code: probe.join("code"),
        whole: false,
        layers: None,
        prefix: None,
        links: Vec::new(),
        tmp_mib: 1,
        emulator: None,
    };
    let output = probe.join("output");
    let spec = supervise::Spec {
        argv: vec!["/bin/true".to_owned()],
        env: Vec::new(),
        output: Some(output),
        root: Some(root),
        remove_if_orphaned: None,
    };
    let file = probe.join("spec.json");
    supervise::write_private(&file, &serde_json::to_vec(&spec).map_err(text)?).map_err(text)?;
    let done = std::process::Command::new(std::env::current_exe().map_err(text)?)
        .arg("__supervise")
        .arg(file)
        .stdin(std::process::Stdio::piped())
        .output()
        .map_err(text)?;
    if done.status.success() {
        Ok(())
    } else {
        Err(String::from_utf8_lossy(&done.stderr).trim().to_owned())
    }
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
