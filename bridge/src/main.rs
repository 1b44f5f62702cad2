//! The program that Lambda starts in place of a language runtime, as `AWS_LAMBDA_EXEC_WRAPPER` or as `bootstrap`.
//!
//! Enters: the function's environment; the command line, which for a wrapper is that of the runtime it replaces, is ignored but for `--version`.

use std::process::ExitCode;

#[cfg(target_os = "linux")]
fn main() -> ExitCode {
    use std::io::Write;

    let arguments: Vec<_> = std::env::args_os().collect();
    if mcplambda_bridge::run::asks_for_version(arguments.iter().map(AsRef::as_ref)) {
        // Nothing else is ever written to stdout; a closed one is not worth a failure.
        let _ = writeln!(
            std::io::stdout(),
            "mcplambda-bridge {}",
            env!("CARGO_PKG_VERSION")
        );
        return ExitCode::SUCCESS;
    }
    mcplambda_bridge::run::run()
}

#[cfg(not(target_os = "linux"))]
fn main() -> ExitCode {
    eprintln!("the bridge runs on Linux only, where AWS Lambda starts it");
    ExitCode::FAILURE
}
