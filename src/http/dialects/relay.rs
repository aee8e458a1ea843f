//! `multipart/form-data` (RFC 7578), read as it comes.
//!
//! The parser holds what has arrived and is not understood yet, and it would hold all that is
//! ready: [`Gate`] gives it one chunk at a time, and no more than [`UNPARSED`] bytes between
//! two that came out of it.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use bytes::Bytes;
use futures_util::Stream;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, StatusCode};
use multer::{Field, Multipart};
use tokio::time::{Instant, timeout};

use crate::domain::problem::Problem;
use crate::flow::relay::Limits;
use crate::http::problem::Refusal;

/// The most bytes the parser may hold without making sense of them: a chunk as hyper reads
/// it, and the head of a field.
const UNPARSED: u64 = 1024 * 1024;
/// The most fields of a form.
const MAX_FIELDS: usize = 1000;
/// The longest value of a field that is no file, in bytes; those of all fields together are
/// eight times as long at most.
const MAX_VALUE: usize = 8 * 1024;
const MAX_VALUES: usize = 8 * MAX_VALUE;
/// A client may be slow, not slower than this: so many bytes in a minute.
const LEAST: u64 = 64 * 1024;
/// How much of a body is read for nobody, and for how long, so that a client which sends
/// before it listens hears why its file was refused.
const LINGER: u64 = 64 * 1024 * 1024;
const LINGER_TIME: Duration = Duration::from_secs(20);

/// A field of a form.
#[derive(Debug)]
pub enum Input {
    /// One with a value.
    Value(String, String),
    /// One with a file, whose bytes [`Form::chunk`] brings.
    File(Head),
}

/// What a client says of a file before it sends it.
#[derive(Clone, Debug)]
pub struct Head {
    /// Its name.
    pub name: String,
    /// Its media type.
    pub media_type: Option<String>,
}

/// A form on its way in.
#[derive(Debug)]
pub struct Form {
    multipart: Multipart<'static>,
    field: Option<Field<'static>>,
    unparsed: Arc<AtomicU64>,
    /// The body's length, when the client says it.
    length: Option<u64>,
    read: Arc<AtomicU64>,
    fields: usize,
    values: usize,
    pace: Pace,
}

/// How a client keeps up, whatever of the form it sends: it may be silent for
/// [`Limits::patience`], and not slower than [`LEAST`] in a [`Limits::minute`] of being waited
/// for. While this server is busy with what came, it waits for nobody.
#[derive(Debug)]
struct Pace {
    limits: Limits,
    read: Arc<AtomicU64>,
    /// Of this minute, what is over.
    waited: Duration,
    /// What had been read when it began.
    before: u64,
}

impl Pace {
    /// Waits for what the parser makes of the next bytes.
    async fn wait<T>(
        &mut self,
        next: impl Future<Output = Result<T, multer::Error>>,
    ) -> Result<T, Refusal> {
        let began = Instant::now();
        let came = timeout(self.limits.patience, next).await;
        let came = came.map_err(|_| late())?.map_err(|error| broken(&error))?;
        self.waited += began.elapsed();
        if self.waited >= self.limits.minute {
            let read = self.read.load(Ordering::Relaxed);
            if read - self.before < LEAST {
                return Err(late());
            }
            (self.waited, self.before) = (Duration::ZERO, read);
        }
        Ok(came)
    }
}

impl Form {
    /// A form in a request's body, whose client keeps within these limits.
    pub fn open(headers: &HeaderMap, body: Body, limits: Limits) -> Result<Self, Refusal> {
        let kind = headers
            .get(CONTENT_TYPE)
            .and_then(|kind| kind.to_str().ok());
        let boundary = kind.and_then(|kind| multer::parse_boundary(kind).ok());
        // RFC 2046 §5.1.1: at most 70 characters.
        let Some(boundary) = boundary.filter(|text| (1..=70).contains(&text.len())) else {
            return Err(Refusal {
                status: StatusCode::UNSUPPORTED_MEDIA_TYPE,
                problem: Problem::invalid(
                    "the body must be sent as `Content-Type: multipart/form-data` with a boundary",
                ),
            });
        };
        let length = headers.get(CONTENT_LENGTH);
        let unparsed = Arc::<AtomicU64>::default();
        let read = Arc::<AtomicU64>::default();
        let gate = Gate {
            body: body.into_data_stream(),
            is_shut: false,
            unparsed: Arc::clone(&unparsed),
            read: Arc::clone(&read),
        };
        Ok(Self {
            multipart: Multipart::new(gate, boundary),
            field: None,
            unparsed,
            length: length.and_then(|text| text.to_str().ok()?.parse().ok()),
            pace: Pace {
                limits,
                read: Arc::clone(&read),
                waited: Duration::ZERO,
                before: 0,
            },
            read,
            fields: 0,
            values: 0,
        })
    }

    /// The most bytes that a file which begins here can have.
    pub fn left(&self) -> Option<u64> {
        let read = self.read.load(Ordering::Relaxed);
        // What has been read may hold the beginning of the file, and nothing larger.
        self.length
            .map(|length| length.saturating_sub(read).saturating_add(UNPARSED))
            .map(|left| self.length.map_or(left, |length| left.min(length)))
    }

    /// The next field; what the one before has not given yet is skipped.
    pub async fn next(&mut self) -> Result<Option<Input>, Refusal> {
        while self.field.is_some() {
            self.chunk().await?;
        }
        let next = self.multipart.next_field();
        let Some(mut field) = self.pace.wait(next).await? else {
            return Ok(None);
        };
        self.unparsed.store(0, Ordering::Relaxed);
        self.fields += 1;
        if self.fields > MAX_FIELDS {
            return Err(bad(format!("the form has more than {MAX_FIELDS} fields")));
        }
        if let Some(name) = field.file_name() {
            let head = Head {
                name: unescaped(name),
                media_type: field
                    .content_type()
                    .map(|kind| kind.essence_str().to_owned()),
            };
            self.field = Some(field);
            return Ok(Some(Input::File(head)));
        }
        let name = field.name().map(unescaped).unwrap_or_default();
        let mut value = Vec::new();
        while let Some(bytes) = self.pace.wait(field.chunk()).await? {
            self.unparsed.store(0, Ordering::Relaxed);
            value.extend_from_slice(&bytes);
            if value.len() > MAX_VALUE || self.values + value.len() > MAX_VALUES {
                return Err(bad(format!(
                    "a field's value has more than {MAX_VALUE} bytes, or all have more than {MAX_VALUES}"
                )));
            }
        }
        self.values += value.len();
        let value =
            String::from_utf8(value).map_err(|_| bad("a field's value is not UTF-8".to_owned()))?;
        Ok(Some(Input::Value(name, value)))
    }

    /// The next bytes of the file that [`next`](Self::next) brought; `None` at its end.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, Refusal> {
        let Some(field) = &mut self.field else {
            return Ok(None);
        };
        let bytes = self.pace.wait(field.chunk()).await?;
        self.unparsed.store(0, Ordering::Relaxed);
        if bytes.is_none() {
            self.field = None;
        }
        Ok(bytes)
    }

    /// Reads on for nobody, to the end if that is not far; whether it came to the end of the
    /// file at hand.
    pub async fn linger(&mut self) -> bool {
        let enough = self.read.load(Ordering::Relaxed) + LINGER;
        let to_the_end = async {
            while let Ok(Some(_)) = self.chunk().await {
                if self.read.load(Ordering::Relaxed) > enough {
                    break;
                }
            }
        };
        // Late or not, the answer is the same.
        let _ = timeout(LINGER_TIME, to_the_end).await;
        self.field.is_none()
    }
}

/// Browsers escape what would end a name (WHATWG HTML, multipart form data).
fn unescaped(text: &str) -> String {
    text.replace("%22", "\"")
        .replace("%0D", "\r")
        .replace("%0A", "\n")
}

fn bad(detail: String) -> Refusal {
    Problem::invalid(detail).into()
}

fn late() -> Refusal {
    Refusal {
        status: StatusCode::REQUEST_TIMEOUT,
        problem: Problem::invalid("the request body took too long to arrive"),
    }
}

/// The parser's words may repeat a field's name; ours do not.
fn broken(error: &multer::Error) -> Refusal {
    match error {
        multer::Error::StreamReadFailed(_) | multer::Error::IncompleteStream => {
            bad("the request body broke off".to_owned())
        }
        _ => bad("the request body is not multipart/form-data (RFC 7578)".to_owned()),
    }
}

/// A body that comes through one chunk at a time, and not on and on when nothing comes out of
/// the parser behind it.
struct Gate {
    body: BodyDataStream,
    is_shut: bool,
    unparsed: Arc<AtomicU64>,
    read: Arc<AtomicU64>,
}

impl Stream for Gate {
    type Item = Result<Bytes, axum::Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        // The parser asks until nothing is ready; it gets a look at each chunk first.
        if std::mem::take(&mut self.is_shut) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let chunk = ready!(Pin::new(&mut self.body).poll_next(cx));
        if let Some(Ok(bytes)) = &chunk {
            self.is_shut = true;
            let length = bytes.len() as u64;
            self.read.fetch_add(length, Ordering::Relaxed);
            let unparsed = self.unparsed.fetch_add(length, Ordering::Relaxed) + length;
            if unparsed > UNPARSED.max(length) {
                let words = "the head of a field does not end";
                return Poll::Ready(Some(Err(axum::Error::new(std::io::Error::other(words)))));
            }
        }
        Poll::Ready(chunk)
    }
}
