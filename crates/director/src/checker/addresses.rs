//! Which addresses this machine has: what `ha_suspend` goes by, and when the userspace dataplane can
//! listen on an address that it could not listen on before.

use std::collections::HashSet;
use std::io;
use std::net::IpAddr;

use kconf_parser::Config;
use netif::{Monitor, Watch};
use tokio::io::unix::AsyncFd;
use tokio::sync::mpsc::UnboundedSender;
use tokio::task::JoinHandle;
use tracing::{debug, warn};

use super::Event;
use crate::status::DataplaneKind;

/// Tells of the machine's addresses, while somebody wants to know.
#[derive(Debug, Default)]
pub(super) struct Addresses {
    task: Option<JoinHandle<()>>,
}

impl Addresses {
    /// Begins to tell if this configuration, or the dataplane, needs it. The first answer is in the
    /// queue at once.
    pub(super) fn follow(
        &mut self,
        config: &Config,
        dataplane: DataplaneKind,
        events: &UnboundedSender<Event>,
    ) {
        let suspends = config.services.iter().any(|service| service.ha_suspend);
        let listens = dataplane == DataplaneKind::Userspace && !config.services.is_empty();
        if self.task.is_some() || !(suspends || listens) {
            return;
        }
        match Follower::open(events.clone()) {
            Ok(follower) => self.task = Some(tokio::spawn(follower.work())),
            Err(error) if suspends => {
                warn!("Unable to follow addresses, ha_suspend has no effect - {error}");
            }
            // What cannot be listened on is tried again anyway, only later.
            Err(error) => debug!("Unable to follow addresses - {error}"),
        }
    }
}

struct Follower {
    monitor: AsyncFd<Monitor>,
    events: UnboundedSender<Event>,
    told: HashSet<IpAddr>,
}

impl Follower {
    #[allow(unsafe_code)]
    fn open(events: UnboundedSender<Event>) -> io::Result<Self> {
        let monitor = Monitor::open(Watch::default()).map_err(io::Error::other)?;
        let told = addresses(&monitor);
        // SAFETY: the descriptor is the monitor's own, open and the same for as long as that lives.
        let monitor = unsafe { AsyncFd::register(monitor) }?;
        let _ = events.send(Event::Addresses(told.clone()));
        Ok(Self {
            monitor,
            events,
            told,
        })
    }

    async fn work(mut self) {
        if let Err(error) = self.follow().await {
            warn!("Unable to follow addresses any more - {error}");
        }
    }

    async fn follow(&mut self) -> io::Result<()> {
        loop {
            let mut ready = self.monitor.readable_mut().await?;
            let monitor = ready.get_inner_mut();
            if monitor.receive().map_err(io::Error::other)?.is_empty() {
                ready.clear_ready();
                continue;
            }
            let now = addresses(monitor);
            if now != self.told {
                self.told.clone_from(&now);
                let _ = self.events.send(Event::Addresses(now));
            }
        }
    }
}

fn addresses(monitor: &Monitor) -> HashSet<IpAddr> {
    let entries = monitor.snapshot().addresses();
    entries.map(|entry| entry.address.ip()).collect()
}
