//! Client certificates, as go-plugin's host makes them and as it never would.

use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

/// A certificate and its key.
#[derive(Clone)]
pub struct ClientIdentity {
    parameters: CertificateParams,
    pem: String,
    der: CertificateDer<'static>,
    key: Arc<KeyPair>,
}

impl ClientIdentity {
    /// ECDSA on P-521 with SHA-512, self-signed, a certificate authority and a leaf in one.
    pub fn as_go_makes_it() -> Self {
        let key = key();
        let parameters = parameters();
        let certificate = parameters.self_signed(&key).expect("self-signed");
        Self::new(parameters, &certificate, key)
    }

    /// Another identity that says the same of itself, but is vouched for by this one. A server that
    /// trusts this one as an authority would let it in.
    pub fn issue(&self) -> Self {
        let key = key();
        let parameters = parameters();
        let issuer = Issuer::from_params(&self.parameters, &*self.key);
        let certificate = parameters.signed_by(&key, &issuer).expect("signed");
        Self::new(parameters, &certificate, key)
    }

    /// This identity's certificate with the key of another: what somebody has who only read the
    /// environment of the plugin.
    pub fn with_the_key_of(self, other: Self) -> Self {
        Self {
            key: other.key,
            ..self
        }
    }

    fn new(parameters: CertificateParams, certificate: &rcgen::Certificate, key: KeyPair) -> Self {
        Self {
            parameters,
            pem: certificate.pem(),
            der: certificate.der().clone(),
            key: Arc::new(key),
        }
    }

    pub fn certificate_pem(&self) -> String {
        self.pem.clone()
    }

    pub fn certificate(&self) -> CertificateDer<'static> {
        self.der.clone()
    }

    pub fn private_key(&self) -> PrivateKeyDer<'static> {
        PrivatePkcs8KeyDer::from(self.key.serialize_der()).into()
    }
}

fn key() -> KeyPair {
    KeyPair::generate_for(&rcgen::PKCS_ECDSA_P521_SHA512).expect("a key")
}

fn parameters() -> CertificateParams {
    let mut parameters = CertificateParams::new(["localhost".to_owned()]).expect("a constant");
    parameters.distinguished_name = DistinguishedName::new();
    let name = &mut parameters.distinguished_name;
    name.push(DnType::CommonName, "localhost");
    name.push(DnType::OrganizationName, "HashiCorp");
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    parameters.key_usages = vec![
        KeyUsagePurpose::DigitalSignature,
        KeyUsagePurpose::KeyEncipherment,
        KeyUsagePurpose::KeyAgreement,
        KeyUsagePurpose::KeyCertSign,
    ];
    parameters.extended_key_usages = vec![
        ExtendedKeyUsagePurpose::ClientAuth,
        ExtendedKeyUsagePurpose::ServerAuth,
    ];
    parameters
}
