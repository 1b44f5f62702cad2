//! Whether a package has its bytecode, where the configuration does not say it.
//!
//! In: configuration, state, whether a new package is made, and the interpreters of this machine. Out: `compile_bytecode`, which changes
//! only with a package that is made anyway. Refuses what is planned and cannot be made: bytecode without an interpreter.

use crate::package::{self, PackageError, Source};
use crate::plugin::{Attr, Diagnostics, PlanContext};
use crate::provider::clients::Clients;
use crate::provider::report;

use super::ServerResource;
use super::memory;
use super::model::Server;
use super::spec;

/// Whether apply makes a package, other than for its bytecode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NewPackage {
    No,
    /// Only apply can tell, as something that decides it is unknown.
    Perhaps,
    Yes,
}

/// Plans `compile_bytecode`.
pub(super) async fn plan(
    context: &mut PlanContext<ServerResource>,
    planned: &mut Server,
    source: Option<&Source>,
    package: NewPackage,
) -> Result<(), Diagnostics> {
    let prior = context.prior.as_ref().map(|prior| prior.compile_bytecode);
    if !context.config.compile_bytecode.is_null() {
        let becomes = spec::compiles(planned);
        let made = package == NewPackage::Yes
            || prior.is_some_and(|prior| prior != planned.compile_bytecode);
        return match (source, context.data.clone()) {
            (Some(source), Some(clients)) if becomes && made => find(&clients, source)
                .await
                .map_err(|error| report::packaging(&error, source)),
            _ => Ok(()),
        };
    }
    planned.compile_bytecode = match (prior, package) {
        (Some(prior), NewPackage::No) => prior,
        (prior, _) => decide(context, source, prior, package).await?,
    };
    Ok(())
}

/// The value for a package that is made, or perhaps made.
async fn decide(
    context: &mut PlanContext<ServerResource>,
    source: Option<&Source>,
    prior: Option<Attr<bool>>,
    package: NewPackage,
) -> Result<Attr<bool>, Diagnostics> {
    let (Some(source), Some(clients)) = (source, context.data.clone()) else {
        return Ok(Attr::Unknown);
    };
    let reviewed = context.planned_private.as_ref();
    let compiles = match reviewed.and_then(memory::planned_bytecode) {
        Some(true) => {
            let found = find(&clients, source).await;
            found.map_err(|error| report::planned_with_bytecode(&error))?;
            true
        }
        Some(false) => false,
        None => match here(&clients, source).await {
            Ok(compiles) => compiles,
            Err(error) => {
                if prior == Some(Attr::Known(true)) {
                    let warning = report::no_bytecode_any_more(&error);
                    context.diagnostics.append(warning);
                }
                false
            }
        },
    };
    // Where apply may find that the package stays, its bytecode must stay too.
    let had = prior.is_some_and(|prior| prior.known() == Some(&true));
    if package == NewPackage::Perhaps && had != compiles {
        return Ok(Attr::Unknown);
    }
    if context.store_planned_private {
        memory::plan_bytecode(&mut context.private, compiles);
    }
    Ok(Attr::Known(compiles))
}

/// What a plan had to leave open, by the time of an apply.
pub(super) async fn settle(clients: &Clients, source: &Source, server: &mut Server) {
    if server.compile_bytecode.is_unknown() {
        let compiles = here(clients, source).await.unwrap_or(false);
        server.compile_bytecode = Attr::Known(compiles);
    }
}

/// Whether a package that is made here has bytecode.
///
/// # Errors
///
/// [`PackageError::NoInterpreter`]: it would, if this machine had one.
async fn here(clients: &Clients, source: &Source) -> Result<bool, PackageError> {
    if !source.takes_bytecode() {
        return Ok(false);
    }
    find(clients, source).await.map(|()| true)
}

/// Why `source` could not be packaged: to someone who asked for bytecode, or to someone whose plan did.
pub(super) fn not_packaged(error: &PackageError, source: &Source, config: &Server) -> Diagnostics {
    match error {
        PackageError::NoInterpreter { .. } if config.compile_bytecode.is_null() => {
            report::planned_with_bytecode(error)
        }
        _ => report::packaging(error, source),
    }
}

/// Looks where apply looks: `uv`, which is fetched for it, knows interpreters too.
async fn find(clients: &Clients, source: &Source) -> Result<(), PackageError> {
    let tools = clients.tools_for(source.tool(), None).await;
    let tools = tools.unwrap_or_else(|_| clients.tools());
    package::find_compiler(&tools, source).await
}
