//! DNS and TCP. The addresses are looked at after the name is resolved, and the very ones that
//! were looked at are called: a name that answers otherwise a moment later gains nothing.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use tower::Service;

use super::address::not_public;

/// How long one address may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Why nobody was reached.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unconnected {
    #[error("the receiver's name does not resolve")]
    Unresolved,
    #[error(
        "{ip} is {kind}, and events go to the public internet only unless [webhook] allow_private = true"
    )]
    Refused {
        ip: std::net::IpAddr,
        kind: &'static str,
    },
    #[error("no connection to {0} within {1} s")]
    Late(SocketAddr, u64),
    #[error("no connection to {0}: {1}")]
    Failed(SocketAddr, std::io::ErrorKind),
}

/// Connects to what a URL names, if that is where events may go.
#[derive(Clone, Debug)]
pub(super) struct Connector {
    pub(super) allow_private: bool,
}

impl Service<Uri> for Connector {
    type Response = TokioIo<TcpStream>;
    type Error = Unconnected;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Unconnected>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Unconnected>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, url: Uri) -> Self::Future {
        let allow_private = self.allow_private;
        Box::pin(async move {
            let stream = connect(&url, allow_private).await?;
            // Without it the body, sent after the head, may wait for an acknowledgement.
            let _ = stream.set_nodelay(true);
            Ok(TokioIo::new(stream))
        })
    }
}

async fn connect(url: &Uri, allow_private: bool) -> Result<TcpStream, Unconnected> {
    let host = url.host().unwrap_or_default().trim_matches(['[', ']']);
    let port = match (url.port_u16(), url.scheme_str()) {
        (Some(port), _) => port,
        (None, Some("http")) => 80,
        (None, _) => 443,
    };
    let found = lookup_host((host, port))
        .await
        .map_err(|_| Unconnected::Unresolved)?;
    let mut why = Unconnected::Unresolved;
    for address in allowed(found, allow_private) {
        why = match address {
            Err(refused) => refused,
            Ok(address) => match timeout(PATIENCE, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(error)) => Unconnected::Failed(address, error.kind()),
                Err(_) => Unconnected::Late(address, PATIENCE.as_secs()),
            },
        };
    }
    Err(why)
}

/// Those of a name's addresses that may be called.
fn allowed(
    found: impl Iterator<Item = SocketAddr>,
    allow_private: bool,
) -> impl Iterator<Item = Result<SocketAddr, Unconnected>> {
    found.map(move |address| match not_public(address.ip()) {
        Some(kind) if !allow_private => Err(Unconnected::Refused {
            ip: address.ip(),
            kind,
        }),
        _ => Ok(address),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A listener that says whether anybody came.
    async fn connecting(host: &str, allow_private: bool) -> Result<TcpStream, Unconnected> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let url: Uri = format!("https://{host}:{port}/hook").parse().unwrap();
        connect(&url, allow_private).await
    }

    #[tokio::test]
    async fn addresses_that_lead_inside_are_refused_before_they_are_called() {
        // `localhost` is a name that resolves to loopback.
        for host in [
            "127.0.0.1",
            "localhost",
            "[::ffff:127.0.0.1]",
            "169.254.169.254",
            "[::1]",
            "0.0.0.0",
            "2130706433",
            "0x7f.1",
        ] {
            let refused = connecting(host, false).await;
            assert!(
                matches!(
                    refused,
                    Err(Unconnected::Refused { .. } | Unconnected::Unresolved)
                ),
                "{host}: {refused:?}"
            );
        }
        assert!(connecting("127.0.0.1", true).await.is_ok());
        assert!(connecting("localhost", true).await.is_ok());
    }

    #[test]
    fn of_a_name_with_many_addresses_only_the_public_ones_are_called() {
        let found = ["10.0.0.1:443", "93.184.215.14:443", "[::1]:443"]
            .map(|address| address.parse().unwrap());
        let called: Vec<_> = allowed(found.into_iter(), false)
            .filter_map(Result::ok)
            .collect();
        assert_eq!(called, ["93.184.215.14:443".parse().unwrap()]);
        assert_eq!(allowed(found.into_iter(), true).flatten().count(), 3);
    }
}
