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
    /// How long a peer may take none of the bytes that are waiting for it.
    pub write_timeout: Duration,
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
            write_timeout: Duration::from_secs(30),
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
        write_alarm: None,
        write_timeout: limits.write_timeout,
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
/// The same for answers: a peer must take some bytes within `write_timeout`.
#[derive(Debug)]
struct Paced {
    stream: TcpStream,
    turns: Arc<Turns>,
    turn: usize,
    head_since: Option<Instant>,
    alarm: Option<Pin<Box<Sleep>>>,
    head_timeout: Duration,
    write_alarm: Option<Pin<Box<Sleep>>>,
    write_timeout: Duration,
}

impl Paced {
    /// Lets a write pass; one that waits sets the alarm, one that goes on clears it.
    fn written<T>(
        &mut self,
        cx: &mut Context<'_>,
        write: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if write.is_ready() {
            self.write_alarm = None;
            return write;
        }
        let patience = self.write_timeout;
        let alarm = self
            .write_alarm
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(patience)));
        ready!(alarm.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
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
        let write = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.written(cx, write)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // A TCP stream has nothing to flush and is always ready, which is no progress.
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
        let write = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.written(cx, write)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::routing::{get, post};
    use futures_util::StreamExt;
    use std::sync::Mutex;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::sync::{Notify, oneshot};
    use tokio::task::JoinHandle;

    /// A server on a free port, and the two signals its `/held` route waits on.
    struct Running {
        at: SocketAddr,
        entered: Arc<Notify>,
        release: Arc<Notify>,
        stop: oneshot::Sender<()>,
        done: JoinHandle<io::Result<()>>,
    }

    async fn start(limits: Limits) -> Running {
        let (entered, release) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let signals = (Arc::clone(&entered), Arc::clone(&release));
        let pieces = signals.clone();
        let router = Router::new()
            .route("/", get(async || "hello"))
            .route(
                "/peer",
                get(async |ConnectInfo(peer): ConnectInfo<SocketAddr>| peer.to_string()),
            )
            .route(
                "/held",
                get(async move || {
                    signals.0.notify_one();
                    signals.1.notified().await;
                    "finished"
                }),
            )
            .route(
                "/pieces",
                post(async move |body: Body| {
                    let (mut body, mut got) = (body.into_data_stream(), Vec::new());
                    pieces.0.notify_one();
                    while let Some(piece) = body.next().await {
                        got.extend(piece.unwrap());
                        pieces.0.notify_one();
                    }
                    pieces.1.notified().await;
                    got
                }),
            );
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let shutdown = async { drop(stopped.await) };
        let done = tokio::spawn(serve(listener, router, shutdown, limits));
        Running {
            at,
            entered,
            release,
            stop,
            done,
        }
    }

    /// Limits that no test waits for, but for the ones it sets.
    fn patient() -> Limits {
        Limits {
            head_timeout: Duration::from_mins(10),
            idle_timeout: Duration::from_mins(10),
            write_timeout: Duration::from_mins(10),
            ..Limits::default()
        }
    }

    async fn send(stream: &mut TcpStream, text: &str) {
        stream.write_all(text.as_bytes()).await.unwrap();
    }

    /// Reads until `end` was seen.
    async fn read_to(stream: &mut TcpStream, end: &str) -> String {
        let mut got = Vec::new();
        while !String::from_utf8_lossy(&got).ends_with(end) {
            assert_ne!(
                stream.read_buf(&mut got).await.unwrap(),
                0,
                "closed after {got:?}"
            );
        }
        String::from_utf8(got).unwrap()
    }

    /// Reads until the peer closes; a reset is a close too.
    async fn rest(stream: &mut TcpStream) -> String {
        let mut got = Vec::new();
        while let Ok(1..) = stream.read_buf(&mut got).await {}
        String::from_utf8(got).unwrap()
    }

    /// The server neither says anything nor hangs up, for as long as a limit of zero would
    /// take to strike.
    async fn assert_silent(stream: &mut TcpStream) {
        let read = tokio::time::timeout(Duration::from_millis(20), stream.read_u8()).await;
        assert!(read.is_err(), "{read:?}");
    }

    const GET: &str = "GET / HTTP/1.1\r\nhost: x\r\n\r\n";

    #[tokio::test]
    async fn a_connection_is_kept_for_the_next_request() {
        let server = start(patient()).await;
        let mut stream = TcpStream::connect(server.at).await.unwrap();
        for _ in 0..3 {
            send(&mut stream, GET).await;
            assert!(
                read_to(&mut stream, "hello")
                    .await
                    .starts_with("HTTP/1.1 200")
            );
        }
    }

    #[tokio::test]
    async fn handlers_know_their_peer() {
        let server = start(patient()).await;
        let mut stream = TcpStream::connect(server.at).await.unwrap();
        send(&mut stream, "GET /peer HTTP/1.1\r\nhost: x\r\n\r\n").await;
        let own = stream.local_addr().unwrap().to_string();
        read_to(&mut stream, &own).await;
    }

    #[tokio::test]
    async fn a_head_that_does_not_end_is_cut_although_idle_connections_may_wait() {
        let limits = Limits {
            head_timeout: Duration::from_millis(50),
            ..patient()
        };
        let server = start(limits).await;
        let mut stream = TcpStream::connect(server.at).await.unwrap();
        send(&mut stream, "GET / HTTP/1.1\r\n").await;
        assert_eq!(rest(&mut stream).await, "");
    }

    #[tokio::test]
    async fn a_head_that_drips_is_cut_too() {
        let limits = Limits {
            head_timeout: Duration::from_millis(100),
            ..patient()
        };
        let server = start(limits).await;
        let mut stream = TcpStream::connect(server.at).await.unwrap();
        send(&mut stream, GET).await;
        read_to(&mut stream, "hello").await;
        send(&mut stream, "GET / HTTP/1.1\r\n").await;
        let begun = std::time::Instant::now();
        let mut drip = tokio::time::interval(Duration::from_millis(10));
        // The head is endless; only the server can end this loop.
        while stream.write_all(b"x: y\r\n").await.is_ok() {
            drip.tick().await;
            assert!(begun.elapsed() < Duration::from_secs(20), "never cut");
        }
    }

    #[tokio::test]
    async fn the_limit_on_heads_is_for_heads_alone() {
        let limits = Limits {
            head_timeout: Duration::ZERO,
            ..patient()
        };
        let server = start(limits).await;
        let mut stream = TcpStream::connect(server.at).await.unwrap();
        for body in ["ab", "cd"] {
            send(
                &mut stream,
                "POST /pieces HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n",
            )
            .await;
            for piece in [&body[..1], &body[1..]] {
                server.entered.notified().await;
                assert_silent(&mut stream).await;
                send(&mut stream, piece).await;
            }
            server.entered.notified().await;
            assert_silent(&mut stream).await;
            server.release.notify_one();
            read_to(&mut stream, body).await;
            assert_silent(&mut stream).await;
        }
    }

    #[tokio::test]
    async fn an_idle_connection_is_closed_in_time() {
        let limits = Limits {
            idle_timeout: Duration::from_millis(20),
            ..patient()
        };
        let server = start(limits).await;
        let mut fresh = TcpStream::connect(server.at).await.unwrap();
        assert_eq!(rest(&mut fresh).await, "");
        let mut used = TcpStream::connect(server.at).await.unwrap();
        send(&mut used, GET).await;
        assert!(rest(&mut used).await.ends_with("hello"));
    }

    #[tokio::test]
    async fn a_peer_that_reads_no_answer_is_cut() {
        let limits = Limits {
            write_timeout: Duration::from_millis(50),
            ..patient()
        };
        let server = start(limits).await;
        let mut stream = TcpStream::connect(server.at).await.unwrap();
        // Answers fill both kernels' buffers, then requests do; only the server can end it.
        let requests = GET.repeat(1000);
        let ask = async { while stream.write_all(requests.as_bytes()).await.is_ok() {} };
        tokio::time::timeout(Duration::from_secs(20), ask)
            .await
            .expect("never cut");
    }

    #[tokio::test]
    async fn a_head_over_the_limit_is_431() {
        let server = start(patient()).await;
        let headers = |bytes: usize| {
            format!(
                "GET / HTTP/1.1\r\nhost: x\r\nx: {}\r\n\r\n",
                "y".repeat(bytes)
            )
        };
        let mut stream = TcpStream::connect(server.at).await.unwrap();
        send(&mut stream, &headers(31 * 1024)).await;
        read_to(&mut stream, "hello").await;
        // Without its end: a server that closes with bytes unread resets the connection.
        send(&mut stream, headers(32 * 1024).trim_end()).await;
        assert!(rest(&mut stream).await.starts_with("HTTP/1.1 431"));
    }

    #[tokio::test]
    async fn shutdown_finishes_the_request_in_flight_and_takes_no_other() {
        let server = start(patient()).await;
        let mut stream = TcpStream::connect(server.at).await.unwrap();
        send(&mut stream, "GET /held HTTP/1.1\r\nhost: x\r\n\r\n").await;
        server.entered.notified().await;
        // Idle connections close on shutdown: that it happened is seen on this one.
        let mut idle = TcpStream::connect(server.at).await.unwrap();
        send(&mut idle, GET).await;
        read_to(&mut idle, "hello").await;
        server.stop.send(()).unwrap();
        assert_eq!(rest(&mut idle).await, "");
        assert!(TcpStream::connect(server.at).await.is_err());
        assert!(!server.done.is_finished());
        server.release.notify_one();
        assert!(rest(&mut stream).await.ends_with("finished"));
        server.done.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn shutdown_closes_a_connection_that_never_spoke() {
        let server = start(patient()).await;
        let mut stream = TcpStream::connect(server.at).await.unwrap();
        // A second one that is answered: the first has been accepted by then.
        let mut second = TcpStream::connect(server.at).await.unwrap();
        send(&mut second, GET).await;
        read_to(&mut second, "hello").await;
        server.stop.send(()).unwrap();
        assert_eq!(rest(&mut stream).await, "");
        server.done.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn a_request_that_outlasts_the_grace_is_cut() {
        let server = start(Limits {
            grace: Duration::from_millis(20),
            ..patient()
        })
        .await;
        let mut stream = TcpStream::connect(server.at).await.unwrap();
        send(&mut stream, "GET /held HTTP/1.1\r\nhost: x\r\n\r\n").await;
        server.entered.notified().await;
        server.stop.send(()).unwrap();
        server.done.await.unwrap().unwrap();
        assert_eq!(rest(&mut stream).await, "");
    }

    #[tokio::test]
    async fn a_connection_over_the_limit_waits_for_a_place() {
        let server = start(Limits {
            max_connections: 1,
            ..patient()
        })
        .await;
        let mut first = TcpStream::connect(server.at).await.unwrap();
        send(&mut first, "GET /held HTTP/1.1\r\nhost: x\r\n\r\n").await;
        server.entered.notified().await;
        let order = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&order);
        let at = server.at;
        let second = tokio::spawn(async move {
            let mut stream = TcpStream::connect(at).await.unwrap();
            send(&mut stream, GET).await;
            read_to(&mut stream, "hello").await;
            seen.lock().unwrap().push("second");
        });
        // Time for a server without the limit to answer the second one.
        for _ in 0..200 {
            tokio::task::yield_now().await;
        }
        order.lock().unwrap().push("first");
        server.release.notify_one();
        read_to(&mut first, "finished").await;
        drop(first);
        second.await.unwrap();
        assert_eq!(*order.lock().unwrap(), ["first", "second"]);
    }
}
