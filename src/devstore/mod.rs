//! An in-process S3 server for `putgate dev` and the tests: strict where S3 is
//! strict, with a switch for everything that can go wrong.
//!
//! It speaks HTTP on one address, in path style (`/bucket/key`), and keeps its
//! objects in a directory that survives a restart and a kill (not a power cut: nothing
//! is synced). Bodies pass in constant memory, except a form's file, which the S3
//! library holds whole ([`FORM_LIMIT`]). Versions, tags, ACLs, encryption, lifecycle
//! rules, access points and virtual-host addressing are not there.
//!
//! Where it differs from S3: a presigned URL signed over a body's hash
//! (`x-amz-content-sha256`) is refused, as several stores do; a second completion of
//! an upload is `NoSuchUpload`; the copy of an object made of parts keeps its `ETag`.
//!
//! A [`Clock::Manual`] decides which presigned URLs have expired; it must not be set
//! behind the machine's clock, by which the library checks them as well (and alone
//! checks the expiry of form policies).

mod access;
mod backend;
mod body;
mod cors;
mod disk;
mod faults;
mod gate;
mod objects;
mod server;
mod sums;
mod uploads;

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use s3s::config::{S3Config, StaticConfigProvider};
use s3s::service::S3ServiceBuilder;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

pub use self::access::Role;
pub use self::disk::Headers;
pub use self::faults::{Fault, Faults, Lax, Op, Turn};

use self::access::{Keys, Ring};
use self::backend::Backend;
use self::cors::Rule;
use self::disk::{Conditions, Disk, Object, Piece};
use self::server::{Server, serve};
use self::sums::Digest;
use crate::clock::Clock;
use crate::domain::secret::Secret;

/// The largest file a form (a POST policy upload) may carry, in bytes: 64 MiB.
pub const FORM_LIMIT: u64 = 64 * 1024 * 1024;

/// How a store is started.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where the objects are kept; made if missing. One store at a time.
    pub dir: PathBuf,
    /// Where to listen; port 0 is any free one.
    pub listen: SocketAddr,
    /// The region every signature has to name.
    pub region: String,
    /// The access key id and secret that may do everything.
    pub server_key: (String, Secret),
    /// The access key id and secret that may only write to `upload_bucket`: `PutObject`,
    /// `UploadPart` and forms.
    pub upload_key: (String, Secret),
    /// Buckets to make if they are missing.
    pub buckets: Vec<String>,
    /// The one bucket `upload_key` may write to.
    pub upload_bucket: String,
    /// Origins whose pages may talk to a bucket that has no CORS rules of its own:
    /// exact ones, or `*`.
    pub allowed_origins: Vec<String>,
    /// Says when a presigned URL has expired, and when objects were modified.
    pub clock: Clock,
}

/// A running store. Clones are the same store.
#[derive(Clone, Debug)]
pub struct DevStore {
    shared: Arc<Shared>,
}

struct Shared {
    addr: SocketAddr,
    disk: Arc<Disk>,
    faults: Faults,
    ring: Ring,
    stop: watch::Sender<()>,
    task: Mutex<Option<JoinHandle<()>>>,
}

impl DevStore {
    /// Opens the directory and starts to listen. Fails when the directory is in use or
    /// damaged, a bucket's name is none, the keys are the same or no text, or the
    /// address is taken.
    pub async fn start(settings: Settings) -> io::Result<Self> {
        let ring = ring(&settings)?;
        let disk = Disk::open(&settings.dir, settings.clock.clone(), &settings.buckets)?;
        let disk = Arc::new(disk);
        let faults = Faults::default();
        let backend = Backend {
            disk: disk.clone(),
            faults: faults.clone(),
            region: settings.region.clone(),
        };
        let mut builder = S3ServiceBuilder::new(backend);
        builder.set_auth(ring.clone());
        builder.set_access(Keys {
            ring: ring.clone(),
            upload_bucket: settings.upload_bucket,
            faults: faults.clone(),
        });
        let mut config = S3Config::default();
        config.post_object_max_file_size = FORM_LIMIT;
        if let Clock::Manual(_) = settings.clock {
            // The gate compares with this clock; the library knows only the machine's.
            config.presigned_url_max_skew_time_secs = u32::MAX;
        }
        builder.set_config(Arc::new(StaticConfigProvider::new(Arc::new(config))));
        let server = Arc::new(Server {
            disk: disk.clone(),
            service: builder.build(),
            region: settings.region,
            faults: faults.clone(),
            default_rule: Rule::default_for(&settings.allowed_origins),
        });
        let listener = TcpListener::bind(settings.listen).await?;
        let addr = listener.local_addr()?;
        let (stop, stopped) = watch::channel(());
        let task = tokio::spawn(serve(server, listener, stopped));
        Ok(Self {
            shared: Arc::new(Shared {
                addr,
                disk,
                faults,
                ring,
                stop,
                task: Mutex::new(Some(task)),
            }),
        })
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.shared.addr
    }

    /// The endpoint: `http://<address>`, without a slash at the end.
    pub fn url(&self) -> String {
        format!("http://{}", self.shared.addr)
    }

    /// What is to go wrong, and the log of what was asked.
    pub fn faults(&self) -> &Faults {
        &self.shared.faults
    }

    /// Knows one more key from now on; false when its id is known already.
    pub fn add_key(&self, role: Role, id: &str, secret: &str) -> bool {
        self.shared.ring.add(role, id, secret)
    }

    /// Forgets a key; whether it was known.
    pub fn remove_key(&self, id: &str) -> bool {
        self.shared.ring.remove(id)
    }

    /// Drops the listener and every connection, and lets go of the directory.
    pub async fn stop(&self) {
        let _ = self.shared.stop.send(());
        let task = self
            .shared
            .task
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(task) = task {
            let _ = task.await;
        }
        self.shared.disk.release();
    }

    /// A bucket's keys and sizes in bytes, in byte order; none for an unknown bucket.
    pub fn objects(&self, bucket: &str) -> Vec<(String, u64)> {
        let page = self.shared.disk.page(bucket, "", "", "", usize::MAX);
        let objects = page.map(|page| page.objects).unwrap_or_default();
        objects
            .iter()
            .map(|object| (object.key.clone(), object.size))
            .collect()
    }

    /// An object's bytes.
    pub fn read(&self, bucket: &str, key: &str) -> Option<Vec<u8>> {
        let disk = &self.shared.disk;
        let object = disk.object(bucket, key).ok()?;
        let pieces = object
            .pieces
            .iter()
            .map(|piece| fs::read(disk.data(&piece.file)));
        pieces
            .collect::<Result<Vec<_>, _>>()
            .ok()
            .map(|pieces| pieces.concat())
    }

    /// The headers kept with an object.
    pub fn headers(&self, bucket: &str, key: &str) -> Option<Headers> {
        let object = self.shared.disk.object(bucket, key).ok()?;
        Some(object.headers.clone())
    }

    /// An object's content type.
    pub fn content_type(&self, bucket: &str, key: &str) -> Option<String> {
        self.headers(bucket, key)?.content_type
    }

    /// The number of unfinished multipart uploads in a bucket.
    pub fn unfinished(&self, bucket: &str) -> usize {
        self.shared
            .disk
            .uploads(bucket, "")
            .map_or(0, |uploads| uploads.len())
    }

    /// The number of parts that those hold.
    pub fn unfinished_parts(&self, bucket: &str) -> usize {
        self.shared.disk.unfinished_parts(bucket)
    }

    /// Puts an object as if somebody had uploaded it. Fails when the bucket is unknown
    /// or the disk refuses.
    pub fn write(
        &self,
        bucket: &str,
        key: &str,
        bytes: &[u8],
        content_type: &str,
    ) -> io::Result<()> {
        self.put(bucket, key, bytes, content_type, None)
    }

    /// [`write`](Self::write) under a forced `ETag`, as if the bytes were an MD5 twin of
    /// those that rightly have it.
    pub fn write_twin(
        &self,
        bucket: &str,
        key: &str,
        bytes: &[u8],
        content_type: &str,
        etag: &str,
    ) -> io::Result<()> {
        self.put(bucket, key, bytes, content_type, Some(etag))
    }

    fn put(
        &self,
        bucket: &str,
        key: &str,
        bytes: &[u8],
        content_type: &str,
        etag: Option<&str>,
    ) -> io::Result<()> {
        let disk = &self.shared.disk;
        let draft = disk.draft();
        fs::write(draft.path(), bytes)?;
        let mut digest = Digest::of(&[]);
        digest.update(bytes);
        let came_to = digest.finish();
        let size = bytes.len() as u64;
        let object = Object {
            bucket: bucket.to_owned(),
            key: key.to_owned(),
            size,
            etag: etag.map_or_else(|| hex::encode(came_to.md5), str::to_owned),
            modified: disk.now(),
            headers: Headers {
                content_type: Some(content_type.to_owned()),
                ..Headers::default()
            },
            sums: came_to.sums,
            pieces: vec![Piece {
                file: draft.file.clone(),
                size,
            }],
            upload: None,
        };
        disk.publish(object, &Conditions::default())
            .map_err(io::Error::other)?;
        draft.keep();
        Ok(())
    }

    /// Takes parts of at least this many bytes from now on, where S3 insists on 5 MiB: a
    /// test of many multipart uploads need not move gigabytes.
    pub fn take_parts_of(&self, bytes: u64) {
        self.shared.disk.set_least_part(bytes);
    }

    /// Removes an object as if somebody had; whether there was one.
    pub fn remove(&self, bucket: &str, key: &str) -> bool {
        let disk = &self.shared.disk;
        disk.object(bucket, key).is_ok() && disk.remove(bucket, key, &Conditions::default()).is_ok()
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared")
            .field("addr", &self.addr)
            .finish_non_exhaustive()
    }
}

fn ring(settings: &Settings) -> io::Result<Ring> {
    let invalid = |message| io::Error::new(io::ErrorKind::InvalidInput, message);
    let ring = Ring::default();
    let keys = [
        (Role::Server, &settings.server_key),
        (Role::Upload, &settings.upload_key),
    ];
    for (role, (id, secret)) in keys {
        let secret = secret
            .expose_str()
            .ok_or_else(|| invalid("a secret key is not text"))?;
        if !ring.add(role, id, secret) {
            return Err(invalid(
                "the server's key and the upload key have the same id",
            ));
        }
    }
    Ok(ring)
}
