//! `mcplambda_package`: resolves a server's packages while planning, so that what is reviewed is what is installed.

use std::collections::BTreeMap;

use crate::package::{self, Architecture, Lock, MinimumAge, ServerSpec};
use crate::plugin::schema::{Attribute, Schema};
use crate::plugin::{Attr, DataSource, DataSourceContext, Diagnostics, ValueType, validators};

use super::clients::Clients;
use super::report;

crate::model! {
    /// `mcplambda_package` as configured or read.
    pub(crate) struct Package {
        pub(crate) command: String,
        pub(crate) args: Vec<String>,
        pub(crate) packages: Vec<String>,
        pub(crate) minimum_package_age: f64,
        pub(crate) source_dir: String,
        pub(crate) source_excludes: Vec<String>,
        pub(crate) runtime: String,
        pub(crate) architecture: String,
        pub(crate) id: String,
        pub(crate) source_hash: String,
        pub(crate) lock: String,
        pub(crate) versions: BTreeMap<String, String>,
    }
}

/// The data source.
pub(crate) struct PackageDataSource;

impl DataSource for PackageDataSource {
    type Model = Package;
    type Data = Clients;

    fn type_name(&self) -> &str {
        "mcplambda_package"
    }

    fn schema(&self) -> Schema {
        let strings = || Attribute::list(ValueType::String).optional();
        Schema::new()
            .description(
                "Resolves the packages of a server for Lambda while planning. Given to `lock` of `mcplambda_server`, exactly what was \
                 reviewed is installed, also when plan and apply run on different machines.",
            )
            .attribute("command", Attribute::string().required().description("As `command` of `mcplambda_server`."))
            .attribute("args", strings().description("As `args` of `mcplambda_server`."))
            .attribute("packages", strings().description("As `packages` of `mcplambda_server`."))
            .attribute(
                "minimum_package_age",
                Attribute::number()
                    .optional()
                    .validate(validators::at_least(0))
                    .description("As `minimum_package_age` of `mcplambda_server`."),
            )
            .attribute("source_dir", Attribute::string().optional().description("As `source_dir` of `mcplambda_server`."))
            .attribute("source_excludes", strings().description("As `source_excludes` of `mcplambda_server`."))
            .attribute(
                "runtime",
                Attribute::string()
                    .optional()
                    .computed()
                    .description("As `runtime` of `mcplambda_server`."),
            )
            .attribute(
                "architecture",
                Attribute::string()
                    .optional()
                    .computed()
                    .default("x86_64")
                    .validate(validators::one_of(&["x86_64", "arm64"]))
                    .description("As `architecture` of `mcplambda_server`."),
            )
            .attribute("id", Attribute::string().computed().description("What the packages were resolved for."))
            .attribute(
                "lock",
                Attribute::string()
                    .computed()
                    .description(
                        "Exact versions and hashes, one line a package: `name==version --hash=sha256:…` of Python packages, \
                         `name@version sha512-…` of npm packages. Null where nothing is installed.",
                    ),
            )
            .attribute(
                "source_hash",
                Attribute::string().computed().description(
                    "SHA-256 over names and contents of the files of `source_dir`. Given to `source_hash` of `mcplambda_server`, no other \
                     files are deployed.",
                ),
            )
            .attribute(
                "versions",
                Attribute::map(ValueType::String).computed().description("The packages: name to version; of npm packages `a>b` is the `b` that lies inside `a`."),
            )
    }

    async fn read(
        &self,
        context: &mut DataSourceContext<Clients>,
        state: &mut Package,
    ) -> Result<(), Diagnostics> {
        let spec = ServerSpec {
            command: state.command.known().cloned().unwrap_or_default(),
            args: state.args.known().cloned().unwrap_or_default(),
            packages: state.packages.known().cloned().unwrap_or_default(),
            // Neither scripts nor bytecode change what is locked.
            allow_scripts: None,
            compile_bytecode: false,
            runtime: state.runtime.known().cloned(),
            architecture: match state.architecture.as_str() {
                Some("arm64") => Architecture::Arm64,
                // The schema allows nothing else, and defaults to this.
                _ => Architecture::X86_64,
            },
            cwd: None,
            source_dir: state.source_dir.known().cloned(),
            source_excludes: state.source_excludes.known().cloned().unwrap_or_default(),
            layered: false,
        };
        let source = package::plan_source(&spec).map_err(|error| report::package(&error))?;
        let source = package::open(source)
            .await
            .map_err(|error| report::package(&error))?;
        let days = state.minimum_package_age.known().copied();
        let minimum_age = days.and_then(MinimumAge::days);
        if minimum_age.is_some() {
            source
                .takes_minimum_age()
                .map_err(|error| report::package(&error))?;
        }
        let clients = context.require_data()?;
        let tools = clients
            .tools_for(source.resolver(), minimum_age)
            .await
            .map_err(|error| report::packaging(&error, &source))?;
        let lock = match source.is_locked() {
            true => {
                let found = package::resolution(&tools, &source)
                    .await
                    .map_err(|error| report::packaging(&error, &source))?;
                context.diagnostics.append(report::notices(&found.notices));
                Some(found.lock)
            }
            false => None,
        };
        state.runtime = match source.image() {
            // Images have none.
            Some(_) => Attr::Null,
            None => Attr::Known(source.runtime().to_owned()),
        };
        state.id = Attr::Known(source.identity());
        state.source_hash = Attr::from(source.content_hash().map(str::to_owned));
        state.versions = Attr::Known(lock.as_ref().map(Lock::versions).unwrap_or_default());
        state.lock = Attr::from(lock.map(|lock| lock.to_string()));
        Ok(())
    }
}
