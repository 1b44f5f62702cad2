//! Function URLs: HTTP requests become events, and functions' answers HTTP responses.
//!
//! Enters: a request, and what its URL is set to. Leaves: the response that AWS would give,
//! streamed where the URL says so. `event` and `answer` are pure; `exchange` joins them by a
//! function that really runs. Who may call, and which function it is, is decided elsewhere.
//!
//! Source: AWS Lambda Developer Guide, "Invoking Lambda function URLs", "Response streaming".

mod answer;
mod body;
mod cors;
mod event;
mod exchange;

pub(crate) use body::Body;
pub(crate) use cors::Cors;
pub(crate) use event::{Place, Signer};
pub(crate) use exchange::{Exchange, exchange, plain, refused};

use serde_json::json;

use crate::reply::{self, Reply, with_header};

/// Whether a request names this machine itself. A page that a browser has loaded from elsewhere
/// cannot make it do so, even if it made its own name lead here.
pub(crate) fn is_loopback(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    matches!(name, "127.0.0.1" | "localhost" | "[::1]")
}

/// What AWS answers to those who may not call a URL.
pub(crate) fn forbidden() -> Reply {
    let message = "Forbidden. For troubleshooting Function URL authorization issues, see: \
                   https://docs.aws.amazon.com/lambda/latest/dg/urls-auth.html";
    let forbidden = reply::json(403, &json!({"Message": message}));
    with_header(forbidden, "x-amzn-errortype", "AccessDeniedException")
}
