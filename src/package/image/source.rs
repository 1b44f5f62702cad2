//! A server published as a container image: which image, for which processor, started how. Pure.

use oci_client::Reference;

use super::command::DockerRun;
use super::startup::Startup;
use crate::package::error::Attribute;
use crate::package::{Architecture, PackageError, ServerSpec};

/// What `docker run …` means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageSource {
    pub(crate) run: DockerRun,
    /// With its registry, and a tag or a digest.
    pub(crate) reference: Reference,
    /// As registries name it: `docker.io/mcp/time:latest`.
    pub(crate) name: String,
    pub(crate) architecture: Architecture,
}

impl ImageSource {
    /// Reads the command line.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Input`](crate::package::ErrorKind::Input), pointing at the attribute and element.
    pub fn plan(spec: &ServerSpec) -> Result<Self, PackageError> {
        let run = DockerRun::parse(&spec.args, spec.architecture)?;
        if spec.runtime.is_some() {
            return Err(PackageError::Invalid {
                attribute: Attribute::whole("runtime"),
                reason: "an image brings its own interpreter; leave `runtime` out".to_owned(),
            });
        }
        if !spec.packages.is_empty() {
            return Err(PackageError::Invalid {
                attribute: Attribute::whole("packages"),
                reason: "nothing is installed into an image; leave `packages` out, or build an image that has them"
                    .to_owned(),
            });
        }
        let attribute = Attribute::element("args", run.image_at);
        let no_name = |error: String| PackageError::Invalid {
            attribute,
            reason: format!(
                "`{}` is not the name of an image ({error}); write `repository:tag`, `registry/repository:tag` or \
                 `repository@sha256:…`",
                run.image
            ),
        };
        let reference: Reference = run
            .image
            .parse()
            .map_err(|error: oci_client::ParseError| no_name(error.to_string()))?;
        if reference.repository().contains(char::is_uppercase) {
            return Err(no_name("repositories are in lower case".to_owned()));
        }
        Ok(Self {
            name: reference.whole(),
            run,
            reference,
            architecture: spec.architecture,
        })
    }

    /// See [`Source::identity`](crate::package::Source::identity).
    pub fn identity(&self) -> String {
        format!("image {} {}", self.architecture, self.name)
    }

    /// The element of the configuration that names the image.
    pub fn attribute(&self) -> Attribute {
        Attribute::element("args", self.run.image_at)
    }

    /// Registry and repository: `docker.io/library/alpine`.
    pub(crate) fn repository(&self) -> String {
        format!(
            "{}/{}",
            self.reference.registry(),
            self.reference.repository()
        )
    }

    /// The server's command line.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Input`](crate::package::ErrorKind::Input) when neither the image nor the command line says what to start.
    pub fn argv(&self, startup: &Startup) -> Result<Vec<String>, PackageError> {
        let argv: Vec<String> = match &self.run.entrypoint {
            // As Docker does it, another entry point drops the image's command.
            Some(entrypoint) => Some(entrypoint)
                .filter(|entrypoint| !entrypoint.is_empty())
                .into_iter()
                .chain(&self.run.args)
                .cloned()
                .collect(),
            None => {
                let args = match self.run.args.is_empty() {
                    true => &startup.command,
                    false => &self.run.args,
                };
                startup.entrypoint.iter().chain(args).cloned().collect()
            }
        };
        if argv.is_empty() {
            return Err(PackageError::Invalid {
                attribute: self.attribute(),
                reason: format!(
                    "image `{}` does not say what to start; write the command after it, or use `--entrypoint`",
                    self.name
                ),
            });
        }
        Ok(argv)
    }

    /// The server's working directory, absolute.
    pub fn working_directory<'a>(&'a self, startup: &'a Startup) -> &'a str {
        let directory = self.run.workdir.as_deref().unwrap_or(&startup.directory);
        if directory.is_empty() { "/" } else { directory }
    }

    /// `-e NAME=value`.
    pub fn variables(&self) -> &std::collections::BTreeMap<String, String> {
        &self.run.variables
    }

    /// The names of [`Self::variables`], each with the element that holds it.
    pub fn given(&self) -> impl Iterator<Item = (&str, Attribute)> {
        let named = self.run.variables_at.iter();
        named.map(|(name, at)| (name.as_str(), Attribute::element("args", *at)))
    }

    /// `-e NAME`, each with the element that holds it: their values are the resource's to give.
    pub fn passed_on(&self) -> impl Iterator<Item = (&str, Attribute)> {
        let named = self.run.passed_on.iter();
        named.map(|(name, at)| (name.as_str(), Attribute::element("args", *at)))
    }
}
