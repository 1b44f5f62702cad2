//! The programs that the tests need, found once; a missing one fails the test and says how to get it.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// Paths of everything that is run.
#[derive(Debug)]
pub(crate) struct Tools {
    pub(crate) terraform: PathBuf,
    /// The provider under test.
    pub(crate) provider: PathBuf,
    pub(crate) local_aws: PathBuf,
    /// Holds `uv` and `moto_server`.
    pub(crate) venv_bin: PathBuf,
    /// Filesystem mirror from which `terraform init` installs the provider.
    pub(crate) mirror: PathBuf,
}

/// Finds the programs.
///
/// # Panics
///
/// When one is missing, naming it and the command that brings it.
pub(crate) fn tools() -> &'static Tools {
    static TOOLS: OnceLock<Tools> = OnceLock::new();
    TOOLS.get_or_init(find)
}

fn find() -> Tools {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let provider = PathBuf::from(env!("CARGO_BIN_EXE_terraform-provider-mcplambda"));
    // Cargo puts all binaries of a profile side by side.
    let local_aws = provider.with_file_name(format!("local-aws{}", std::env::consts::EXE_SUFFIX));
    let venv_bin = root.join("target/venv/bin");
    let mut missing = Vec::new();
    let terraform = on_path("terraform");
    if terraform.is_none() {
        missing.push("terraform 1.8 or newer is not on PATH: https://developer.hashicorp.com/terraform/install".to_owned());
    }
    if on_path("npm").is_none() {
        missing.push("npm is not on PATH: install Node 20 or newer with npm".to_owned());
    }
    for (what, path, how) in [
        ("local-aws", local_aws.clone(), "cargo build -p local-aws"),
        ("uv", venv_bin.join("uv"), "tests/local-aws/install.sh"),
        (
            "moto",
            venv_bin.join("moto_server"),
            "tests/local-aws/install.sh",
        ),
        (
            "Node for functions",
            root.join("target/tools/node"),
            "tests/local-aws/install.sh",
        ),
        (
            "Lambda's emulator",
            root.join("target/tools/aws-lambda-rie"),
            "tests/local-aws/install.sh",
        ),
    ] {
        if !path.exists() {
            missing.push(format!(
                "{what} is missing at {}: run {how}",
                path.display()
            ));
        }
    }
    if mcplambda::package::bridge::binary(mcplambda::package::Architecture::X86_64).is_none() {
        missing.push("the bridge is not embedded in the provider: run make build".to_owned());
    }
    assert!(
        missing.is_empty(),
        "the end-to-end tests need more than is here:\n  {}",
        missing.join("\n  ")
    );
    let mirror = mirror(&provider);
    Tools {
        terraform: terraform.unwrap_or_default(),
        provider,
        local_aws,
        venv_bin,
        mirror,
    }
}

fn on_path(program: &str) -> Option<PathBuf> {
    std::env::split_paths(&std::env::var_os("PATH")?)
        .map(|directory| directory.join(program))
        .find(|file| file.is_file())
}

/// Lays the provider out as Terraform wants an unpacked mirror: `HOST/NAMESPACE/TYPE/VERSION/OS_ARCH/`.
fn mirror(provider: &Path) -> PathBuf {
    let version = env!("CARGO_PKG_VERSION");
    let os = match std::env::consts::OS {
        "macos" => "darwin",
        other => other,
    };
    let arch = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    let mirror =
        Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("mirror-{}", std::process::id()));
    let package = mirror.join(format!(
        "registry.terraform.io/mcplambda/mcplambda/{version}/{os}_{arch}"
    ));
    std::fs::create_dir_all(&package).expect("target/tmp can be written to");
    let binary = package.join(format!("terraform-provider-mcplambda_v{version}"));
    // A hard link: Terraform follows no symbolic link here, and a copy would be one more per run.
    std::fs::hard_link(provider, &binary).expect("the provider can be linked within target/");
    mirror
}
