//! The function URL, in the terms of the rooms around: what is deployed, what the bridge is told, what a plan may promise, what was
//! found. Pure.
//!
//! In: `function_url` of a [`Server`], or what AWS says. Out: the other's terms. Refuses nothing: the schema did.

use std::collections::BTreeSet;

use mcplambda_bridge::launch::HttpSettings;

use crate::deploy::{self, FoundUrl, InvokeMode, UrlAuth};
use crate::plugin::Attr;

use super::model::{FunctionUrl, Server};
use super::read::keep_empty;

/// What to deploy.
pub(super) fn wanted(server: &Server) -> Option<deploy::FunctionUrl> {
    let url = server.function_url.known()?;
    Some(deploy::FunctionUrl {
        auth: match url.auth_type.as_str() {
            Some("NONE") => UrlAuth::None,
            // The schema allows nothing else, and defaults to this.
            _ => UrlAuth::AwsIam,
        },
        invoke_mode: match url.invoke_mode.as_str() {
            Some("RESPONSE_STREAM") => InvokeMode::ResponseStream,
            // The schema allows nothing else, and defaults to this.
            _ => InvokeMode::Buffered,
        },
        cors: url.cors.known().map(|cors| deploy::Cors {
            allow_credentials: cors.allow_credentials.known().copied().unwrap_or(false),
            allow_headers: lower(&set(&cors.allow_headers)),
            allow_methods: set(&cors.allow_methods),
            allow_origins: set(&cors.allow_origins),
            expose_headers: lower(&set(&cors.expose_headers)),
            max_age: cors.max_age.known().copied().unwrap_or(0),
        }),
    })
}

/// How the bridge answers HTTP; `None` while an attribute that decides it is unknown.
pub(super) fn http(url: &Attr<FunctionUrl>) -> Option<HttpSettings> {
    let url = match url {
        Attr::Null => return Some(HttpSettings::default()),
        Attr::Unknown => return None,
        Attr::Known(url) => url,
    };
    let undecided =
        url.invoke_mode.is_unknown() || url.cors.is_unknown() || url.allowed_origins.is_unknown();
    if undecided {
        return None;
    }
    let cors = url.cors.known();
    let origins = match (&url.allowed_origins, cors) {
        (Attr::Known(origins), _) => origins.clone(),
        (_, Some(cors)) if cors.allow_origins.is_unknown() => return None,
        (_, Some(cors)) => set(&cors.allow_origins),
        (_, None) => BTreeSet::new(),
    };
    Some(HttpSettings {
        stream: url.invoke_mode.as_str() == Some("RESPONSE_STREAM"),
        allowed_origins: origins.into_iter().collect(),
        cors: cors.is_none(),
    })
}

/// Whether the bridge is to be told something else: that takes a new version.
pub(super) fn answers_otherwise(prior: &Server, planned: &Server) -> bool {
    match (http(&prior.function_url), http(&planned.function_url)) {
        (Some(prior), Some(planned)) => prior != planned,
        _ => true,
    }
}

/// The address as far as a plan can tell: it stays as long as the URL of the same alias does.
pub(super) fn planned_address(planned: &Server, prior: Option<&Server>) -> Attr<String> {
    match (&planned.function_url, prior) {
        (Attr::Null, _) => Attr::Null,
        (Attr::Known(_), Some(prior))
            if prior.function_url.is_known()
                && prior.url.is_known()
                && prior.alias == planned.alias =>
        {
            prior.url.clone()
        }
        _ => Attr::Unknown,
    }
}

/// Takes over what was found. Which origins the bridge serves stays as it is: AWS does not know.
pub(super) fn found(state: &mut Attr<FunctionUrl>, found: Option<&FoundUrl>) {
    let Some(found) = found else {
        *state = Attr::Null;
        return;
    };
    let mut url = std::mem::take(state).into_known().unwrap_or_default();
    url.auth_type = Attr::from(found.config.auth.as_str());
    url.invoke_mode = Attr::from(found.config.invoke_mode.as_str());
    url.cors = Attr::from(found.config.cors.as_ref().map(|found| {
        let mut cors = url.cors.into_known().unwrap_or_default();
        cors.allow_credentials = Attr::Known(found.allow_credentials);
        cors.max_age = Attr::Known(found.max_age);
        cors.allow_origins = Attr::Known(found.allow_origins.clone());
        keep_empty(
            &mut cors.allow_methods,
            &found.allow_methods,
            BTreeSet::is_empty,
        );
        keep_headers(&mut cors.allow_headers, &found.allow_headers);
        keep_headers(&mut cors.expose_headers, &found.expose_headers);
        cors
    }));
    *state = Attr::Known(url);
}

/// After an import: the origins that the bridge serves, unless they are those that follow from CORS.
pub(super) fn recover_origins(state: &mut Attr<FunctionUrl>, http: &HttpSettings) {
    let Attr::Known(url) = state else {
        return;
    };
    let served: BTreeSet<String> = http.allowed_origins.iter().cloned().collect();
    let default = url
        .cors
        .known()
        .map(|cors| set(&cors.allow_origins))
        .unwrap_or_default();
    if served != default {
        url.allowed_origins = Attr::Known(served);
    }
}

/// Names of headers are the same in any case; the state keeps the user's spelling.
fn keep_headers(attribute: &mut Attr<BTreeSet<String>>, found: &BTreeSet<String>) {
    if lower(&set(attribute)) != *found {
        *attribute = Attr::Known(found.clone());
    }
}

fn set(attribute: &Attr<BTreeSet<String>>) -> BTreeSet<String> {
    attribute.known().cloned().unwrap_or_default()
}

fn lower(names: &BTreeSet<String>) -> BTreeSet<String> {
    names.iter().map(|name| name.to_ascii_lowercase()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::resource_server::model::Cors;

    fn origins(origins: &[&str]) -> Attr<BTreeSet<String>> {
        Attr::Known(origins.iter().map(|origin| (*origin).to_owned()).collect())
    }

    fn with(mode: &str, allowed: Attr<BTreeSet<String>>, cors: Attr<Cors>) -> Attr<FunctionUrl> {
        Attr::Known(FunctionUrl {
            auth_type: Attr::from("AWS_IAM"),
            invoke_mode: Attr::from(mode),
            allowed_origins: allowed,
            cors,
        })
    }

    fn cors(allow_origins: Attr<BTreeSet<String>>) -> Attr<Cors> {
        Attr::Known(Cors {
            allow_origins,
            ..Cors::default()
        })
    }

    #[test]
    fn the_bridge_serves_the_origins_of_cors_unless_others_are_given() {
        let told = |url| http(&url).map(|http| (http.stream, http.allowed_origins, http.cors));
        let (a, b) = ("https://a.example", "https://b.example");
        let list = |origins: &[&str]| origins.iter().map(|origin| (*origin).to_owned()).collect();
        for (url, expected) in [
            (Attr::Null, Some((false, vec![], true))),
            (
                with("BUFFERED", Attr::Null, Attr::Null),
                Some((false, vec![], true)),
            ),
            (
                with("RESPONSE_STREAM", origins(&[a]), Attr::Null),
                Some((true, list(&[a]), true)),
            ),
            (
                with("BUFFERED", Attr::Null, cors(origins(&[b, a]))),
                Some((false, list(&[a, b]), false)),
            ),
            (
                with("BUFFERED", origins(&[]), cors(origins(&[a]))),
                Some((false, vec![], false)),
            ),
            // What is not known yet decides.
            (Attr::Unknown, None),
            (with("BUFFERED", Attr::Unknown, Attr::Null), None),
            (with("BUFFERED", Attr::Null, Attr::Unknown), None),
            (with("BUFFERED", Attr::Null, cors(Attr::Unknown)), None),
        ] {
            assert_eq!(told(url.clone()), expected, "{url:?}");
        }
    }

    #[test]
    fn an_address_stays_with_the_url_of_the_same_alias() {
        let server = |url: &Attr<FunctionUrl>, alias: &str| Server {
            function_url: url.clone(),
            alias: Attr::from(alias),
            url: Attr::from("https://abc.lambda-url.eu-central-1.on.aws/"),
            ..Server::default()
        };
        let url = with("BUFFERED", Attr::Null, Attr::Null);
        let prior = server(&url, "live");
        let other = with("RESPONSE_STREAM", Attr::Null, Attr::Null);
        let address = |planned: &Server| planned_address(planned, Some(&prior));
        assert_eq!(address(&server(&other, "live")), prior.url);
        assert_eq!(address(&server(&url, "prod")), Attr::Unknown);
        assert_eq!(address(&server(&Attr::Unknown, "live")), Attr::Unknown);
        assert_eq!(address(&server(&Attr::Null, "live")), Attr::Null);
        assert_eq!(planned_address(&prior, None), Attr::Unknown);
    }

    #[test]
    fn an_import_names_origins_only_where_cors_does_not() {
        let recovered = |served: &[&str], cors: Attr<Cors>| {
            let mut url = with("BUFFERED", Attr::Null, cors);
            let http = HttpSettings {
                allowed_origins: served.iter().map(|origin| (*origin).to_owned()).collect(),
                ..HttpSettings::default()
            };
            recover_origins(&mut url, &http);
            url.into_known().expect("known").allowed_origins
        };
        let a = "https://a.example";
        assert_eq!(recovered(&[], Attr::Null), Attr::Null);
        assert_eq!(recovered(&[a], Attr::Null), origins(&[a]));
        assert_eq!(recovered(&[a], cors(origins(&[a]))), Attr::Null);
        assert_eq!(recovered(&[], cors(origins(&[a]))), origins(&[]));
    }
}
