//! Compiles `proto/` with a pure-Rust compiler, so that nobody needs `protoc`.

use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
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
