//! Overlay: Lambda's checks of an execution role and of the network, which moto does not make.
//!
//! Enters: a role, a dead-letter target, a VPC configuration, and moto as the place that knows
//! them. Leaves: nothing, or the error that Lambda answers. Policies are read as far as "does some
//! Allow name this action": conditions, resources and boundaries are not weighed.

use serde_json::{Map, Value, json};

use super::validate::invalid;
use crate::call::percent_decode;
use crate::moto::{Moto, elements};
use crate::reply::AwsError;

/// Checks that Lambda may assume `role`.
///
/// # Errors
///
/// `InvalidParameterValueException`, as Lambda answers also while a new role is not known
/// everywhere.
pub(crate) async fn check_trust(moto: &Moto, account: &str, role: &str) -> Result<(), AwsError> {
    let refused = || invalid("The role defined for the function cannot be assumed by Lambda.");
    let name = role.rsplit('/').next().unwrap_or_default();
    // A role that is missing, or an ARN that is none, is moto's to refuse.
    let Ok(xml) = iam(moto, account, &[("Action", "GetRole"), ("RoleName", name)]).await else {
        return Ok(());
    };
    let trusts = documents(&xml, "AssumeRolePolicyDocument")
        .iter()
        .any(|document| {
            statements(document).any(|statement| {
                allows(statement, "sts:AssumeRole")
                    && texts(&statement["Principal"]["Service"])
                        .any(|service| service == "lambda.amazonaws.com")
            })
        });
    if trusts { Ok(()) } else { Err(refused()) }
}

/// Checks that `role` may do what the configuration needs of it.
///
/// # Errors
///
/// `InvalidParameterValueException` with the permission that is missing.
pub(crate) async fn check_permissions(
    moto: &Moto,
    account: &str,
    role: &str,
    request: &Map<String, Value>,
) -> Result<(), AwsError> {
    let mut needed = Vec::new();
    let target = request
        .get("DeadLetterConfig")
        .and_then(|config| config["TargetArn"].as_str())
        .unwrap_or_default();
    match target.split(':').nth(2) {
        Some("sqs") => needed.push(("sqs:SendMessage", "SendMessage on SQS")),
        Some("sns") => needed.push(("sns:Publish", "Publish on SNS")),
        _ => {}
    }
    if !subnets(request).is_empty() {
        needed.push((
            "ec2:CreateNetworkInterface",
            "CreateNetworkInterface on EC2",
        ));
    }
    if needed.is_empty() {
        return Ok(());
    }
    let policies = policies_of(moto, account, role.rsplit('/').next().unwrap_or_default()).await;
    for (action, spoken) in needed {
        if !policies
            .iter()
            .any(|policy| statements(policy).any(|statement| allows(statement, action)))
        {
            return Err(invalid(&format!(
                "The provided execution role does not have permissions to call {spoken}"
            )));
        }
    }
    Ok(())
}

/// Checks that the subnets and security groups exist, and tells their VPC (empty without subnets).
///
/// # Errors
///
/// `InvalidParameterValueException` with EC2's words.
pub(crate) async fn vpc_of(
    moto: &Moto,
    account: &str,
    region: &str,
    request: &Map<String, Value>,
) -> Result<String, AwsError> {
    let subnets = subnets(request);
    if subnets.is_empty() {
        return Ok(String::new());
    }
    let vpc = &request["VpcConfig"];
    let groups: Vec<&str> = texts(&vpc["SecurityGroupIds"]).collect();
    let mut found = String::new();
    for (action, parameter, ids) in [
        ("DescribeSubnets", "SubnetId", &subnets),
        ("DescribeSecurityGroups", "GroupId", &groups),
    ] {
        for id in ids {
            let parameters = [
                ("Action", action),
                ("Version", "2016-11-15"),
                (&format!("{parameter}.1"), *id),
            ];
            let xml = moto
                .query((account, region, "ec2"), &parameters)
                .await
                .map_err(|xml| {
                    let part = |name| {
                        elements(&xml, name)
                            .first()
                            .copied()
                            .unwrap_or_default()
                            .to_owned()
                    };
                    invalid(&format!(
                        "Error occurred while {action}. EC2 Error Code: {}. EC2 Error Message: {}",
                        part("Code"),
                        part("Message")
                    ))
                })?;
            if let Some(vpc) = elements(&xml, "vpcId").first() {
                (*vpc).clone_into(&mut found);
            }
        }
    }
    Ok(found)
}

/// Fresh credentials of the role, as moto gives them: access key, secret key, session token.
pub(crate) async fn credentials(
    moto: &Moto,
    account: &str,
    region: &str,
    role: &str,
    session: &str,
) -> Result<(String, String, String), String> {
    let parameters = [
        ("Action", "AssumeRole"),
        ("Version", "2011-06-15"),
        ("RoleArn", role),
        ("RoleSessionName", session),
    ];
    let xml = moto.query((account, region, "sts"), &parameters).await?;
    let part = |name| {
        elements(&xml, name)
            .first()
            .map(|text| (*text).to_owned())
            .ok_or_else(|| format!("no {name} from STS"))
    };
    Ok((
        part("AccessKeyId")?,
        part("SecretAccessKey")?,
        part("SessionToken")?,
    ))
}

fn subnets(request: &Map<String, Value>) -> Vec<&str> {
    request
        .get("VpcConfig")
        .map(|vpc| texts(&vpc["SubnetIds"]).collect())
        .unwrap_or_default()
}

async fn iam(moto: &Moto, account: &str, parameters: &[(&str, &str)]) -> Result<String, String> {
    let parameters = [parameters, &[("Version", "2010-05-08")]].concat();
    moto.query((account, "us-east-1", "iam"), &parameters).await
}

/// The documents of all policies of a role, inline and attached.
async fn policies_of(moto: &Moto, account: &str, role: &str) -> Vec<Value> {
    let mut policies = Vec::new();
    let of_role = [("RoleName", role)];
    let ask = async |action: &str, more: &[(&str, &str)]| {
        iam(moto, account, &[&[("Action", action)], more].concat())
            .await
            .unwrap_or_default()
    };
    for name in elements(&ask("ListRolePolicies", &of_role).await, "member") {
        let xml = ask("GetRolePolicy", &[("RoleName", role), ("PolicyName", name)]).await;
        policies.extend(documents(&xml, "PolicyDocument"));
    }
    for arn in elements(
        &ask("ListAttachedRolePolicies", &of_role).await,
        "PolicyArn",
    ) {
        let xml = ask("GetPolicy", &[("PolicyArn", arn)]).await;
        let Some(version) = elements(&xml, "DefaultVersionId").first().copied() else {
            continue;
        };
        let xml = ask(
            "GetPolicyVersion",
            &[("PolicyArn", arn), ("VersionId", version)],
        )
        .await;
        policies.extend(documents(&xml, "Document"));
    }
    policies
}

/// Policy documents come percent-encoded, or as JSON with XML's escapes.
fn documents(xml: &str, name: &str) -> Vec<Value> {
    let plain = |text: &str| {
        text.replace("&quot;", "\"")
            .replace("&lt;", "<")
            .replace("&gt;", ">")
            .replace("&amp;", "&")
    };
    elements(xml, name)
        .into_iter()
        .filter_map(|text| {
            serde_json::from_str(&plain(text))
                .or_else(|_| serde_json::from_str(&percent_decode(text)))
                .ok()
        })
        .collect()
}

fn statements(policy: &Value) -> impl Iterator<Item = &Value> {
    let statement = &policy["Statement"];
    statement
        .as_array()
        .map_or_else(|| std::slice::from_ref(statement), Vec::as_slice)
        .iter()
}

fn allows(statement: &Value, action: &str) -> bool {
    statement["Effect"] == json!("Allow")
        && texts(&statement["Action"]).any(|pattern| matches(pattern, action))
}

/// One text, or the texts of an array.
fn texts(value: &Value) -> impl Iterator<Item = &str> {
    value
        .as_array()
        .map_or_else(|| std::slice::from_ref(value), Vec::as_slice)
        .iter()
        .filter_map(Value::as_str)
}

/// Whether an action matches a pattern with `*`, without regard to case.
fn matches(pattern: &str, action: &str) -> bool {
    let (pattern, action) = (pattern.to_ascii_lowercase(), action.to_ascii_lowercase());
    let mut parts = pattern.split('*');
    let Some(mut rest) = action.strip_prefix(parts.next().unwrap_or_default()) else {
        return false;
    };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else {
        return rest.is_empty();
    };
    for part in middle {
        let Some(at) = rest.find(part) else {
            return false;
        };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_action_matches_by_name_and_by_star() {
        for (pattern, action, expected) in [
            ("sqs:SendMessage", "sqs:SendMessage", true),
            ("sqs:sendmessage", "sqs:SendMessage", true),
            ("sqs:*", "sqs:SendMessage", true),
            ("*", "sqs:SendMessage", true),
            ("sqs:Send*", "sqs:SendMessage", true),
            ("sqs:*Message", "sqs:SendMessage", true),
            ("sqs:Send", "sqs:SendMessage", false),
            ("sns:*", "sqs:SendMessage", false),
            ("sqs:*Batch", "sqs:SendMessage", false),
        ] {
            assert_eq!(matches(pattern, action), expected, "{pattern} {action}");
        }
    }

    #[test]
    fn a_policy_document_is_read_in_either_encoding() {
        let expected = json!({"Statement": {"Effect": "Allow", "Action": ["sqs:*"]}});
        let escaped = expected.to_string().replace('"', "&quot;");
        let encoded = crate::call::percent_encode(&expected.to_string());
        for text in [escaped, encoded] {
            assert_eq!(
                documents(&format!("<Document>{text}</Document>"), "Document"),
                std::slice::from_ref(&expected)
            );
        }
        assert!(statements(&expected).any(|statement| allows(statement, "sqs:SendMessage")));
    }
}
