//! What a repository holds, read off the registry's storage: moto never sees what is pushed.
//!
//! Enters: a call of ECR's with its body, after moto found nothing wrong with it. Leaves: the images that `ListImages` names, and what
//! `BatchDeleteImage` and `DeleteRepository` leave. An image goes with its last tag, as in ECR.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

/// The images of one repository.
pub(crate) struct Images {
    /// `repositories/<name>` of the registry's storage.
    directory: PathBuf,
}

impl Images {
    /// Of the repository that a call names, in a registry with this storage.
    pub(crate) fn of(storage: &Path, body: &Value) -> Option<Self> {
        let name = body["repositoryName"].as_str()?;
        let inside = name.split('/').all(|part| !matches!(part, "" | "." | ".."));
        inside.then(|| Self {
            directory: storage.join("docker/registry/v2/repositories").join(name),
        })
    }

    /// The answer to a call that moto accepted, if it is about images.
    pub(crate) fn answer(&self, action: &str, body: &Value) -> std::io::Result<Option<Value>> {
        match action {
            "ListImages" => {
                let wanted = body["filter"]["tagStatus"].as_str().unwrap_or("ANY");
                Ok(Some(json!({"imageIds": self.list(wanted)?})))
            }
            "BatchDeleteImage" => self.delete(body).map(Some),
            "DeleteRepository" => {
                if self.directory.exists() {
                    std::fs::remove_dir_all(&self.directory)?;
                }
                Ok(None)
            }
            _ => Ok(None),
        }
    }

    fn list(&self, wanted: &str) -> std::io::Result<Vec<Value>> {
        let tags = self.tags()?;
        let tagged = tags
            .iter()
            .map(|(tag, digest)| json!({"imageDigest": digest, "imageTag": tag}));
        let digests = self.digests()?;
        let untagged = digests
            .iter()
            .filter(|digest| !tags.values().any(|other| other == *digest));
        let untagged = untagged.map(|digest| json!({"imageDigest": digest}));
        Ok(match wanted {
            "TAGGED" => tagged.collect(),
            "UNTAGGED" => untagged.collect(),
            _ => tagged.chain(untagged).collect(),
        })
    }

    fn delete(&self, body: &Value) -> std::io::Result<Value> {
        let (mut gone, mut failures) = (Vec::new(), Vec::new());
        for image in body["imageIds"].as_array().into_iter().flatten() {
            let tags = self.tags()?;
            let by_tag = image["imageTag"].as_str();
            let digest = match by_tag {
                Some(tag) => tags.get(tag).map(String::as_str),
                None => image["imageDigest"].as_str(),
            };
            let Some(digest) = digest.filter(|digest| self.revision(digest).exists()) else {
                failures.push(json!({
                    "imageId": image, "failureCode": "ImageNotFound", "failureReason": "Requested image not found",
                }));
                continue;
            };
            for (tag, _) in tags
                .iter()
                .filter(|(tag, of)| *of == digest && by_tag.is_none_or(|by_tag| by_tag == *tag))
            {
                std::fs::remove_dir_all(self.manifests().join("tags").join(tag))?;
                gone.push(json!({"imageDigest": digest, "imageTag": tag}));
            }
            if !self.tags()?.values().any(|of| of == digest) {
                std::fs::remove_dir_all(self.revision(digest))?;
            }
        }
        Ok(json!({"imageIds": gone, "failures": failures}))
    }

    fn manifests(&self) -> PathBuf {
        self.directory.join("_manifests")
    }

    fn revision(&self, digest: &str) -> PathBuf {
        let hex = digest.trim_start_matches("sha256:");
        self.manifests().join("revisions/sha256").join(hex)
    }

    fn digests(&self) -> std::io::Result<Vec<String>> {
        let names = names(&self.manifests().join("revisions/sha256"))?;
        Ok(names
            .into_iter()
            .map(|hex| format!("sha256:{hex}"))
            .collect())
    }

    /// Tags with the digests that they lead to.
    fn tags(&self) -> std::io::Result<BTreeMap<String, String>> {
        let folder = self.manifests().join("tags");
        let mut tags = BTreeMap::new();
        for tag in names(&folder)? {
            let digest = std::fs::read_to_string(folder.join(&tag).join("current/link"))?;
            tags.insert(tag, digest);
        }
        Ok(tags)
    }
}

fn names(folder: &Path) -> std::io::Result<Vec<String>> {
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}
