//! `secrets` and `secrets_ttl`: variables of the server whose values Terraform never sees.

use mcplambda_bridge::secret_reference::SecretReference;

use crate::plugin::schema::{Attribute, Schema};
use crate::plugin::validators::{self, Validator};
use crate::plugin::{Value, ValueType};

use super::{unreserved, variable};

pub(super) fn secrets(schema: Schema) -> Schema {
    schema
        .attribute(
            "secrets",
            Attribute::map(ValueType::String)
                .optional()
                .validate(validators::each_key(variable()))
                .validate(validators::each_key(unreserved()))
                .validate(validators::each(reference()))
                .description(
                    "Environment variables of the server that are read from AWS when it starts: name to where the value is, as \
                     `valueFrom` of ECS has it. That is the full ARN of a Secrets Manager secret, with \
                     `:<json key>:<version stage>:<version id>` behind it or not, or the ARN of a Parameter Store parameter. Only these \
                     references are part of the function's configuration and of the state; the values go to the server alone. The managed \
                     role may read exactly these secrets, and decrypt them. A role that is brought with `role_arn` must allow \
                     `secretsmanager:GetSecretValue`, `ssm:GetParameter` and, for keys of your own, `kms:Decrypt` itself. A name must not \
                     be in `env` too.",
                ),
        )
        .attribute(
            "secrets_ttl",
            Attribute::integer()
                .optional()
                .validate(validators::between(1, i64::from(u32::MAX)))
                .validate(validators::requires(&["secrets"]))
                .description(
                    "Seconds after which `secrets` are read again; where a value has changed, the server is restarted with it before the \
                     next call. Not given: they are read once for each execution environment.",
                ),
        )
}

fn reference() -> Validator {
    Validator::new(
        "must refer to a secret or parameter by its ARN",
        |value| match value {
            Value::String(text) => match SecretReference::parse(text) {
                Ok(_) => Ok(()),
                Err(error) => Err(format!("must refer to a secret: {error}")),
            },
            _ => Ok(()),
        },
    )
}
