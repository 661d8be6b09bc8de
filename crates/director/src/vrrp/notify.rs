//! Tells scripts, pipes and mailboxes what has happened to instances and groups.
//!
//! # Design
//! Of one event the specific script comes first, then `notify`, then the pipes, then the mail:
//! keepalived's order. The scripts of one instance, and of one group, run one after the other
//! ([`Runner`]). Pipes and mails are the parent's, which is told what to write.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use kconf_parser::Config;
use kconf_parser::config::{Notify, NotifyDeleted, Script};
use vrrp_proto::Name;

use super::seam::{Notice, Subject, What};
use crate::mail::{self, Alert};
use crate::message::Told;
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
    /// State and priority of each subject, as last told.
    last: HashMap<Subject, (What, u8)>,
    /// What the parent is to tell.
    told: Vec<Told>,
}

impl Teller {
    /// Runs what is to be run, and gives what the parent is to tell. Never waits; needs a tokio
    /// runtime.
    #[must_use]
    pub(super) fn tell(&mut self, notice: Notice) -> Vec<Told> {
        match notice {
            Notice::Configured(config) => self.configure(config),
            Notice::Happened {
                subject,
                what,
                priority,
            } => self.happened(subject, what, priority),
            Notice::Priority { name, priority } => self.priority_changed(name, priority),
        }
        std::mem::take(&mut self.told)
    }

    /// Waits for scripts that still run, for about a second.
    pub(super) async fn finish(self) {
        self.runner.finish(STOP_LIMIT).await;
    }

    fn configure(&mut self, config: Arc<Config>) {
        self.before = std::mem::replace(&mut self.config, config);
        let scripts = privileges::vrrp_scripts(&self.config);
        privileges::warn_of(scripts, &self.config.globals);
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
            self.mail(&subject, what);
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

    fn write(&mut self, subject: &Subject, what: What, priority: u8) {
        let globals = &self.config.globals;
        if globals.notify_fifo.is_none() && globals.vrrp_notify_fifo.is_none() {
            return;
        }
        self.told.push(Told::Line(line(subject, what, priority)));
    }

    /// Mails a state that is not the one mailed last.
    fn mail(&mut self, subject: &Subject, what: What) {
        let is_new = self.last.get(subject).is_none_or(|(last, _)| *last != what);
        let globals = &self.config.vrrp.globals;
        let is_muted = what == What::Fault && globals.no_email_faults;
        if is_new && !is_muted && self.wants_mail(subject) {
            self.told.extend(alert(subject, what).map(Told::Mail));
        }
    }

    fn wants_mail(&self, subject: &Subject) -> bool {
        let asks = |config: &Config| match subject {
            Subject::Instance(name) => {
                let instance = config.vrrp.instance(name.as_str());
                instance.map(|it| it.smtp_alert)
            }
            Subject::Group(name) => {
                let mut groups = config.vrrp.sync_groups.iter();
                let group = groups.find(|it| it.name == name.as_str());
                group.map(|it| it.smtp_alert)
            }
        };
        let mut configs = [&self.config, &self.before].into_iter();
        mail::is_wanted(&self.config.globals)
            && configs.find_map(|config| asks(config)).unwrap_or(false)
    }
}

/// keepalived's mail of an event; there is none of events that are no states.
fn alert(subject: &Subject, what: What) -> Option<Alert> {
    let (kind, is_group) = match subject {
        Subject::Instance(_) => ("Instance", false),
        Subject::Group(_) => ("Group", true),
    };
    let name = subject.name();
    let event = match what {
        What::Master | What::Backup | What::Fault => format!("Entering {} state", what.word()),
        What::Stop => "Stopping".to_owned(),
        What::Deleted => "Deleted".to_owned(),
        What::MasterRxLowerPriority | What::MasterPriority | What::BackupPriority => return None,
    };
    let body = match (what, is_group) {
        (What::Deleted, _) => "=> VRRP Deleted at reload <=".to_owned(),
        (What::Stop, true) => "=> All VRRP group instances are now stopping <=".to_owned(),
        (What::Stop, false) => "=> VRRP Instance stopping <=".to_owned(),
        (_, true) => format!(
            "=> All VRRP group instances are now in {} state <=",
            what.word()
        ),
        (What::Master, false) => "=> VRRP Instance is now owning VRRP VIPs <=".to_owned(),
        (_, false) => "=> VRRP Instance is no longer owning VRRP VIPs <=".to_owned(),
    };
    Some(Alert::now(format!("VRRP {kind} {name} - {event}"), body))
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
