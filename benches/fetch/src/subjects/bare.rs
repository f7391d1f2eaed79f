//! hyper-util's client as it comes: a pool over plain TCP, and nothing above it.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll};

use anyhow::{Result, ensure};
use bytes::Bytes;
use http::Request;
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, Empty};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

use super::{Subject, runtime};
use crate::process;
use crate::steps::{Done, timed};

pub(crate) struct BareHyper;

impl Subject for BareHyper {
    fn small(&self, url: &str, count: u32, in_flight: u32) -> Result<Done> {
        let client = client::<Empty<Bytes>>(in_flight);
        let runtime = runtime()?;
        let all = |count| runtime.block_on(requests(&client, url, count, in_flight));
        all(count / 10)?;
        timed(process::own, || all(count))
    }

    fn download(&self, url: &str) -> Result<Done> {
        let client = client::<Empty<Bytes>>(1);
        let runtime = runtime()?;
        runtime.block_on(get(&client, &format!("{url}.small")))?;
        timed(process::own, || runtime.block_on(get(&client, url)))
    }

    fn upload(&self, url: &str, file: &Path) -> Result<Done> {
        let client = client::<Content>(1);
        let runtime = runtime()?;
        let small = file.with_extension("small");
        runtime.block_on(put(&client, &format!("{url}.small"), &small))?;
        timed(process::own, || runtime.block_on(put(&client, url, file)))
    }
}

type Bare<B> = Client<HttpConnector, B>;

fn client<B: Body<Data = Bytes> + Send + 'static>(in_flight: u32) -> Bare<B>
where
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    Client::builder(TokioExecutor::new())
        .pool_max_idle_per_host(in_flight as usize)
        .build(connector)
}

async fn requests(
    client: &Bare<Empty<Bytes>>,
    url: &str,
    count: u32,
    in_flight: u32,
) -> Result<u64> {
    let mut tasks = Vec::new();
    for number in 0..in_flight {
        let (client, url) = (client.clone(), url.to_owned());
        let share = count / in_flight + u32::from(number < count % in_flight);
        tasks.push(tokio::spawn(async move {
            let mut bytes = 0;
            for _ in 0..share {
                bytes += get(&client, &url).await?;
            }
            anyhow::Ok(bytes)
        }));
    }
    let mut bytes = 0;
    for task in tasks {
        bytes += task.await??;
    }
    Ok(bytes)
}

async fn get(client: &Bare<Empty<Bytes>>, url: &str) -> Result<u64> {
    let request = Request::get(url).body(Empty::new())?;
    let answer = client.request(request).await?;
    ensure!(answer.status().is_success(), "{}", answer.status());
    let mut body = answer.into_body();
    let mut bytes = 0;
    while let Some(frame) = body.frame().await {
        bytes += frame?.data_ref().map_or(0, Bytes::len) as u64;
    }
    Ok(bytes)
}

async fn put(client: &Bare<Content>, url: &str, file: &Path) -> Result<u64> {
    let content = Content::open(file)?;
    let bytes = content.left;
    let answer = client.request(Request::put(url).body(content)?).await?;
    ensure!(answer.status().is_success(), "{}", answer.status());
    Ok(bytes)
}

/// A file in pieces, read on the spot: it lies in memory.
struct Content {
    file: File,
    left: u64,
}

const PIECE_BYTES: usize = 64 << 10;

impl Content {
    fn open(path: &Path) -> Result<Content> {
        let file = File::open(path)?;
        let left = file.metadata()?.len();
        Ok(Content { file, left })
    }
}

impl Body for Content {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<std::io::Result<Frame<Bytes>>>> {
        let mut piece = vec![0; PIECE_BYTES];
        Poll::Ready(match self.file.read(&mut piece) {
            Ok(0) => None,
            Ok(length) => {
                piece.truncate(length);
                self.left -= length as u64;
                Some(Ok(Frame::data(piece.into())))
            }
            Err(error) => Some(Err(error)),
        })
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}
