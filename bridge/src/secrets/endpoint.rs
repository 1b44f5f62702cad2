//! Where a reference's service is reached.
//!
//! Enters: a reference, and the variables by which users move endpoints: `AWS_ENDPOINT_URL_SECRETS_MANAGER`, `AWS_ENDPOINT_URL_SSM`, `AWS_ENDPOINT_URL`,
//! `AWS_IGNORE_CONFIGURED_ENDPOINT_URLS`, `AWS_USE_FIPS_ENDPOINT`, `AWS_USE_DUALSTACK_ENDPOINT`. Leaves: an [`Endpoint`]. Refuses: URLs with a path, a query or
//! a user, and settings that contradict each other. Sources: AWS SDKs and Tools Reference Guide, "Service-specific endpoints" and "Dual-stack and FIPS
//! endpoints"; the services' endpoint rule sets in the AWS SDKs.

use std::net::Ipv6Addr;

use super::Variables;
use crate::secret_reference::{SecretReference, Store};

/// A host that speaks HTTP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Endpoint {
    pub(super) tls: bool,
    /// A name or an address, IPv6 without brackets.
    pub(super) host: String,
    pub(super) port: u16,
}

impl Endpoint {
    /// The endpoint of the service and region that `reference` names, unless `variables` move it.
    ///
    /// # Errors
    ///
    /// A sentence that names the variable that is wrong.
    pub(super) fn of(reference: &SecretReference, variables: &Variables) -> Result<Self, String> {
        let (service, variable) = match reference.store {
            Store::SecretsManager { .. } => ("secretsmanager", "AWS_ENDPOINT_URL_SECRETS_MANAGER"),
            Store::ParameterStore => ("ssm", "AWS_ENDPOINT_URL_SSM"),
        };
        let fips = flag(variables, "AWS_USE_FIPS_ENDPOINT")?;
        let dual_stack = flag(variables, "AWS_USE_DUALSTACK_ENDPOINT")?;
        if !flag(variables, "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS")? {
            for variable in [variable, "AWS_ENDPOINT_URL"] {
                let Some(url) = variables.get(variable) else {
                    continue;
                };
                if fips || dual_stack {
                    return Err(format!(
                        "{variable} names an endpoint, so AWS_USE_FIPS_ENDPOINT and AWS_USE_DUALSTACK_ENDPOINT cannot choose one"
                    ));
                }
                return match Self::split(url) {
                    Some((endpoint, "" | "/")) => Ok(endpoint),
                    _ => Err(format!(
                        "{variable} is `{url}`, which is no URL of the form https://host or http://host:port"
                    )),
                };
            }
        }
        let partition = reference.partition;
        let suffix = if dual_stack {
            partition.dual_stack_suffix
        } else {
            partition.dns_suffix
        };
        // In GovCloud the plain endpoint of Systems Manager is the one that FIPS 140 covers.
        let plain_is_fips = service == "ssm" && partition.name == "aws-us-gov" && !dual_stack;
        let mark = if fips && !plain_is_fips { "-fips" } else { "" };
        Ok(Self {
            tls: true,
            host: format!("{service}{mark}.{}.{suffix}", reference.region),
            port: 443,
        })
    }

    /// Takes a URL apart into an endpoint and what follows it, which is empty or begins with a `/`.
    pub(super) fn split(url: &str) -> Option<(Self, &str)> {
        let (scheme, rest) = url.split_once("://")?;
        let tls = match scheme {
            "https" => true,
            "http" => false,
            _ => return None,
        };
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let (host, port) = match authority.strip_prefix('[') {
            Some(rest) => {
                let (host, port) = rest.split_once(']')?;
                host.parse::<Ipv6Addr>().ok()?;
                (
                    host,
                    if port.is_empty() {
                        None
                    } else {
                        Some(port.strip_prefix(':')?)
                    },
                )
            }
            None => match authority.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (authority, None),
            },
        };
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
        if host.is_empty() || !(host.contains(':') || host.bytes().all(is_name)) {
            return None;
        }
        let port = match port {
            Some(port) => port.parse().ok().filter(|port| *port != 0)?,
            None if tls => 443,
            None => 80,
        };
        let endpoint = Self {
            tls,
            host: host.to_owned(),
            port,
        };
        Some((endpoint, path))
    }

    /// The value of the `Host` header: without the port that the scheme stands for.
    pub(super) fn authority(&self) -> String {
        let host = if self.host.contains(':') {
            format!("[{}]", self.host)
        } else {
            self.host.clone()
        };
        match (self.tls, self.port) {
            (true, 443) | (false, 80) => host,
            (_, port) => format!("{host}:{port}"),
        }
    }
}

fn flag(variables: &Variables, name: &str) -> Result<bool, String> {
    match variables.get(name) {
        None => Ok(false),
        Some(value) if value.eq_ignore_ascii_case("false") => Ok(false),
        Some(value) if value.eq_ignore_ascii_case("true") => Ok(true),
        Some(value) => Err(format!("{name} is `{value}`, neither true nor false")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "secretsmanager:eu-west-1:123456789012:secret:n-AbCdEf";
    const PARAMETER: &str = "ssm:eu-west-1:123456789012:parameter/p";

    fn endpoint(reference: &str, variables: &[(&str, &str)]) -> Result<String, String> {
        let reference = SecretReference::parse(reference).expect("a reference");
        let variables = Variables::of(|name| {
            let found = variables.iter().find(|(key, _)| *key == name);
            found.map(|(_, value)| (*value).into())
        });
        Endpoint::of(&reference, &variables).map(|endpoint| {
            let scheme = if endpoint.tls { "https" } else { "http" };
            format!("{scheme}://{}", endpoint.authority())
        })
    }

    #[test]
    fn each_region_partition_and_variant_has_its_own_endpoint() {
        let fips = ("AWS_USE_FIPS_ENDPOINT", "true");
        let dual_stack = ("AWS_USE_DUALSTACK_ENDPOINT", "TRUE");
        for (partition, rest, variables, expected) in [
            (
                "aws",
                SECRET,
                vec![],
                "https://secretsmanager.eu-west-1.amazonaws.com",
            ),
            (
                "aws",
                PARAMETER,
                vec![],
                "https://ssm.eu-west-1.amazonaws.com",
            ),
            (
                "aws-cn",
                SECRET,
                vec![],
                "https://secretsmanager.eu-west-1.amazonaws.com.cn",
            ),
            (
                "aws",
                SECRET,
                vec![fips],
                "https://secretsmanager-fips.eu-west-1.amazonaws.com",
            ),
            (
                "aws",
                PARAMETER,
                vec![dual_stack],
                "https://ssm.eu-west-1.api.aws",
            ),
            (
                "aws",
                PARAMETER,
                vec![fips, dual_stack],
                "https://ssm-fips.eu-west-1.api.aws",
            ),
            (
                "aws-us-gov",
                PARAMETER,
                vec![fips],
                "https://ssm.eu-west-1.amazonaws.com",
            ),
            (
                "aws-us-gov",
                PARAMETER,
                vec![fips, dual_stack],
                "https://ssm-fips.eu-west-1.api.aws",
            ),
            (
                "aws-us-gov",
                SECRET,
                vec![fips],
                "https://secretsmanager-fips.eu-west-1.amazonaws.com",
            ),
            (
                "aws",
                SECRET,
                vec![("AWS_USE_FIPS_ENDPOINT", "false")],
                "https://secretsmanager.eu-west-1.amazonaws.com",
            ),
        ] {
            assert_eq!(
                endpoint(&format!("arn:{partition}:{rest}"), &variables).as_deref(),
                Ok(expected),
                "{partition} {variables:?}"
            );
        }
    }

    #[test]
    fn an_endpoint_of_the_users_is_taken_the_services_own_first() {
        let secret = format!("arn:aws:{SECRET}");
        let both = [
            ("AWS_ENDPOINT_URL", "http://127.0.0.1:4566"),
            (
                "AWS_ENDPOINT_URL_SECRETS_MANAGER",
                "https://vpce-1.example:8443/",
            ),
        ];
        assert_eq!(
            endpoint(&secret, &both).as_deref(),
            Ok("https://vpce-1.example:8443")
        );
        assert_eq!(
            endpoint(&format!("arn:aws:{PARAMETER}"), &both).as_deref(),
            Ok("http://127.0.0.1:4566")
        );
        assert_eq!(
            endpoint(
                &secret,
                &[
                    both[0],
                    both[1],
                    ("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true")
                ]
            )
            .as_deref(),
            Ok("https://secretsmanager.eu-west-1.amazonaws.com")
        );
        assert_eq!(
            endpoint(&secret, &[("AWS_ENDPOINT_URL", "http://[::1]:80")]).as_deref(),
            Ok("http://[::1]")
        );
    }

    #[test]
    fn a_setting_that_cannot_be_followed_is_named() {
        let secret = format!("arn:aws:{SECRET}");
        for url in [
            "vpce.example",
            "ftp://vpce.example",
            "https://",
            "https://vpce.example/path",
            "http://user@vpce.example",
            "http://vpce.example:",
            "http://vpce.example:0",
            "http://vpce.example:99999",
            "http://[::1",
            "http://[vpce]",
            "http://a b",
            "http://vpce.example?x",
        ] {
            assert_eq!(
                endpoint(&secret, &[("AWS_ENDPOINT_URL", url)]),
                Err(format!(
                    "AWS_ENDPOINT_URL is `{url}`, which is no URL of the form https://host or http://host:port"
                ))
            );
        }
        assert_eq!(
            endpoint(&secret, &[("AWS_USE_FIPS_ENDPOINT", "yes")]),
            Err("AWS_USE_FIPS_ENDPOINT is `yes`, neither true nor false".to_owned())
        );
        assert_eq!(
            endpoint(
                &secret,
                &[
                    ("AWS_USE_FIPS_ENDPOINT", "true"),
                    ("AWS_ENDPOINT_URL", "http://127.0.0.1")
                ]
            ),
            Err("AWS_ENDPOINT_URL names an endpoint, so AWS_USE_FIPS_ENDPOINT and AWS_USE_DUALSTACK_ENDPOINT cannot choose one".to_owned())
        );
    }
}
