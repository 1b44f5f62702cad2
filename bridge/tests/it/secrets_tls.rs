//! With whom the bridge speaks TLS: only with a server whose certificate is valid, has its name, and leads to a known root.

use std::path::PathBuf;
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd,
};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use serde_json::json;

use crate::fake_aws::{Aws, secret};
use crate::sandbox::Sandbox;
use crate::secrets::{SECRET, with_secrets};

/// A root of the test's own, and the PEM file that holds it.
struct Root {
    issuer: CertifiedIssuer<'static, KeyPair>,
    bundle: PathBuf,
}

impl Root {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let issuer = CertifiedIssuer::self_signed(params, key).expect("a certificate");
        let file = format!("mcplambda-{name}-{}.pem", std::process::id());
        let bundle = std::env::temp_dir().join(file);
        std::fs::write(&bundle, issuer.pem()).expect("written");
        Self { issuer, bundle }
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        // Only tidies up; the test has its result.
        let _ = std::fs::remove_file(&self.bundle);
    }
}

/// What a server shows: a certificate for `name` that `root` signed, or itself when there is none.
fn server(
    name: &str,
    root: Option<&Root>,
    edit: impl FnOnce(&mut CertificateParams),
    versions: &[&'static rustls::SupportedProtocolVersion],
) -> Aws {
    let mut params = CertificateParams::new(vec![name.to_owned()]).expect("a name");
    edit(&mut params);
    let key = KeyPair::generate().expect("a key");
    let certificate = match root {
        Some(root) => params.signed_by(&key, &root.issuer),
        None => params.self_signed(&key),
    }
    .expect("a certificate");
    let chain = vec![CertificateDer::from(certificate.der().to_vec())];
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .expect("versions that exist")
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .expect("a key that fits");
    Aws::start_tls(config, |_, _| secret("from behind TLS"))
}

fn start(aws: &Aws, bundle: Option<&PathBuf>) -> Sandbox {
    let builder = with_secrets(aws, json!({"KEY": SECRET}))
        .variable("AWS_ENDPOINT_URL", &aws.url("localhost"));
    match bundle {
        Some(bundle) => builder.variable("AWS_CA_BUNDLE", bundle.to_str().expect("UTF-8")),
        None => builder,
    }
    .start()
}

/// The reason why the server `aws` is not spoken to; nothing must have been asked of it.
#[track_caller]
fn refused(aws: &Aws, bundle: Option<&PathBuf>) -> String {
    let error = start(aws, bundle).call("ok", "{}").function_error();
    assert!(aws.calls().is_empty(), "{:?}", aws.calls());
    let host = aws.url("localhost").replace("https://", "");
    let before = format!(
        "Server.SecretFailed: cannot start the MCP server: the secret for `KEY` ({SECRET}) cannot be read: {host}: "
    );
    error
        .strip_prefix(&before)
        .unwrap_or_else(|| panic!("{error}"))
        .to_owned()
}

#[test]
fn a_certificate_that_leads_to_a_known_root_is_accepted_with_either_version_of_tls() {
    let root = Root::new("known");
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let aws = server("localhost", Some(&root), |_| (), &[version]);
        let mut sandbox = start(&aws, Some(&root.bundle));
        let environment = sandbox.call_text("env", "{}");
        assert!(
            environment.contains("\"KEY\": \"from behind TLS\""),
            "{environment}"
        );
        assert_eq!(aws.calls().len(), 1);
    }
}

#[test]
fn a_certificate_that_nobody_vouches_for_is_refused() {
    let aws = server("localhost", None, |_| (), rustls::ALL_VERSIONS);
    assert_eq!(
        refused(&aws, None),
        "invalid peer certificate: UnknownIssuer"
    );
    let (root, other) = (Root::new("signs"), Root::new("does-not"));
    let aws = server("localhost", Some(&root), |_| (), rustls::ALL_VERSIONS);
    assert_eq!(
        refused(&aws, Some(&other.bundle)),
        "invalid peer certificate: UnknownIssuer"
    );
}

#[test]
fn a_certificate_for_another_name_or_another_time_is_refused() {
    let root = Root::new("strict");
    let aws = server("ssm.example", Some(&root), |_| (), rustls::ALL_VERSIONS);
    let reason = refused(&aws, Some(&root.bundle));
    assert!(
        reason
            .starts_with("invalid peer certificate: certificate not valid for name \"localhost\""),
        "{reason}"
    );
    let expired = |params: &mut CertificateParams| {
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2021, 1, 1);
    };
    let aws = server("localhost", Some(&root), expired, rustls::ALL_VERSIONS);
    let reason = refused(&aws, Some(&root.bundle));
    assert!(
        reason.starts_with("invalid peer certificate: certificate expired"),
        "{reason}"
    );
}

#[test]
fn a_bundle_of_roots_that_cannot_be_used_is_named() {
    let aws = server("localhost", None, |_| (), rustls::ALL_VERSIONS);
    let missing = PathBuf::from("/nowhere/roots.pem");
    let reason = refused(&aws, Some(&missing));
    assert!(
        reason.starts_with("AWS_CA_BUNDLE, `/nowhere/roots.pem`, cannot be used: "),
        "{reason}"
    );
    let empty = std::env::temp_dir().join(format!("mcplambda-empty-{}.pem", std::process::id()));
    std::fs::write(&empty, "no certificate\n").expect("written");
    assert_eq!(
        refused(&aws, Some(&empty)),
        format!(
            "AWS_CA_BUNDLE, `{}`, cannot be used: it holds no certificate",
            empty.display()
        )
    );
    std::fs::remove_file(&empty).expect("removed");
}
