//! What the demo sees of the director, through the control socket.

use std::path::Path;
use std::thread;
use std::time::Duration;

use director::control::Client;
use director::rundir::RunDir;
use director::status::{AddressState, ServerRole, Status};
use tokio::sync::mpsc;

/// How often it looks.
pub(crate) const PERIOD: Duration = Duration::from_millis(100);

/// A look at the director.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct View {
    /// What the service cannot do, if it cannot serve.
    pub(crate) trouble: Option<String>,
    /// Whether it serves.
    pub(crate) serving: bool,
    /// The real servers, in the order of the configuration.
    pub(crate) servers: Vec<ServerView>,
}

/// A look at one server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ServerView {
    /// Whether the director sends traffic there.
    pub(crate) in_table: bool,
    /// Its weight there.
    pub(crate) weight: u32,
    /// Whether the last try of its check succeeded; `None` before the first.
    pub(crate) checked: Option<bool>,
    /// What the last try found.
    pub(crate) reason: String,
    /// Connections that the balancer gave it since it was added.
    pub(crate) conns: u64,
}

impl View {
    fn of(status: &Status) -> Option<Self> {
        let service = status.services.first()?;
        let mut trouble = None;
        let mut serving = status.dataplane.connected && !service.addresses.is_empty();
        for address in &service.addresses {
            if let AddressState::Failed { reason } = &address.state {
                trouble = Some(format!("{}: {reason}", address.name));
            }
            serving &= address.state == AddressState::Serving;
        }
        let servers = service
            .servers
            .iter()
            .filter(|server| server.role == ServerRole::Real);
        Some(Self {
            trouble,
            serving,
            servers: servers
                .map(|server| {
                    let last = server.checks.first().and_then(|check| check.last.as_ref());
                    ServerView {
                        in_table: server.in_table,
                        weight: server.weight,
                        checked: last.map(|last| last.success),
                        reason: last.map_or_else(String::new, |last| last.reason.clone()),
                        conns: server.counters.conns,
                    }
                })
                .collect(),
        })
    }
}

/// Looks at the director again and again.
#[derive(Debug)]
pub(crate) struct Watch {
    views: mpsc::Receiver<View>,
}

impl Watch {
    /// Starts looking. A director that does not answer yet, or for a while, is asked again.
    pub(crate) fn start(run_dir: &RunDir) -> Self {
        let (tell, views) = mpsc::channel(1);
        let socket = run_dir.control_socket();
        // The client blocks, so it has a thread; which ends when nobody listens any more.
        thread::spawn(move || look(&socket, &tell));
        Self { views }
    }

    /// The next look. Waits for ever if the director never answers.
    pub(crate) async fn next(&mut self) -> View {
        match self.views.recv().await {
            Some(view) => view,
            None => std::future::pending().await,
        }
    }
}

fn look(socket: &Path, tell: &mpsc::Sender<View>) {
    while !tell.is_closed() {
        let mut client = Client::connect(socket).ok();
        while let Some(status) = client.as_mut().and_then(|client| client.status().ok()) {
            if let Some(view) = View::of(&status)
                && tell.blocking_send(view).is_err()
            {
                return;
            }
            thread::sleep(PERIOD);
        }
        thread::sleep(PERIOD);
    }
}
