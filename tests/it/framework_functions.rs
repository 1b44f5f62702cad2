//! Provider functions: arguments by position, unknown and null where they are allowed, errors at their argument.

use mcplambda::plugin::tfplugin6 as proto;
use serde_json::{Value, json};

use crate::framework_core::{Core, decoded};
use crate::tfclient::value::{self, unknown};

async fn call(name: &str, arguments: &[Value]) -> Result<Value, (String, Option<i64>)> {
    let core = Core::connect().await;
    let request = proto::call_function::Request {
        name: name.to_owned(),
        arguments: arguments.iter().map(value::encode).collect(),
    };
    let response = core
        .client
        .clone()
        .call_function(request)
        .await
        .expect("an answer")
        .into_inner();
    match response.error {
        None => Ok(decoded(response.result)),
        Some(error) => {
            assert_eq!(response.result, None, "a result beside an error");
            Err((error.text, error.function_argument))
        }
    }
}

#[tokio::test]
async fn a_function_takes_any_number_of_further_arguments() {
    assert_eq!(call("join", &[json!("-")]).await, Ok(json!("")));
    assert_eq!(
        call("join", &[json!("-"), json!("a"), json!(null), json!("b")]).await,
        Ok(json!("a-b"))
    );
}

#[tokio::test]
async fn an_unknown_argument_reaches_a_function_that_allows_it() {
    assert_eq!(call("join", &[json!("-"), unknown()]).await, Ok(unknown()));
}

#[tokio::test]
async fn a_dynamic_argument_comes_back_with_its_type() {
    for argument in [
        json!({ "$dynamic": [["list", "number"], [1, 2]] }),
        json!({ "$dynamic": [["object", { "a": ["set", "bool"] }], { "a": [true] }] }),
        json!({ "$dynamic": ["string", null] }),
        json!(null),
        unknown(),
    ] {
        assert_eq!(
            call("echo", std::slice::from_ref(&argument)).await,
            Ok(argument)
        );
    }
}

#[tokio::test]
async fn an_error_points_at_its_argument() {
    assert_eq!(
        call("join", &[json!("-"), json!("a"), json!("bad")]).await,
        Err(("this part is bad".to_owned(), Some(2)))
    );
    assert_eq!(
        call("join", &[json!(5)]).await,
        Err((
            "Terraform sent a argument that does not fit the provider's schema: string is required, not a number."
                .to_owned(),
            Some(0)
        ))
    );
}

#[tokio::test]
async fn a_call_that_cannot_be_made_is_an_error() {
    assert_eq!(
        call("ghost", &[]).await,
        Err((
            "Unknown function: the provider has no function named \"ghost\"".to_owned(),
            None
        ))
    );
    assert_eq!(
        call("join", &[]).await,
        Err(("the function takes at least 1 arguments".to_owned(), None))
    );
    assert_eq!(
        call("echo", &[json!(null), json!(null)]).await,
        Err(("the function takes fewer arguments".to_owned(), Some(1)))
    );
}

#[tokio::test]
async fn a_panic_in_a_function_is_an_error_of_that_call() {
    let (text, argument) = call("join", &[json!("-"), json!("panic")])
        .await
        .expect_err("it panics");
    assert!(text.ends_with("in a function"), "{text}");
    assert_eq!(argument, None);
}
