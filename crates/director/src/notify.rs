//! Runs the scripts of events.
//!
//! # Design
//! The scripts of one subject (a virtual server, an instance, a group) run one after the other in the
//! order of their events; keepalived starts them all at once, so that a "down" may overtake its "up".
//! A script that hangs is ended after [`TIME_LIMIT`] with its whole process group, so that it cannot
//! hold up the rest for ever. Whether one may be run is judged on a thread of its own: users may have
//! to be asked for over the network, and checks do not wait for that.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use kconf_parser::config::{Globals, Script};
use tokio::sync::{Notify, mpsc};
use tracing::{debug, warn};

use crate::privileges::{self, Runnable};
use crate::script::RunningScript;

/// How long a notify script may run.
pub const TIME_LIMIT: Duration = Duration::from_secs(60);

/// Runs scripts, in order for each subject.
#[derive(Debug)]
pub struct Runner<K> {
    queues: HashMap<K, mpsc::UnboundedSender<(Script, Globals)>>,
    pending: Arc<Pending>,
}

impl<K> Default for Runner<K> {
    fn default() -> Self {
        Self {
            queues: HashMap::new(),
            pending: Arc::default(),
        }
    }
}

#[derive(Debug, Default)]
struct Pending {
    count: AtomicUsize,
    changed: Notify,
}

impl<K: Hash + Eq + Clone> Runner<K> {
    /// Runs a script after those of the same subject that were asked for before. One that may
    /// not be run is logged.
    pub fn run(&mut self, subject: &K, script: &Script, globals: &Globals) {
        self.pending.count.fetch_add(1, Ordering::SeqCst);
        let queue = self.queues.entry(subject.clone()).or_insert_with(|| {
            let (sender, receiver) = mpsc::unbounded_channel();
            tokio::spawn(work(receiver, Arc::clone(&self.pending)));
            sender
        });
        // The task lives as long as this sender.
        let _ = queue.send((script.clone(), globals.clone()));
    }

    /// Waits until all scripts have ended, for at most `limit`.
    pub async fn finish(&self, limit: Duration) {
        let all_ended = async {
            loop {
                let changed = self.pending.changed.notified();
                if self.pending.count.load(Ordering::SeqCst) == 0 {
                    return;
                }
                changed.await;
            }
        };
        let _ = tokio::time::timeout(limit, all_ended).await;
    }
}

async fn work(mut queue: mpsc::UnboundedReceiver<(Script, Globals)>, pending: Arc<Pending>) {
    while let Some((script, globals)) = queue.recv().await {
        run_once(&script, &globals, TIME_LIMIT).await;
        pending.count.fetch_sub(1, Ordering::SeqCst);
        pending.changed.notify_one();
    }
}

/// Runs a script to its end, for at most `limit`. One that may not be run is logged.
pub async fn run_once(script: &Script, globals: &Globals, limit: Duration) {
    let (script, globals) = (script.clone(), globals.clone());
    let judged = tokio::task::spawn_blocking(move || privileges::judge(&script, &globals));
    match judged.await {
        Ok(Ok(runnable)) => execute(&runnable, limit).await,
        Ok(Err(refusal)) => warn!("{refusal}"),
        // The process is ending.
        Err(_) => {}
    }
}

async fn execute(runnable: &Runnable, limit: Duration) {
    let program = runnable.program.display();
    let mut running = match RunningScript::start(runnable) {
        Ok(running) => running,
        Err(error) => {
            warn!("Unable to run script {program} - {error}");
            return;
        }
    };
    match tokio::time::timeout(limit, running.wait()).await {
        Ok(Ok(status)) => debug!("Script {program} ended: {status}"),
        Ok(Err(error)) => warn!("Unable to wait for script {program} - {error}"),
        Err(_) => {
            warn!(
                "Script {program} timed out after {} seconds",
                limit.as_secs()
            );
            running.end().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use nix::unistd::Pid;

    use super::*;

    fn shell(text: &str) -> Script {
        Script {
            argv: vec!["/bin/sh".into(), "-c".into(), text.into()],
            user: Some(kconf_parser::config::ScriptUser {
                user: nix::unistd::geteuid().to_string(),
                group: None,
            }),
        }
    }

    #[tokio::test]
    async fn scripts_of_one_service_keep_their_order() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out");
        let path = path.display();
        let mut runner = Runner::default();
        let globals = Globals::default();
        // The first would lose the race if both ran at once.
        runner.run(
            &1,
            &shell(&format!("sleep 0.2; echo down >> {path}")),
            &globals,
        );
        runner.run(&1, &shell(&format!("echo up >> {path}")), &globals);
        runner.finish(Duration::from_secs(20)).await;
        assert_eq!(
            std::fs::read_to_string(path.to_string()).unwrap(),
            "down\nup\n"
        );
    }

    #[tokio::test]
    async fn a_script_that_hangs_is_ended_with_its_children() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pid");
        let text = format!("sleep 600 & echo $! > {}; wait", path.display());
        let globals = Globals::default();
        run_once(&shell(&text), &globals, Duration::from_millis(500)).await;
        let pid: i32 = std::fs::read_to_string(&path)
            .unwrap()
            .trim()
            .parse()
            .unwrap();
        lvs_testkit::wait_until("the grandchild's end", Duration::from_secs(20), || {
            nix::sys::signal::kill(Pid::from_raw(pid), None)
                .is_err()
                .then_some(())
                // Not reaped yet by whoever adopted it, but dead.
                .or_else(|| {
                    let state = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
                    state.contains(") Z").then_some(())
                })
        });
    }

    #[tokio::test]
    async fn dangerous_variables_are_kept_from_scripts() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("env");
        let globals = Globals::default();
        run_once(
            &shell(&format!("env > {}", path.display())),
            &globals,
            TIME_LIMIT,
        )
        .await;
        let environment = std::fs::read_to_string(path).unwrap();
        assert!(environment.contains("PATH="));
        assert!(!environment.contains("LD_LIBRARY_PATH="), "{environment}");
    }
}
