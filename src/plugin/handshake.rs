//! What the host says in the environment, and the one line that answers it.
//!
//! Enters: the environment that Terraform or OpenTofu gives a plugin. Leaves: an [`Invitation`]
//! (how to listen, whom to let in) and the [`line`](fn@line) that tells the host where to connect.
//! Refuses: to run without the magic cookie, and any host that does not speak protocol 6.
//!
//! Source: the handshake of go-plugin 1.6 and 1.8, observed with Terraform 1.11.4.

use std::ffi::OsString;
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

/// The environment variable that proves that a plugin host started this process.
pub const MAGIC_COOKIE: &str = "TF_PLUGIN_MAGIC_COOKIE";
/// What [`MAGIC_COOKIE`] holds; the same for Terraform and OpenTofu.
pub const MAGIC_COOKIE_VALUE: &str =
    "d602bf8f470bc67ca7faa0386276bbdd4330efaf76d1a219cb4d6991ca9872b2";
/// Comma-separated major protocol versions that the host speaks, in no particular order.
pub const PROTOCOL_VERSIONS: &str = "PLUGIN_PROTOCOL_VERSIONS";
/// The host's certificate as PEM. Absent when the host turned TLS off (`TF_DISABLE_PLUGIN_TLS`).
pub const CLIENT_CERTIFICATE: &str = "PLUGIN_CLIENT_CERT";
/// Lowest TCP port the host allows.
pub const MIN_PORT: &str = "PLUGIN_MIN_PORT";
/// Highest TCP port the host allows.
pub const MAX_PORT: &str = "PLUGIN_MAX_PORT";
/// Directory that the host wants the socket in.
pub const SOCKET_DIRECTORY: &str = "PLUGIN_UNIX_SOCKET_DIR";
/// Group, by name or number, that the host wants to be able to connect.
pub const SOCKET_GROUP: &str = "PLUGIN_UNIX_SOCKET_GROUP";
/// Set by hosts that understand a seventh field of the handshake line.
pub const MULTIPLEX: &str = "PLUGIN_MULTIPLEX_GRPC";
/// Our own addition to go-plugin's variables: `tcp` listens on loopback where file systems cannot
/// hold a socket, `unix` is the default wherever there are Unix sockets.
pub const NETWORK: &str = "PLUGIN_NETWORK";

/// The major protocol version that this framework speaks.
pub const PROTOCOL_VERSION: u32 = 6;

/// go-plugin's own version, the first field of the handshake line.
const CORE_PROTOCOL_VERSION: u32 = 1;

/// Why a plugin does not start.
#[derive(Debug, thiserror::Error)]
pub enum HandshakeError {
    /// Somebody ran the program by hand: the magic cookie is missing or wrong.
    #[error("this program is a plugin: Terraform starts it by itself")]
    NotStartedByHost,
    /// The host is too old, or too new, for protocol 6.
    #[error(
        "this provider speaks Terraform plugin protocol {PROTOCOL_VERSION}, but the program that \
         started it offers {PROTOCOL_VERSIONS}=\"{offered}\"; use Terraform 1.8 or OpenTofu 1.8, or \
         newer"
    )]
    UnsupportedProtocol {
        /// The variable as the host set it; empty when it is missing.
        offered: String,
    },
    /// A variable holds something that cannot be used.
    #[error("{name}=\"{value}\" is not usable: expected {expected}")]
    Variable {
        /// Name of the environment variable.
        name: &'static str,
        /// What it holds.
        value: String,
        /// What would have been accepted.
        expected: &'static str,
    },
    /// The pinned certificate cannot be read, so nobody could be let in.
    #[error("{CLIENT_CERTIFICATE} holds no readable PEM certificate: {reason}")]
    ClientCertificate {
        /// What the PEM reader said.
        reason: String,
    },
    /// Plain text on TCP would let every local user act with this process's AWS credentials.
    #[error(
        "refusing to listen on TCP without TLS, where any local user could connect: unset \
         TF_DISABLE_PLUGIN_TLS, or unset {NETWORK} to use a Unix socket"
    )]
    PlainTcp,
}

/// What the host asks for, read once from the environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invitation {
    /// The only certificate that may connect; `None` means plain text HTTP/2.
    pub client_certificate: Option<CertificateDer<'static>>,
    /// Where to listen.
    pub network: Network,
    /// Whether the handshake line has its seventh field. Older hosts would read it as part of the
    /// sixth.
    pub says_multiplex: bool,
}

/// Where to listen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Network {
    /// A Unix socket inside a private directory.
    Unix {
        /// Parent of the private directory; `None` means the system's temporary directory.
        directory: Option<PathBuf>,
        /// Group that may connect as well, by name or number.
        group: Option<String>,
    },
    /// TCP on 127.0.0.1.
    Tcp {
        /// First port to try; 0 lets the system choose.
        min_port: u16,
        /// Last port to try.
        max_port: u16,
    },
}

impl Invitation {
    /// Reads what the host asks for. `variable` looks up an environment variable.
    ///
    /// TLS is decided by the presence of a client certificate alone: `TF_DISABLE_PLUGIN_TLS` is
    /// the host's switch, and makes the host leave the certificate out.
    ///
    /// # Errors
    ///
    /// One [`HandshakeError`] for the first thing that cannot be accepted.
    pub fn read(variable: impl Fn(&str) -> Option<OsString>) -> Result<Self, HandshakeError> {
        let text = |name: &str| -> Option<String> {
            variable(name)
                .map(|value| value.to_string_lossy().into_owned())
                .filter(|value| !value.is_empty())
        };
        if text(MAGIC_COOKIE).as_deref() != Some(MAGIC_COOKIE_VALUE) {
            return Err(HandshakeError::NotStartedByHost);
        }
        let offered = text(PROTOCOL_VERSIONS).unwrap_or_default();
        let speaks = |version: &str| version.trim().parse() == Ok(PROTOCOL_VERSION);
        if !offered.split(',').any(speaks) {
            return Err(HandshakeError::UnsupportedProtocol { offered });
        }
        let client_certificate = text(CLIENT_CERTIFICATE)
            .map(|pem| {
                CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|error| {
                    HandshakeError::ClientCertificate {
                        reason: error.to_string(),
                    }
                })
            })
            .transpose()?;
        let tcp = match text(NETWORK).as_deref() {
            Some("tcp") => true,
            Some("unix") if cfg!(unix) => false,
            None => cfg!(not(unix)),
            Some(other) => {
                return Err(HandshakeError::Variable {
                    name: NETWORK,
                    value: other.to_owned(),
                    expected: "\"unix\" (where there are Unix sockets) or \"tcp\"",
                });
            }
        };
        let network = if tcp {
            if client_certificate.is_none() {
                return Err(HandshakeError::PlainTcp);
            }
            let (min_port, max_port) = port_range(text(MIN_PORT), text(MAX_PORT))?;
            Network::Tcp { min_port, max_port }
        } else {
            Network::Unix {
                directory: variable(SOCKET_DIRECTORY)
                    .filter(|value| !value.is_empty())
                    .map(PathBuf::from),
                group: text(SOCKET_GROUP),
            }
        };
        Ok(Self {
            client_certificate,
            network,
            says_multiplex: text(MULTIPLEX).is_some(),
        })
    }
}

/// Reads the port range. Neither given means that the system chooses.
fn port_range(min: Option<String>, max: Option<String>) -> Result<(u16, u16), HandshakeError> {
    let port = |name, value: &str| {
        value.parse::<u16>().map_err(|_| HandshakeError::Variable {
            name,
            value: value.to_owned(),
            expected: "a TCP port number",
        })
    };
    match (min, max) {
        (None, None) => Ok((0, 0)),
        (min, max) => {
            let min_text = min.unwrap_or_default();
            let max_text = max.unwrap_or_default();
            let min = port(MIN_PORT, &min_text)?;
            let max = port(MAX_PORT, &max_text)?;
            if min > max {
                return Err(HandshakeError::Variable {
                    name: MAX_PORT,
                    value: max_text,
                    expected: "a port number that is not below PLUGIN_MIN_PORT",
                });
            }
            Ok((min, max))
        }
    }
}

/// The line that tells the host where to connect, without the newline.
///
/// `network` is `unix` or `tcp`. The certificate travels as unpadded base64 of its DER form: the
/// host's decoder rejects padding.
#[must_use]
pub fn line(
    network: &str,
    address: &str,
    server_certificate: Option<&CertificateDer<'_>>,
    says_multiplex: bool,
) -> String {
    let certificate = server_certificate
        .map(|certificate| STANDARD_NO_PAD.encode(certificate))
        .unwrap_or_default();
    // Multiplexing concerns the broker, which Terraform opens and never uses.
    let multiplex = if says_multiplex { "|false" } else { "" };
    format!(
        "{CORE_PROTOCOL_VERSION}|{PROTOCOL_VERSION}|{network}|{address}|grpc|{certificate}{multiplex}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn invited_with(variables: &[(&str, &str)]) -> Result<Invitation, HandshakeError> {
        Invitation::read(|name| {
            let mut all = vec![
                (MAGIC_COOKIE, MAGIC_COOKIE_VALUE),
                (PROTOCOL_VERSIONS, "5,6"),
            ];
            all.extend_from_slice(variables);
            let found = all.iter().rev().find(|(key, _)| *key == name);
            found.map(|(_, value)| OsString::from(value))
        })
    }

    fn certificate() -> (String, CertificateDer<'static>) {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()])
            .expect("a certificate for a constant name");
        (made.cert.pem(), made.cert.der().clone())
    }

    #[test]
    fn a_host_that_asks_for_nothing_special_gets_a_unix_socket_without_tls() {
        let expected = Invitation {
            client_certificate: None,
            network: Network::Unix {
                directory: None,
                group: None,
            },
            says_multiplex: false,
        };
        assert_eq!(invited_with(&[]).expect("acceptable"), expected);
        // Empty is how shells unset a variable for one command.
        let empty = [
            (CLIENT_CERTIFICATE, ""),
            (SOCKET_DIRECTORY, ""),
            (SOCKET_GROUP, ""),
            (MULTIPLEX, ""),
            (NETWORK, ""),
        ];
        assert_eq!(invited_with(&empty).expect("acceptable"), expected);
    }

    #[test]
    fn everything_that_a_host_may_ask_for_is_read() {
        let (pem, der) = certificate();
        let unix = [
            (CLIENT_CERTIFICATE, pem.as_str()),
            (SOCKET_DIRECTORY, "/run/host"),
            (SOCKET_GROUP, "plugins"),
            (MULTIPLEX, "true"),
            (PROTOCOL_VERSIONS, "6, 5"),
        ];
        let expected = Invitation {
            client_certificate: Some(der.clone()),
            network: Network::Unix {
                directory: Some(PathBuf::from("/run/host")),
                group: Some("plugins".to_owned()),
            },
            says_multiplex: true,
        };
        assert_eq!(invited_with(&unix).expect("acceptable"), expected);

        let tcp = [
            (CLIENT_CERTIFICATE, pem.as_str()),
            (NETWORK, "tcp"),
            (MIN_PORT, "10000"),
            (MAX_PORT, "25000"),
        ];
        let invitation = invited_with(&tcp).expect("acceptable");
        let expected = Network::Tcp {
            min_port: 10000,
            max_port: 25000,
        };
        assert_eq!(invitation.network, expected);
    }

    #[test]
    fn what_cannot_be_used_names_its_variable() {
        let (pem, _) = certificate();
        let tcp = |min, max| {
            invited_with(&[
                (CLIENT_CERTIFICATE, pem.as_str()),
                (NETWORK, "tcp"),
                (MIN_PORT, min),
                (MAX_PORT, max),
            ])
        };
        let told = |result: Result<Invitation, HandshakeError>| {
            result.expect_err("not acceptable").to_string()
        };
        assert_eq!(
            told(tcp("10000", "70000")),
            "PLUGIN_MAX_PORT=\"70000\" is not usable: expected a TCP port number"
        );
        assert_eq!(
            told(tcp("", "25000")),
            "PLUGIN_MIN_PORT=\"\" is not usable: expected a TCP port number"
        );
        assert_eq!(
            told(tcp("10000", "9999")),
            "PLUGIN_MAX_PORT=\"9999\" is not usable: expected a port number that is not below \
             PLUGIN_MIN_PORT"
        );
        assert_eq!(
            told(invited_with(&[(NETWORK, "vsock")])),
            "PLUGIN_NETWORK=\"vsock\" is not usable: expected \"unix\" (where there are Unix \
             sockets) or \"tcp\""
        );
        assert!(
            told(invited_with(&[(CLIENT_CERTIFICATE, "garbage")]))
                .starts_with("PLUGIN_CLIENT_CERT holds no readable PEM certificate: ")
        );
    }

    #[test]
    fn plain_text_is_never_spoken_on_tcp() {
        let refused = invited_with(&[(NETWORK, "tcp")]);
        assert!(matches!(refused, Err(HandshakeError::PlainTcp)));
    }

    #[test]
    fn protocol_6_must_be_among_the_versions_and_16_is_not_6() {
        for offered in ["5", "", "16,5", "6.1", "-6"] {
            let refused = invited_with(&[(PROTOCOL_VERSIONS, offered)]);
            assert!(
                matches!(refused, Err(HandshakeError::UnsupportedProtocol { .. })),
                "{offered:?} was accepted"
            );
        }
    }

    #[test]
    fn the_line_has_six_fields_and_a_seventh_only_when_asked() {
        let certificate = CertificateDer::from(vec![0xfb, 0xff, 0xfe, 0x01]);
        assert_eq!(
            line("unix", "/tmp/x/plugin.sock", Some(&certificate), false),
            "1|6|unix|/tmp/x/plugin.sock|grpc|+//+AQ"
        );
        assert_eq!(
            line("tcp", "127.0.0.1:10000", None, false),
            "1|6|tcp|127.0.0.1:10000|grpc|"
        );
        assert_eq!(
            line("tcp", "127.0.0.1:10000", None, true),
            "1|6|tcp|127.0.0.1:10000|grpc||false"
        );
    }
}
