//! Cross-origin resource sharing as a function URL does it when it is configured to.
//!
//! Enters: the `Cors` member of a URL's configuration, and requests. Leaves: the answer to a
//! preflight, which no function sees, and the headers that other answers get beside those of the
//! function. Pure.
//!
//! Source: Lambda's API reference (Cors) and Developer Guide ("Creating and managing Lambda
//! function URLs"): a preflight is answered from the configuration alone; on other answers the
//! configured headers stand beside the function's, twice where both have one. Browsers' reports of
//! such doubles show that the origin is echoed even where `*` is configured. That methods and
//! headers are echoed likewise, and that a preflight that is not allowed gets 200 without headers,
//! is not documented.

use hyper::Method;
use hyper::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
    ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_REQUEST_METHOD, HeaderMap, HeaderName,
    HeaderValue, ORIGIN, VARY,
};
use serde::Deserialize;

/// The configuration, as CreateFunctionUrlConfig takes it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Cors {
    pub(crate) allow_credentials: bool,
    pub(crate) allow_headers: Vec<String>,
    pub(crate) allow_methods: Vec<String>,
    pub(crate) allow_origins: Vec<String>,
    pub(crate) expose_headers: Vec<String>,
    pub(crate) max_age: u32,
}

impl Cors {
    /// The headers that answer a preflight; `None` when the request is none.
    pub(crate) fn preflight(&self, method: &Method, request: &HeaderMap) -> Option<HeaderMap> {
        let asked_method = request.get(ACCESS_CONTROL_REQUEST_METHOD)?;
        if method != Method::OPTIONS || !request.contains_key(ORIGIN) {
            return None;
        }
        let mut answer = HeaderMap::new();
        let Some(origin) = self.allowed_origin(request) else {
            return Some(answer);
        };
        if !listed(
            &self.allow_methods,
            asked_method.to_str().unwrap_or_default(),
        ) {
            return Some(answer);
        }
        let asked_headers = request
            .get(ACCESS_CONTROL_REQUEST_HEADERS)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default();
        let all_listed = asked_headers
            .split(',')
            .map(str::trim)
            .filter(|name| !name.is_empty())
            .all(|name| listed(&self.allow_headers, name));
        if !all_listed {
            return Some(answer);
        }
        self.common(origin, &mut answer);
        answer.insert(ACCESS_CONTROL_ALLOW_METHODS, asked_method.clone());
        set(&mut answer, ACCESS_CONTROL_ALLOW_HEADERS, asked_headers);
        if self.max_age > 0 {
            set(
                &mut answer,
                ACCESS_CONTROL_MAX_AGE,
                &self.max_age.to_string(),
            );
        }
        Some(answer)
    }

    /// What is added to any other answer.
    pub(crate) fn added(&self, request: &HeaderMap) -> HeaderMap {
        let mut added = HeaderMap::new();
        if let Some(origin) = self.allowed_origin(request) {
            self.common(origin, &mut added);
            set(
                &mut added,
                ACCESS_CONTROL_EXPOSE_HEADERS,
                &self.expose_headers.join(","),
            );
        }
        added
    }

    fn common(&self, origin: &HeaderValue, answer: &mut HeaderMap) {
        answer.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        answer.insert(VARY, HeaderValue::from_static("Origin"));
        if self.allow_credentials {
            answer.insert(
                ACCESS_CONTROL_ALLOW_CREDENTIALS,
                HeaderValue::from_static("true"),
            );
        }
    }

    fn allowed_origin<'a>(&self, request: &'a HeaderMap) -> Option<&'a HeaderValue> {
        let origin = request.get(ORIGIN)?;
        listed(&self.allow_origins, origin.to_str().ok()?).then_some(origin)
    }
}

fn listed(list: &[String], name: &str) -> bool {
    list.iter()
        .any(|entry| entry == "*" || entry.eq_ignore_ascii_case(name))
}

/// Sets a header, unless it is empty or cannot be one.
fn set(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if !value.is_empty()
        && let Ok(value) = HeaderValue::from_str(value)
    {
        headers.insert(name, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| {
                (
                    HeaderName::from_static(name),
                    HeaderValue::from_static(value),
                )
            })
            .collect()
    }

    fn cors() -> Cors {
        serde_json::from_str(
            r#"{"AllowOrigins":["https://a.example"],"AllowMethods":["GET","POST"],"AllowHeaders":["Content-Type","x-a"],
            "ExposeHeaders":["date","x-b"],"MaxAge":60,"AllowCredentials":true}"#,
        )
        .expect("reads")
    }

    #[test]
    fn a_preflight_is_answered_from_the_configuration() {
        let request = headers(&[
            ("origin", "https://a.example"),
            ("access-control-request-method", "POST"),
            ("access-control-request-headers", "content-type, x-a"),
        ]);
        assert_eq!(
            cors().preflight(&Method::OPTIONS, &request),
            Some(headers(&[
                ("access-control-allow-origin", "https://a.example"),
                ("vary", "Origin"),
                ("access-control-allow-credentials", "true"),
                ("access-control-allow-methods", "POST"),
                ("access-control-allow-headers", "content-type, x-a"),
                ("access-control-max-age", "60"),
            ]))
        );
    }

    #[test]
    fn what_is_not_listed_gets_no_headers() {
        for (name, value) in [
            ("origin", "https://b.example"),
            ("access-control-request-method", "DELETE"),
            ("access-control-request-headers", "x-a,x-c"),
        ] {
            let mut request = headers(&[
                ("origin", "https://a.example"),
                ("access-control-request-method", "POST"),
            ]);
            request.insert(
                HeaderName::from_static(name),
                HeaderValue::from_static(value),
            );
            assert_eq!(
                cors().preflight(&Method::OPTIONS, &request),
                Some(HeaderMap::new()),
                "{name}: {value}"
            );
        }
        let other = headers(&[("origin", "https://b.example")]);
        assert_eq!(cors().added(&other), HeaderMap::new());
        assert_eq!(cors().added(&HeaderMap::new()), HeaderMap::new());
    }

    #[test]
    fn options_without_a_method_asked_for_is_no_preflight() {
        let request = headers(&[("origin", "https://a.example")]);
        assert_eq!(cors().preflight(&Method::OPTIONS, &request), None);
        let request = headers(&[
            ("origin", "https://a.example"),
            ("access-control-request-method", "POST"),
        ]);
        assert_eq!(cors().preflight(&Method::POST, &request), None);
    }

    #[test]
    fn any_origin_is_echoed_and_not_starred() {
        let any = Cors {
            allow_origins: vec!["*".to_owned()],
            ..Cors::default()
        };
        assert_eq!(
            any.added(&headers(&[("origin", "http://localhost:1")])),
            headers(&[
                ("access-control-allow-origin", "http://localhost:1"),
                ("vary", "Origin"),
            ])
        );
    }
}
