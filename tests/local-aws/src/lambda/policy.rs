//! Overlay: resource policies. moto keeps an alias's statements with the version that it points to,
//! writes conditions of function URLs beside `Condition`, takes a statement id twice, and removes
//! statements from `$LATEST` only; so they are kept here, per qualifier as in Lambda.
//!
//! Enters: AddPermission, GetPolicy, RemovePermission. Leaves: statements in Lambda's notation, and
//! whether everybody may call a function's URL.
//!
//! Source: Lambda's API reference (AddPermission); Developer Guide, "Control access to Lambda
//! function URLs": since October 2025 a URL needs `lambda:InvokeFunctionUrl` and
//! `lambda:InvokeFunction`.

use serde_json::{Map, Value, json};

use super::book::{Function, FunctionKey};
use super::route::Action;
use super::{Incoming, Lambda, Stop, object, qualifier, validate};
use crate::call::form_value;
use crate::ids;
use crate::reply::{self, AwsError, Reply};

/// The statements of one qualifier.
#[derive(Clone, Debug, Default)]
pub(crate) struct Policy {
    statements: Vec<Value>,
    /// New with each change.
    revision: String,
}

impl Lambda {
    pub(super) async fn permission(
        &self,
        key: &FunctionKey,
        incoming: Incoming,
    ) -> Result<Reply, Stop> {
        let qualifier = qualifier(&incoming.route).unwrap_or_default();
        let mut book = self.book.lock().await;
        let Some(function) = book.functions.get_mut(key) else {
            return self.pass(incoming.request).await;
        };
        let arn = qualified(key, &qualifier);
        if qualifier == "$LATEST" {
            return Err(validate::invalid(
                "We currently do not support adding policies for $LATEST.",
            )
            .into());
        }
        let exists = qualifier.is_empty()
            || function.aliases.contains_key(&qualifier)
            || function.version(&qualifier).is_some();
        if !exists {
            return Err(not_found(format!("Function not found: {arn}")).into());
        }
        let policy = function.policies.entry(qualifier).or_default();
        let query = incoming.request.uri().query().unwrap_or_default();
        let given_revision = form_value(query.as_bytes(), "RevisionId");
        let reply = match incoming.route.action {
            Action::AddPermission => {
                let request = object(&incoming.request)?;
                policy.check_revision(request.get("RevisionId").and_then(Value::as_str))?;
                let statement = statement(&request, &arn)?;
                policy.add(statement.clone())?;
                reply::json(201, &json!({"Statement": statement.to_string()}))
            }
            Action::RemovePermission => {
                policy.check_revision(given_revision.as_deref())?;
                let id = incoming.route.item.as_deref().unwrap_or_default();
                policy.remove(id, &arn)?;
                reply::empty(204)
            }
            _ => reply::json(200, &policy.view()?),
        };
        Ok(reply)
    }
}

impl Policy {
    fn add(&mut self, statement: Value) -> Result<(), AwsError> {
        if self
            .statements
            .iter()
            .any(|known| known["Sid"] == statement["Sid"])
        {
            let id = statement["Sid"].as_str().unwrap_or_default();
            return Err(AwsError::new(
                409,
                "ResourceConflictException",
                format!(
                    "The statement id ({id}) provided already exists. Please provide a new statement id, or remove the \
                     existing statement."
                ),
            ));
        }
        self.statements.push(statement);
        self.revision = ids::uuid();
        Ok(())
    }

    fn remove(&mut self, id: &str, arn: &str) -> Result<(), AwsError> {
        if self.statements.is_empty() {
            return Err(not_found(format!("No policy is found for: {arn}")));
        }
        let before = self.statements.len();
        self.statements.retain(|statement| statement["Sid"] != id);
        if self.statements.len() == before {
            return Err(not_found(format!(
                "Statement {id} is not found in resource policy."
            )));
        }
        self.revision = ids::uuid();
        Ok(())
    }

    fn view(&self) -> Result<Value, AwsError> {
        if self.statements.is_empty() {
            return Err(not_found("The resource you requested does not exist."));
        }
        let policy =
            json!({"Version": "2012-10-17", "Id": "default", "Statement": self.statements});
        Ok(json!({"Policy": policy.to_string(), "RevisionId": self.revision}))
    }

    fn check_revision(&self, given: Option<&str>) -> Result<(), AwsError> {
        match given {
            Some(given) if !given.is_empty() && given != self.revision => {
                Err(super::book::stale_revision("GetPolicy"))
            }
            _ => Ok(()),
        }
    }

    fn allows_everybody(&self, action: &str, conditions: &[(&str, &str, &str)]) -> bool {
        self.statements.iter().any(|statement| {
            let everybody = statement["Principal"] == "*" || statement["Principal"]["AWS"] == "*";
            let named = statement["Action"].as_str().unwrap_or_default();
            let met = statement["Condition"].as_object().is_none_or(|given| {
                given.iter().all(|(operator, wanted)| {
                    wanted.as_object().is_some_and(|wanted| {
                        wanted.iter().all(|(name, value)| {
                            conditions.iter().any(|known| {
                                *known == (operator, name, value.as_str().unwrap_or_default())
                            })
                        })
                    })
                })
            });
            everybody && met && (named == action || named == "lambda:*" || named == "*")
        })
    }
}

/// Whether everybody may call the URL of a qualifier, whose auth type is `NONE`.
pub(super) fn url_is_public(function: &Function, qualifier: &str) -> bool {
    let facts = [
        ("StringEquals", "lambda:FunctionUrlAuthType", "NONE"),
        ("Bool", "lambda:InvokedViaFunctionUrl", "true"),
    ];
    function.policies.get(qualifier).is_some_and(|policy| {
        policy.allows_everybody("lambda:InvokeFunctionUrl", &facts)
            && policy.allows_everybody("lambda:InvokeFunction", &facts)
    })
}

/// The ARN of a qualifier; the function's own when it is empty.
pub(super) fn qualified(key: &FunctionKey, qualifier: &str) -> String {
    if qualifier.is_empty() {
        key.arn()
    } else {
        format!("{}:{qualifier}", key.arn())
    }
}

fn not_found(message: impl Into<String>) -> AwsError {
    AwsError::new(404, "ResourceNotFoundException", message)
}

/// A request as the statement that Lambda makes of it.
fn statement(request: &Map<String, Value>, arn: &str) -> Result<Value, AwsError> {
    let text = |name: &str| {
        request
            .get(name)
            .and_then(Value::as_str)
            .filter(|text| !text.is_empty())
    };
    let id = text("StatementId").unwrap_or_default();
    let action = text("Action").unwrap_or_default();
    validate::statement_id(id)?;
    validate::permission_action(action)?;
    let principal = principal(text("Principal").unwrap_or_default())?;
    if let Some(auth_type) = text("FunctionUrlAuthType") {
        validate::auth_type(auth_type)?;
        if action != "lambda:InvokeFunctionUrl" {
            return Err(validate::invalid(
                "FunctionUrlAuthType is only supported for lambda:InvokeFunctionUrl action",
            ));
        }
    }
    let mut conditions = Map::new();
    let mut condition = |operator: &str, name: &str, value: &str| {
        conditions
            .entry(operator)
            .or_insert_with(|| json!({}))
            .as_object_mut()
            .map(|of_operator| of_operator.insert(name.to_owned(), value.into()));
    };
    for (member, operator, name) in [
        ("SourceAccount", "StringEquals", "AWS:SourceAccount"),
        ("PrincipalOrgID", "StringEquals", "aws:PrincipalOrgID"),
        (
            "FunctionUrlAuthType",
            "StringEquals",
            "lambda:FunctionUrlAuthType",
        ),
        (
            "EventSourceToken",
            "StringEquals",
            "lambda:EventSourceToken",
        ),
        ("SourceArn", "ArnLike", "AWS:SourceArn"),
    ] {
        if let Some(value) = text(member) {
            condition(operator, name, value);
        }
    }
    if let Some(via_url) = request
        .get("InvokedViaFunctionUrl")
        .and_then(Value::as_bool)
    {
        condition("Bool", "lambda:InvokedViaFunctionUrl", &via_url.to_string());
    }
    let mut statement = json!({
        "Sid": id,
        "Effect": "Allow",
        "Principal": principal,
        "Action": action,
        "Resource": arn,
    });
    if !conditions.is_empty() {
        statement["Condition"] = conditions.into();
    }
    Ok(statement)
}

fn principal(given: &str) -> Result<Value, AwsError> {
    let is_account = given.len() == 12 && given.bytes().all(|byte| byte.is_ascii_digit());
    match given {
        "*" => Ok("*".into()),
        account if is_account => Ok(json!({"AWS": format!("arn:aws:iam::{account}:root")})),
        arn if arn.starts_with("arn:") => Ok(json!({"AWS": arn})),
        service if service.ends_with(".amazonaws.com") || service.ends_with(".amazon.com") => {
            Ok(json!({"Service": service}))
        }
        _ => Err(validate::invalid(
            "The provided principal was invalid. Please check the principal and try again.",
        )),
    }
}
