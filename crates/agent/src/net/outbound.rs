//! Connections for the HTTP client: [`dial`](super::dial) with proxies that take requests themselves.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::Uri;
use http::uri::InvalidUri;
use periwinkle_core::fetch::auth::Asked;
use periwinkle_core::fetch::proxy::{Proxy, ProxyKind, ProxyRules};
use periwinkle_core::fetch::{Scheme, Url};
use periwinkle_core::limits;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until, timeout};

use super::client_tls::ClientTls;
use super::dial::{Cause, DialError, Patience, Target, Via, dial};
use super::link::Link;
use super::proxy_logins::ProxyLogins;
use super::standing::Standing;
use super::tunnel::ProxyFailure;

/// Connects to the host of an address, with TLS when the scheme asks for it, and through a proxy
/// when the rules say so. Clones are cheap.
#[derive(Clone, Debug)]
pub struct Connector {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    tls: Arc<ClientTls>,
    proxies: ProxyRules,
    logins: ProxyLogins,
    patience: Patience,
}

/// A proxy that takes requests as they are, with the whole address in their first line.
#[derive(Clone, Copy, Debug)]
pub struct Forwarder<'a> {
    proxy: &'a Proxy,
    logins: &'a ProxyLogins,
    url: &'a Url,
}

impl Forwarder<'_> {
    /// The value of `Proxy-Authorization` for a request.
    ///
    /// # Errors
    /// When name and password cannot be sent.
    pub fn authorization(&self, method: &str) -> Result<Option<String>, DialError> {
        let target = self.url.to_string();
        let field = self.logins.authorization(self.proxy, (method, &target));
        field.map_err(|failure| self.failed(failure))
    }

    /// Whether the proxy may ask for a password that is at hand.
    pub fn may_ask(&self) -> bool {
        self.logins.may_ask(self.proxy)
    }

    /// Whether a request that the proxy refused with these fields is worth sending again.
    ///
    /// # Errors
    /// When name and password cannot be sent.
    pub fn handle_challenges<'a>(
        &self,
        fields: impl IntoIterator<Item = &'a str>,
        asked: Asked,
    ) -> Result<bool, DialError> {
        let worth = self.logins.handle_challenges(self.proxy, fields, asked);
        worth.map_err(|failure| self.failed(failure))
    }

    /// `Proxy-Authentication-Info` came with an answer.
    pub fn handle_info(&self, field: &str) {
        self.logins.handle_info(self.proxy, field);
    }

    fn failed(&self, failure: ProxyFailure) -> DialError {
        DialError::Proxy {
            proxy: format!("{}:{}", self.proxy.host, self.proxy.port),
            address: self.url.authority().to_owned(),
            failure,
        }
    }
}

impl Connector {
    /// A connector by these rules.
    pub fn new(tls: Arc<ClientTls>, proxies: ProxyRules, patience: Patience) -> Connector {
        Connector {
            shared: Arc::new(Shared {
                tls,
                proxies,
                logins: ProxyLogins::default(),
                patience,
            }),
        }
    }

    /// The proxy that takes requests for this address itself.
    pub fn forwarder<'a>(&'a self, url: &'a Url) -> Option<Forwarder<'a>> {
        let proxy = self.shared.proxies.proxy_for(url).ok()??;
        forwards(proxy, url).then_some(Forwarder {
            proxy,
            logins: &self.shared.logins,
            url,
        })
    }

    /// A connection to the server of an address, through the proxy by `CONNECT` if there is one.
    ///
    /// # Errors
    /// Which phase failed, and why.
    pub async fn link(&self, url: &Url, within: Option<Duration>) -> Result<Link, DialError> {
        let proxy = self.proxy(url)?;
        self.dial(url, &self.end(url, proxy), within).await
    }

    fn proxy(&self, url: &Url) -> Result<Option<&Proxy>, DialError> {
        let proxy = self.shared.proxies.proxy_for(url);
        proxy.map_err(|unusable| DialError::Proxy {
            proxy: unusable.variable.to_owned(),
            address: url.authority().to_owned(),
            failure: ProxyFailure::Unusable(unusable.source.clone()),
        })
    }

    /// All phases together end within the time that is given, whatever each may take.
    async fn dial(
        &self,
        url: &Url,
        target: &Target,
        within: Option<Duration>,
    ) -> Result<Link, DialError> {
        let dialing = dial(target, &self.shared.patience);
        let Some(within) = within else {
            return dialing.await;
        };
        let too_slow = |_| DialError::Connect {
            address: url.authority().to_owned(),
            cause: Cause::TooSlow(within),
        };
        timeout(within, dialing).await.map_err(too_slow)?
    }

    /// What stands in the first line of a request: the whole address, when a proxy takes the
    /// request itself.
    ///
    /// # Errors
    /// When it cannot be sent.
    pub fn target(&self, url: &Url) -> Result<Uri, InvalidUri> {
        let text = match self.forwarder(url) {
            Some(_) => url.to_string(),
            None => url.target(),
        };
        Uri::from_maybe_shared(Bytes::from(text))
    }

    /// A connection for requests to the server of an address.
    ///
    /// # Errors
    /// Which phase failed, and why.
    pub async fn connect(
        &self,
        url: &Url,
        within: Option<Duration>,
    ) -> Result<HttpLink, DialError> {
        let proxy = self.proxy(url)?;
        let forwarder = proxy.filter(|proxy| forwards(proxy, url));
        let target = match forwarder {
            Some(proxy) => Target {
                tls: (proxy.kind == ProxyKind::Https).then(|| self.shared.tls.clone()),
                ..Target::new(proxy.host.clone(), proxy.port)
            },
            None => self.end(url, proxy),
        };
        let link = self.dial(url, &target, within).await?;
        Ok(HttpLink::new(link))
    }

    fn end(&self, url: &Url, proxy: Option<&Proxy>) -> Target {
        let tls = || self.shared.tls.clone();
        let mut target = Target::new(url.host().clone(), url.port());
        if url.scheme() == Scheme::Https {
            target = target.tls(tls());
        }
        match proxy {
            Some(proxy) => target.via(Via {
                proxy: proxy.clone(),
                tls: tls(),
                logins: self.shared.logins.clone(),
            }),
            None => target,
        }
    }
}

/// Whether a proxy takes the request itself, with the whole address in its first line: many let
/// nothing but port 443 be tunnelled to.
fn forwards(proxy: &Proxy, url: &Url) -> bool {
    url.scheme() == Scheme::Http && matches!(proxy.kind, ProxyKind::Http | ProxyKind::Https)
}

/// A connection for HTTP.
///
/// A server may answer and close before it has read the whole request; then a write fails, and the
/// answer waits to be read. So a failed write is not reported at once: it waits, and the reader, which
/// finds the answer or the same end, decides what became of the exchange. No write waits for ever,
/// though: nobody may be left to read.
#[derive(Debug)]
pub struct HttpLink {
    link: Link,
    standing: Arc<Standing>,
    is_written_off: bool,
    stall: Option<Pin<Box<Sleep>>>,
    /// Whether a write waits, and the timer runs.
    waits: bool,
}

impl HttpLink {
    fn new(link: Link) -> HttpLink {
        link.bound_unsent();
        HttpLink {
            standing: Arc::new(Standing::new(link.ends())),
            link,
            is_written_off: false,
            stall: None,
            waits: false,
        }
    }

    pub(super) fn standing(&self) -> Arc<Standing> {
        self.standing.clone()
    }

    fn write<T>(
        &mut self,
        context: &mut Context<'_>,
        write: impl FnOnce(Pin<&mut Link>, &mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if !self.is_written_off {
            match write(Pin::new(&mut self.link), context) {
                Poll::Ready(Ok(done)) => {
                    self.waits = false;
                    return Poll::Ready(Ok(done));
                }
                Poll::Ready(Err(_)) => {
                    self.is_written_off = true;
                    self.standing.note_failed_write();
                    // Whoever drives the connection reads before it writes: once more, then.
                    context.waker().wake_by_ref();
                }
                Poll::Pending => {}
            }
        }
        self.poll_stall(context).map(Err)
    }

    fn note_write(&self, result: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match result {
            Poll::Ready(Ok(bytes)) => self.standing.note_write(bytes),
            Poll::Ready(Err(_)) => {}
            Poll::Pending => self.standing.note_wait(true),
        }
        result
    }

    fn poll_stall(&mut self, context: &mut Context<'_>) -> Poll<io::Error> {
        if !self.waits {
            let end = Instant::now() + limits::FETCH_WRITE_STALL_MAX;
            match &mut self.stall {
                Some(stall) => stall.as_mut().reset(end),
                None => self.stall = Some(Box::pin(sleep_until(end))),
            }
            self.waits = true;
        }
        let stall = self.stall.as_mut().expect("it was just set");
        ready!(stall.as_mut().poll(context));
        Poll::Ready(io::ErrorKind::TimedOut.into())
    }
}

impl AsyncRead for HttpLink {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let result = Pin::new(&mut self.link).poll_read(context, buffer);
        if buffer.filled().len() > before {
            self.standing.note_read();
        }
        result
    }
}

impl AsyncWrite for HttpLink {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let result = self.write(context, |link, context| link.poll_write(context, bytes));
        self.note_write(result)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = self.write(context, |link, context| {
            link.poll_write_vectored(context, pieces)
        });
        self.note_write(result)
    }

    fn is_write_vectored(&self) -> bool {
        self.link.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let result = self.write(context, AsyncWrite::poll_flush);
        // Whoever writes flushes behind the last of what it has.
        self.standing
            .note_wait(!matches!(result, Poll::Ready(Ok(()))));
        result
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.link).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    /// A connection whose other end answered and went away without reading all.
    async fn answered_and_reset() -> HttpLink {
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .expect("loopback has ports");
        let address = listener.local_addr().expect("it is bound");
        let mut near = TcpStream::connect(address).await.expect("it listens");
        near.write_all(&[0; 1000]).await.expect("it is open");
        let (mut far, _) = listener.accept().await.expect("we connected");
        far.read_u8().await.expect("it came");
        far.write_all(b"answer").await.expect("it is open");
        drop(far);
        let mut link = HttpLink::new(Link::from(near));
        // Until the reset is there, bytes go nowhere.
        while poll_fn(|context| Poll::Ready(Pin::new(&mut link).poll_write(context, &[0; 1000])))
            .await
            .is_ready()
        {
            tokio::task::yield_now().await;
        }
        link
    }

    #[tokio::test]
    async fn a_write_that_fails_waits_for_the_reader_who_finds_the_answer() {
        let link = answered_and_reset().await;
        assert!(link.is_written_off);
        let mut read = [0; 6];
        let mut tcp = link.link.into_tcp().expect("there is no TLS");
        tcp.read_exact(&mut read).await.expect("it waits there");
        assert_eq!(&read, b"answer");
    }

    #[tokio::test(start_paused = true)]
    async fn a_write_that_failed_waits_no_longer_than_its_bound() {
        let mut link = answered_and_reset().await;
        let start = Instant::now();
        let result = poll_fn(|context| {
            link.write(context, |_, _| -> Poll<io::Result<()>> {
                unreachable!("it is written off")
            })
        });
        let error = result.await.expect_err("nobody read");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(start.elapsed() <= limits::FETCH_WRITE_STALL_MAX);
    }
}
