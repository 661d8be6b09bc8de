//! `HTTP_GET` and `SSL_GET`.

use std::error::Error;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use hyper::client::conn::http1;
use hyper::header::{HeaderName, HeaderValue};
use hyper::http::uri::PathAndQuery;
use hyper::{Request, Uri, Version};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{Connect, Deadline, TlsClient, io_failure, measure};
use crate::dialogue::digest::{Md5Digest, WireDigest};
use crate::dialogue::http::{DEFAULT_BODY_LIMIT, Expectation, HttpVersion, Judge, request_headers};
use crate::verdict::{Cause, Failure, Outcome, Stage};

/// How much of the head of an answer is read before the probe gives up.
const HEAD_LIMIT: usize = 64 * 1024;

/// Asks for one or more urls of one server, each over its own connection.
#[derive(Clone, Debug)]
pub struct HttpProbe {
    /// Where to.
    pub connect: Connect,
    /// The TLS context for `SSL_GET`; `None` for `HTTP_GET`.
    pub tls: Option<TlsClient>,
    /// The version that is asked in. Default 1.0.
    pub version: HttpVersion,
    /// What to ask for; one step of a round each.
    pub urls: Vec<Url>,
    /// Longest body that is accepted, in bytes. Default [`DEFAULT_BODY_LIMIT`], 64 MiB.
    ///
    /// Bodies are never kept in memory; the limit bounds the work that a server without end can
    /// make.
    pub body_limit: u64,
}

/// One url of an [`HttpProbe`], with inheritance resolved.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Url {
    /// Path and query. A leading `/` is added if it is missing. Source: keepalived.conf(5) `path`.
    pub path: String,
    /// The `Host` header; the address if `None`. keepalived takes the first that is given of: url,
    /// checker, real server, virtual server. Source: keepalived.conf(5) `virtualhost`.
    pub virtualhost: Option<String>,
    /// The server name in the TLS handshake; none is sent if `None`. keepalived takes, with
    /// `enable_sni` or `sni_name`, the first that is given of: `sni_name`, the virtual host of url,
    /// checker, virtual server.
    pub sni: Option<String>,
    /// What a good answer is.
    pub expect: Expectation,
}

impl HttpProbe {
    /// A plain HTTP/1.0 probe with the default of each value.
    pub fn new(connect: Connect, urls: Vec<Url>) -> Self {
        Self {
            connect,
            tls: None,
            version: HttpVersion::default(),
            urls,
            body_limit: DEFAULT_BODY_LIMIT,
        }
    }

    /// The number of urls; 1 if there are none, and the step then fails as [`Failure::Unusable`].
    pub fn steps(&self) -> NonZeroU32 {
        u32::try_from(self.urls.len())
            .ok()
            .and_then(NonZeroU32::new)
            .unwrap_or(NonZeroU32::MIN)
    }

    /// Asks for the url with this number, from 0.
    pub async fn run(&self, step: u32) -> Outcome {
        let url = usize::try_from(step)
            .ok()
            .and_then(|step| self.urls.get(step));
        measure(self.connect.timeout, |deadline| async move {
            let url = url.ok_or_else(|| Failure::Unusable("no such url".into()))?;
            let request = self.request(url)?;
            let stream = self.connect.open(deadline).await?;
            match &self.tls {
                None => self.exchange(url, request, stream, deadline).await,
                Some(tls) => {
                    let peer = self.connect.address.ip();
                    let sni = url.sni.as_deref();
                    let stream = tls.handshake(stream, peer, sni, deadline).await?;
                    self.exchange(url, request, stream, deadline).await
                }
            }
        })
        .await
    }

    fn request(&self, url: &Url) -> Result<Request<Empty<Bytes>>, Failure> {
        let path = if url.path.starts_with('/') {
            url.path.clone()
        } else {
            format!("/{}", url.path)
        };
        let path = PathAndQuery::try_from(path).map_err(unusable)?;
        let mut request = Request::new(Empty::new());
        *request.uri_mut() = Uri::from(path);
        *request.version_mut() = match self.version {
            HttpVersion::Http10 | HttpVersion::Http10Close => Version::HTTP_10,
            HttpVersion::Http11 => Version::HTTP_11,
        };
        let address = SocketAddr::new(self.connect.address.ip(), self.connect.address.port());
        let host = url.virtualhost.as_deref();
        for (name, value) in request_headers(self.version, host, address, self.tls.is_some()) {
            let name = HeaderName::try_from(name).map_err(unusable)?;
            let value = HeaderValue::try_from(value).map_err(unusable)?;
            request.headers_mut().append(name, value);
        }
        Ok(request)
    }

    async fn exchange<S>(
        &self,
        url: &Url,
        request: Request<Empty<Bytes>>,
        stream: S,
        deadline: Deadline,
    ) -> Result<(), Failure>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let wire = url
            .expect
            .digest
            .map(|_| Arc::new(Mutex::new(WireDigest::new())));
        let io = TokioIo::new(Tap {
            stream,
            wire: wire.clone(),
        });
        let (mut sender, connection) = http1::Builder::new()
            .title_case_headers(true)
            .max_buf_size(HEAD_LIMIT)
            .ignore_invalid_headers_in_responses(true)
            .allow_spaces_after_header_name_in_responses(true)
            .allow_obsolete_multiline_headers_in_responses(true)
            .handshake(io)
            .await
            .map_err(|error| http_failure(Stage::Waiting, 0, &error))?;
        let asking = async {
            let answer = deadline
                .within(Stage::Waiting, async {
                    let answer = sender.send_request(request).await;
                    answer.map_err(|error| http_failure(Stage::Waiting, 0, &error))
                })
                .await?;
            let mut judge = Judge::new(&url.expect, answer.status().as_u16(), self.body_limit);
            let mut body = answer.into_body();
            deadline
                .within(Stage::Reading, async {
                    while let Some(frame) = body.frame().await {
                        let frame = frame.map_err(|error| {
                            http_failure(Stage::Reading, judge.received(), &error)
                        })?;
                        if let Some(data) = frame.data_ref() {
                            judge.data(data)?;
                        }
                    }
                    Ok(())
                })
                .await?;
            judge.finish(wire.as_deref().map(wire_digest))
        };
        alongside(connection, asking).await
    }
}

/// Runs `work` while `connection` moves its bytes. The end of the connection alone decides nothing:
/// `work` gets what is still on its way, or an error.
async fn alongside<T>(connection: impl Future, work: impl Future<Output = T>) -> T {
    let mut work = pin!(work);
    tokio::select! {
        biased;
        done = &mut work => return done,
        _ = connection => {}
    }
    work.await
}

fn unusable(error: impl Error + 'static) -> Failure {
    Failure::Unusable(Cause::of(&error))
}

fn wire_digest(wire: &Mutex<WireDigest>) -> Md5Digest {
    wire.lock().unwrap_or_else(PoisonError::into_inner).finish()
}

/// Sorts an error of hyper, whose own text hides the cause.
fn http_failure(stage: Stage, received: u64, error: &hyper::Error) -> Failure {
    let mut source = error.source();
    while let Some(cause) = source {
        if let Some(error) = cause.downcast_ref::<io::Error>() {
            if error
                .get_ref()
                .is_some_and(|inner| inner.is::<rustls::Error>())
            {
                return Failure::Tls(Cause::of(error));
            }
            if error.kind() == io::ErrorKind::UnexpectedEof && stage == Stage::Reading {
                return Failure::ShortBody { received };
            }
            // A chunk size that is no number comes as an io::Error, too.
            if matches!(
                error.kind(),
                io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData
            ) {
                return Failure::Protocol(Cause::of(error));
            }
            return io_failure(stage, error);
        }
        source = cause.source();
    }
    if error.is_incomplete_message() {
        match stage {
            Stage::Reading => Failure::ShortBody { received },
            _ => Failure::NoAnswer,
        }
    } else {
        Failure::Protocol(Cause::of(error))
    }
}

/// A stream that shows what is read from it to a [`WireDigest`].
///
/// It also takes the end of the stream without a TLS close_notify for an end. Many servers leave it
/// out; whether the answer was complete is seen from HTTP.
struct Tap<S> {
    stream: S,
    wire: Option<Arc<Mutex<WireDigest>>>,
}

impl<S: AsyncRead + Unpin> AsyncRead for Tap<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        match ready!(Pin::new(&mut this.stream).poll_read(cx, buf)) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {}
            result => result?,
        }
        if let (Some(wire), Some(new)) = (&this.wire, buf.filled().get(before..)) {
            wire.lock()
                .unwrap_or_else(PoisonError::into_inner)
                .update(new);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Tap<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}
