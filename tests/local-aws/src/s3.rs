//! Overlay: what S3 checks and moto does not: the region in which a bucket is called, and the SHA-256 that comes with an upload.
//!
//! Enters: a call to S3 in path style. Leaves: S3's refusal, or nothing, and then moto answers.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::Request;
use hyper::body::Bytes;
use sha2::{Digest, Sha256};

use crate::call::{Call, text};
use crate::moto::Moto;
use crate::reply::{self, AwsError, Reply};

/// S3's refusal, if it has one.
pub(crate) async fn refusal(moto: &Moto, call: &Call, request: &Request<Bytes>) -> Option<Reply> {
    let path = request.uri().path().trim_start_matches('/');
    let bucket = path.split('/').next().filter(|bucket| !bucket.is_empty())?;
    if call.action == "CreateBucket" {
        return None;
    }
    if let Some(region) = moto.bucket_region(bucket).await
        && region != call.region
    {
        let error = AwsError::new(
            301,
            "PermanentRedirect",
            "The bucket you are attempting to access must be addressed using the specified endpoint. Please send all future requests to \
             this endpoint.",
        );
        return Some(reply::with_header(
            error.reply(call.protocol),
            "x-amz-bucket-region",
            &region,
        ));
    }
    let told = text(request.headers(), "x-amz-checksum-sha256");
    if !told.is_empty() && told != STANDARD.encode(Sha256::digest(request.body())) {
        let error = AwsError::new(
            400,
            "BadDigest",
            "The SHA256 you specified did not match the calculated checksum.",
        );
        return Some(error.reply(call.protocol));
    }
    None
}
