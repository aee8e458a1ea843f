//! The files of the store and the index of them in memory.
//!
//! ```text
//! lock                        held while a store uses the directory
//! data/<id>                   bytes; written once, never changed
//! buckets/<name>.json         a bucket and its CORS rules
//! objects/<hash>.json         an object: its key, headers, digests, and its pieces in data/
//! uploads/<id>.json           a multipart upload
//! uploads/<id>.<number>.json  one of its parts
//! tmp/                        records on their way to their names
//! ```
//!
//! A record comes to its name by one rename, after the bytes it names are written,
//! and bytes go away after the last record that names them. So whatever instant the
//! process is killed at, the store is whole, and bytes that nobody names are swept at
//! the next start. Nothing is synced: a power cut may lose what was just written.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::io;
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use s3s::dto::{ETagCondition, ObjectKey};
use s3s::{S3Error, S3Result, s3_error};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use uuid::{NoContext, Uuid};

use super::cors::Rule;
use super::sums::Sums;
use super::uploads::LEAST_PART;
use crate::clock::Clock;
use crate::domain::time::Timestamp;

/// The headers that are kept with an object and given back with it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Headers {
    pub content_type: Option<String>,
    pub cache_control: Option<String>,
    pub content_disposition: Option<String>,
    pub content_encoding: Option<String>,
    pub content_language: Option<String>,
    /// `x-amz-meta-*`, without that prefix.
    pub metadata: BTreeMap<String, String>,
}

/// A run of bytes: a file in `data/` and its length.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Piece {
    pub(super) file: String,
    pub(super) size: u64,
}

/// An object's record.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Object {
    pub(super) bucket: String,
    pub(super) key: ObjectKey,
    pub(super) size: u64,
    /// Without quotes: the MD5 in hex, or that of the parts' MD5s and `-<parts>`.
    pub(super) etag: String,
    pub(super) modified: Timestamp,
    pub(super) headers: Headers,
    pub(super) sums: Sums,
    pub(super) pieces: Vec<Piece>,
    /// The multipart upload that made it.
    pub(super) upload: Option<String>,
}

/// A multipart upload's record.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Upload {
    pub(super) id: String,
    pub(super) bucket: String,
    pub(super) key: ObjectKey,
    pub(super) initiated: Timestamp,
    pub(super) headers: Headers,
    /// The checksum algorithm's wire name, when one was asked for.
    pub(super) algorithm: Option<String>,
    /// Whether the checksum is that of the whole object rather than of its parts'.
    pub(super) full_object: bool,
    #[serde(skip)]
    pub(super) parts: BTreeMap<i32, Part>,
}

/// A part's record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Part {
    pub(super) number: i32,
    pub(super) etag: String,
    pub(super) modified: Timestamp,
    pub(super) sums: Sums,
    pub(super) piece: Piece,
}

#[derive(Default, Serialize, Deserialize)]
struct Bucket {
    name: String,
    created: Timestamp,
    cors: Option<Vec<Rule>>,
    #[serde(skip)]
    objects: BTreeMap<String, Arc<Object>>,
}

/// What must hold of the object that is there already.
#[derive(Clone, Debug, Default)]
pub(super) struct Conditions {
    pub(super) if_match: Option<ETagCondition>,
    pub(super) if_none_match: Option<ETagCondition>,
}

impl Conditions {
    /// Whether an object with this `ETag`, or none, may be replaced or removed.
    /// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html>
    pub(super) fn allow(&self, etag: Option<&str>) -> S3Result<()> {
        match (&self.if_match, etag) {
            (None, _) => {}
            (Some(_), None) => return Err(s3_error!(NoSuchKey)),
            (Some(wanted), Some(etag)) if matches(wanted, etag) => {}
            (Some(_), Some(_)) => return Err(s3_error!(PreconditionFailed, "If-Match")),
        }
        match (&self.if_none_match, etag) {
            (Some(unwanted), Some(etag)) if matches(unwanted, etag) => {
                Err(s3_error!(PreconditionFailed, "If-None-Match"))
            }
            _ => Ok(()),
        }
    }
}

/// Whether a condition's entity tag, or its `*`, is this bare `ETag`.
pub(super) fn matches(condition: &ETagCondition, etag: &str) -> bool {
    match condition {
        ETagCondition::Any => true,
        ETagCondition::ETag(tag) => tag.value() == etag,
    }
}

/// What a listing came to.
pub(super) struct Page {
    pub(super) objects: Vec<Arc<Object>>,
    pub(super) prefixes: Vec<String>,
    /// Where the next page starts (after this key or prefix), when there is one.
    pub(super) next: Option<String>,
}

/// A file in `data/` that goes away with this value unless it is kept.
pub(super) struct Draft {
    path: PathBuf,
    pub(super) file: String,
    kept: bool,
}

impl Draft {
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Lets the file stay: a record names it now.
    pub(super) fn keep(mut self) {
        self.kept = true;
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if !self.kept {
            // There is nobody to tell; the next start sweeps what is left.
            let _ = fs::remove_file(&self.path);
        }
    }
}

#[derive(Default)]
struct Index {
    buckets: BTreeMap<String, Bucket>,
    uploads: BTreeMap<String, Upload>,
}

/// The store's directory.
pub(super) struct Disk {
    dir: PathBuf,
    clock: Clock,
    index: Mutex<Index>,
    lock: Mutex<Option<fs::File>>,
    least_part: AtomicU64,
}

impl Disk {
    /// Opens the directory, making what is missing and sweeping what was left over.
    pub(super) fn open(dir: &Path, clock: Clock, buckets: &[String]) -> io::Result<Self> {
        for room in ["data", "buckets", "objects", "uploads", "tmp"] {
            fs::create_dir_all(dir.join(room))?;
        }
        let lock = fs::File::create(dir.join("lock"))?;
        lock.try_lock().map_err(|_| {
            let message = format!("{} is in use by another dev store", dir.display());
            io::Error::new(io::ErrorKind::ResourceBusy, message)
        })?;
        let disk = Self {
            dir: dir.to_owned(),
            clock,
            index: Mutex::new(load(dir)?),
            lock: Mutex::new(Some(lock)),
            least_part: AtomicU64::new(LEAST_PART),
        };
        for name in buckets {
            if !s3s::path::check_bucket_name(name) {
                let message = format!("{name:?} is no bucket name");
                return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
            }
            if !disk.has_bucket(name) {
                disk.create_bucket(name).map_err(io::Error::other)?;
            }
        }
        Ok(disk)
    }

    /// Lets another store use the directory.
    pub(super) fn release(&self) {
        self.lock
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
    }

    fn index(&self) -> MutexGuard<'_, Index> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// The fewest bytes of a part that is not the last.
    pub(super) fn least_part(&self) -> u64 {
        self.least_part.load(Ordering::Relaxed)
    }

    pub(super) fn set_least_part(&self, bytes: u64) {
        self.least_part.store(bytes, Ordering::Relaxed);
    }

    /// A name nobody had before.
    pub(super) fn fresh(&self) -> String {
        let millis = u64::try_from(self.now().millis()).unwrap_or_default();
        let nanos = u32::try_from(millis % 1000).unwrap_or_default() * 1_000_000;
        let at = uuid::Timestamp::from_unix(NoContext, millis / 1000, nanos);
        Uuid::new_v7(at).simple().to_string()
    }

    /// The path of a data file.
    pub(super) fn data(&self, file: &str) -> PathBuf {
        self.dir.join("data").join(file)
    }

    /// A new data file's place.
    pub(super) fn draft(&self) -> Draft {
        let file = self.fresh();
        Draft {
            path: self.data(&file),
            file,
            kept: false,
        }
    }

    fn object_record(&self, bucket: &str, key: &str) -> PathBuf {
        let name = Sha256::digest(format!("{bucket}\0{key}"));
        self.dir
            .join("objects")
            .join(format!("{}.json", hex::encode(name)))
    }

    fn bucket_record(&self, name: &str) -> PathBuf {
        self.dir.join("buckets").join(format!("{name}.json"))
    }

    fn upload_record(&self, id: &str) -> PathBuf {
        self.dir.join("uploads").join(format!("{id}.json"))
    }

    fn part_record(&self, id: &str, number: i32) -> PathBuf {
        self.dir.join("uploads").join(format!("{id}.{number}.json"))
    }

    fn record(&self, path: &Path, what: &impl Serialize) -> S3Result<()> {
        let draft = self.dir.join("tmp").join(self.fresh());
        let bytes = serde_json::to_vec(what).map_err(S3Error::internal_error)?;
        fs::write(&draft, bytes).map_err(S3Error::internal_error)?;
        fs::rename(&draft, path).map_err(S3Error::internal_error)
    }

    fn forget(&self, pieces: impl IntoIterator<Item = Piece>) {
        for piece in pieces {
            // Swept at the next start if it cannot be removed now.
            let _ = fs::remove_file(self.data(&piece.file));
        }
    }

    pub(super) fn has_bucket(&self, name: &str) -> bool {
        self.index().buckets.contains_key(name)
    }

    /// The buckets' names and when they were made.
    pub(super) fn buckets(&self) -> Vec<(String, Timestamp)> {
        let index = self.index();
        let buckets = index.buckets.values();
        buckets
            .map(|bucket| (bucket.name.clone(), bucket.created))
            .collect()
    }

    pub(super) fn create_bucket(&self, name: &str) -> S3Result<()> {
        let mut index = self.index();
        if index.buckets.contains_key(name) {
            return Err(s3_error!(BucketAlreadyOwnedByYou));
        }
        let bucket = Bucket {
            name: name.to_owned(),
            created: self.now(),
            ..Bucket::default()
        };
        self.record(&self.bucket_record(name), &bucket)?;
        index.buckets.insert(name.to_owned(), bucket);
        Ok(())
    }

    pub(super) fn delete_bucket(&self, name: &str) -> S3Result<()> {
        let mut index = self.index();
        let bucket = index.bucket(name)?;
        if !bucket.objects.is_empty() || index.uploads.values().any(|upload| upload.bucket == name)
        {
            return Err(s3_error!(BucketNotEmpty));
        }
        fs::remove_file(self.bucket_record(name)).map_err(S3Error::internal_error)?;
        index.buckets.remove(name);
        Ok(())
    }

    /// The bucket's own CORS rules.
    pub(super) fn cors(&self, bucket: &str) -> S3Result<Option<Vec<Rule>>> {
        Ok(self.index().bucket(bucket)?.cors.clone())
    }

    pub(super) fn set_cors(&self, name: &str, rules: Option<Vec<Rule>>) -> S3Result<()> {
        let mut index = self.index();
        let path = self.bucket_record(name);
        let bucket = index
            .buckets
            .get_mut(name)
            .ok_or_else(|| s3_error!(NoSuchBucket))?;
        bucket.cors = rules;
        self.record(&path, bucket)
    }

    pub(super) fn object(&self, bucket: &str, key: &str) -> S3Result<Arc<Object>> {
        let index = self.index();
        let object = index.bucket(bucket)?.objects.get(key);
        object.cloned().ok_or_else(|| s3_error!(NoSuchKey))
    }

    /// The record of an object that `allow` approves of, with further names for its
    /// bytes: those stay when the object is replaced. They go away with the drafts.
    pub(super) fn linked(
        &self,
        bucket: &str,
        key: &str,
        allow: impl FnOnce(&Object) -> S3Result<()>,
    ) -> S3Result<(Object, Vec<Draft>)> {
        let index = self.index();
        let there = index.bucket(bucket)?.objects.get(key);
        let mut object = Object::clone(there.ok_or_else(|| s3_error!(NoSuchKey))?);
        allow(&object)?;
        let mut drafts = Vec::with_capacity(object.pieces.len());
        for piece in &mut object.pieces {
            let draft = self.draft();
            let from = self.data(&piece.file);
            // Not every file system has hard links.
            if fs::hard_link(&from, draft.path()).is_err() {
                fs::copy(&from, draft.path()).map_err(S3Error::internal_error)?;
            }
            piece.file.clone_from(&draft.file);
            drafts.push(draft);
        }
        Ok((object, drafts))
    }

    /// What `publish` would say of these conditions now; to refuse before the body.
    pub(super) fn foresee(&self, bucket: &str, key: &str, conditions: &Conditions) -> S3Result<()> {
        let index = self.index();
        let there = index.bucket(bucket)?.objects.get(key);
        conditions.allow(there.map(|object| object.etag.as_str()))
    }

    /// Puts an object in place, if `conditions` allow it at that instant. When it is
    /// what an upload was completed to, the upload must still hold those pieces, and
    /// ends.
    pub(super) fn publish(&self, object: Object, conditions: &Conditions) -> S3Result<()> {
        let mut index = self.index();
        let there = index.bucket(&object.bucket)?.objects.get(&object.key);
        conditions.allow(there.map(|there| there.etag.as_str()))?;
        if let Some(id) = &object.upload {
            let upload = index.upload(&object.bucket, &object.key, id)?;
            let held = |piece: &Piece| upload.parts.values().any(|part| part.piece == *piece);
            if !object.pieces.iter().all(held) {
                return Err(s3_error!(InvalidPart, "a part was replaced meanwhile"));
            }
        }
        self.record(&self.object_record(&object.bucket, &object.key), &object)?;
        if let Some(upload) = object
            .upload
            .as_ref()
            .and_then(|id| index.uploads.remove(id))
        {
            self.end(&upload, &object.pieces);
        }
        let object = Arc::new(object);
        let bucket = index
            .buckets
            .get_mut(&object.bucket)
            .ok_or_else(|| s3_error!(NoSuchBucket))?;
        if let Some(old) = bucket.objects.insert(object.key.clone(), object) {
            self.forget(old.pieces.iter().cloned());
        }
        Ok(())
    }

    /// Removes an object; that there was none is no error.
    pub(super) fn remove(&self, bucket: &str, key: &str, conditions: &Conditions) -> S3Result<()> {
        let mut index = self.index();
        let there = index.bucket(bucket)?.objects.get(key);
        conditions.allow(there.map(|there| there.etag.as_str()))?;
        if there.is_none() {
            return Ok(());
        }
        fs::remove_file(self.object_record(bucket, key)).map_err(S3Error::internal_error)?;
        let gone = index
            .buckets
            .get_mut(bucket)
            .and_then(|bucket| bucket.objects.remove(key));
        self.forget(gone.into_iter().flat_map(|object| object.pieces.clone()));
        Ok(())
    }

    /// One page of a bucket's keys, in byte order.
    pub(super) fn page(
        &self,
        bucket: &str,
        prefix: &str,
        delimiter: &str,
        after: &str,
        max: usize,
    ) -> S3Result<Page> {
        let index = self.index();
        Ok(page(
            &index.bucket(bucket)?.objects,
            prefix,
            delimiter,
            after,
            max,
        ))
    }

    pub(super) fn create_upload(&self, upload: Upload) -> S3Result<()> {
        let mut index = self.index();
        index.bucket(&upload.bucket)?;
        self.record(&self.upload_record(&upload.id), &upload)?;
        index.uploads.insert(upload.id.clone(), upload);
        Ok(())
    }

    /// The upload, if it has this id and is for this key.
    pub(super) fn upload(&self, bucket: &str, key: &str, id: &str) -> S3Result<Upload> {
        self.index().upload(bucket, key, id).cloned()
    }

    /// The uploads of a bucket whose keys start with `prefix`, by key and age.
    pub(super) fn uploads(&self, bucket: &str, prefix: &str) -> S3Result<Vec<Upload>> {
        let index = self.index();
        index.bucket(bucket)?;
        let uploads = index.uploads.values();
        let mut uploads: Vec<Upload> = uploads
            .filter(|upload| upload.bucket == bucket && upload.key.starts_with(prefix))
            .map(|upload| Upload {
                parts: BTreeMap::new(),
                ..upload.clone()
            })
            .collect();
        uploads.sort_by(|a, b| (&a.key, a.initiated, &a.id).cmp(&(&b.key, b.initiated, &b.id)));
        Ok(uploads)
    }

    /// How many parts the unfinished uploads of a bucket hold.
    pub(super) fn unfinished_parts(&self, bucket: &str) -> usize {
        let index = self.index();
        let uploads = index.uploads.values();
        uploads
            .filter(|upload| upload.bucket == bucket)
            .map(|upload| upload.parts.len())
            .sum()
    }

    /// Adds a part to an upload, in place of the one with the same number.
    pub(super) fn put_part(&self, bucket: &str, key: &str, id: &str, part: Part) -> S3Result<()> {
        let mut index = self.index();
        index.upload(bucket, key, id)?;
        self.record(&self.part_record(id, part.number), &part)?;
        let upload = index
            .uploads
            .get_mut(id)
            .ok_or_else(|| s3_error!(NoSuchUpload))?;
        let old = upload.parts.insert(part.number, part);
        self.forget(old.map(|part| part.piece));
        Ok(())
    }

    pub(super) fn abort(&self, bucket: &str, key: &str, id: &str) -> S3Result<()> {
        let mut index = self.index();
        index.upload(bucket, key, id)?;
        if let Some(upload) = index.uploads.remove(id) {
            self.end(&upload, &[]);
        }
        Ok(())
    }

    /// Removes an upload's records, and the bytes of its parts except those `taken`.
    fn end(&self, upload: &Upload, taken: &[Piece]) {
        let _ = fs::remove_file(self.upload_record(&upload.id));
        for number in upload.parts.keys() {
            let _ = fs::remove_file(self.part_record(&upload.id, *number));
        }
        let pieces = upload.parts.values().map(|part| part.piece.clone());
        self.forget(pieces.filter(|piece| !taken.contains(piece)));
    }
}

impl Index {
    fn bucket(&self, name: &str) -> S3Result<&Bucket> {
        self.buckets
            .get(name)
            .ok_or_else(|| s3_error!(NoSuchBucket))
    }

    fn upload(&self, bucket: &str, key: &str, id: &str) -> S3Result<&Upload> {
        self.bucket(bucket)?;
        let upload = self.uploads.get(id);
        upload
            .filter(|upload| upload.bucket == bucket && upload.key == key)
            .ok_or_else(|| s3_error!(NoSuchUpload))
    }
}

fn page(
    objects: &BTreeMap<String, Arc<Object>>,
    prefix: &str,
    delimiter: &str,
    after: &str,
    max: usize,
) -> Page {
    let mut page = Page {
        objects: Vec::new(),
        prefixes: Vec::new(),
        next: None,
    };
    let mut last = None;
    let keys = objects.range::<str, _>((Bound::Included(prefix.max(after)), Bound::Unbounded));
    for (key, object) in keys.take_while(|(key, _)| key.starts_with(prefix)) {
        let rest = &key[prefix.len()..];
        let end = (!delimiter.is_empty())
            .then(|| rest.find(delimiter))
            .flatten();
        let common = end.map(|end| &key[..prefix.len() + end + delimiter.len()]);
        // A prefix that a former page or this one named already covers this key.
        if key == after
            || common.is_some_and(|common| common == after || last.as_deref() == Some(common))
        {
            continue;
        }
        if page.objects.len() + page.prefixes.len() >= max {
            page.next = last;
            break;
        }
        match common {
            Some(common) => page.prefixes.push(common.to_owned()),
            None => page.objects.push(object.clone()),
        }
        last = Some(common.unwrap_or(key).to_owned());
    }
    page
}

fn load(dir: &Path) -> io::Result<Index> {
    let mut index = Index::default();
    for draft in fs::read_dir(dir.join("tmp"))? {
        fs::remove_file(draft?.path())?;
    }
    for (_, bucket) in records::<Bucket>(&dir.join("buckets"), |_| true)? {
        index.buckets.insert(bucket.name.clone(), bucket);
    }
    let mut named = HashSet::new();
    let mut finished = HashSet::new();
    for (_, object) in records::<Object>(&dir.join("objects"), |_| true)? {
        named.extend(object.pieces.iter().map(|piece| piece.file.clone()));
        finished.extend(object.upload.clone());
        if let Some(bucket) = index.buckets.get_mut(&object.bucket) {
            bucket.objects.insert(object.key.clone(), Arc::new(object));
        }
    }
    let uploads = dir.join("uploads");
    for (_, upload) in records::<Upload>(&uploads, |stem| !stem.contains('.'))? {
        index.uploads.insert(upload.id.clone(), upload);
    }
    index.uploads.retain(|id, _| !finished.contains(id));
    for (stem, part) in records::<Part>(&uploads, |stem| stem.contains('.'))? {
        let id = stem.split('.').next().unwrap_or_default();
        if let Some(upload) = index.uploads.get_mut(id) {
            named.insert(part.piece.file.clone());
            upload.parts.insert(part.number, part);
        }
    }
    for record in fs::read_dir(&uploads)? {
        let record = record?;
        let name = record.file_name();
        let id = name
            .to_str()
            .and_then(|name| name.split('.').next())
            .unwrap_or_default();
        if !index.uploads.contains_key(id) {
            fs::remove_file(record.path())?;
        }
    }
    for file in fs::read_dir(dir.join("data"))? {
        let file = file?;
        if !file
            .file_name()
            .to_str()
            .is_some_and(|name| named.contains(name))
        {
            fs::remove_file(file.path())?;
        }
    }
    Ok(index)
}

/// The records of a directory whose names without `.json` are `wanted`.
fn records<T: DeserializeOwned>(
    dir: &Path,
    wanted: fn(&str) -> bool,
) -> io::Result<Vec<(String, T)>> {
    let mut found = Vec::new();
    for file in fs::read_dir(dir)? {
        let path = file?.path();
        let stem = path
            .file_stem()
            .and_then(|stem| stem.to_str())
            .unwrap_or_default();
        if !wanted(stem) {
            continue;
        }
        let record = serde_json::from_slice(&fs::read(&path)?)
            .map_err(|error| io::Error::other(format!("{}: {error}", path.display())))?;
        found.push((stem.to_owned(), record));
    }
    Ok(found)
}

#[cfg(test)]
mod tests;
