//! Requests to function URLs: who may call, and which function runs.
//!
//! Enters: HTTP requests on a URL's own port. Leaves: what AWS answers: preflights from the CORS
//! configuration, 403 for those who may not call, else the function's answer. Of a signature only
//! its presence is checked.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::Arc;

use hyper::body::Incoming;
use hyper::header::AUTHORIZATION;
use hyper::service::service_fn;
use hyper::{HeaderMap, Request, Response, Uri};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

use super::book::FunctionKey;
use super::invoke::Wanted;
use super::policy::{qualified, url_is_public};
use super::{Lambda, internal, lock};
use crate::call::{self, form_value};
use crate::functions::Api;
use crate::reply;
use crate::url::{self, Body, Exchange, Place, Signer};

/// A port on which a URL is served; it is closed once this has been dropped.
#[derive(Debug)]
pub(crate) struct Listening {
    /// The same socket again: the task that accepts ends a moment after it is told to, and who asks in between would be let in.
    socket: OwnedFd,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Listening {
    fn drop(&mut self) {
        // SAFETY: the descriptor is open. A socket that no longer listens refuses, and that is all that is asked for.
        unsafe {
            libc::shutdown(self.socket.as_raw_fd(), libc::SHUT_RD);
        }
        self.task.abort();
    }
}

impl Lambda {
    /// Begins to serve the URL of a function or an alias.
    pub(super) async fn listen(
        self: &Arc<Self>,
        key: FunctionKey,
        qualifier: String,
        place: Place,
    ) -> std::io::Result<(SocketAddr, Listening)> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let socket = listener.as_fd().try_clone_to_owned()?;
        let what = Arc::new((Arc::clone(self), key, qualifier, place));
        let task = tokio::spawn(async move {
            // A listener on loopback does not fail while it listens.
            while let Ok((stream, peer)) = listener.accept().await {
                let _ = stream.set_nodelay(true);
                let what = Arc::clone(&what);
                tokio::spawn(async move {
                    let service = service_fn(|request| {
                        let what = Arc::clone(&what);
                        async move {
                            let (lambda, key, qualifier, place) = &*what;
                            let answer = lambda.call_url(key, qualifier, place, request, peer.ip());
                            Ok::<_, Infallible>(answer.await)
                        }
                    });
                    // Clients break connections off; there is nobody to tell.
                    let _ = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        Ok((address, Listening { socket, task }))
    }

    async fn call_url(
        self: &Arc<Self>,
        key: &FunctionKey,
        qualifier: &str,
        place: &Place,
        mut request: Request<Incoming>,
        source: IpAddr,
    ) -> Response<Body> {
        let host = call::text(request.headers(), "host");
        if !url::is_loopback(&host) && host != place.domain() {
            return url::plain(url::forbidden());
        }
        let (needs_signature, is_public, cors, streams) = {
            let book = self.book.lock().await;
            let function = book.functions.get(key);
            // A connection that was open may outlive the URL, or see another one of the same name.
            let Some((function, url)) =
                function.and_then(|function| Some((function, function.urls.get(qualifier)?)))
            else {
                return url::plain(url::forbidden());
            };
            if url.place != *place {
                return url::plain(url::forbidden());
            }
            (
                url.auth_type == "AWS_IAM",
                url_is_public(function, qualifier),
                url.cors(),
                url.streams(),
            )
        };
        if let Some(cors) = &cors
            && let Some(headers) = cors.preflight(request.method(), request.headers())
        {
            let mut response = url::plain(reply::empty(200));
            *response.headers_mut() = headers;
            return response;
        }
        let added = cors.map(|cors| cors.added(request.headers()));
        let signer = match self.signer(request.headers(), request.uri()).await {
            Ok(signer) => signer.filter(|_| needs_signature),
            Err(error) => return url::refused(&internal(&error)),
        };
        let may_call = if needs_signature {
            signer.is_some()
        } else {
            is_public
        };
        let mut response = if may_call {
            if needs_signature {
                // AWS keeps it to itself.
                request.headers_mut().remove(AUTHORIZATION);
            }
            let wanted = Wanted {
                qualifier: (!qualifier.is_empty()).then_some(qualifier),
                api: if streams { Api::Own } else { Api::Emulator },
            };
            match self.target(key, &wanted).await {
                Err(error) => url::refused(&error),
                Ok(target) => {
                    let about = Exchange {
                        place,
                        streams,
                        function_arn: qualified(key, qualifier),
                        source,
                        signer: signer.as_ref(),
                    };
                    let this = Arc::clone(self);
                    url::exchange(request, &about, |event| async move {
                        this.run(&target, &event).await
                    })
                    .await
                }
            }
        } else {
            url::plain(url::forbidden())
        };
        for (name, value) in added.iter().flatten() {
            response.headers_mut().append(name, value.clone());
        }
        response
    }

    /// Who signed a request, in its header or in its query, if anybody did.
    async fn signer(&self, headers: &HeaderMap, uri: &Uri) -> Result<Option<Signer>, String> {
        let Some(access_key) = access_key(headers, uri) else {
            return Ok(None);
        };
        let known = lock(&self.accounts).get(&access_key).cloned();
        let account = match known {
            Some(account) => account,
            None => self.moto.account_of(&access_key).await?,
        };
        Ok(Some(Signer {
            access_key,
            account,
        }))
    }
}

/// The access key of a signature of version 4 for Lambda.
fn access_key(headers: &HeaderMap, uri: &Uri) -> Option<String> {
    let authorization = call::text(headers, AUTHORIZATION.as_str());
    let query = uri.query().unwrap_or_default().as_bytes();
    let credential = if let Some(signature) = authorization.strip_prefix("AWS4-HMAC-SHA256 ") {
        let member = |name: &str| {
            signature
                .split(',')
                .find_map(|part| part.trim().strip_prefix(name)?.strip_prefix('='))
        };
        member("SignedHeaders").and(member("Signature"))?;
        member("Credential")?.to_owned()
    } else {
        form_value(query, "X-Amz-Signature")?;
        form_value(query, "X-Amz-Credential")?
    };
    let scope: Vec<&str> = credential.split('/').collect();
    match scope.as_slice() {
        [access_key, _, _, "lambda", "aws4_request"] => Some((*access_key).to_owned()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_signature_for_lambda_counts() {
        let key = |authorization: &str, uri: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(AUTHORIZATION, authorization.parse().expect("a value"));
            access_key(&headers, &uri.parse().expect("a URI"))
        };
        let signed = |service: &str| {
            format!(
                "AWS4-HMAC-SHA256 Credential=AK/20261122/us-east-1/{service}/aws4_request, SignedHeaders=host, Signature=0"
            )
        };
        assert_eq!(key(&signed("lambda"), "/"), Some("AK".to_owned()));
        assert_eq!(key(&signed("execute-api"), "/"), None);
        assert_eq!(key("Bearer token", "/"), None);
        let half = "AWS4-HMAC-SHA256 Credential=AK/20261122/us-east-1/lambda/aws4_request";
        assert_eq!(key(half, "/"), None);
        let query = "/?X-Amz-Credential=AK%2F20261122%2Fus-east-1%2Flambda%2Faws4_request&X-Amz-Signature=0";
        assert_eq!(key("", query), Some("AK".to_owned()));
    }
}
