//! Keeps the dataplane's table as it is wished to be.
//!
//! [`Reconciler`] knows the wished table, what it believes to be in the real one, and what was
//! refused and when to try that again. It says when to read the table and which commands to apply.
//!
//! # Design
//! Pure: time comes in, commands go out. What was applied without a refusal is believed; after a
//! surprise, a lost connection or a start the table is read instead of guessed at, so an error can not
//! make belief and truth drift apart. It is read again every [`AUDIT_INTERVAL`], too, and at each
//! reload: others can change it, and a service that somebody deleted must not stay dark
//! ([`Drift`]). What the dataplane refuses is left out of the wish until its next try, so one service
//! that cannot be never keeps the others from being. Services of the table that are not ours are never
//! touched: whoever added them by hand had a reason.

mod drift;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::time::{Duration, Instant};

use ipvs_netlink::{
    Command, DestinationKey, Failure, Reason, Refused, ServiceKey, ServiceRules, plan,
};

pub use self::drift::{Difference, Drift};

use self::drift::{Allowance, Shown};

/// How often the table is read to notice what others did to it, unless said otherwise. For 1,500
/// services of four servers each that costs the checker some 15 ms, and the userspace dataplane 20 ms.
pub const AUDIT_INTERVAL: Duration = Duration::from_secs(1);

/// Wait before the second try of what was refused; doubled with each further one.
const FIRST_DELAY: Duration = Duration::from_secs(1);

/// The longest wait before a new try.
const MAX_DELAY: Duration = Duration::from_secs(60);

/// The longest wait before it is tried again to listen on an address: one that moves between hosts
/// may be here in a moment, and clients wait for it.
const MAX_LISTEN_DELAY: Duration = Duration::from_secs(2);

/// Wait before a dataplane that does not answer is asked again.
const LINK_DELAY: Duration = Duration::from_millis(500);

/// What the driver has to do next. One thing at a time: its result must come in before the next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Read the table, connecting first if there is no connection; the result goes to
    /// [`Reconciler::handle_table`] or [`Reconciler::handle_lost`].
    Read,
    /// Read the table over the connection that there is; the result goes likewise.
    Audit,
    /// Apply these commands in order; the result goes to [`Reconciler::handle_applied`] or
    /// [`Reconciler::handle_lost`].
    Apply(Vec<Command>),
}

/// What an operator should hear.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// This is refused, and will be tried again; told once for each reason until it works.
    Refused {
        /// What.
        subject: Subject,
        /// The dataplane's reason, and remedy if it knows one.
        reason: String,
    },
    /// What was refused works now.
    Accepted {
        /// What.
        subject: Subject,
    },
    /// This cannot be taken out of the table, and will be tried again; told once until all works.
    NotRemoved {
        /// What.
        subject: Subject,
        /// The dataplane's reason.
        reason: String,
    },
    /// Somebody else did this to the table. What is ours is put back as it is wished.
    Drifted {
        /// To what.
        subject: Subject,
        /// What.
        drift: Drift,
    },
    /// So many more of them were not told one by one.
    DriftsHeldBack(usize),
    /// The dataplane shows this otherwise than it has just been set, and goes on so.
    ShownOtherwise {
        /// What.
        subject: Subject,
        /// How.
        drift: Drift,
    },
    /// The dataplane does not answer; told once until it does.
    Lost {
        /// What is wrong.
        reason: String,
    },
    /// The dataplane answers, for the first time or again.
    Found,
}

/// What can be refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Subject {
    /// A service with all its destinations.
    Service(ServiceKey),
    /// A destination of a service.
    Destination(ServiceKey, DestinationKey),
}

impl Subject {
    /// The service that it is, or that it belongs to.
    #[must_use]
    pub fn service(&self) -> ServiceKey {
        match self {
            Self::Service(key) | Self::Destination(key, _) => *key,
        }
    }
}

#[derive(Debug, Clone)]
struct RefusedSubject {
    reason: String,
    delay: Duration,
    /// When to try again; `None` while it is being tried.
    retry_at: Option<Instant>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Link {
    /// Not there yet: wait for [`Reconciler::handle_ready`].
    Awaited,
    /// Not connected, or the belief is void: read when the time has come.
    Unread { at: Option<Instant> },
    /// The table was read and `believed` holds. It is read again when the time has come.
    Read { audit_at: Option<Instant> },
}

/// What the driver does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum UnderWay {
    Read,
    Audit,
    Apply,
}

/// The keeper of the table. After any `handle_*` call, ask for actions and news, then arm a timer.
#[derive(Debug)]
pub struct Reconciler {
    wished: Vec<ServiceRules>,
    believed: Vec<ServiceRules>,
    owned: BTreeSet<ServiceKey>,
    audit_interval: Option<Duration>,
    refused: BTreeMap<Subject, RefusedSubject>,
    link: Link,
    under_way: Option<UnderWay>,
    dirty: bool,
    /// What the commands under way, or those before the audit that is due, put right.
    repairing: BTreeSet<Subject>,
    shown: Shown,
    allowance: Allowance,
    was_lost: bool,
    /// The dataplane began anew while something was under way: its result tells of the one before.
    outdated: bool,
    /// The last commands failed in a way that nothing waits for, so trying again must not be hasty.
    baffled: bool,
    /// What `believed` becomes when the commands under way have all worked, and the commands.
    target: Vec<ServiceRules>,
    commands: Vec<Command>,
    news: Vec<News>,
}

impl Reconciler {
    /// Nothing is wished yet, and nothing is done before [`Self::handle_ready`]. `owned` are the services
    /// that a predecessor put into the table: those that are not wished any more are deleted. The table
    /// is read every `audit_interval`; with `None` only when [`Self::recheck`] says so.
    #[must_use]
    pub fn new(
        owned: impl IntoIterator<Item = ServiceKey>,
        audit_interval: Option<Duration>,
    ) -> Self {
        Self {
            wished: Vec::new(),
            believed: Vec::new(),
            owned: owned.into_iter().collect(),
            audit_interval,
            refused: BTreeMap::new(),
            link: Link::Awaited,
            under_way: None,
            dirty: true,
            repairing: BTreeSet::new(),
            shown: Shown::default(),
            allowance: Allowance::default(),
            was_lost: false,
            outdated: false,
            baffled: false,
            target: Vec::new(),
            commands: Vec::new(),
            news: Vec::new(),
        }
    }

    /// The whole table as it shall be.
    pub fn wish(&mut self, rules: Vec<ServiceRules>) {
        let wished: HashSet<Subject> = rules
            .iter()
            .flat_map(|rules| {
                let key = rules.service.key;
                let destinations = rules.destinations.iter();
                destinations
                    .map(move |destination| Subject::Destination(key, destination.key()))
                    .chain([Subject::Service(key)])
            })
            .collect();
        self.refused.retain(|subject, _| wished.contains(subject));
        self.shown.retain(|subject| wished.contains(&subject));
        self.owned
            .extend(rules.iter().map(|rules| rules.service.key));
        self.wished = rules;
        self.dirty = true;
    }

    /// The table was read, and holds this.
    pub fn handle_table(&mut self, now: Instant, mut rules: Vec<ServiceRules>) {
        let under_way = self.under_way.take();
        self.shown.translate(&mut rules);
        let repaired = std::mem::take(&mut self.repairing);
        let is_believed = match under_way {
            Some(UnderWay::Audit) => self.compare(now, &mut rules, &repaired),
            _ => {
                self.dirty = true;
                true
            }
        };
        if is_believed {
            self.believed = rules;
        }
        if !std::mem::take(&mut self.outdated) {
            self.link = Link::Read {
                audit_at: self
                    .audit_interval
                    .and_then(|interval| now.checked_add(interval)),
            };
        }
        if std::mem::take(&mut self.was_lost) {
            self.news.push(News::Found);
        }
    }

    /// Finds out what others did since the table was left as `believed`. Returns whether `rules` is to
    /// be believed now.
    fn compare(
        &mut self,
        now: Instant,
        rules: &mut [ServiceRules],
        repaired: &BTreeSet<Subject>,
    ) -> bool {
        let ours = |rules: &&ServiceRules| self.owned.contains(&rules.service.key);
        let left: Vec<ServiceRules> = self.believed.iter().filter(ours).cloned().collect();
        let mut is_believed = true;
        for (subject, drift) in drift::find(&left, rules) {
            if repaired.contains(&subject) {
                match drift {
                    // Nobody can have changed it again at once: it is how this dataplane shows it.
                    Drift::Changed(_) => {
                        self.shown.remember(subject, &left, rules);
                        self.news.push(News::ShownOtherwise { subject, drift });
                    }
                    // Somebody works against us: the next audit is soon enough.
                    Drift::Missing | Drift::Foreign => is_believed = false,
                }
                continue;
            }
            self.repairing.insert(subject);
            self.tell_drift(now, subject, drift);
        }
        self.shown.translate(rules);
        self.dirty |= !self.repairing.is_empty();
        let held_back = self.allowance.take_held_back();
        self.news.extend(held_back.map(News::DriftsHeldBack));
        is_believed
    }

    fn tell_drift(&mut self, now: Instant, subject: Subject, drift: Drift) {
        if self.allowance.admit(now) {
            self.news.push(News::Drifted { subject, drift });
        }
    }

    /// The commands were applied; these were refused, with their position among them.
    pub fn handle_applied(&mut self, now: Instant, failures: &[Failure]) {
        self.under_way = None;
        self.outdated = false;
        let commands = std::mem::take(&mut self.commands);
        let target = std::mem::take(&mut self.target);
        let mut failed = BTreeSet::new();
        let mut is_baffling = false;
        let mut is_unsure = false;
        for failure in failures {
            let Some(command) = commands.get(failure.index) else {
                continue;
            };
            let subject = subject(command);
            failed.extend(subject);
            let refused = &failure.refused;
            let of_refused = matches!(subject, Some(Subject::Destination(key, _))
                if failed.contains(&Subject::Service(key)));
            match (refused.reason(), subject) {
                // What belongs into a service that was refused just now is no riddle.
                (Reason::NoSuchService, Some(_)) if of_refused => {}
                // Somebody else did it, or undid it: what is there will be read.
                (Reason::NoSuchService, Some(subject)) => {
                    is_baffling = true;
                    self.miss(now, Subject::Service(subject.service()));
                }
                (Reason::NoSuchDestination, Some(subject)) => {
                    is_baffling = true;
                    self.miss(now, subject);
                }
                (
                    Reason::ServiceExists
                    | Reason::DestinationExists
                    | Reason::NoSuchService
                    | Reason::NoSuchDestination,
                    _,
                ) => is_baffling = true,
                (_, Some(subject)) => {
                    is_unsure |= !matches!(command, Command::AddService(_));
                    self.refuse(now, subject, refused);
                }
                (_, None) => {
                    is_baffling = true;
                    if let (Some(subject), false) = (removed(command), self.baffled) {
                        let reason = reason(refused);
                        self.news.push(News::NotRemoved { subject, reason });
                    }
                }
            }
        }
        self.accept_tried(&target, &failed);
        let was_baffled = std::mem::replace(&mut self.baffled, is_baffling);
        if is_baffling || is_unsure {
            // What was refused waits by itself; the rest may end the same way at once, for ever.
            let delay = (is_baffling && was_baffled).then_some(LINK_DELAY);
            self.link = Link::Unread {
                at: delay.and_then(|delay| now.checked_add(delay)),
            };
            return;
        }
        // A refused service is not there, and all else is as it was to become.
        self.believed = target;
        self.believed
            .retain(|rules| !failed.contains(&Subject::Service(rules.service.key)));
        self.disown_the_gone();
        if !self.repairing.is_empty() {
            self.audit(now);
        }
    }

    /// What is neither wished nor there any more is not ours: somebody else may add it.
    fn disown_the_gone(&mut self) {
        let known: BTreeSet<ServiceKey> = self
            .wished
            .iter()
            .chain(&self.believed)
            .map(|rules| rules.service.key)
            .collect();
        self.owned.retain(|key| known.contains(key));
    }

    /// A command did not find what it was for.
    fn miss(&mut self, now: Instant, subject: Subject) {
        if self.repairing.insert(subject) {
            self.tell_drift(now, subject, Drift::Missing);
        }
    }

    /// The dataplane does not answer, or no longer.
    pub fn handle_lost(&mut self, now: Instant, reason: String) {
        self.under_way = None;
        let at = match std::mem::take(&mut self.outdated) {
            true => None,
            false => now.checked_add(LINK_DELAY),
        };
        self.repairing.clear();
        self.commands.clear();
        self.target.clear();
        self.link = Link::Unread { at };
        // What was under trial is tried again with the rest.
        for refused in self.refused.values_mut() {
            refused.retry_at.get_or_insert(now);
        }
        if !std::mem::replace(&mut self.was_lost, true) {
            self.news.push(News::Lost { reason });
        }
    }

    /// The dataplane is there anew: what is believed of its table is void.
    pub fn handle_ready(&mut self) {
        self.link = Link::Unread { at: None };
        self.outdated = self.under_way.is_some();
    }

    /// Looks at the table now instead of later, and tries at once what was refused.
    pub fn recheck(&mut self, now: Instant) {
        self.audit(now);
        for refused in self.refused.values_mut() {
            if let Some(at) = &mut refused.retry_at {
                *at = now;
            }
        }
    }

    fn audit(&mut self, now: Instant) {
        if let Link::Read { audit_at } = &mut self.link {
            *audit_at = Some(now);
        }
    }

    /// What to do now; `None` when nothing is to be done, or something is under way.
    #[must_use]
    pub fn poll_action(&mut self, now: Instant) -> Option<Action> {
        if self.under_way.is_some() {
            return None;
        }
        match self.link {
            Link::Unread { at } if at.is_none_or(|at| at <= now) => {
                self.under_way = Some(UnderWay::Read);
                return Some(Action::Read);
            }
            Link::Awaited | Link::Unread { .. } => return None,
            Link::Read { audit_at } if audit_at.is_some_and(|at| at <= now) => {
                self.under_way = Some(UnderWay::Audit);
                return Some(Action::Audit);
            }
            Link::Read { .. } => {}
        }
        let mut due = false;
        for refused in self.refused.values_mut() {
            if refused.retry_at.is_some_and(|at| at <= now) {
                refused.retry_at = None;
                due = true;
            }
        }
        if !due && !self.dirty {
            return None;
        }
        self.dirty = false;
        let ours = |rules: &&ServiceRules| self.owned.contains(&rules.service.key);
        let actual: Vec<ServiceRules> = self.believed.iter().filter(ours).cloned().collect();
        let target = self.possible(&actual);
        let commands = plan(&target, &actual);
        if commands.is_empty() {
            self.accept_tried(&target, &BTreeSet::new());
            self.believed = target;
            self.disown_the_gone();
            self.repairing.clear();
            return None;
        }
        self.target = target;
        self.commands = commands.clone();
        self.under_way = Some(UnderWay::Apply);
        Some(Action::Apply(commands))
    }

    /// When [`Self::poll_action`] should be asked again though nothing came in.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        if self.under_way.is_some() {
            return None;
        }
        match self.link {
            Link::Awaited => None,
            Link::Unread { at } => at,
            Link::Read { audit_at } => self
                .refused
                .values()
                .filter_map(|refused| refused.retry_at)
                .chain(audit_at)
                .min(),
        }
    }

    /// What an operator should hear, oldest first.
    #[must_use]
    pub fn take_news(&mut self) -> Vec<News> {
        std::mem::take(&mut self.news)
    }

    /// Whether the table is known and as it is wished, apart from what is refused.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        matches!(self.link, Link::Read { .. }) && self.under_way.is_none() && !self.dirty
    }

    /// Whether something is under way whose result has not come in.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        self.under_way.is_some()
    }

    /// Whether the dataplane answered when it was last asked.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        matches!(self.link, Link::Read { .. }) || (!self.was_lost && self.under_way.is_some())
    }

    /// The services that are, or may be, in the table because of us.
    #[must_use]
    pub fn owned(&self) -> &BTreeSet<ServiceKey> {
        &self.owned
    }

    /// Why a service is not in the table, if it was refused.
    #[must_use]
    pub fn refusal(&self, key: &ServiceKey) -> Option<&str> {
        let refused = self.refused.get(&Subject::Service(*key))?;
        Some(&refused.reason)
    }

    /// What the table is believed to hold, services of others included.
    #[must_use]
    pub fn believed(&self) -> &[ServiceRules] {
        &self.believed
    }

    fn refuse(&mut self, now: Instant, subject: Subject, refused: &Refused) {
        let reason = reason(refused);
        let known = self.refused.get(&subject);
        if known.is_none_or(|known| known.reason != reason) {
            let reason = reason.clone();
            self.news.push(News::Refused { subject, reason });
        }
        let longest = match refused.errno {
            libc::EADDRNOTAVAIL | libc::EADDRINUSE | libc::EACCES => MAX_LISTEN_DELAY,
            _ => MAX_DELAY,
        };
        let delay = known.map_or(FIRST_DELAY, |known| (known.delay * 2).min(longest));
        let retry_at = now.checked_add(delay);
        self.refused.insert(
            subject,
            RefusedSubject {
                reason,
                delay,
                retry_at,
            },
        );
    }

    /// What was under trial in `target` and did not fail works.
    fn accept_tried(&mut self, target: &[ServiceRules], failed: &BTreeSet<Subject>) {
        let present: HashSet<ServiceKey> = target.iter().map(|rules| rules.service.key).collect();
        let news = &mut self.news;
        self.refused.retain(|subject, refused| {
            let (Subject::Service(key) | Subject::Destination(key, _)) = subject;
            let works =
                refused.retry_at.is_none() && present.contains(key) && !failed.contains(subject);
            if works {
                news.push(News::Accepted { subject: *subject });
            }
            !works
        });
    }

    /// The wish without what is refused and not yet due. A service that is in the table and refuses
    /// a change stays as it is.
    fn possible(&self, actual: &[ServiceRules]) -> Vec<ServiceRules> {
        let waits = |subject| {
            self.refused
                .get(&subject)
                .is_some_and(|refused| refused.retry_at.is_some())
        };
        if self.refused.is_empty() {
            return self.wished.clone();
        }
        let by_key: HashMap<ServiceKey, &ServiceRules> = actual
            .iter()
            .map(|rules| (rules.service.key, rules))
            .collect();
        let mut target = Vec::with_capacity(self.wished.len());
        for wished in &self.wished {
            let key = wished.service.key;
            let present = by_key.get(&key).copied();
            let mut rules = wished.clone();
            if waits(Subject::Service(key)) {
                match present {
                    Some(present) => rules.service = present.service.clone(),
                    None => continue,
                }
            }
            rules.destinations.retain_mut(|destination| {
                if !waits(Subject::Destination(key, destination.key())) {
                    return true;
                }
                let known = present
                    .iter()
                    .flat_map(|present| &present.destinations)
                    .find(|known| known.key() == destination.key());
                known.inspect(|known| *destination = **known).is_some()
            });
            target.push(rules);
        }
        target
    }
}

/// What a command would have in the table; deletions are tried again until they work.
fn subject(command: &Command) -> Option<Subject> {
    match command {
        Command::AddService(service) | Command::EditService(service) => {
            Some(Subject::Service(service.key))
        }
        Command::AddDestination {
            service,
            destination,
        }
        | Command::EditDestination {
            service,
            destination,
        } => Some(Subject::Destination(*service, destination.key())),
        _ => None,
    }
}

/// The dataplane's own words, if it has any.
fn reason(refused: &Refused) -> String {
    match &refused.message {
        Some(message) => message.clone(),
        None => refused.to_string(),
    }
}

/// What a command takes out of the table.
fn removed(command: &Command) -> Option<Subject> {
    match command {
        Command::DeleteService(key) => Some(Subject::Service(*key)),
        Command::DeleteDestination {
            service,
            destination,
        } => Some(Subject::Destination(*service, *destination)),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
