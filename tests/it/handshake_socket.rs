//! Where the provider listens, and that nobody else can reach it.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use mcplambda::plugin::services::health::HealthCheckRequest;

use crate::tfclient::connect::Address;
use crate::tfclient::{Plugin, Start};

/// The permission bits of a file or directory.
fn mode(path: &Path) -> u32 {
    let metadata = std::fs::metadata(path).expect("it exists");
    metadata.permissions().mode() & 0o7777
}

/// The directory of the socket.
fn directory(plugin: &Plugin) -> &Path {
    plugin.line.socket().parent().expect("an absolute path")
}

#[tokio::test]
async fn the_socket_is_in_a_private_directory_that_is_gone_afterwards() {
    for start in [Start::default(), Start::without_tls()] {
        let plugin = start.start().await;
        let directory = directory(&plugin).to_owned();
        assert_eq!(mode(&directory), 0o700);
        assert_eq!(mode(plugin.line.socket()), 0o600);
        assert!(plugin.shutdown().await.status.success());
        assert!(!directory.exists(), "{} was left", directory.display());
    }
}

#[tokio::test]
async fn the_socket_is_where_the_host_wants_it() {
    let place = tempfile::tempdir().expect("a directory");
    let start = Start::default().env("PLUGIN_UNIX_SOCKET_DIR", place.path());
    let plugin = start.start().await;
    assert_eq!(directory(&plugin).parent(), Some(place.path()));
    assert_eq!(mode(directory(&plugin)), 0o700);
    assert!(plugin.shutdown().await.status.success());
    let left = std::fs::read_dir(place.path()).expect("it is still there");
    assert_eq!(left.count(), 0);
}

#[tokio::test]
async fn a_socket_directory_that_does_not_exist_is_named() {
    let ended = Start::default()
        .env("PLUGIN_UNIX_SOCKET_DIR", "/nonexistent/sockets")
        .run()
        .await;
    assert_eq!(ended.status.code(), Some(1));
    assert_eq!(ended.stdout, [""; 0]);
    let told = ended.stderr.join("\n");
    assert!(told.contains("cannot make a socket in /nonexistent/sockets"));
    assert!(told.contains("No such file or directory"), "{told}");
}

#[tokio::test]
async fn the_hosts_group_is_let_in_and_nobody_else() {
    // A group that every process has: its own. As root, any other would do.
    let directory_of_test = tempfile::tempdir().expect("a directory");
    let group = std::fs::metadata(directory_of_test.path())
        .expect("it exists")
        .gid();
    let start = Start::default()
        .env("PLUGIN_UNIX_SOCKET_DIR", directory_of_test.path())
        .env("PLUGIN_UNIX_SOCKET_GROUP", group.to_string());
    let plugin = start.start().await;
    assert_eq!(mode(directory(&plugin)), 0o710);
    assert_eq!(mode(plugin.line.socket()), 0o660);
    let socket = std::fs::metadata(plugin.line.socket()).expect("it exists");
    assert_eq!(socket.gid(), group);
    assert!(plugin.shutdown().await.status.success());
}

#[tokio::test]
async fn a_group_that_does_not_exist_is_named() {
    let start = Start::default().env("PLUGIN_UNIX_SOCKET_GROUP", "no-such-group");
    let ended = start.run().await;
    assert_eq!(ended.status.code(), Some(1));
    assert_eq!(
        ended.stderr,
        [
            "terraform-provider-mcplambda: PLUGIN_UNIX_SOCKET_GROUP names the group no-such-group, \
             which does not exist"
        ]
    );
}

#[tokio::test]
async fn a_temporary_directory_with_a_long_name_is_no_obstacle() {
    let place = tempfile::tempdir().expect("a directory");
    let long = place.path().join("x".repeat(120));
    std::fs::create_dir(&long).expect("a directory");
    let plugin = Start::default().env("TMPDIR", &long).start().await;
    assert!(plugin.shutdown().await.status.success());
    let left = std::fs::read_dir(&long).expect("it is still there");
    assert_eq!(left.count(), 0);
}

#[tokio::test]
async fn on_tcp_it_listens_on_loopback_at_the_first_free_port_of_the_range() {
    // Two neighbouring ports of which the first is taken by this test.
    let (taken, next) = (0..100)
        .find_map(|_| {
            let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).ok()?;
            let port = taken.local_addr().ok()?.port().checked_add(1)?;
            let free = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok();
            free.then_some((taken, port))
        })
        .expect("two neighbouring ports");
    let last = next.saturating_add(20);
    let start = Start::default()
        .env("PLUGIN_NETWORK", "tcp")
        .env("PLUGIN_MIN_PORT", (next - 1).to_string())
        .env("PLUGIN_MAX_PORT", last.to_string());
    let plugin = start.start().await;
    let Address::Tcp(address) = plugin.line.address else {
        panic!("{:?} is not TCP", plugin.line);
    };
    assert_eq!(address.ip(), Ipv4Addr::LOCALHOST);
    let taken: SocketAddr = taken.local_addr().expect("bound");
    assert!(address.port() > taken.port() && address.port() <= last);
    let request = HealthCheckRequest {
        service: String::new(),
    };
    plugin.health().check(request).await.expect("an answer");
    assert!(plugin.shutdown().await.status.success());
}

#[tokio::test]
async fn plain_text_on_tcp_is_refused() {
    let start = Start::without_tls().env("PLUGIN_NETWORK", "tcp");
    let ended = start.run().await;
    assert_eq!(ended.status.code(), Some(1));
    assert_eq!(ended.stdout, [""; 0]);
    assert_eq!(
        ended.stderr,
        [
            "terraform-provider-mcplambda: refusing to listen on TCP without TLS, where any local \
             user could connect: unset TF_DISABLE_PLUGIN_TLS, or unset PLUGIN_NETWORK to use a Unix \
             socket"
        ]
    );
}
