//! The function's own credentials.
//!
//! Enters: the variables in which Lambda gives them, or, with SnapStart, the address at which it does. Leaves: [`Credentials`]. Refuses: to ask anything but
//! this machine, AWS's fixed addresses or an HTTPS endpoint for them. Sources: AWS Lambda Developer Guide, "Activating and managing Lambda SnapStart"; AWS
//! SDKs and Tools Reference Guide, "Container credential provider".

use std::time::Instant;

use super::Variables;
use super::client::Client;
use super::endpoint::Endpoint;
use super::sigv4::Credentials;
use crate::json::{self, Object};

/// Hosts that may be asked without TLS: this machine, and where ECS and EKS serve credentials.
const PLAIN_HOSTS: [&str; 6] = [
    "localhost",
    "127.0.0.1",
    "::1",
    "169.254.170.2",
    "169.254.170.23",
    "fd00:ec2::23",
];

/// Finds the function's credentials, asking for them where they are not in the environment.
///
/// # Errors
///
/// A sentence that names what is missing or wrong.
pub(super) fn find(
    variables: &Variables,
    client: &mut Client,
    deadline: Instant,
) -> Result<Credentials, String> {
    if let (Some(id), Some(secret)) = (
        variables.get("AWS_ACCESS_KEY_ID"),
        variables.get("AWS_SECRET_ACCESS_KEY"),
    ) {
        return Ok(Credentials {
            access_key_id: id.to_owned(),
            secret_access_key: secret.to_owned(),
            session_token: variables.get("AWS_SESSION_TOKEN").map(str::to_owned),
        });
    }
    let (variable, url) = if let Some(url) = variables.get("AWS_CONTAINER_CREDENTIALS_FULL_URI") {
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", url.to_owned())
    } else if let Some(path) = variables.get("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI") {
        (
            "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
            format!("http://169.254.170.2{path}"),
        )
    } else {
        return Err("the function has no credentials: neither AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY nor AWS_CONTAINER_CREDENTIALS_FULL_URI is set".to_owned());
    };
    let (endpoint, path) =
        Endpoint::split(&url).ok_or_else(|| format!("{variable} gives no URL: `{url}`"))?;
    if !endpoint.tls && !PLAIN_HOSTS.contains(&endpoint.host.as_str()) {
        return Err(format!(
            "{variable} is `{url}`: without https, only this machine is asked for credentials"
        ));
    }
    ask(variables, client, &endpoint, path, deadline)
        .map_err(|reason| format!("no credentials from {variable} (`{url}`): {reason}"))
}

fn ask(
    variables: &Variables,
    client: &mut Client,
    endpoint: &Endpoint,
    path: &str,
    deadline: Instant,
) -> Result<Credentials, String> {
    let token = match variables.get("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE") {
        Some(file) => Some(std::fs::read_to_string(file).map_err(|error| {
            format!("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE, `{file}`, cannot be read: {error}")
        })?),
        None => variables
            .get("AWS_CONTAINER_AUTHORIZATION_TOKEN")
            .map(str::to_owned),
    };
    let mut head = format!(
        "GET {} HTTP/1.1\r\nHost: {}\r\nAccept: application/json\r\n",
        if path.is_empty() { "/" } else { path },
        endpoint.authority()
    );
    if let Some(token) = &token {
        let token = token.trim();
        if token.contains(['\r', '\n']) {
            return Err("the authorization token holds a line break".to_owned());
        }
        head.push_str(&format!("Authorization: {token}\r\n"));
    }
    head.push_str("\r\n");
    let response = client
        .exchange(endpoint, &head, b"", deadline)
        .map_err(|error| error.to_string())?;
    if response.status != 200 {
        return Err(format!("HTTP status {}", response.status));
    }
    let members = Object::parse(&response.body).ok_or("the answer is no JSON object")?;
    let text = |key: &str| Some(json::string(members.get(key)?)?.into_owned());
    match (text("AccessKeyId"), text("SecretAccessKey")) {
        (Some(access_key_id), Some(secret_access_key)) => Ok(Credentials {
            access_key_id,
            secret_access_key,
            session_token: text("Token"),
        }),
        _ => Err("the answer lacks AccessKeyId or SecretAccessKey".to_owned()),
    }
}
