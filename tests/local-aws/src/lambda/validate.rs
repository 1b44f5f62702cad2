//! Overlay: Lambda's checks of what a request says, for the members that moto takes as they come.
//!
//! Enters: a request's JSON. Leaves: nothing, or the error that Lambda answers. Limits and patterns
//! are those of Lambda's API reference (CreateFunction, UpdateFunctionConfiguration, CreateAlias)
//! and quota page.

use serde_json::{Map, Value};

use crate::reply::AwsError;

const RUNTIMES: [&str; 16] = [
    "nodejs20.x",
    "nodejs22.x",
    "nodejs24.x",
    "python3.9",
    "python3.10",
    "python3.11",
    "python3.12",
    "python3.13",
    "python3.14",
    "java11",
    "java17",
    "java21",
    "dotnet8",
    "ruby3.3",
    "provided.al2",
    "provided.al2023",
];

/// Variables that a function may not set (Developer Guide, "Defined runtime environment
/// variables").
const RESERVED: [&str; 19] = [
    "_HANDLER",
    "_X_AMZN_TRACE_ID",
    "AWS_DEFAULT_REGION",
    "AWS_REGION",
    "AWS_EXECUTION_ENV",
    "AWS_LAMBDA_FUNCTION_NAME",
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
    "AWS_LAMBDA_FUNCTION_VERSION",
    "AWS_LAMBDA_INITIALIZATION_TYPE",
    "AWS_LAMBDA_LOG_GROUP_NAME",
    "AWS_LAMBDA_LOG_STREAM_NAME",
    "AWS_ACCESS_KEY",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_LAMBDA_RUNTIME_API",
    "LAMBDA_TASK_ROOT",
    "LAMBDA_RUNTIME_DIR",
    "AWS_LAMBDA_METADATA_API",
];

/// All variables together, in bytes.
const MAX_ENVIRONMENT: usize = 4096;

/// Checks the members of a function's configuration that are there.
///
/// # Errors
///
/// `ValidationException` for values out of bounds, `InvalidParameterValueException` for what Lambda
/// checks later.
pub(crate) fn configuration(request: &Map<String, Value>) -> Result<(), AwsError> {
    range(request.get("Timeout"), "timeout", 1, 900)?;
    range(request.get("MemorySize"), "memorySize", 128, 10_240)?;
    range(
        request
            .get("EphemeralStorage")
            .and_then(|storage| storage.get("Size")),
        "ephemeralStorage.size",
        512,
        10_240,
    )?;
    length(request.get("Description"), "description", 256)?;
    length(request.get("Handler"), "handler", 128)?;
    if let Some(handler) = request.get("Handler").and_then(Value::as_str)
        && (handler.is_empty() || handler.contains(char::is_whitespace))
    {
        return Err(pattern(handler, "handler", "[^\\s]+"));
    }
    if let Some(runtime) = request.get("Runtime").and_then(Value::as_str)
        && !RUNTIMES.contains(&runtime)
    {
        return Err(invalid(&format!(
            "Value {runtime} at 'runtime' failed to satisfy constraint: Member must satisfy enum value set: \
             [{}] or be a valid ARN",
            RUNTIMES.join(", ")
        )));
    }
    environment(request)
}

fn environment(request: &Map<String, Value>) -> Result<(), AwsError> {
    let Some(Value::Object(variables)) = request
        .get("Environment")
        .and_then(|environment| environment.get("Variables"))
    else {
        return Ok(());
    };
    for name in variables.keys() {
        let mut characters = name.chars();
        let legal = characters
            .next()
            .is_some_and(|first| first.is_ascii_alphabetic())
            && name.len() > 1
            && characters.all(|c| c.is_ascii_alphanumeric() || c == '_');
        // `_HANDLER` and its like are refused below, by name.
        if !legal && !RESERVED.contains(&name.as_str()) {
            return Err(pattern(
                name,
                "environment.variables",
                "[a-zA-Z]([a-zA-Z0-9_])+",
            ));
        }
    }
    let reserved: Vec<&str> = variables
        .keys()
        .map(String::as_str)
        .filter(|name| RESERVED.contains(name))
        .collect();
    let prefix = "Lambda was unable to configure your environment variables because the environment variables you have provided";
    if !reserved.is_empty() {
        return Err(invalid(&format!(
            "{prefix} contains reserved keys that are currently not supported for modification. Reserved keys used in \
             this request: {}",
            reserved.join(", ")
        )));
    }
    // Lambda measures the variables as JSON.
    let measured = Value::Object(variables.clone()).to_string();
    if measured.len() > MAX_ENVIRONMENT {
        return Err(invalid(&format!(
            "{prefix} exceeded the 4KB limit. String measured: {measured}"
        )));
    }
    Ok(())
}

/// Checks what CreateFunction must have, beyond its configuration.
///
/// # Errors
///
/// As [`configuration`].
pub(crate) fn new_function(request: &Map<String, Value>) -> Result<(), AwsError> {
    let name = request
        .get("FunctionName")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let own = super::route::FunctionRef::parse(name).name;
    let legal = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if own.is_empty() || !own.chars().all(legal) {
        return Err(pattern(
            name,
            "functionName",
            "(arn:(aws[a-zA-Z-]*)?:lambda:)?([a-z]{2}(-gov)?-[a-z]+-\\d{1}:)?(\\d{12}:)?(function:)?([a-zA-Z0-9-_]+)(:(\\$LATEST|[a-zA-Z0-9-_]+))?",
        ));
    }
    if own.len() > 64 {
        return Err(validation(
            name,
            "functionName",
            "Member must have length less than or equal to 64",
        ));
    }
    let zip_based = request.get("PackageType").and_then(Value::as_str) != Some("Image");
    if zip_based
        && ["Runtime", "Handler"]
            .iter()
            .any(|member| request.get(*member).is_none_or(Value::is_null))
    {
        return Err(invalid(
            "Runtime and Handler are mandatory parameters for functions created with deployment packages.",
        ));
    }
    if request
        .get("Tags")
        .and_then(Value::as_object)
        .is_some_and(|tags| tags.len() > 50)
    {
        return Err(invalid("Too many tags: a resource has at most 50"));
    }
    configuration(request)
}

/// Checks an alias's name.
///
/// # Errors
///
/// `ValidationException`.
pub(crate) fn alias_name(name: &str) -> Result<(), AwsError> {
    let legal = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if name.is_empty() || !name.chars().all(legal) || name.chars().all(|c| c.is_ascii_digit()) {
        return Err(pattern(name, "name", "(?!^[0-9]+$)([a-zA-Z0-9-_]+)"));
    }
    if name.len() > 128 {
        return Err(validation(
            name,
            "name",
            "Member must have length less than or equal to 128",
        ));
    }
    Ok(())
}

/// Checks the members of a function URL's configuration that are there.
///
/// # Errors
///
/// `ValidationException`.
pub(crate) fn function_url(request: &Map<String, Value>) -> Result<(), AwsError> {
    if let Some(auth_type) = request.get("AuthType").and_then(Value::as_str) {
        self::auth_type(auth_type)?;
    }
    if let Some(mode) = request.get("InvokeMode").and_then(Value::as_str) {
        one_of(mode, "invokeMode", &["BUFFERED", "RESPONSE_STREAM"])?;
    }
    let Some(cors) = request.get("Cors") else {
        return Ok(());
    };
    range(cors.get("MaxAge"), "cors.maxAge", 0, 86_400)?;
    // No method of more than six letters: AWS answers OPTIONS itself.
    for (list, at, items, letters) in [
        ("AllowMethods", "cors.allowMethods", 6, 6),
        ("AllowOrigins", "cors.allowOrigins", 100, 253),
        ("AllowHeaders", "cors.allowHeaders", 100, 1024),
        ("ExposeHeaders", "cors.exposeHeaders", 100, 1024),
    ] {
        let Some(Value::Array(entries)) = cors.get(list) else {
            continue;
        };
        if entries.len() > items {
            return Err(validation(
                &cors[list].to_string(),
                at,
                &format!("Member must have length less than or equal to {items}"),
            ));
        }
        for entry in entries {
            length(Some(entry), at, letters)?;
        }
    }
    Ok(())
}

/// Checks the alias of a function URL; none is one too.
///
/// # Errors
///
/// `ValidationException`: a version has no URL.
pub(crate) fn url_qualifier(qualifier: &str) -> Result<(), AwsError> {
    let legal = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let number = !qualifier.is_empty() && qualifier.bytes().all(|byte| byte.is_ascii_digit());
    if number || !qualifier.chars().all(legal) {
        return Err(pattern(
            qualifier,
            "qualifier",
            "((?!^\\d+$)^[0-9a-zA-Z-_]+$)",
        ));
    }
    Ok(())
}

/// Checks how a function URL knows its callers.
///
/// # Errors
///
/// `ValidationException`.
pub(crate) fn auth_type(auth_type: &str) -> Result<(), AwsError> {
    one_of(auth_type, "authType", &["NONE", "AWS_IAM"])
}

/// Checks the id of a policy's statement.
///
/// # Errors
///
/// `ValidationException`.
pub(crate) fn statement_id(id: &str) -> Result<(), AwsError> {
    let legal = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if id.is_empty() || !id.chars().all(legal) {
        return Err(pattern(id, "statementId", "([a-zA-Z0-9-_]+)"));
    }
    length(Some(&id.into()), "statementId", 100)
}

/// Checks the action of a policy's statement.
///
/// # Errors
///
/// `ValidationException`.
pub(crate) fn permission_action(action: &str) -> Result<(), AwsError> {
    let name = action.strip_prefix("lambda:").unwrap_or_default();
    let named = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphabetic());
    if named || name == "*" || action == "*" {
        return Ok(());
    }
    Err(pattern(
        action,
        "action",
        "(lambda:[*]|lambda:[a-zA-Z]+|[*])",
    ))
}

fn one_of(value: &str, at: &str, values: &[&str]) -> Result<(), AwsError> {
    if values.contains(&value) {
        return Ok(());
    }
    let values = values.join(", ");
    Err(validation(
        value,
        at,
        &format!("Member must satisfy enum value set: [{values}]"),
    ))
}

fn range(value: Option<&Value>, at: &str, least: i64, most: i64) -> Result<(), AwsError> {
    let Some(value) = value.filter(|value| !value.is_null()) else {
        return Ok(());
    };
    match value.as_i64() {
        Some(number) if number < least => Err(validation(
            &number.to_string(),
            at,
            &format!("Member must have value greater than or equal to {least}"),
        )),
        Some(number) if number > most => Err(validation(
            &number.to_string(),
            at,
            &format!("Member must have value less than or equal to {most}"),
        )),
        Some(_) => Ok(()),
        None => Err(AwsError::new(
            400,
            "SerializationException",
            format!("'{at}' must be a whole number"),
        )),
    }
}

fn length(value: Option<&Value>, at: &str, most: usize) -> Result<(), AwsError> {
    match value.and_then(Value::as_str) {
        Some(text) if text.chars().count() > most => Err(validation(
            text,
            at,
            &format!("Member must have length less than or equal to {most}"),
        )),
        _ => Ok(()),
    }
}

fn pattern(value: &str, at: &str, pattern: &str) -> AwsError {
    validation(
        value,
        at,
        &format!("Member must satisfy regular expression pattern: {pattern}"),
    )
}

fn validation(value: &str, at: &str, constraint: &str) -> AwsError {
    AwsError::new(
        400,
        "ValidationException",
        format!(
            "1 validation error detected: Value '{value}' at '{at}' failed to satisfy constraint: {constraint}"
        ),
    )
}

/// `InvalidParameterValueException`.
pub(crate) fn invalid(message: &str) -> AwsError {
    AwsError::new(400, "InvalidParameterValueException", message)
}
