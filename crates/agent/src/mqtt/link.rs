//! The way to the broker: a stream of bytes, whatever carries it.

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use periwinkle_core::mqtt::address::Address;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use super::error::MqttError;
use super::options::Options;

/// A connection that packets travel on.
pub(super) trait Wire: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Wire for T {}

/// A connection that is being made.
pub(super) type Dialing = Pin<Box<dyn Future<Output = Result<Box<dyn Wire>, String>> + Send>>;

/// Makes connections to one broker.
pub(super) struct Dialer {
    options: Options,
}

impl fmt::Debug for Dialer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Dialer").field(&self.options).finish()
    }
}

impl Dialer {
    pub(super) fn new(options: &Options) -> Result<Dialer, MqttError> {
        Ok(Dialer {
            options: options.clone(),
        })
    }

    /// Makes one to the configured broker, or to the server that it named.
    pub(super) fn dial(&self, elsewhere: Option<&str>) -> Dialing {
        let home = &self.options.address;
        let address = elsewhere.and_then(|server| home.elsewhere(server));
        let address = address.unwrap_or_else(|| home.clone());
        let wait = self.options.connect_wait;
        Box::pin(async move {
            let connected = tokio::time::timeout(wait, connect(address)).await;
            connected.unwrap_or_else(|_| Err(format!("no connection within {wait:?}")))
        })
    }
}

async fn connect(address: Address) -> Result<Box<dyn Wire>, String> {
    let host = address.host.to_string();
    let host = host.trim_matches(['[', ']']);
    let stream = TcpStream::connect((host, address.port)).await;
    let stream = stream.map_err(|error| format!("{address} cannot be reached: {error}"))?;
    stream
        .set_nodelay(true)
        .map_err(|error| error.to_string())?;
    Ok(Box::new(stream))
}
