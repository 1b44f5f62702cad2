//! The program that Terraform starts.
//!
//! Enters: no arguments when Terraform starts it, an option when a person does. Leaves: a served
//! provider, or an explanation. Refuses: arguments that it does not know.

use std::process::ExitCode;

use mcplambda::plugin::handshake::HandshakeError;
use mcplambda::plugin::serve::ServeError;
use mcplambda::plugin::{ServeOptions, Server, serve};
use mcplambda::provider::Mcplambda;

/// Where Terraform finds this provider: `source` in `required_providers`.
const PROVIDER_ADDRESS: &str = "mcplambda/mcplambda";

/// What a person is told who runs the program without an option.
const EXPLANATION: &str = "\
terraform-provider-mcplambda is a Terraform plugin: Terraform starts it by itself, and it does
nothing when it is run by hand. To use it, write

    terraform {
      required_providers {
        mcplambda = { source = \"mcplambda/mcplambda\" }
      }
    }

    resource \"mcplambda_server\" \"time\" {
      name    = \"time\"
      command = \"uvx\"
      args    = [\"mcp-server-time\"]
    }

into a file named main.tf and run `terraform init` and `terraform apply` beside it.
Documentation: docs/index.md in the source code, and the provider's pages in the Terraform Registry.

Options:
    --version    prints the version, the commit and the SHA-256 of each embedded bridge
    --debug      serves until Ctrl-C and prints the TF_REATTACH_PROVIDERS line with which
                 Terraform attaches to this process instead of starting its own
    --help       prints this";

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    let arguments: Vec<_> = arguments
        .iter()
        .map(|argument| argument.to_string_lossy())
        .collect();
    let arguments: Vec<_> = arguments.iter().map(AsRef::as_ref).collect();
    match arguments[..] {
        [] => run(false),
        // Providers written in Go take it with one dash.
        ["--debug" | "-debug"] => run(true),
        ["--version" | "-version" | "-V"] => {
            print(mcplambda::version::describe().trim_end());
            ExitCode::SUCCESS
        }
        ["--help" | "-help" | "-h"] => {
            print(EXPLANATION);
            ExitCode::SUCCESS
        }
        _ => {
            eprintln!(
                "terraform-provider-mcplambda: unknown arguments: {}\n\n{EXPLANATION}",
                arguments.join(" ")
            );
            ExitCode::from(2)
        }
    }
}

fn run(debug: bool) -> ExitCode {
    let options = ServeOptions {
        provider_address: PROVIDER_ADDRESS.to_owned(),
        name: "mcplambda".to_owned(),
        debug,
    };
    match serve(Server::new(Mcplambda), options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(ServeError::Handshake(HandshakeError::NotStartedByHost)) => {
            eprintln!("{EXPLANATION}");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("terraform-provider-mcplambda: {}", with_causes(&error));
            ExitCode::FAILURE
        }
    }
}

/// An error and what led to it, on one line.
fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

#[expect(
    clippy::print_stdout,
    reason = "a person asked; no plugin host passes an option"
)]
fn print(text: &str) {
    println!("{text}");
}
