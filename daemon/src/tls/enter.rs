//! The beginning of a connection: TLS, or something else.

use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::book::TlsBook;
use super::certificate::Facts;

/// A client that has not agreed on keys by then is cut off.
const ENTER_WITHIN: Duration = Duration::from_secs(10);
/// The first byte of TLS: a record of the handshake.
const HANDSHAKE: u8 = 22;

/// How a client came in, or did not.
#[derive(Debug)]
pub(crate) enum Entered {
    /// Under TLS, with a name if it showed a certificate.
    Secured { stream: Box<TlsStream<TcpStream>>, name: Option<Arc<str>> },
    /// It speaks something else.
    Plain(TcpStream),
    /// Not at all, and why.
    Refused(String),
}

impl TlsBook {
    /// Agrees on TLS with a client, within a bounded time.
    pub(crate) async fn enter(&self, stream: TcpStream) -> Entered {
        match timeout(ENTER_WITHIN, self.agree(stream)).await {
            Ok(entered) => entered,
            Err(_) => Entered::Refused("too slow".to_owned()),
        }
    }

    async fn agree(&self, stream: TcpStream) -> Entered {
        let mut first = [HANDSHAKE];
        match stream.peek(&mut first).await {
            Ok(_) if first[0] != HANDSHAKE => return Entered::Plain(stream),
            Ok(_) => {}
            Err(error) => return Entered::Refused(error.to_string()),
        }
        match TlsAcceptor::from(self.server()).accept(stream).await {
            Ok(stream) => {
                let shown = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
                let name = shown.and_then(Facts::of).and_then(|facts| facts.name).map(Arc::from);
                Entered::Secured { stream: Box::new(stream), name }
            }
            Err(error) => Entered::Refused(error.to_string()),
        }
    }
}
