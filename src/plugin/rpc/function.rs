//! Provider functions.

use super::super::conform;
use super::super::diagnostics::{Diagnostic, Diagnostics};
use super::super::function::{Arguments, FunctionError};
use super::super::path::Path;
use super::super::provider::Provider;
use super::super::server::Server;
use super::super::tfplugin6 as proto;
use super::super::wire;

pub(super) async fn call_function<P: Provider>(
    server: &Server<P>,
    request: proto::call_function::Request,
) -> Result<proto::call_function::Response, Diagnostics> {
    let Some(entry) = server.functions.get(&request.name) else {
        let detail = format!("the provider has no function named {:?}", request.name);
        return Err(Diagnostic::error("Unknown function", detail).into());
    };
    let mut arguments = Vec::new();
    for (index, argument) in request.arguments.iter().enumerate() {
        let Some(parameter) = entry.signature.parameter_at(index) else {
            return Ok(failed(&FunctionError::argument(
                index,
                "the function takes fewer arguments",
            )));
        };
        match wire::value(Some(argument), &parameter.value_type, "argument") {
            Ok(value) => arguments.push(value),
            Err(errors) => {
                let text = errors
                    .iter()
                    .map(|error| error.detail.clone())
                    .collect::<Vec<_>>()
                    .join("\n");
                return Ok(failed(&FunctionError::argument(index, text)));
            }
        }
    }
    if arguments.len() < entry.signature.parameters.len() {
        let text = format!(
            "the function takes at least {} arguments",
            entry.signature.parameters.len()
        );
        return Ok(failed(&FunctionError::new(text)));
    }
    match entry.function.call(Arguments(arguments)).await {
        Ok(result) => {
            let mut diagnostics = Diagnostics::new();
            let result = conform::to_type(
                &entry.signature.returns,
                result,
                &Path::ROOT,
                &mut diagnostics,
            );
            if diagnostics.has_errors() {
                return Err(diagnostics);
            }
            let result = Some(wire::dynamic_value(
                &result,
                &entry.signature.returns,
                "result",
            )?);
            Ok(proto::call_function::Response {
                result,
                error: None,
            })
        }
        Err(error) => Ok(failed(&error)),
    }
}

fn failed(error: &FunctionError) -> proto::call_function::Response {
    let function_argument = error.argument.and_then(|index| i64::try_from(index).ok());
    proto::call_function::Response {
        result: None,
        error: Some(proto::FunctionError {
            text: error.text.clone(),
            function_argument,
        }),
    }
}
