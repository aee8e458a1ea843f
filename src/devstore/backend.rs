//! The S3 operations by name: each through the faults, then to its file.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use http::Method;
use s3s::dto::{
    AbortMultipartUploadInput, AbortMultipartUploadOutput, CompleteMultipartUploadInput,
    CompleteMultipartUploadOutput, CopyObjectInput, CopyObjectOutput, CreateBucketInput,
    CreateBucketOutput, CreateMultipartUploadInput, CreateMultipartUploadOutput,
    DeleteBucketCorsInput, DeleteBucketCorsOutput, DeleteBucketInput, DeleteBucketOutput,
    DeleteObjectInput, DeleteObjectOutput, DeleteObjectsInput, DeleteObjectsOutput,
    GetBucketCorsInput, GetBucketCorsOutput, GetBucketLocationInput, GetBucketLocationOutput,
    GetObjectAttributesInput, GetObjectAttributesOutput, GetObjectInput, GetObjectOutput,
    HeadBucketInput, HeadBucketOutput, HeadObjectInput, HeadObjectOutput, ListBucketsInput,
    ListBucketsOutput, ListMultipartUploadsInput, ListMultipartUploadsOutput, ListObjectsInput,
    ListObjectsOutput, ListObjectsV2Input, ListObjectsV2Output, ListPartsInput, ListPartsOutput,
    PutBucketCorsInput, PutBucketCorsOutput, PutObjectInput, PutObjectOutput, UploadPartCopyInput,
    UploadPartCopyOutput, UploadPartInput, UploadPartOutput,
};
use s3s::{S3, S3Request, S3Response, S3Result, s3_error};

use super::cors::Rule;
use super::disk::Disk;
use super::faults::{Faults, Op};

/// The store behind the S3 library: typed inputs in, typed outputs out.
#[derive(Clone)]
pub(super) struct Backend {
    pub(super) disk: Arc<Disk>,
    pub(super) faults: Faults,
    pub(super) region: String,
}

/// A trait method that runs its work through the faults; written as `async_trait`
/// writes them, since that does not look into macros.
macro_rules! operation {
    ($name:ident, $op:ident, $input:ty, $output:ty, $key:ident, |$self:ident, $req:ident| $work:expr) => {
        fn $name<'a, 'b>(&'a $self, $req: S3Request<$input>) -> BoxFuture<'b, S3Result<S3Response<$output>>>
        where
            'a: 'b,
            Self: 'b,
        {
            Box::pin(async move {
                let (bucket, key) = ($req.input.bucket.clone(), operation!($key $req));
                let work = async { $work };
                $self.faults.run(Op::$op, &bucket, &key, work).await
            })
        }
    };
    (key $req:ident) => { $req.input.key.clone() };
    (prefix $req:ident) => { $req.input.prefix.clone().unwrap_or_default() };
    (none $req:ident) => { String::new() };
}

#[async_trait::async_trait]
impl S3 for Backend {
    /// Also what the library makes of a form (`PostObject`).
    async fn put_object(
        &self,
        mut req: S3Request<PutObjectInput>,
    ) -> S3Result<S3Response<PutObjectOutput>> {
        let mut op = Op::PutObject;
        if req.method == Method::POST {
            op = Op::PostObject;
            // The length in the headers is the form's, not the file's.
            req.input.content_length = None;
            // A form's credential is in a field, so nobody looked at its region yet;
            // one signed by version 2 has none.
            if req
                .region
                .as_ref()
                .is_none_or(|region| region.as_str() != self.region)
            {
                return Err(s3_error!(
                    AccessDenied,
                    "The policy is signed for another region."
                ));
            }
        }
        let (bucket, key) = (req.input.bucket.clone(), req.input.key.clone());
        let work = Box::pin(self.put(req));
        self.faults.run(op, &bucket, &key, work).await
    }

    operation!(
        get_object,
        GetObject,
        GetObjectInput,
        GetObjectOutput,
        key,
        |self, req| self.get(req.input).await
    );
    operation!(
        head_object,
        HeadObject,
        HeadObjectInput,
        HeadObjectOutput,
        key,
        |self, req| self.head(&req.input)
    );
    operation!(
        copy_object,
        CopyObject,
        CopyObjectInput,
        CopyObjectOutput,
        key,
        |self, req| self.copy(req).await
    );
    operation!(
        delete_object,
        DeleteObject,
        DeleteObjectInput,
        DeleteObjectOutput,
        key,
        |self, req| self.delete(req.input)
    );
    operation!(
        delete_objects,
        DeleteObjects,
        DeleteObjectsInput,
        DeleteObjectsOutput,
        none,
        |self, req| self.delete_all(req.input)
    );
    operation!(
        get_object_attributes,
        GetObjectAttributes,
        GetObjectAttributesInput,
        GetObjectAttributesOutput,
        key,
        |self, req| self.attributes(&req.input)
    );
    operation!(
        list_objects_v2,
        ListObjects,
        ListObjectsV2Input,
        ListObjectsV2Output,
        prefix,
        |self, req| self.list(req.input)
    );
    operation!(
        list_objects,
        ListObjects,
        ListObjectsInput,
        ListObjectsOutput,
        prefix,
        |self, req| self.list_v1(req.input)
    );
    operation!(
        create_multipart_upload,
        CreateMultipart,
        CreateMultipartUploadInput,
        CreateMultipartUploadOutput,
        key,
        |self, req| self.create_upload(req.input)
    );
    operation!(
        upload_part,
        UploadPart,
        UploadPartInput,
        UploadPartOutput,
        key,
        |self, req| self.put_part(req).await
    );
    operation!(
        upload_part_copy,
        UploadPartCopy,
        UploadPartCopyInput,
        UploadPartCopyOutput,
        key,
        |self, req| self.copy_part(req.input).await
    );
    operation!(
        complete_multipart_upload,
        CompleteMultipart,
        CompleteMultipartUploadInput,
        CompleteMultipartUploadOutput,
        key,
        |self, req| self.complete(req.input).await
    );
    operation!(
        abort_multipart_upload,
        AbortMultipart,
        AbortMultipartUploadInput,
        AbortMultipartUploadOutput,
        key,
        |self, req| self.abort(&req.input)
    );
    operation!(
        list_parts,
        ListParts,
        ListPartsInput,
        ListPartsOutput,
        key,
        |self, req| self.list_the_parts(req.input)
    );
    operation!(
        list_multipart_uploads,
        ListMultipartUploads,
        ListMultipartUploadsInput,
        ListMultipartUploadsOutput,
        prefix,
        |self, req| self.list_uploads(req.input)
    );
    operation!(
        create_bucket,
        CreateBucket,
        CreateBucketInput,
        CreateBucketOutput,
        none,
        |self, req| {
            self.disk.create_bucket(&req.input.bucket)?;
            Ok(CreateBucketOutput {
                location: Some(format!("/{}", req.input.bucket)),
            })
        }
    );
    operation!(
        delete_bucket,
        DeleteBucket,
        DeleteBucketInput,
        DeleteBucketOutput,
        none,
        |self, req| {
            self.disk.delete_bucket(&req.input.bucket)?;
            Ok(DeleteBucketOutput::default())
        }
    );
    operation!(
        head_bucket,
        HeadBucket,
        HeadBucketInput,
        HeadBucketOutput,
        none,
        |self, req| {
            self.disk.cors(&req.input.bucket)?;
            Ok(HeadBucketOutput {
                bucket_region: Some(self.region.clone()),
                ..HeadBucketOutput::default()
            })
        }
    );
    operation!(
        get_bucket_location,
        GetBucketLocation,
        GetBucketLocationInput,
        GetBucketLocationOutput,
        none,
        |self, req| {
            self.disk.cors(&req.input.bucket)?;
            // S3 says nothing for its first region.
            let region = Some(self.region.clone()).filter(|region| region != "us-east-1");
            Ok(GetBucketLocationOutput {
                location_constraint: region.map(Into::into),
            })
        }
    );
    operation!(
        put_bucket_cors,
        PutBucketCors,
        PutBucketCorsInput,
        PutBucketCorsOutput,
        none,
        |self, req| {
            let rules = req
                .input
                .cors_configuration
                .cors_rules
                .into_iter()
                .map(Rule::from);
            self.disk
                .set_cors(&req.input.bucket, Some(rules.collect()))?;
            Ok(PutBucketCorsOutput::default())
        }
    );
    operation!(
        get_bucket_cors,
        GetBucketCors,
        GetBucketCorsInput,
        GetBucketCorsOutput,
        none,
        |self, req| {
            let rules = self.disk.cors(&req.input.bucket)?;
            let rules = rules.ok_or_else(|| s3_error!(NoSuchCORSConfiguration))?;
            Ok(GetBucketCorsOutput {
                cors_rules: Some(rules.into_iter().map(Into::into).collect()),
            })
        }
    );
    operation!(
        delete_bucket_cors,
        DeleteBucketCors,
        DeleteBucketCorsInput,
        DeleteBucketCorsOutput,
        none,
        |self, req| {
            self.disk.set_cors(&req.input.bucket, None)?;
            Ok(DeleteBucketCorsOutput::default())
        }
    );

    async fn list_buckets(
        &self,
        _: S3Request<ListBucketsInput>,
    ) -> S3Result<S3Response<ListBucketsOutput>> {
        let work = async { Ok(self.list_all_buckets()) };
        self.faults.run(Op::ListBuckets, "", "", work).await
    }
}
