//! `include_tools`, `exclude_tools` and `tool_prefix`: which tools callers see, and under which names.

use mcplambda_bridge::glob::Glob;

use crate::plugin::schema::{Attribute, Schema};
use crate::plugin::validators::{self, Validator};
use crate::plugin::{Value, ValueType};

pub(super) fn tools(schema: Schema) -> Schema {
    let globs = |description: &str| {
        Attribute::set(ValueType::String)
            .optional()
            .validate(validators::each(glob()))
            .description(description)
    };
    schema
        .attribute(
            "include_tools",
            globs(
                "Tools that callers see: globs over the server's own names, in which `*` is any characters, `?` is one and `[ab]` one of \
                 a set. Others are in no list, and calls of them are refused. Not given: all.",
            ),
        )
        .attribute(
            "exclude_tools",
            globs("Tools that callers do not see, even if `include_tools` has them: globs as there."),
        )
        .attribute(
            "tool_prefix",
            Attribute::string()
                .optional()
                .validate(validators::regex(
                    "^[A-Za-z0-9_-]{1,64}$",
                    "must have 1 to 64 characters, each a letter, digit, underscore or hyphen",
                ))
                .description(
                    "Put before the name of each tool that callers see, so that servers with tools of the same name can be told apart.",
                ),
        )
}

fn glob() -> Validator {
    Validator::new("must be a glob such as `get_*`", |value| match value {
        Value::String(text) => match Glob::parse(text) {
            Ok(_) => Ok(()),
            Err(error) => Err(format!("must be a glob such as `get_*`: {error}")),
        },
        _ => Ok(()),
    })
}
