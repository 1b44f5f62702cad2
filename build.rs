//! Enters: `proto/`, and what `make bridge` left under the target folder. Leaves: the protocol's Rust code, the bridges to
//! embed with their SHA-256, and the commit. Refuses nothing: without bridges, or without git, the build says so in `--version`.

use std::env;
use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use sha2::{Digest, Sha256};

fn main() -> Result<(), Box<dyn Error>> {
    compile_protocol()?;
    let out_dir = PathBuf::from(env::var("OUT_DIR")?);
    embed_bridges(&out_dir)?;
    name_the_commit();
    Ok(())
}

/// Compiles `proto/` with a pure-Rust compiler, so that nobody needs `protoc`.
fn compile_protocol() -> Result<(), Box<dyn Error>> {
    let protos = [
        "proto/tfplugin6.proto",
        "proto/goplugin.proto",
        "proto/health.proto",
    ];
    for proto in protos {
        println!("cargo::rerun-if-changed={proto}");
    }
    let descriptors = protox::compile(protos, ["proto"])?;
    // States and plans can be megabytes: `Bytes` shares the receive buffer instead of copying it.
    let mut prost = prost_build::Config::new();
    prost.bytes(["."]);
    tonic_prost_build::configure()
        .build_client(true)
        .build_server(true)
        .generate_default_stubs(true)
        .compile_fds_with_config(descriptors, prost)?;
    Ok(())
}

/// Writes `bridges.rs`: for each architecture the bytes and their SHA-256, or `None` where `make bridge` built none.
///
/// The bytes are copied to `OUT_DIR` first, so that what was hashed is what `include_bytes!` reads.
fn embed_bridges(out_dir: &Path) -> Result<(), Box<dyn Error>> {
    let folder = bridge_folder(out_dir)?;
    let mut code = String::new();
    for (constant, architecture) in [("X86_64", "x86_64"), ("ARM64", "arm64")] {
        let folder = folder.join(architecture);
        // Cargo reruns a script at every build while a watched file does not exist; the folder around it, which is
        // made here, changes when the file appears, changes or disappears.
        fs::create_dir_all(&folder)?;
        println!("cargo::rerun-if-changed={}", folder.display());
        let built = folder.join("bridge");
        let embedded = out_dir.join(format!("bridge-{architecture}"));
        match fs::read(&built) {
            Ok(bytes) => {
                fs::write(&embedded, &bytes)?;
                let sha256 = hex(&Sha256::digest(&bytes));
                writeln!(
                    code,
                    "const {constant}: Option<Embedded> = Some(Embedded {{ binary: include_bytes!({embedded:?}), \
                     sha256: {sha256:?} }});"
                )?;
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                writeln!(code, "const {constant}: Option<Embedded> = None;")?;
            }
            Err(error) => return Err(format!("reading {}: {error}", built.display()).into()),
        }
    }
    fs::write(out_dir.join("bridges.rs"), code)?;
    Ok(())
}

/// Where `make bridge` leaves its binaries: `bridge/` in the target folder. Found from `OUT_DIR`, which is
/// `<target>[/<triple>]/<profile>/build/<package>/out`, so that it is right however the target folder was chosen.
fn bridge_folder(out_dir: &Path) -> Result<PathBuf, Box<dyn Error>> {
    let mut target = out_dir
        .ancestors()
        .nth(4)
        .ok_or_else(|| format!("{} is not inside a target folder", out_dir.display()))?;
    let triple = env::var_os("TARGET");
    if target.file_name() == triple.as_deref() {
        target = target.parent().unwrap_or(target);
    }
    Ok(target.join("bridge"))
}

/// Sets `MCPLAMBDA_COMMIT` for the crate: 12 digits, empty without git.
fn name_the_commit() {
    let git = |arguments: &[&str]| -> Option<String> {
        let output = Command::new("git").args(arguments).output().ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        output.status.success().then(|| text.trim().to_owned())
    };
    // A copy of the sources inside another project's repository must not show that project's commit.
    let ours = git(&["ls-files", "build.rs"]).is_some_and(|listed| listed == "build.rs");
    let commit = ours
        .then(|| git(&["rev-parse", "--short=12", "HEAD"]))
        .flatten();
    for name in ["HEAD", "logs/HEAD"] {
        if let Some(path) = git(&["rev-parse", "--git-path", name])
            && Path::new(&path).exists()
        {
            println!("cargo::rerun-if-changed={path}");
        }
    }
    println!(
        "cargo::rustc-env=MCPLAMBDA_COMMIT={}",
        commit.unwrap_or_default()
    );
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
