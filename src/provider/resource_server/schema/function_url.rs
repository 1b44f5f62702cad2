//! `function_url`: an HTTPS endpoint for MCP clients.
//!
//! Bounds are those of Lambda's API reference, `CreateFunctionUrlConfig` and `Cors`.

use crate::plugin::ValueType;
use crate::plugin::schema::{Attribute, Attributes, Schema};
use crate::plugin::validators;

/// A scheme and a host, as browsers send them: no path, no user.
const ORIGIN: &str = r"^(\*|null|[a-zA-Z][a-zA-Z0-9+.-]*://[^/?#@\s]+)$";

pub(super) fn function_url(schema: Schema) -> Schema {
    schema.attribute(
        "function_url",
        Attribute::single_nested(
            Attributes::new()
                .attribute("auth_type", auth_type())
                .attribute("invoke_mode", invoke_mode())
                .attribute("allowed_origins", allowed_origins())
                .attribute("cors", cors()),
        )
        .optional()
        .description(
            "Gives the alias an HTTPS endpoint, `url`, that speaks MCP's Streamable HTTP transport. Removed when the attribute goes. \
             `{}` is a URL for requests signed with SigV4.",
        ),
    )
}

fn auth_type() -> Attribute {
    Attribute::string()
        .optional()
        .computed()
        .default("AWS_IAM")
        .validate(validators::one_of(&["AWS_IAM", "NONE"]))
        .description(
            "Who may call the URL. `AWS_IAM`: requests signed with SigV4, from callers whose own policies allow \
             `lambda:InvokeFunctionUrl` and `lambda:InvokeFunction` on `qualified_arn`; callers in other accounts also need \
             statements in the policy of the alias, which are left as they are. `NONE`: everybody on the internet; the two \
             statements that Lambda asks for are put into the policy of the alias.",
        )
}

fn invoke_mode() -> Attribute {
    Attribute::string()
        .optional()
        .computed()
        .default("BUFFERED")
        .validate(validators::one_of(&["BUFFERED", "RESPONSE_STREAM"]))
        .description(
            "When callers get an answer. `BUFFERED`: when it is whole. `RESPONSE_STREAM`: progress and log notifications as they \
             come, then the result. While an apply changes this, calls through the URL may fail for a moment.",
        )
}

fn allowed_origins() -> Attribute {
    Attribute::set(ValueType::String)
        .optional()
        .validate(validators::items_between(0, 100))
        .validate(validators::each(origin()))
        .description(
            "Values of the `Origin` header that are served, `*` for any; every other request with that header is refused with 403, \
             as MCP wants it against DNS rebinding. Requests without the header, which no browser makes, are always served. \
             Default: `cors.allow_origins`, and without `cors` none.",
        )
}

fn cors() -> Attribute {
    let headers = |description: &str| {
        Attribute::set(ValueType::String)
            .optional()
            .validate(validators::items_between(0, 100))
            .validate(validators::each(validators::length_between(1, 1024)))
            .description(description)
    };
    Attribute::single_nested(
        Attributes::new()
            .attribute(
                "allow_origins",
                Attribute::set(ValueType::String)
                    .required()
                    .validate(validators::items_between(1, 100))
                    .validate(validators::each(validators::length_between(1, 253)))
                    .validate(validators::each(origin()))
                    .description("Origins whose pages may read the answers, `*` for any."),
            )
            .attribute(
                "allow_methods",
                Attribute::set(ValueType::String)
                    .optional()
                    .validate(validators::each(validators::one_of(&[
                        "*", "DELETE", "GET", "HEAD", "PATCH", "POST", "PUT",
                    ])))
                    .description("Methods that pages may use, `*` for any. MCP needs `POST`."),
            )
            .attribute(
                "allow_headers",
                headers(
                    "Request headers that pages may set, `*` for any. MCP clients set `content-type`, `mcp-protocol-version`, \
                     `mcp-session-id`, `mcp-method` and `mcp-name`.",
                ),
            )
            .attribute(
                "expose_headers",
                headers("Response headers that pages may read, such as `mcp-session-id`."),
            )
            .attribute(
                "allow_credentials",
                Attribute::bool()
                    .optional()
                    .computed()
                    .default(false)
                    .description("Whether pages may send cookies and other credentials."),
            )
            .attribute(
                "max_age",
                Attribute::integer()
                    .optional()
                    .computed()
                    .default(0)
                    .validate(validators::between(0, 86_400))
                    .description("Seconds that browsers may keep the answer to a preflight request."),
            ),
    )
    .optional()
    .description(
        "CORS as Lambda answers it, before the function is called. Not given, the bridge answers browsers of `allowed_origins` \
         itself, with what MCP clients need.",
    )
}

fn origin() -> validators::Validator {
    validators::regex(
        ORIGIN,
        "must be an origin such as `https://example.com`, without a path, or `*`",
    )
}
