//! The load: a bounded stream of requests, one connection each, counted by server and phase.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use hyper::Request;
use hyper::client::conn::http1;
use hyper::header::{CONNECTION, HOST};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;

use super::config::NAMES;
use super::servers::NAME_HEADER;
use super::story::Phase;

/// Requests at one time at most.
const CONCURRENCY: u32 = 128;

/// How long a client waits for its answer before it calls the request failed.
const PATIENCE: Duration = Duration::from_secs(10);

/// How many failures are kept in words.
const KEPT_FAILURES: usize = 5;

/// A running load.
#[derive(Debug)]
pub(crate) struct Load {
    shared: Arc<Mutex<Shared>>,
    stop: oneshot::Sender<()>,
    driving: JoinHandle<()>,
}

/// What the load saw.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    /// Answers by server, all phases.
    pub(crate) answers: [u64; 3],
    /// Answers by server and phase; those that began in one phase and ended in another are in none.
    pub(crate) by_phase: BTreeMap<Phase, [u64; 3]>,
    /// Requests without a good answer.
    pub(crate) failed: u64,
    /// The first few of them in words.
    pub(crate) failures: Vec<String>,
}

#[derive(Debug, Default)]
struct Shared {
    tally: Tally,
    phase: Option<Phase>,
    /// Grows with each change of phase.
    generation: u64,
}

impl Load {
    /// Sends `rate` requests a second to `target`, until it is stopped.
    pub(crate) fn start(target: SocketAddr, rate: u32) -> Self {
        let shared = Arc::new(Mutex::new(Shared::default()));
        let (stop, stopped) = oneshot::channel();
        let driving = tokio::spawn(drive(target, rate, Arc::clone(&shared), stopped));
        Self {
            shared,
            stop,
            driving,
        }
    }

    /// From now on answers belong to `phase`; with `None`, to no phase.
    pub(crate) fn enter(&self, phase: Option<Phase>) {
        let mut shared = lock(&self.shared);
        shared.phase = phase;
        shared.generation += 1;
    }

    /// Answers by server so far.
    pub(crate) fn totals(&self) -> [u64; 3] {
        lock(&self.shared).tally.answers
    }

    /// Stops asking, waits for the answers that are due, and returns the count.
    pub(crate) async fn stop(self) -> Tally {
        let _ = self.stop.send(());
        let _ = self.driving.await;
        lock(&self.shared).tally.clone()
    }
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn drive(
    target: SocketAddr,
    rate: u32,
    shared: Arc<Mutex<Shared>>,
    mut stopped: oneshot::Receiver<()>,
) {
    let room = Arc::new(Semaphore::new(CONCURRENCY as usize));
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / rate.max(1));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        tokio::select! {
            biased;
            _ = &mut stopped => break,
            _ = ticks.tick() => {}
        }
        // The semaphore is never closed; without room the tick is left out.
        let Ok(permit) = Arc::clone(&room).try_acquire_owned() else {
            continue;
        };
        let shared = Arc::clone(&shared);
        tokio::spawn(async move {
            let generation = lock(&shared).generation;
            let answer = match tokio::time::timeout(PATIENCE, ask(target)).await {
                Ok(answer) => answer,
                Err(_) => Err(anyhow::anyhow!("no answer within {PATIENCE:?}")),
            };
            lock(&shared).count(generation, answer);
            drop(permit);
        });
    }
    // All permits are back when all answers are in; each has its own time limit.
    let _ = room.acquire_many(CONCURRENCY).await;
}

impl Shared {
    fn count(&mut self, generation: u64, answer: anyhow::Result<String>) {
        let answer = answer.and_then(|name| {
            let known = NAMES.iter().position(|known| *known == name);
            known.with_context(|| format!("an answer from an unknown server '{name}'"))
        });
        match answer {
            Ok(server) => {
                self.tally.answers[server] += 1;
                if let Some(phase) = self.phase.filter(|_| generation == self.generation) {
                    self.tally.by_phase.entry(phase).or_default()[server] += 1;
                }
            }
            Err(error) => {
                self.tally.failed += 1;
                if self.tally.failures.len() < KEPT_FAILURES {
                    self.tally.failures.push(format!("{error:#}"));
                }
            }
        }
    }
}

/// One request over a connection of its own; returns the name of the server that answered.
pub(crate) async fn ask(target: SocketAddr) -> anyhow::Result<String> {
    let stream = TcpStream::connect(target).await.context("cannot connect")?;
    stream.set_nodelay(true)?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // Ends with the connection, which the server closes.
    tokio::spawn(connection);
    let request = Request::get("/")
        .header(HOST, target.to_string())
        .header(CONNECTION, "close")
        .body(Empty::<Bytes>::new())?;
    let response = sender.send_request(request).await.context("no answer")?;
    let status = response.status();
    let name = response
        .headers()
        .get(NAME_HEADER)
        .and_then(|name| name.to_str().ok())
        .map(str::to_owned);
    response
        .into_body()
        .collect()
        .await
        .context("half an answer")?;
    anyhow::ensure!(status.is_success(), "status {status}");
    name.context("an answer from something that is no demo server")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(name: &str) -> anyhow::Result<String> {
        Ok(name.to_owned())
    }

    #[test]
    fn answers_count_for_the_phase_in_which_they_began_and_ended() {
        let mut shared = Shared {
            phase: Some(Phase::All),
            ..Shared::default()
        };
        shared.count(0, answer("a"));
        shared.generation = 1;
        shared.count(0, answer("b"));
        shared.phase = None;
        shared.count(1, answer("c"));
        assert_eq!(shared.tally.answers, [1, 1, 1]);
        assert_eq!(
            shared.tally.by_phase,
            BTreeMap::from([(Phase::All, [1, 0, 0])])
        );
    }

    #[test]
    fn failures_are_counted_and_the_first_are_kept() {
        let mut shared = Shared::default();
        for _ in 0..10 {
            shared.count(0, Err(anyhow::anyhow!("cannot connect")));
        }
        shared.count(0, answer("z"));
        assert_eq!(
            (shared.tally.failed, shared.tally.failures.len()),
            (11, KEPT_FAILURES)
        );
    }
}
