//! Three small web servers, and the port of the service in front of them.

use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr as UnixAddr, UnixListener};
use std::task::Poll;

use anyhow::Context as _;
use bytes::Bytes;
use http_body_util::Full;
use hyper::header::HeaderValue;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::config::NAMES;

/// The header in which a server says its name.
pub(crate) const NAME_HEADER: &str = "x-server";

/// Where the ports of the service and of the servers are looked for: the first that is free, below
/// the range that the kernel hands out to clients.
const SERVICE_PORTS: std::ops::Range<u16> = 8080..8180;
const SERVER_PORTS: std::ops::Range<u16> = 9101..9401;

/// The three servers.
#[derive(Debug)]
pub(crate) struct Farm {
    servers: [Server; 3],
}

#[derive(Debug)]
struct Server {
    name: &'static str,
    address: SocketAddr,
    running: Option<Running>,
}

#[derive(Debug)]
struct Running {
    stop: oneshot::Sender<()>,
    accepting: JoinHandle<()>,
}

impl Farm {
    /// Starts all three, on the first free ports.
    pub(crate) async fn start() -> anyhow::Result<Self> {
        let mut ports = SERVER_PORTS;
        let [a, b, c] = NAMES;
        Ok(Self {
            servers: [
                Server::start(a, &mut ports).await?,
                Server::start(b, &mut ports).await?,
                Server::start(c, &mut ports).await?,
            ],
        })
    }

    /// Where they listen.
    pub(crate) fn addresses(&self) -> [SocketAddr; 3] {
        self.servers.each_ref().map(|server| server.address)
    }

    /// Ends one: it answers what it has accepted, and refuses what comes after.
    pub(crate) fn stop(&mut self, server: usize) {
        if let Some(running) = self
            .servers
            .get_mut(server)
            .and_then(|server| server.running.take())
        {
            // It may only have ended already.
            let _ = running.stop.send(());
            drop(running.accepting);
        }
    }

    /// Starts one again where it was.
    pub(crate) async fn restart(&mut self, server: usize) -> anyhow::Result<()> {
        let Some(server) = self.servers.get_mut(server) else {
            return Ok(());
        };
        let listener = TcpListener::bind(server.address)
            .await
            .with_context(|| format!("server {} cannot come back", server.name))?;
        server.running = Some(Running::start(server.name, listener));
        Ok(())
    }
}

impl Server {
    async fn start(
        name: &'static str,
        ports: &mut impl Iterator<Item = u16>,
    ) -> anyhow::Result<Self> {
        for port in ports {
            let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
            match TcpListener::bind(address).await {
                Ok(listener) => {
                    let running = Some(Running::start(name, listener));
                    return Ok(Self {
                        name,
                        address,
                        running,
                    });
                }
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
                Err(error) => return Err(error).context(format!("cannot listen on {address}")),
            }
        }
        anyhow::bail!(
            "no port from {} to {} is free",
            SERVER_PORTS.start,
            SERVER_PORTS.end - 1
        )
    }
}

impl Running {
    fn start(name: &'static str, listener: TcpListener) -> Self {
        let (stop, mut stopped) = oneshot::channel();
        let accepting = tokio::spawn(async move {
            loop {
                tokio::select! {
                    biased;
                    _ = &mut stopped => break,
                    accepted = listener.accept() => match accepted {
                        Ok((stream, _)) => answer(name, stream),
                        // Out of descriptors, or the client has left already.
                        Err(_) => tokio::task::yield_now().await,
                    },
                }
            }
            // A connection that waits in the queue would be reset with the listener.
            std::future::poll_fn(|cx| {
                while let Poll::Ready(Ok((stream, _))) = listener.poll_accept(cx) {
                    answer(name, stream);
                }
                Poll::Ready(())
            })
            .await;
        });
        Self { stop, accepting }
    }
}

/// Answers one connection in a task of its own.
fn answer(name: &'static str, stream: TcpStream) {
    tokio::spawn(async move {
        let service = service_fn(move |_: Request<hyper::body::Incoming>| async move {
            let page = format!("Hello from server {name}.\n");
            let mut response = Response::new(Full::new(Bytes::from(page)));
            response
                .headers_mut()
                .insert(NAME_HEADER, HeaderValue::from_static(name));
            Ok::<_, Infallible>(response)
        });
        // An error is a client that left; the client knows.
        let _ = http1::Builder::new()
            .keep_alive(false)
            .serve_connection(TokioIo::new(stream), service)
            .await;
    });
}

/// The port of the virtual service: free when it was looked at, and not used by another demo.
#[derive(Debug)]
pub(crate) struct ServicePort {
    address: SocketAddr,
    /// The director's listeners share their port (SO_REUSEPORT), so a bound socket could not keep a
    /// second demo of the same user away. A name in the abstract namespace does, and vanishes with
    /// the process.
    _claim: UnixListener,
}

impl ServicePort {
    /// Finds a port.
    pub(crate) fn reserve() -> anyhow::Result<Self> {
        for port in SERVICE_PORTS {
            let name = UnixAddr::from_abstract_name(format!("lvskit-demo-{port}"))?;
            let Ok(claim) = UnixListener::bind_addr(&name) else {
                continue;
            };
            let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
            match std::net::TcpListener::bind(address) {
                Ok(_) => {
                    return Ok(Self {
                        address,
                        _claim: claim,
                    });
                }
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
                Err(error) => return Err(error).context(format!("cannot listen on {address}")),
            }
        }
        anyhow::bail!(
            "no port from {} to {} is free",
            SERVICE_PORTS.start,
            SERVICE_PORTS.end - 1
        )
    }

    /// Where clients go.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_demos_get_two_ports() {
        let (one, two) = (
            ServicePort::reserve().unwrap(),
            ServicePort::reserve().unwrap(),
        );
        assert_ne!(one.address(), two.address());
    }

    #[tokio::test]
    async fn servers_stop_and_come_back_where_they_were() {
        let mut farm = Farm::start().await.unwrap();
        let [_, b, _] = farm.addresses();
        let ask = || super::super::load::ask(b);
        assert_eq!(ask().await.unwrap(), "b");
        farm.stop(1);
        while ask().await.is_ok() {
            tokio::task::yield_now().await;
        }
        farm.restart(1).await.unwrap();
        assert_eq!(ask().await.unwrap(), "b");
    }
}
