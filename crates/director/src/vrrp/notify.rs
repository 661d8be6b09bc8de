//! Tells scripts and pipes what has happened to instances and groups.
//!
//! # Design
//! Of one event the specific script comes first, then `notify`, then the pipes: keepalived's order.
//! The scripts of one instance, and of one group, run one after the other ([`Runner`]).

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use kconf_parser::Config;
use kconf_parser::config::{Notify, NotifyDeleted, Script};
use vrrp_proto::Name;

use super::fifo::Pipe;
use super::seam::{Notice, Subject, What};
use crate::notify::Runner;
use crate::privileges;

/// How long scripts of the stop may take before the process ends.
const STOP_LIMIT: Duration = Duration::from_secs(1);

/// Whom to tell.
#[derive(Debug, Default)]
pub(super) struct Teller {
    config: Arc<Config>,
    /// The configuration before, for what is not in the present one any more.
    before: Arc<Config>,
    runner: Runner<Subject>,
    pipes: Vec<Pipe>,
    /// State and priority of each subject, as last told.
    last: HashMap<Subject, (What, u8)>,
}

impl Teller {
    /// Tells. Never waits; needs a tokio runtime.
    pub(super) fn tell(&mut self, notice: Notice) {
        match notice {
            Notice::Configured(config) => self.configure(config),
            Notice::Happened {
                subject,
                what,
                priority,
            } => self.happened(subject, what, priority),
            Notice::Priority { name, priority } => self.priority_changed(name, priority),
        }
    }

    /// Ends the pipes' readers and waits for scripts that still run, for about a second.
    pub(super) async fn finish(self) {
        let readers = self
            .pipes
            .into_iter()
            .map(|pipe| tokio::spawn(pipe.close(STOP_LIMIT)));
        let readers: Vec<_> = readers.collect();
        self.runner.finish(STOP_LIMIT).await;
        for reader in readers {
            let _ = reader.await;
        }
    }

    fn configure(&mut self, config: Arc<Config>) {
        self.before = std::mem::replace(&mut self.config, config);
        let globals = &self.config.globals;
        let wanted = [&globals.notify_fifo, &globals.vrrp_notify_fifo];
        let wanted: Vec<_> = wanted.into_iter().flatten().collect();
        privileges::warn_of(privileges::vrrp_scripts(&self.config), globals);
        let (kept, dropped): (Vec<_>, _) = std::mem::take(&mut self.pipes)
            .into_iter()
            .partition(|pipe| wanted.contains(&pipe.config()));
        self.pipes = kept;
        for pipe in dropped {
            tokio::spawn(pipe.close(STOP_LIMIT));
        }
        for fifo in wanted {
            if !self.pipes.iter().any(|pipe| pipe.config() == fifo) {
                self.pipes.extend(Pipe::open(fifo, globals));
            }
        }
        if self.config.vrrp.globals.write_states_on_reload {
            let instances = self.config.vrrp.instances.iter();
            let instances = instances.map(|it| Subject::Instance(it.name.as_str().into()));
            let groups = self.config.vrrp.sync_groups.iter();
            let groups = groups.map(|it| Subject::Group(it.name.as_str().into()));
            let all: Vec<_> = instances.chain(groups).collect();
            for subject in &all {
                if let Some((what, priority)) = self.last.get(subject) {
                    self.write(subject, *what, *priority);
                }
            }
        }
    }

    fn happened(&mut self, subject: Subject, what: What, priority: u8) {
        let notify = self.notify_of(&subject).cloned().unwrap_or_default();
        // Whoever does not ask to hear of a removal is told of a fault.
        let what = match (what, &notify.deleted) {
            (What::Deleted, NotifyDeleted::AsFault) => What::Fault,
            (what, _) => what,
        };
        let is_state = what != What::MasterRxLowerPriority;
        let specific = specific(&notify, what);
        let any = notify.any.as_ref().filter(|_| is_state);
        let any = any.map(|script| with_arguments(script, &subject, what, priority));
        for script in specific.into_iter().chain(any.as_ref()) {
            self.runner.run(&subject, script, &self.config.globals);
        }
        self.write(&subject, what, priority);
        if is_state {
            self.last.insert(subject, (what, priority));
        }
    }

    fn priority_changed(&mut self, name: Name, priority: u8) {
        let wants = self.config.vrrp.instance(name.as_str());
        let wants = wants.is_some_and(|it| it.notify_priority_changes)
            || self
                .config
                .vrrp
                .group_of(name.as_str())
                .is_some_and(|it| it.notify_priority_changes);
        let subject = Subject::Instance(name);
        let Some((state, told)) = self.last.get_mut(&subject) else {
            return;
        };
        *told = priority;
        let what = match state {
            What::Master => What::MasterPriority,
            What::Backup => What::BackupPriority,
            _ => return,
        };
        if wants {
            self.write(&subject, what, priority);
        }
    }

    fn notify_of(&self, subject: &Subject) -> Option<&Notify> {
        let configs = [&self.config, &self.before];
        configs.into_iter().find_map(|config| match subject {
            Subject::Instance(name) => config.vrrp.instance(name.as_str()).map(|it| &it.notify),
            Subject::Group(name) => {
                let mut groups = config.vrrp.sync_groups.iter();
                groups
                    .find(|it| it.name == name.as_str())
                    .map(|it| &it.notify)
            }
        })
    }

    fn write(&self, subject: &Subject, what: What, priority: u8) {
        for pipe in &self.pipes {
            pipe.write(&line(subject, what, priority));
        }
    }
}

fn specific(notify: &Notify, what: What) -> Option<&Script> {
    match what {
        What::Master => notify.master.as_ref(),
        What::Backup => notify.backup.as_ref(),
        What::Fault => notify.fault.as_ref(),
        What::Stop => notify.stop.as_ref(),
        What::Deleted => match &notify.deleted {
            NotifyDeleted::Run(script) => Some(script),
            NotifyDeleted::AsFault | NotifyDeleted::Deleted => None,
        },
        What::MasterRxLowerPriority => notify.rx_lower_priority.as_ref(),
        What::MasterPriority | What::BackupPriority => None,
    }
}

/// `notify` with what it gets behind its own arguments.
fn with_arguments(script: &Script, subject: &Subject, what: What, priority: u8) -> Script {
    let more = [
        subject.kind().to_owned(),
        subject.name().to_string(),
        what.word().to_owned(),
        priority.to_string(),
    ];
    let own = script.argv.iter().cloned();
    Script {
        argv: own.chain(more).collect(),
        user: script.user.clone(),
    }
}

/// A line of a pipe.
fn line(subject: &Subject, what: What, priority: u8) -> String {
    let (kind, name) = (subject.kind(), subject.name());
    format!("{kind} \"{name}\" {} {priority}\n", what.word())
}
