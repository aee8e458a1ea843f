//! A wire to the test's PostgreSQL server that understands enough of what goes over it to
//! know a COMMIT, and can be cut there: before it arrives, after it was done and before
//! anybody hears of it, or at the very moment.

#![allow(dead_code, reason = "each test binary uses some of it")]

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use bytes::{Buf, BytesMut};
use futures_util::future::BoxFuture;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixStream};

use crate::common::database::TestDatabase;

type Hook = Box<dyn FnOnce() -> BoxFuture<'static, ()> + Send>;

/// On which side of a COMMIT the wire is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cut {
    /// It never arrives.
    Before,
    /// It is on its way when both ends hang up.
    Amid,
    /// It is done and the answer is lost.
    After,
}

struct Plan {
    /// How many COMMITs until this one; 1 is the next.
    left: u64,
    cut: Cut,
    hook: Hook,
}

#[derive(Default)]
struct Script {
    plans: Mutex<Vec<Plan>>,
    commits: AtomicU64,
}

impl Script {
    /// Another COMMIT: what is to happen to it.
    fn next(&self) -> Option<Plan> {
        self.commits.fetch_add(1, Ordering::SeqCst);
        let mut plans = self.plans.lock().unwrap();
        for plan in plans.iter_mut() {
            plan.left -= 1;
        }
        let due = plans.iter().position(|plan| plan.left == 0)?;
        Some(plans.swap_remove(due))
    }
}

/// A TCP port that leads to the database, without TLS.
pub struct Wire {
    script: Arc<Script>,
    url: String,
}

impl Wire {
    /// A wire to a PostgreSQL database.
    pub async fn to(database: &TestDatabase) -> Self {
        let TestDatabase::Postgres { server, name } = database else {
            panic!("SQLite has no wire");
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let user = server.get_username();
        let at = listener.local_addr().unwrap();
        let url = format!("postgres://{user}@{at}/{name}?sslmode=disable");
        let script = Arc::<Script>::default();
        let (host, port) = (server.get_host().to_owned(), server.get_port());
        let socket = server
            .get_socket()
            .map(|dir| dir.join(format!(".s.PGSQL.{port}")));
        let shared = script.clone();
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let (script, socket, host) = (shared.clone(), socket.clone(), host.clone());
                tokio::spawn(async move {
                    // A server that is down refuses: so does this end, by hanging up.
                    if let Some(path) = socket {
                        if let Ok(far) = UnixStream::connect(path).await {
                            carry(near, far, &script).await;
                        }
                    } else if let Ok(far) = TcpStream::connect((host, port)).await {
                        carry(near, far, &script).await;
                    }
                });
            }
        });
        Self { script, url }
    }

    /// The database's URL over this wire.
    pub fn url(&self) -> String {
        self.url.clone()
    }

    /// How many COMMITs were sent over it.
    pub fn commits(&self) -> u64 {
        self.script.commits.load(Ordering::SeqCst)
    }

    /// Cuts the connection at the `nth` COMMIT from now, after `hook`.
    pub fn cut<F>(&self, nth: u64, cut: Cut, hook: impl FnOnce() -> F + Send + 'static)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let hook: Hook = Box::new(move || Box::pin(hook()));
        let plan = Plan {
            left: nth,
            cut,
            hook,
        };
        self.script.plans.lock().unwrap().push(plan);
    }

    /// Whether a cut has still to come.
    pub fn is_armed(&self) -> bool {
        !self.script.plans.lock().unwrap().is_empty()
    }
}

/// Carries one connection until an end hangs up or a plan cuts it.
async fn carry<N, F>(near: N, far: F, script: &Script)
where
    N: AsyncRead + AsyncWrite,
    F: AsyncRead + AsyncWrite,
{
    let (from_near, to_near) = tokio::io::split(near);
    let (from_far, to_far) = tokio::io::split(far);
    // What waits for the server's word that the COMMIT is done.
    let done = Mutex::new(None);
    // Both ends hang up when either pump ends.
    tokio::select! {
        _ = asking(from_near, to_far, script, &done) => {}
        _ = answering(from_far, to_near, &done) => {}
    }
}

/// The next whole message: its kind (none: the first) and all of its bytes.
async fn message(
    from: &mut (impl AsyncRead + Unpin),
    buffer: &mut BytesMut,
    first: bool,
) -> io::Result<BytesMut> {
    let kind = usize::from(!first);
    loop {
        if buffer.len() >= kind + 4 {
            let length = (&buffer[kind..kind + 4]).get_u32() as usize + kind;
            if buffer.len() >= length {
                return Ok(buffer.split_to(length));
            }
        }
        if from.read_buf(buffer).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

/// The two texts that a message begins with.
fn names(message: &[u8]) -> (&[u8], &[u8]) {
    let mut texts = message[5..].split(|byte| *byte == 0);
    (
        texts.next().unwrap_or_default(),
        texts.next().unwrap_or_default(),
    )
}

async fn asking(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    script: &Script,
    done: &Mutex<Option<Hook>>,
) -> io::Result<()> {
    let mut buffer = BytesMut::new();
    let startup = message(&mut from, &mut buffer, true).await?;
    to.write_all(&startup).await?;
    // The statement that was prepared as COMMIT.
    let mut commit: Option<Vec<u8>> = None;
    loop {
        let said = message(&mut from, &mut buffer, false).await?;
        let (one, two) = match said[0] {
            b'P' | b'B' => names(&said),
            _ => (&[][..], &[][..]),
        };
        if said[0] == b'P' && two == b"COMMIT" {
            commit = Some(one.to_vec());
        }
        // Bound, it is executed in the same breath.
        let plan = (said[0] == b'B' && commit.as_deref() == Some(two))
            .then(|| script.next())
            .flatten();
        match plan {
            None => to.write_all(&said).await?,
            Some(plan) if plan.cut == Cut::After => {
                *done.lock().unwrap() = Some(plan.hook);
                to.write_all(&said).await?;
            }
            Some(plan) if plan.cut == Cut::Amid => {
                to.write_all(&said).await?;
                let rest = message(&mut from, &mut buffer, false).await?;
                to.write_all(&rest).await?;
                while !buffer.is_empty() {
                    let rest = message(&mut from, &mut buffer, false).await?;
                    to.write_all(&rest).await?;
                }
                (plan.hook)().await;
                return Ok(());
            }
            Some(plan) => {
                (plan.hook)().await;
                return Ok(());
            }
        }
    }
}

async fn answering(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    done: &Mutex<Option<Hook>>,
) -> io::Result<()> {
    let mut buffer = BytesMut::new();
    loop {
        let said = message(&mut from, &mut buffer, false).await?;
        // The hook waits for the first word of success, whatever came before it.
        if said[0] == b'C' && &said[5..] == b"COMMIT\0" {
            let hook = done.lock().unwrap().take();
            if let Some(hook) = hook {
                hook().await;
                return Ok(());
            }
        }
        to.write_all(&said).await?;
    }
}
