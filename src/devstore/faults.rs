//! What a test may do to an operation: fail it, lose its answer, delay it, or act
//! just before or after it.

use std::fmt;
use std::future::{Future, pending};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use s3s::{S3Error, S3ErrorCode, S3Response, S3Result};

/// An S3 operation, as the store saw it (after authentication, before any effect).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Op {
    PutObject,
    PostObject,
    GetObject,
    HeadObject,
    GetObjectAttributes,
    CopyObject,
    DeleteObject,
    DeleteObjects,
    /// `ListObjectsV2` and the older `ListObjects`.
    ListObjects,
    CreateMultipart,
    UploadPart,
    UploadPartCopy,
    CompleteMultipart,
    AbortMultipart,
    ListParts,
    ListMultipartUploads,
    CreateBucket,
    DeleteBucket,
    HeadBucket,
    ListBuckets,
    GetBucketLocation,
    PutBucketCors,
    GetBucketCors,
    DeleteBucketCors,
}

/// What goes wrong with an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Answers with this HTTP status (503 is `SlowDown`) and has no effect.
    ErrorBefore(u16),
    /// Has its effect, then answers with this HTTP status.
    ErrorAfter(u16),
    /// Has its effect, then closes the connection without an answer.
    LostAnswer,
    /// Starts only after this long.
    Delay(Duration),
    /// Never starts and never answers; ends when the client or the store gives up.
    Hang,
    /// Closes the connection without an answer and has no effect.
    Reset,
    /// Answers 200 with an error in its body and has no effect, as S3 may when a copy or
    /// a completion fails after the head of its answer was sent.
    ErrorIn200,
    /// Has its effect and announces the whole answer, but closes the connection in the
    /// middle of the body.
    CutBody,
}

/// A rule of S3's that a store may lack: what is wrong with such a store is for
/// `putgate doctor` to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lax {
    /// `x-amz-` headers that the signature does not cover are obeyed.
    UnsignedHeaders,
    /// The upload key may read every bucket.
    UploadKeyReads,
    /// The upload key may list every bucket.
    UploadKeyLists,
    /// The upload key may write to every bucket.
    UploadKeyWrites,
    /// Announced checksums are not compared with the bytes.
    Checksums,
    /// Copies are made whatever the source's `ETag`.
    CopyConditions,
    /// A range is answered with the whole object.
    Ranges,
}

/// What a [`govern`](Faults::govern)ed operation goes through; by default nothing.
#[derive(Default)]
pub struct Turn {
    /// Runs before the operation, which waits for it.
    pub before: Option<BoxFuture<'static, ()>>,
    /// What goes wrong.
    pub fault: Option<Fault>,
    /// Runs after the effect and before the answer.
    pub after: Option<BoxFuture<'static, ()>>,
}

impl fmt::Debug for Turn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Turn")
            .field("before", &self.before.is_some())
            .field("fault", &self.fault)
            .field("after", &self.after.is_some())
            .finish()
    }
}

type Governor = Arc<dyn Fn(Op, &str, &str) -> Turn + Send + Sync>;
type Hook = Box<dyn FnOnce() -> BoxFuture<'static, ()> + Send>;

/// The script of what goes wrong, shared by the server and the test.
#[derive(Clone, Default)]
pub struct Faults {
    script: Arc<Mutex<Script>>,
}

#[derive(Default)]
struct Script {
    plans: Vec<Plan>,
    governor: Option<Governor>,
    lax: Vec<Lax>,
    log: Vec<(Op, String, String)>,
}

struct Plan {
    op: Op,
    bucket: Option<String>,
    /// How many matching operations until this one fires; `None`: at each of them.
    left: Option<u64>,
    deed: Deed,
}

enum Deed {
    Fault(Fault),
    Before(Hook),
    After(Hook),
}

/// What one operation has to go through.
#[derive(Default)]
struct Course {
    before: Vec<Hook>,
    after: Vec<Hook>,
    fault: Option<Fault>,
}

impl Faults {
    /// `fault` befalls the next `op`.
    pub fn next(&self, op: Op, fault: Fault) {
        self.nth(op, 1, fault);
    }

    /// `fault` befalls the next `op` in `bucket`.
    pub fn next_on(&self, op: Op, bucket: &str, fault: Fault) {
        self.plan(op, Some(bucket.into()), Some(1), Deed::Fault(fault));
    }

    /// `fault` befalls the `n`-th `op` from now; 1 is the next.
    pub fn nth(&self, op: Op, n: u64, fault: Fault) {
        self.plan(op, None, Some(n), Deed::Fault(fault));
    }

    /// `fault` befalls every `op` until [`clear`](Self::clear), except where a
    /// counted fault comes first.
    pub fn always(&self, op: Op, fault: Fault) {
        self.plan(op, None, None, Deed::Fault(fault));
    }

    /// Runs `hook` just before the `n`-th `op` from now; the operation waits for it.
    pub fn before<F>(&self, op: Op, n: u64, hook: impl FnOnce() -> F + Send + 'static)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.plan(op, None, Some(n), Deed::Before(boxed(hook)));
    }

    /// Runs `hook` after the effect of the `n`-th `op` from now and before its answer.
    pub fn after<F>(&self, op: Op, n: u64, hook: impl FnOnce() -> F + Send + 'static)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.plan(op, None, Some(n), Deed::After(boxed(hook)));
    }

    /// Asks `governor` about every operation that no plan meets: what, bucket, key. It is
    /// called under a lock and must not wait.
    pub fn govern(&self, governor: impl Fn(Op, &str, &str) -> Turn + Send + Sync + 'static) {
        self.script().governor = Some(Arc::new(governor));
    }

    /// The store lacks this rule from now on.
    pub fn neglect(&self, rule: Lax) {
        self.script().lax.push(rule);
    }

    pub(super) fn neglects(&self, rule: Lax) -> bool {
        self.script().lax.contains(&rule)
    }

    /// Forgets every plan, the governor and what was neglected; the log stays.
    pub fn clear(&self) {
        let mut script = self.script();
        script.plans.clear();
        script.governor = None;
        script.lax.clear();
    }

    /// The operations seen so far, oldest first: what, bucket, key (of a listing its
    /// prefix; empty when the operation has none).
    pub fn log(&self) -> Vec<(Op, String, String)> {
        self.script().log.clone()
    }

    /// How many times `op` was seen.
    pub fn count(&self, op: Op) -> usize {
        self.script().log.iter().filter(|seen| seen.0 == op).count()
    }

    fn plan(&self, op: Op, bucket: Option<String>, left: Option<u64>, deed: Deed) {
        self.script().plans.push(Plan {
            op,
            bucket,
            left,
            deed,
        });
    }

    fn script(&self) -> MutexGuard<'_, Script> {
        self.script.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does `work`, or what the script makes of it.
    pub(super) async fn run<T>(
        &self,
        op: Op,
        bucket: &str,
        key: &str,
        work: impl Future<Output = S3Result<T>> + Send,
    ) -> S3Result<S3Response<T>> {
        let course = self.script().course(op, bucket, key);
        for hook in course.before {
            hook().await;
        }
        match course.fault {
            Some(Fault::ErrorBefore(status)) => return Err(error(status)),
            Some(Fault::Reset) => return Err(marked(RESET)),
            Some(Fault::ErrorIn200) => return Err(marked(ERROR_IN_200)),
            Some(Fault::Hang) => pending::<()>().await,
            Some(Fault::Delay(span)) => tokio::time::sleep(span).await,
            Some(Fault::ErrorAfter(_) | Fault::LostAnswer | Fault::CutBody) | None => {}
        }
        let answer = work.await;
        for hook in course.after {
            hook().await;
        }
        match course.fault {
            Some(Fault::ErrorAfter(status)) => Err(error(status)),
            Some(Fault::LostAnswer) => Err(marked(RESET)),
            Some(Fault::CutBody) => answer.map(|output| {
                let mut response = S3Response::new(output);
                response.headers.insert(CUT, HeaderValue::from_static("1"));
                response
            }),
            _ => answer.map(S3Response::new),
        }
    }
}

impl Script {
    fn course(&mut self, op: Op, bucket: &str, key: &str) -> Course {
        self.log.push((op, bucket.into(), key.into()));
        let mut course = Course::default();
        let mut everlasting = None;
        for plan in std::mem::take(&mut self.plans) {
            let meant = plan.op == op && plan.bucket.as_deref().is_none_or(|only| only == bucket);
            match (meant, plan.left, plan.deed) {
                (true, Some(..=1), Deed::Fault(fault)) => {
                    course.fault = course.fault.or(Some(fault));
                }
                (true, Some(..=1), Deed::Before(hook)) => course.before.push(hook),
                (true, Some(..=1), Deed::After(hook)) => course.after.push(hook),
                (meant, left, deed) => {
                    if let (true, None, Deed::Fault(fault)) = (meant, left, &deed) {
                        everlasting = Some(*fault);
                    }
                    let left = left.map(|n| n - u64::from(meant));
                    self.plans.push(Plan { left, deed, ..plan });
                }
            }
        }
        course.fault = course.fault.or(everlasting);
        if let Some(governor) = &self.governor {
            let turn = governor(op, bucket, key);
            course.before.extend(turn.before.map(ready));
            course.after.extend(turn.after.map(ready));
            course.fault = course.fault.or(turn.fault);
        }
        course
    }
}

impl fmt::Debug for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let script = self.script();
        f.debug_struct("Faults")
            .field("plans", &script.plans.len())
            .field("seen", &script.log.len())
            .finish()
    }
}

fn boxed<F>(hook: impl FnOnce() -> F + Send + 'static) -> Hook
where
    F: Future<Output = ()> + Send + 'static,
{
    Box::new(move || Box::pin(hook()))
}

fn ready(work: BoxFuture<'static, ()>) -> Hook {
    Box::new(move || work)
}

fn error(status: u16) -> S3Error {
    let code = match status {
        403 => S3ErrorCode::AccessDenied,
        404 => S3ErrorCode::NoSuchKey,
        412 => S3ErrorCode::PreconditionFailed,
        503 => S3ErrorCode::SlowDown,
        _ => S3ErrorCode::InternalError,
    };
    let mut error = S3Error::with_message(code, "a fault was asked for");
    error
        .set_status_code(StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR));
    error
}

/// Marks an answer that the server has to swallow, closing the connection instead.
pub(super) const RESET: HeaderName = HeaderName::from_static("x-devstore-reset");
/// Marks an error that the server has to send with status 200.
pub(super) const ERROR_IN_200: HeaderName = HeaderName::from_static("x-devstore-error-in-200");
/// Marks an answer whose body the server has to cut.
pub(super) const CUT: HeaderName = HeaderName::from_static("x-devstore-cut");

fn marked(mark: HeaderName) -> S3Error {
    let mut error = S3Error::with_message(S3ErrorCode::InternalError, "a fault was asked for");
    error.set_headers(HeaderMap::from_iter([(
        mark,
        HeaderValue::from_static("1"),
    )]));
    error
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn run(faults: &Faults, op: Op, bucket: &str) -> Option<u16> {
        let done = faults.run(op, bucket, "k", async { Ok(()) }).await;
        done.err()
            .and_then(|error| error.status_code())
            .map(|status| status.as_u16())
    }

    #[tokio::test]
    async fn the_nth_matching_operation_fails_and_only_that_one() {
        let faults = Faults::default();
        faults.nth(Op::GetObject, 2, Fault::ErrorBefore(503));
        faults.next_on(Op::PutObject, "final", Fault::ErrorBefore(500));
        let seen = [
            run(&faults, Op::GetObject, "a").await,
            run(&faults, Op::HeadObject, "a").await,
            run(&faults, Op::GetObject, "a").await,
            run(&faults, Op::GetObject, "a").await,
            run(&faults, Op::PutObject, "staging").await,
            run(&faults, Op::PutObject, "final").await,
        ];
        assert_eq!(seen, [None, None, Some(503), None, None, Some(500)]);
        assert_eq!(faults.count(Op::GetObject), 3);
    }

    #[tokio::test]
    async fn an_everlasting_fault_gives_way_to_a_counted_one_and_ends_with_clear() {
        let faults = Faults::default();
        faults.always(Op::CopyObject, Fault::ErrorBefore(500));
        faults.next(Op::CopyObject, Fault::ErrorBefore(503));
        let first = run(&faults, Op::CopyObject, "a").await;
        let second = run(&faults, Op::CopyObject, "a").await;
        faults.clear();
        assert_eq!((first, second), (Some(503), Some(500)));
        assert_eq!(run(&faults, Op::CopyObject, "a").await, None);
    }

    #[tokio::test]
    async fn a_governor_is_asked_about_every_operation_and_a_plan_goes_first() {
        let faults = Faults::default();
        faults.govern(|op, bucket, key| Turn {
            fault: (op == Op::GetObject && bucket == "a" && key == "k")
                .then_some(Fault::ErrorBefore(500)),
            ..Turn::default()
        });
        faults.nth(Op::GetObject, 2, Fault::ErrorBefore(503));
        let seen = [
            run(&faults, Op::GetObject, "a").await,
            run(&faults, Op::GetObject, "a").await,
            run(&faults, Op::GetObject, "b").await,
            run(&faults, Op::HeadObject, "a").await,
        ];
        assert_eq!(seen, [Some(500), Some(503), None, None]);
    }

    #[tokio::test]
    async fn hooks_run_before_and_after_the_work_which_a_lost_answer_still_does() {
        let faults = Faults::default();
        let (tell, told) = std::sync::mpsc::channel();
        let (before, after) = (tell.clone(), tell.clone());
        faults.before(Op::CopyObject, 1, move || async move {
            before.send("before").unwrap();
        });
        faults.after(Op::CopyObject, 1, move || async move {
            after.send("after").unwrap();
        });
        faults.next(Op::CopyObject, Fault::LostAnswer);
        let answer = faults
            .run(Op::CopyObject, "b", "k", async move {
                tell.send("work").unwrap();
                Ok(())
            })
            .await;
        assert!(answer.unwrap_err().headers().unwrap().contains_key(RESET));
        assert_eq!(
            told.try_iter().collect::<Vec<_>>(),
            ["before", "work", "after"]
        );
    }
}
