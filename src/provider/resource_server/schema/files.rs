//! Files that the server does not get from a package index: a folder of this machine, and layers. And the bucket that large packages need.

use crate::package::DEFAULT_EXCLUDES;
use crate::plugin::schema::{Attribute, Schema};
use crate::plugin::validators;

use super::strings;

/// Layers that a function can have (Lambda quotas, "Function layers").
const LAYERS: usize = 5;

/// A folder of this machine.
pub(super) fn files(schema: Schema) -> Schema {
    let excluded: Vec<_> = DEFAULT_EXCLUDES
        .iter()
        .map(|pattern| format!("`{pattern}`"))
        .collect();
    schema
        .attribute(
            "source_dir",
            Attribute::string().optional().validate(validators::not_empty()).description(
                "Folder with the server's own files, such as `${path.module}/server`; it becomes the function's `/var/task`. Programs in it \
                 must be built for Linux and for `architecture`. For `python3`, what its `uv.lock` and `pyproject.toml`, its \
                 `requirements.txt`, or its `pyproject.toml` alone ask for (the first of these that is there) is locked and installed. For `node`, \
                 exactly what `npm-shrinkwrap.json` or `package-lock.json` (lockfileVersion 2 or 3) says is installed, for Lambda's platform, without \
                 development dependencies; it must fit `package.json`, and packages from git, URLs and folders are refused. `node_modules` and \
                 `.npmrc` in the folder are left out; the settings in the latter count. A lock file that does not fit the project is an error. Its content \
                 is read while planning, and what was planned is what is deployed. Modes are set (`0755`), times are not kept, and links are followed \
                 within the folder. Where an absolute path leads is no part of the function: the state keeps the first (`/` after an import), and \
                 another one is no change.",
            ),
        )
        .attribute(
            "source_excludes",
            strings().optional().validate(validators::each(validators::not_empty())).description(format!(
                "What of `source_dir` is left out, in the syntax of `.gitignore`: `tests/`, `*.log`, `!keep.log`. Left out anyway, unless a \
                 pattern with `!` takes it back: {}, and virtual environments.",
                excluded.join(", ")
            )),
        )
        .attribute(
            "source_hash",
            Attribute::string()
                .optional()
                .computed()
                .validate(validators::regex("^[0-9a-f]{64}$", "must be 64 lower-case hexadecimal digits"))
                .description(
                    "SHA-256 over names and contents of the files of `source_dir` that are packaged. Given (from the data source \
                     `mcplambda_package`), no other files are deployed. Not given, it is computed while planning. Either way, when files change \
                     between plan and apply, the apply fails before anything is deployed: plan again. Without the data source, a Terraform that \
                     does not hand private state from plan to apply (before protocol 6.11) says that the final plan is inconsistent, and names `source_hash`.",
                ),
        )
}

/// What others put under `/opt`.
pub(super) fn layers(schema: Schema) -> Schema {
    schema.attribute(
        "layers",
        strings()
            .optional()
            .validate(validators::items_between(0, LAYERS))
            .validate(validators::each(validators::regex(
                "^arn:aws[a-zA-Z-]*:lambda:[a-z0-9-]+:[0-9]{12}:layer:[a-zA-Z0-9_-]+:[0-9]+$",
                "must be the ARN of a version of a layer, such as `arn:aws:lambda:eu-central-1:123456789012:layer:name:1`",
            )))
            .description(
                "ARNs of layer versions, at most 5; of files with the same name under `/opt` the later layer's counts. The server finds what they \
                 bring on PATH (`bin`), LD_LIBRARY_PATH (`lib`), PYTHONPATH (`python`) and NODE_PATH (`nodejs`).",
            ),
    )
}

/// How a package reaches Lambda that is too large for a request.
pub(super) fn artifact_bucket(schema: Schema) -> Schema {
    schema.attribute(
        "artifact_bucket",
        Attribute::string()
            .optional()
            .validate(validators::regex(
                "^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$",
                "must be the name of an S3 bucket, such as `my-artifacts`",
            )).description(
            "Name of an S3 bucket in the function's region. A package of more than 50 MB zipped, which a request to Lambda does not carry, is sent \
             through it, as `mcplambda/<account>/<function_name>/<SHA-256>.zip`; smaller ones go in the request, and images to their repository. S3 \
             checks the upload. Lambda copies the package, which is then removed from the bucket with all its versions; what a run that was \
             interrupted left there is removed by the next apply or destroy. Nothing else of the bucket is looked at or changed: its encryption, \
             versioning and policies are yours. The credentials that Terraform runs with need `s3:ListBucketVersions` on the bucket, and \
             `s3:PutObject`, `s3:GetObject`, `s3:GetObjectVersion` and `s3:DeleteObjectVersion` on `mcplambda/*` in it; with a KMS key of your own, \
             `kms:GenerateDataKey` and `kms:Decrypt` too. Default: the provider's. To change it changes nothing in the function. Unzipped, \
             Lambda takes 250 MB at most; a container image may have 10 GB.",
        ),
    )
}
