//! The repository that a user names for images: parsed and judged. Pure.
//!
//! Enters: `<account>.dkr.ecr.<region>.amazonaws.com/<name>`. Leaves: the same, with what it says. Refuses what is no repository of ECR,
//! because Lambda takes images from nowhere else, and repositories of another region than the function's. A registry on loopback may
//! stand for ECR: whether it does is for ECR's own answer to say.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// See the module's documentation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RepositoryUrl {
    host: String,
    /// Account and region; `None` on loopback.
    place: Option<(String, String)>,
    name: String,
}

/// Why images cannot go there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RepositoryUrlError {
    #[error(
        "`{url}` is not a repository of Amazon ECR, and Lambda takes images from nowhere else. It looks like \
         `123456789012.dkr.ecr.eu-central-1.amazonaws.com/name`, without `https://`"
    )]
    NotEcr { url: String },

    #[error(
        "`{url}` names an image. Write its repository alone, `{repository}`: the image's digest decides its tag"
    )]
    Image { url: String, repository: String },

    #[error(
        "`{url}` lies in {found}, and the function in {wanted}: Lambda takes images from its own region. Use a repository in {wanted}, or \
         set region = \"{found}\""
    )]
    OtherRegion {
        url: String,
        found: String,
        wanted: String,
    },
}

impl RepositoryUrl {
    /// Name within the registry: `team/servers`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Twelve digits; `None` on loopback.
    pub fn account_id(&self) -> Option<&str> {
        self.place.as_ref().map(|(account, _)| account.as_str())
    }

    /// Refuses a repository that a function in `region` cannot use.
    ///
    /// # Errors
    ///
    /// [`RepositoryUrlError::OtherRegion`].
    pub fn check_region(&self, region: &str) -> Result<(), RepositoryUrlError> {
        match &self.place {
            Some((_, found)) if found != region => Err(RepositoryUrlError::OtherRegion {
                url: self.to_string(),
                found: found.clone(),
                wanted: region.to_owned(),
            }),
            _ => Ok(()),
        }
    }
}

impl fmt::Display for RepositoryUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.host, self.name)
    }
}

impl FromStr for RepositoryUrl {
    type Err = RepositoryUrlError;

    fn from_str(url: &str) -> Result<Self, Self::Err> {
        let not_ecr = || RepositoryUrlError::NotEcr {
            url: url.to_owned(),
        };
        let (host, name) = url.split_once('/').ok_or_else(not_ecr)?;
        let place = match ecr(host) {
            Some((account, region)) => Some((account.to_owned(), region.to_owned())),
            None if is_loopback(host) => None,
            None => return Err(not_ecr()),
        };
        if let Some(end) = name.find(['@', ':']) {
            return Err(RepositoryUrlError::Image {
                url: url.to_owned(),
                repository: format!("{host}/{}", &name[..end]),
            });
        }
        if !is_name(name) {
            return Err(not_ecr());
        }
        Ok(Self {
            host: host.to_owned(),
            place,
            name: name.to_owned(),
        })
    }
}

/// Account and region that a registry's host name says.
fn ecr(host: &str) -> Option<(&str, &str)> {
    let (account, rest) = host.split_once(".dkr.ecr.")?;
    let region = rest
        .strip_suffix(".amazonaws.com")
        .or_else(|| rest.strip_suffix(".amazonaws.com.cn"))?;
    let digits = account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit());
    (digits && !region.is_empty() && !region.contains('.')).then_some((account, region))
}

fn is_loopback(host: &str) -> bool {
    let host = match host.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => host,
    };
    let address = host.trim_matches(['[', ']']).parse::<IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

/// ECR's rule (API reference, `CreateRepository`, `repositoryName`).
fn is_name(name: &str) -> bool {
    let is_word =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-".contains(&byte);
    (2..=256).contains(&name.len())
        && name.split('/').all(|part| {
            !part.is_empty()
                && part.bytes().all(is_word)
                && !part.starts_with(['.', '_', '-'])
                && !part.ends_with(['.', '_', '-'])
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repository_of_ecr_is_read_with_its_account_and_region() {
        for (url, account, region, name) in [
            (
                "123456789012.dkr.ecr.eu-central-1.amazonaws.com/servers",
                Some("123456789012"),
                "eu-central-1",
                "servers",
            ),
            (
                "123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn/team/a.b-c_d",
                Some("123456789012"),
                "cn-north-1",
                "team/a.b-c_d",
            ),
            ("127.0.0.1:5000/servers", None, "anywhere", "servers"),
        ] {
            let read: RepositoryUrl = url.parse().expect("a repository");
            assert_eq!(
                (read.to_string().as_str(), read.account_id(), read.name()),
                (url, account, name)
            );
            assert_eq!(read.check_region(region), Ok(()));
        }
    }

    #[test]
    fn what_lambda_takes_no_images_from_is_refused() {
        for url in [
            "ghcr.io/team/servers",
            "public.ecr.aws/team/servers",
            "quay.io/servers",
            "servers",
            "https://123456789012.dkr.ecr.eu-central-1.amazonaws.com/servers",
            "12345.dkr.ecr.eu-central-1.amazonaws.com/servers",
            "123456789012.dkr.ecr.eu-central-1.example.com/servers",
            "123456789012.dkr.ecr.eu-central-1.amazonaws.com/",
            "123456789012.dkr.ecr.eu-central-1.amazonaws.com/Servers",
            "123456789012.dkr.ecr.eu-central-1.amazonaws.com/a//b",
        ] {
            assert_eq!(
                url.parse::<RepositoryUrl>(),
                Err(RepositoryUrlError::NotEcr {
                    url: url.to_owned()
                })
            );
        }
        let host = "123456789012.dkr.ecr.eu-central-1.amazonaws.com";
        for image in [
            format!("{host}/servers:1"),
            format!("{host}/servers@sha256:0"),
        ] {
            assert_eq!(
                image.parse::<RepositoryUrl>(),
                Err(RepositoryUrlError::Image {
                    url: image.clone(),
                    repository: format!("{host}/servers"),
                })
            );
        }
    }

    #[test]
    fn a_repository_of_another_region_is_refused_with_both_regions() {
        let url = "123456789012.dkr.ecr.us-east-1.amazonaws.com/servers";
        let read: RepositoryUrl = url.parse().expect("a repository");
        let error = read.check_region("eu-central-1").expect_err("elsewhere");
        assert_eq!(
            error.to_string(),
            format!(
                "`{url}` lies in us-east-1, and the function in eu-central-1: Lambda takes images from its own region. Use a repository in \
                 eu-central-1, or set region = \"us-east-1\""
            )
        );
    }
}
