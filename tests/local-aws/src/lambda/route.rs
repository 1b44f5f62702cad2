//! Lambda's REST routes: method and path to action, function and qualifier.
//!
//! Source: the `http` traits of Lambda's API model, versions 2015-03-31 to 2021-10-31.

use hyper::Method;

use crate::call::{form_value, percent_decode};

/// A Lambda operation that has a name here; those with an overlay are handled in `lambda`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    CreateFunction,
    ListFunctions,
    GetFunction,
    DeleteFunction,
    GetFunctionConfiguration,
    UpdateFunctionConfiguration,
    UpdateFunctionCode,
    PublishVersion,
    ListVersionsByFunction,
    CreateAlias,
    ListAliases,
    GetAlias,
    UpdateAlias,
    DeleteAlias,
    Invoke,
    PutFunctionConcurrency,
    GetFunctionConcurrency,
    DeleteFunctionConcurrency,
    ListTags,
    TagResource,
    UntagResource,
    AddPermission,
    GetPolicy,
    RemovePermission,
    CreateFunctionUrlConfig,
    GetFunctionUrlConfig,
    UpdateFunctionUrlConfig,
    DeleteFunctionUrlConfig,
    ListFunctionUrlConfigs,
    PutFunctionEventInvokeConfig,
    GetFunctionEventInvokeConfig,
    UpdateFunctionEventInvokeConfig,
    DeleteFunctionEventInvokeConfig,
    GetFunctionCodeSigningConfig,
    PublishLayerVersion,
}

impl Action {
    /// The operation's name in Lambda's API.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::CreateFunction => "CreateFunction",
            Self::ListFunctions => "ListFunctions",
            Self::GetFunction => "GetFunction",
            Self::DeleteFunction => "DeleteFunction",
            Self::GetFunctionConfiguration => "GetFunctionConfiguration",
            Self::UpdateFunctionConfiguration => "UpdateFunctionConfiguration",
            Self::UpdateFunctionCode => "UpdateFunctionCode",
            Self::PublishVersion => "PublishVersion",
            Self::ListVersionsByFunction => "ListVersionsByFunction",
            Self::CreateAlias => "CreateAlias",
            Self::ListAliases => "ListAliases",
            Self::GetAlias => "GetAlias",
            Self::UpdateAlias => "UpdateAlias",
            Self::DeleteAlias => "DeleteAlias",
            Self::Invoke => "Invoke",
            Self::PutFunctionConcurrency => "PutFunctionConcurrency",
            Self::GetFunctionConcurrency => "GetFunctionConcurrency",
            Self::DeleteFunctionConcurrency => "DeleteFunctionConcurrency",
            Self::ListTags => "ListTags",
            Self::TagResource => "TagResource",
            Self::UntagResource => "UntagResource",
            Self::AddPermission => "AddPermission",
            Self::GetPolicy => "GetPolicy",
            Self::RemovePermission => "RemovePermission",
            Self::CreateFunctionUrlConfig => "CreateFunctionUrlConfig",
            Self::GetFunctionUrlConfig => "GetFunctionUrlConfig",
            Self::UpdateFunctionUrlConfig => "UpdateFunctionUrlConfig",
            Self::DeleteFunctionUrlConfig => "DeleteFunctionUrlConfig",
            Self::ListFunctionUrlConfigs => "ListFunctionUrlConfigs",
            Self::PutFunctionEventInvokeConfig => "PutFunctionEventInvokeConfig",
            Self::GetFunctionEventInvokeConfig => "GetFunctionEventInvokeConfig",
            Self::UpdateFunctionEventInvokeConfig => "UpdateFunctionEventInvokeConfig",
            Self::DeleteFunctionEventInvokeConfig => "DeleteFunctionEventInvokeConfig",
            Self::GetFunctionCodeSigningConfig => "GetFunctionCodeSigningConfig",
            Self::PublishLayerVersion => "PublishLayerVersion",
        }
    }
}

/// What a request's line says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Route {
    pub(crate) action: Action,
    /// The function or layer as the path names it (a name or an ARN), or for tags the resource's ARN.
    pub(crate) resource: Option<String>,
    /// The alias or the statement id at the end of the path.
    pub(crate) item: Option<String>,
    /// The `Qualifier` of the query.
    pub(crate) qualifier: Option<String>,
}

/// The route of a Lambda request; `None` for operations without a name here.
pub(crate) fn route(method: &Method, path: &str, query: Option<&str>) -> Option<Route> {
    let mut parts = path.trim_matches('/').split('/').map(percent_decode);
    let (_version, collection) = (parts.next()?, parts.next()?);
    let resource = parts.next();
    let part = parts.next();
    let item = parts.next();
    let action = match collection.as_str() {
        "tags" => match *method {
            Method::GET => Action::ListTags,
            Method::POST => Action::TagResource,
            Method::DELETE => Action::UntagResource,
            _ => return None,
        },
        "functions" => match (&resource, part.as_deref()) {
            (None, _) => match *method {
                Method::POST => Action::CreateFunction,
                Method::GET => Action::ListFunctions,
                _ => return None,
            },
            (Some(_), None) => match *method {
                Method::GET => Action::GetFunction,
                Method::DELETE => Action::DeleteFunction,
                _ => return None,
            },
            (Some(_), Some(part)) => of_function(method, part, item.is_some())?,
        },
        "layers" => match (part.as_deref(), &item, method) {
            (Some("versions"), None, &Method::POST) => Action::PublishLayerVersion,
            _ => return None,
        },
        _ => return None,
    };
    let qualifier = query.and_then(|query| form_value(query.as_bytes(), "Qualifier"));
    Some(Route {
        action,
        resource,
        item,
        qualifier,
    })
}

fn of_function(method: &Method, part: &str, has_item: bool) -> Option<Action> {
    let action = match (part, method.as_str(), has_item) {
        ("configuration", "GET", false) => Action::GetFunctionConfiguration,
        ("configuration", "PUT", false) => Action::UpdateFunctionConfiguration,
        ("code", "PUT", false) => Action::UpdateFunctionCode,
        ("versions", "POST", false) => Action::PublishVersion,
        ("versions", "GET", false) => Action::ListVersionsByFunction,
        ("aliases", "POST", false) => Action::CreateAlias,
        ("aliases", "GET", false) => Action::ListAliases,
        ("aliases", "GET", true) => Action::GetAlias,
        ("aliases", "PUT", true) => Action::UpdateAlias,
        ("aliases", "DELETE", true) => Action::DeleteAlias,
        ("invocations", "POST", false) => Action::Invoke,
        ("concurrency", "PUT", false) => Action::PutFunctionConcurrency,
        ("concurrency", "GET", false) => Action::GetFunctionConcurrency,
        ("concurrency", "DELETE", false) => Action::DeleteFunctionConcurrency,
        ("policy", "POST", false) => Action::AddPermission,
        ("policy", "GET", false) => Action::GetPolicy,
        ("policy", "DELETE", true) => Action::RemovePermission,
        ("url", "POST", false) => Action::CreateFunctionUrlConfig,
        ("url", "GET", false) => Action::GetFunctionUrlConfig,
        ("url", "PUT", false) => Action::UpdateFunctionUrlConfig,
        ("url", "DELETE", false) => Action::DeleteFunctionUrlConfig,
        ("urls", "GET", false) => Action::ListFunctionUrlConfigs,
        ("event-invoke-config", "PUT", false) => Action::PutFunctionEventInvokeConfig,
        ("event-invoke-config", "GET", false) => Action::GetFunctionEventInvokeConfig,
        ("event-invoke-config", "POST", false) => Action::UpdateFunctionEventInvokeConfig,
        ("event-invoke-config", "DELETE", false) => Action::DeleteFunctionEventInvokeConfig,
        ("code-signing-config", "GET", false) => Action::GetFunctionCodeSigningConfig,
        _ => return None,
    };
    Some(action)
}

/// A function as a client names it: a name, a partial ARN or an ARN, each with or without
/// qualifier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FunctionRef {
    /// The account, when an ARN gives one.
    pub(crate) account: Option<String>,
    /// The region, when an ARN gives one.
    pub(crate) region: Option<String>,
    pub(crate) name: String,
    pub(crate) qualifier: Option<String>,
}

impl FunctionRef {
    /// Reads `name`, `ACCOUNT:function:name` or
    /// `arn:PARTITION:lambda:REGION:ACCOUNT:function:name`, with `:qualifier` or not.
    pub(crate) fn parse(text: &str) -> Self {
        let (front, back) = match text.rsplit_once("function:") {
            Some((front, back)) => (front, back),
            None => ("", text),
        };
        let fields: Vec<&str> = front.trim_end_matches(':').split(':').collect();
        let (account, region) = match fields.as_slice() {
            ["arn", _, "lambda", region, account] => (Some(*account), Some(*region)),
            [account] if !account.is_empty() => (Some(*account), None),
            _ => (None, None),
        };
        let (name, qualifier) = match back.split_once(':') {
            Some((name, qualifier)) => (name, Some(qualifier.to_owned())),
            None => (back, None),
        };
        Self {
            account: account.map(str::to_owned),
            region: region.map(str::to_owned),
            name: name.to_owned(),
            qualifier,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_tells_action_function_and_qualifier() {
        let at = |method: Method, uri: &str| {
            let (path, query) = uri
                .split_once('?')
                .map_or((uri, None), |(path, query)| (path, Some(query)));
            route(&method, path, query)
        };
        assert_eq!(
            at(
                Method::POST,
                "/2015-03-31/functions/arn%3Aaws%3Alambda%3Aus-east-1%3A1%3Afunction%3Af/invocations?Qualifier=live"
            ),
            Some(Route {
                action: Action::Invoke,
                resource: Some("arn:aws:lambda:us-east-1:1:function:f".to_owned()),
                item: None,
                qualifier: Some("live".to_owned()),
            })
        );
        assert_eq!(
            at(Method::POST, "/2015-03-31/functions/").map(|route| route.action),
            Some(Action::CreateFunction)
        );
        assert_eq!(
            at(Method::PUT, "/2015-03-31/functions/f/aliases/live").map(|route| route.item),
            Some(Some("live".to_owned()))
        );
        assert_eq!(at(Method::GET, "/2015-03-31/functions/f/nothing"), None);
    }

    #[test]
    fn a_function_may_be_named_by_name_or_arn_with_or_without_qualifier() {
        let parsed = |text| {
            let FunctionRef {
                account,
                region,
                name,
                qualifier,
            } = FunctionRef::parse(text);
            (account, region, name, qualifier)
        };
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(parsed("f"), (None, None, "f".to_owned(), None));
        assert_eq!(parsed("f:live"), (None, None, "f".to_owned(), some("live")));
        assert_eq!(
            parsed("123456789012:function:f"),
            (some("123456789012"), None, "f".to_owned(), None)
        );
        assert_eq!(
            parsed("arn:aws:lambda:eu-west-1:123456789012:function:f:3"),
            (
                some("123456789012"),
                some("eu-west-1"),
                "f".to_owned(),
                some("3")
            )
        );
    }
}
