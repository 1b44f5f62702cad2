//! The attribute for container images.

use crate::plugin::schema::{Attribute, Schema};

pub(super) fn image(schema: Schema) -> Schema {
    schema.attribute(
        "image_repository_url",
        Attribute::string().optional().description(
            "Repository of Amazon ECR that the image of a server that `docker` starts is pushed to, in the function's region: \
             `<account>.dkr.ecr.<region>.amazonaws.com/<name>`, as `aws_ecr_repository` has it in `repository_url`. It is neither changed nor \
             emptied here. Not given, a repository of the server's own is made, `mcplambda/<function_name>`, which is scanned on push and \
             removed once it is not used. A lifecycle rule removes all but the newest ten images, never the one that is served: the tag `keep-<digest>` \
             says that a rule has to let an image be. With `ecr:ListImages` and `ecr:BatchDeleteImage` that tag is taken from the others; without, they stay.",
        ),
    )
}
