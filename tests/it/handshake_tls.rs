//! Who may connect, and who may not.

use mcplambda::plugin::services::health::HealthCheckRequest;
use mcplambda::plugin::services::health::health_check_response::ServingStatus;
use mcplambda::plugin::services::health::health_client::HealthClient;
use rustls::pki_types::CertificateDer;
use tonic::transport::Channel;

use crate::tfclient::certificate::ClientIdentity;
use crate::tfclient::connect::{Security, connect};
use crate::tfclient::{Plugin, Start};

/// Whether a channel gets an answer.
async fn is_answered(channel: Channel) -> bool {
    let request = HealthCheckRequest {
        service: "plugin".to_owned(),
    };
    match HealthClient::new(channel).check(request).await {
        Ok(answer) => {
            assert_eq!(answer.into_inner().status(), ServingStatus::Serving);
            true
        }
        Err(_) => false,
    }
}

/// Whether somebody who connects like this gets an answer.
async fn serves(plugin: &Plugin, security: Security) -> bool {
    match connect(plugin.line.address.clone(), security).await {
        Ok(channel) => is_answered(channel).await,
        Err(_) => false,
    }
}

/// A provider that was started by the holder of `identity`'s certificate.
async fn started_by(identity: ClientIdentity) -> (Plugin, CertificateDer<'static>) {
    let start = Start {
        identity: Some(identity),
        ..Start::default()
    };
    let plugin = start.start().await;
    let certificate = plugin.line.certificate.clone().expect("TLS is on");
    (plugin, certificate)
}

#[tokio::test]
async fn the_host_is_served_over_mutual_tls() {
    let (plugin, _) = started_by(ClientIdentity::as_go_makes_it()).await;
    assert!(is_answered(plugin.channel.clone()).await);
    assert!(plugin.shutdown().await.status.success());
}

#[tokio::test]
async fn another_certificate_is_refused_even_if_it_says_the_same_and_the_host_is_still_served() {
    let (mut plugin, server) = started_by(ClientIdentity::as_go_makes_it()).await;
    let stranger = ClientIdentity::as_go_makes_it();
    assert!(!serves(&plugin, Security::mutual(server, &stranger)).await);
    plugin
        .process
        .stderr_line_with("refused a connection that is not the host's")
        .await;
    assert!(is_answered(plugin.channel.clone()).await);
    assert!(plugin.shutdown().await.status.success());
}

#[tokio::test]
async fn a_certificate_that_the_hosts_own_has_signed_is_refused() {
    let host = ClientIdentity::as_go_makes_it();
    let protege = host.issue();
    let (plugin, server) = started_by(host).await;
    assert!(!serves(&plugin, Security::mutual(server, &protege)).await);
    assert!(plugin.shutdown().await.status.success());
}

#[tokio::test]
async fn the_right_certificate_without_its_key_is_refused() {
    // The certificate is no secret: it stands in the environment of the process.
    let host = ClientIdentity::as_go_makes_it();
    let (plugin, server) = started_by(host.clone()).await;
    assert!(serves(&plugin, Security::mutual(server.clone(), &host)).await);
    let thief = host.with_the_key_of(ClientIdentity::as_go_makes_it());
    assert!(!serves(&plugin, Security::mutual(server, &thief)).await);
    assert!(plugin.shutdown().await.status.success());
}

#[tokio::test]
async fn no_certificate_is_refused() {
    let (plugin, server) = started_by(ClientIdentity::as_go_makes_it()).await;
    let anonymous = Security::without_client_certificate(server);
    assert!(!serves(&plugin, anonymous).await);
    assert!(plugin.shutdown().await.status.success());
}

#[tokio::test]
async fn plain_text_is_refused_where_tls_was_agreed() {
    let (plugin, _) = started_by(ClientIdentity::as_go_makes_it()).await;
    assert!(!serves(&plugin, Security::Plain).await);
    assert!(plugin.shutdown().await.status.success());
}

#[tokio::test]
async fn without_tls_the_host_is_served_in_plain_text() {
    let plugin = Start::without_tls().start().await;
    assert!(is_answered(plugin.channel.clone()).await);
    assert!(plugin.shutdown().await.status.success());
}

#[tokio::test]
async fn a_peer_that_never_finishes_its_handshake_holds_up_nobody() {
    let (plugin, server) = started_by(ClientIdentity::as_go_makes_it()).await;
    let host = ClientIdentity::as_go_makes_it();
    let silent = tokio::net::UnixStream::connect(plugin.line.socket())
        .await
        .expect("anybody may connect");
    assert!(!serves(&plugin, Security::mutual(server, &host)).await);
    assert!(is_answered(plugin.channel.clone()).await);
    drop(silent);
    assert!(plugin.shutdown().await.status.success());
}
