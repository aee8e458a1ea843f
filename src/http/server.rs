//! The listener: axum's router on hyper, with the limits that `axum::serve` lacks.

use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, Sleep};
use tower::Service;

/// What a connection may cost.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// From the first byte of a request's head to its last.
    pub head_timeout: Duration,
    /// How long a connection may wait for its next request. Longer than the sixty seconds
    /// of the usual load balancers: the side that closes first loses requests in flight.
    pub idle_timeout: Duration,
    /// Request line and headers together, in bytes; more is answered 431.
    pub max_head_bytes: usize,
    /// Connections at a time, and so (this is HTTP/1.1) requests; the rest wait in the
    /// kernel's queue.
    pub max_connections: usize,
    /// How long requests in flight may take to finish after the shutdown signal.
    pub grace: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            head_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(75),
            max_head_bytes: 32 * 1024,
            max_connections: 4096,
            grace: Duration::from_secs(25),
        }
    }
}

/// What the connections are asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Serve,
    /// Finish the request at hand, take no other.
    Drain,
    /// Close now.
    Cut,
}

/// Serves `router` until `shutdown`; then takes no new connection, closes the idle ones, and
/// returns when the last request is answered or the grace is over. Handlers find the peer
/// as `ConnectInfo<SocketAddr>`.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    shutdown: impl Future<Output = ()>,
    limits: Limits,
) -> io::Result<()> {
    let room = Arc::new(Semaphore::new(
        limits.max_connections.min(Semaphore::MAX_PERMITS),
    ));
    let (phase, _) = watch::channel(Phase::Serve);
    let mut shutdown = pin!(shutdown);
    loop {
        let arrival = async {
            let permit = Arc::clone(&room).acquire_owned().await;
            (permit, listener.accept().await)
        };
        let (permit, accepted) = tokio::select! {
            biased;
            () = shutdown.as_mut() => break,
            arrival = arrival => arrival,
        };
        match accepted {
            Ok((stream, peer)) => {
                let connection =
                    connection(stream, peer, router.clone(), phase.subscribe(), limits);
                tokio::spawn(async move {
                    connection.await;
                    drop(permit);
                });
            }
            Err(error) => accept_failed(&error).await,
        }
    }
    drop(listener);
    phase.send_replace(Phase::Drain);
    if tokio::time::timeout(limits.grace, phase.closed())
        .await
        .is_err()
    {
        tracing::warn!(
            connections = phase.receiver_count(),
            "the grace is over, connections are cut"
        );
        phase.send_replace(Phase::Cut);
        phase.closed().await;
    }
    Ok(())
}

/// A peer that gave up is its own affair. Anything else (no file descriptors left, most
/// likely) will not be better at once: wait, or this loop burns a core.
async fn accept_failed(error: &io::Error) {
    match error.kind() {
        io::ErrorKind::ConnectionAborted
        | io::ErrorKind::ConnectionReset
        | io::ErrorKind::ConnectionRefused => {}
        _ => {
            tracing::error!(%error, "no connection can be accepted");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
}

async fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    router: Router,
    mut phase: watch::Receiver<Phase>,
    limits: Limits,
) {
    // An answer is one write; Nagle's algorithm would only hold back its tail.
    let _ = stream.set_nodelay(true);
    let turns = Arc::new(Turns::default());
    let service = service_fn(|request: Request<Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(ConnectInfo(peer));
        turns.begin();
        let turns = Arc::clone(&turns);
        let answer = router.clone().call(request);
        async move {
            let answer = answer.await;
            turns.end();
            answer
        }
    });
    let io = TokioIo::new(Paced {
        stream,
        turns: Arc::clone(&turns),
        turn: 0,
        head_since: None,
        alarm: None,
        head_timeout: limits.head_timeout,
    });
    let mut connection = pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(limits.idle_timeout)
            .max_header_size(limits.max_head_bytes)
            .serve_connection(io, service)
    );
    loop {
        tokio::select! {
            biased;
            ended = connection.as_mut() => {
                if let Err(error) = ended {
                    tracing::debug!(%error, "a connection ended badly");
                }
                return;
            }
            _ = phase.changed() => match *phase.borrow_and_update() {
                Phase::Serve => {}
                Phase::Drain => connection.as_mut().graceful_shutdown(),
                Phase::Cut => return,
            }
        }
    }
}

/// Counts the beginnings and ends of requests on one connection: odd while one is answered.
#[derive(Debug, Default)]
struct Turns(AtomicUsize);

impl Turns {
    fn begin(&self) {
        self.0.fetch_or(1, Ordering::Relaxed);
    }

    fn end(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn now(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

/// A stream on which the head of a request must arrive within `head_timeout` of its first
/// byte. hyper has one timer for "idle" and "half a head"; they need different limits. The
/// alarm is only set when a head does not come in one piece, so most requests pay nothing.
#[derive(Debug)]
struct Paced {
    stream: TcpStream,
    turns: Arc<Turns>,
    turn: usize,
    head_since: Option<Instant>,
    alarm: Option<Pin<Box<Sleep>>>,
    head_timeout: Duration,
}

impl AsyncRead for Paced {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let turn = self.turns.now();
        if turn != self.turn {
            (self.turn, self.head_since, self.alarm) = (turn, None, None);
        }
        let before = buf.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        let answering = turn % 2 == 1;
        if answering {
            return read;
        }
        if buf.filled().len() > before {
            self.head_since.get_or_insert_with(Instant::now);
        }
        let Some(since) = self.head_since else {
            return read;
        };
        if read.is_pending() {
            let deadline = since + self.head_timeout;
            let alarm = self
                .alarm
                .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
            ready!(alarm.as_mut().poll(cx));
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        read
    }
}

impl AsyncWrite for Paced {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
