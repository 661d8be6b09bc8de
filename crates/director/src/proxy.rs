//! The proxy process: the userspace dataplane and nothing else.
//!
//! # Design
//! It knows no configuration and no check: all that it balances comes through its table. It ends with
//! its parent at once, and in good order only when it is told to.

use std::io;
use std::time::Duration;

use lvs_proxy::{Proxy, ProxyConfig};
use tokio::net::UnixStream;
use tokio::runtime::Runtime;
use tracing::{error, info, warn};

use crate::exit::Exit;
use crate::message::{FromProxy, ProxyStart, ToProxy};
use crate::role::Role;
use crate::{child, ipc, logging, socket};

/// Runs as a proxy of the parent with this process id. Returns the exit status.
#[must_use]
pub fn run(parent: i32) -> u8 {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let Ok(runtime) = runtime else {
        return Exit::Software.code();
    };
    let started = runtime.block_on(async {
        let mut parent = child::adopt(Role::Proxy, parent).ok()?;
        match ipc::receive(&mut parent).await {
            Ok(Some(ToProxy::Start(start))) => Some((start, parent)),
            _ => None,
        }
    });
    let Some((start, mut parent)) = started else {
        return Exit::Ok.code();
    };
    let _logging = logging::start(&start.log, Role::Proxy);
    // Outside the runtime: the dataplane brings its own, and waits for them when it ends.
    let proxy = match launch(&runtime, &start) {
        Ok(proxy) => proxy,
        Err(error) => {
            error!(
                "Unable to start the userspace dataplane at {} - {error}",
                start.ipvs_socket.display()
            );
            return Exit::Software.code();
        }
    };
    info!(
        "Userspace dataplane answers at {}",
        start.ipvs_socket.display()
    );
    if let Some(limit) = runtime.block_on(wait_for_drain(&mut parent)) {
        runtime.block_on(drain(proxy, limit, parent));
    }
    runtime.shutdown_background();
    Exit::Ok.code()
}

fn launch(runtime: &Runtime, start: &ProxyStart) -> io::Result<Proxy> {
    runtime.block_on(async { child::leave_signals_to_parent() })?;
    let proxy = Proxy::start(ProxyConfig::default())?;
    proxy.serve(socket::listen(&start.ipvs_socket)?)?;
    Ok(proxy)
}

/// Returns how long a drain may take, or `None` when the parent is gone: whoever starts next finds
/// the ports free.
async fn wait_for_drain(parent: &mut UnixStream) -> Option<Duration> {
    ipc::send(parent, &FromProxy::Ready).await.ok()?;
    loop {
        match ipc::receive(parent).await {
            Ok(Some(ToProxy::Drain(limit))) => return Some(limit),
            Ok(Some(ToProxy::Start(_))) => {}
            Ok(None) | Err(_) => return None,
        }
    }
}

/// Waits for the connections; the end of the parent ends the wait.
async fn drain(proxy: Proxy, limit: Duration, mut parent: UnixStream) {
    let open = proxy.live_connections();
    if open > 0 {
        info!(
            "Draining {open} connections for at most {} s",
            limit.as_secs()
        );
    }
    let drained = tokio::task::spawn_blocking(move || proxy.drain(limit));
    tokio::select! {
        drained = drained => match drained {
            Ok(drained) if drained.cut > 0 => {
                warn!("{} connections were still open and have been cut", drained.cut);
            }
            _ => info!("Stopped"),
        },
        _ = ipc::receive::<ToProxy>(&mut parent) => {}
    }
}
