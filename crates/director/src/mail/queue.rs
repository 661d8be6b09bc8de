//! Mails that wait for the relay: what is tried when, and what becomes of it.
//!
//! # Design
//! No socket and no clock. There are two kinds of trouble. When the relay cannot be spoken to, nothing
//! is tried for a while; when it puts off a recipient, as relays do that know nobody yet, nothing is
//! tried for that recipient. So a full mailbox holds up no other one, and everybody gets mails in the
//! order of their events.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use lettre::Address;

use super::letter::Letter;
use crate::status::MailStatus;

/// How many mails wait at most; another one drives out the oldest.
pub const MAX_WAITING: usize = 1000;

/// The first wait after a failure; each further one is twice as long.
pub const FIRST_DELAY: Duration = Duration::from_secs(1);

/// The longest wait.
pub const MAX_DELAY: Duration = Duration::from_secs(300);

/// How long a mail is tried.
pub const MAX_AGE: Duration = Duration::from_secs(24 * 60 * 60);

/// Mails, the oldest first.
#[derive(Debug, Default)]
pub struct Queue {
    waiting: VecDeque<Waiting>,
    next_number: u64,
    relay: Backoff,
    recipients: BTreeMap<Address, Backoff>,
    status: MailStatus,
}

#[derive(Debug)]
struct Waiting {
    number: u64,
    letter: Arc<Letter>,
    to: Vec<Address>,
    since: Instant,
}

/// One mail for those of its recipients who are due.
#[derive(Debug, Clone)]
pub struct Job {
    /// Its number, for [`Queue::handle`].
    pub number: u64,
    /// The mail.
    pub letter: Arc<Letter>,
    /// Who is to get it; never empty.
    pub to: Vec<Address>,
}

/// What came of a [`Job`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Attempt {
    /// What the relay said of recipients; those not named are tried again.
    pub answers: Vec<(Address, Answer)>,
    /// Why the relay cannot be spoken to.
    pub trouble: Option<String>,
}

/// What the relay says of a recipient.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// It takes care of the mail from now on.
    Accepted,
    /// Not now (4xx).
    Deferred,
    /// Never (5xx).
    Refused,
}

impl Attempt {
    /// There was no conversation to speak of.
    #[must_use]
    pub fn broken(trouble: impl Into<String>) -> Self {
        Self {
            answers: Vec::new(),
            trouble: Some(trouble.into()),
        }
    }

    /// Whether somebody gets the mail.
    #[must_use]
    pub fn is_accepted(&self) -> bool {
        let mut answers = self.answers.iter();
        answers.any(|(_, answer)| *answer == Answer::Accepted)
    }

    /// Why the relay cannot be spoken to.
    #[must_use]
    pub fn trouble(&self) -> Option<&str> {
        self.trouble.as_deref()
    }
}

impl Queue {
    /// Adds a mail; true when another one had to go for it.
    pub fn push(&mut self, now: Instant, letter: Letter) -> bool {
        let is_full = self.waiting.len() >= MAX_WAITING;
        if is_full {
            self.waiting.pop_front();
            self.status.lost += 1;
        }
        let number = self.next_number;
        self.next_number += 1;
        self.waiting.push_back(Waiting {
            number,
            to: letter.to.clone(),
            letter: Arc::new(letter),
            since: now,
        });
        is_full
    }

    /// What is to be tried now; the same again until [`Self::handle`] has heard of it.
    #[must_use]
    pub fn next(&self, now: Instant) -> Option<Job> {
        if !self.relay.is_due(now) {
            return None;
        }
        self.waiting.iter().find_map(|waiting| {
            let mut to = waiting.to.clone();
            to.retain(|address| self.due(address).is_none_or(|due| due <= now));
            (!to.is_empty()).then(|| Job {
                number: waiting.number,
                letter: Arc::clone(&waiting.letter),
                to,
            })
        })
    }

    /// When [`Self::next`] has something that it has not now; `None` when nothing waits.
    #[must_use]
    pub fn poll_timeout(&self, now: Instant) -> Option<Instant> {
        let mut to = self.waiting.iter().flat_map(|waiting| &waiting.to);
        let relay = self.relay.until.filter(|until| *until > now);
        match relay {
            Some(until) => to.next().map(|_| until),
            None => to.filter_map(|address| self.due(address)).min(),
        }
    }

    /// Takes in what came of a job; gives how many mails were given up because they are too old.
    pub fn handle(&mut self, now: Instant, number: u64, attempt: Attempt) -> u64 {
        if attempt.is_accepted() {
            self.status.sent += 1;
        }
        match attempt.trouble {
            Some(trouble) => {
                self.relay.fail(now);
                self.status.failures += 1;
                self.status.last_failure = Some(trouble);
            }
            None => self.relay = Backoff::default(),
        }
        let mut waiting = self.waiting.iter_mut();
        // A mail that was driven out meanwhile is not there.
        let Some(mail) = waiting.find(|mail| mail.number == number) else {
            return 0;
        };
        for (address, answer) in attempt.answers {
            match answer {
                Answer::Deferred => {
                    self.status.deferred += 1;
                    self.recipients.entry(address).or_default().fail(now);
                    continue;
                }
                Answer::Refused => self.status.refused += 1,
                Answer::Accepted => {}
            }
            mail.to.retain(|to| *to != address);
            self.recipients.remove(&address);
        }
        self.waiting.retain(|mail| !mail.to.is_empty());
        let before = self.waiting.len();
        self.waiting
            .retain(|mail| now.saturating_duration_since(mail.since) < MAX_AGE);
        let given_up = (before - self.waiting.len()) as u64;
        self.status.lost += given_up;
        given_up
    }

    /// How many mails wait.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Nothing has to wait any more: the relay is another one, or somebody has seen to it.
    pub fn try_again(&mut self) {
        self.relay = Backoff::default();
        self.recipients.clear();
    }

    /// Gives up what waits.
    pub fn clear(&mut self) {
        self.status.lost += self.waiting.drain(..).count() as u64;
    }

    /// How it goes.
    #[must_use]
    pub fn status(&self) -> MailStatus {
        MailStatus {
            queued: self.waiting.len() as u64,
            ..self.status.clone()
        }
    }

    fn due(&self, address: &Address) -> Option<Instant> {
        self.recipients.get(address)?.until
    }
}

/// Longer and longer waits.
#[derive(Debug, Clone, Copy, Default)]
struct Backoff {
    until: Option<Instant>,
    delay: Duration,
}

impl Backoff {
    fn is_due(&self, now: Instant) -> bool {
        self.until.is_none_or(|until| until <= now)
    }

    fn fail(&mut self, now: Instant) {
        self.delay = (self.delay * 2).clamp(FIRST_DELAY, MAX_DELAY);
        self.until = Some(now + self.delay);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn letter(to: &[&str]) -> Letter {
        let address = |text: &&str| text.parse().unwrap();
        Letter {
            from: "f@example.org".parse().unwrap(),
            to: to.iter().map(address).collect(),
            text: Vec::new(),
        }
    }

    fn answers(job: &Job, answer: Answer) -> Attempt {
        let all = job.to.iter().map(|address| (address.clone(), answer));
        Attempt {
            answers: all.collect(),
            trouble: None,
        }
    }

    fn names(job: &Job) -> Vec<&str> {
        job.to.iter().map(Address::user).collect()
    }

    const A: &str = "a@example.org";
    const B: &str = "b@example.org";

    #[test]
    fn a_relay_that_is_not_there_is_tried_later_and_later_and_nothing_is_lost() {
        let mut queue = Queue::default();
        let mut now = Instant::now();
        queue.push(now, letter(&[A]));
        queue.push(now, letter(&[A]));
        for seconds in [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300] {
            let job = queue.next(now).unwrap();
            assert_eq!(job.number, 0);
            queue.handle(now, job.number, Attempt::broken("gone"));
            assert!(queue.next(now).is_none());
            let due = queue.poll_timeout(now).unwrap();
            assert_eq!(due - now, Duration::from_secs(seconds));
            now = due;
        }
        assert_eq!(queue.status().last_failure.as_deref(), Some("gone"));
        for number in 0..2 {
            let job = queue.next(now).unwrap();
            assert_eq!(job.number, number);
            queue.handle(now, number, answers(&job, Answer::Accepted));
        }
        let status = queue.status();
        assert_eq!((status.sent, status.queued, status.lost), (2, 0, 0));
        assert_eq!(queue.poll_timeout(now), None);
    }

    #[test]
    fn a_recipient_that_is_put_off_holds_up_no_other_and_keeps_its_order() {
        let mut queue = Queue::default();
        let now = Instant::now();
        queue.push(now, letter(&[A, B]));
        queue.push(now, letter(&[A, B]));
        let job = queue.next(now).unwrap();
        let mut attempt = answers(&job, Answer::Accepted);
        attempt.answers[0].1 = Answer::Deferred;
        queue.handle(now, job.number, attempt);
        // The second mail goes to the other one only.
        let job = queue.next(now).unwrap();
        assert_eq!((job.number, names(&job)), (1, vec!["b"]));
        queue.handle(now, job.number, answers(&job, Answer::Accepted));
        assert!(queue.next(now).is_none());
        let now = queue.poll_timeout(now).unwrap();
        for number in 0..2 {
            let job = queue.next(now).unwrap();
            assert_eq!((job.number, names(&job)), (number, vec!["a"]));
            queue.handle(now, job.number, answers(&job, Answer::Accepted));
        }
        assert_eq!(queue.waiting(), 0);
        assert_eq!(queue.status().deferred, 1);
    }

    #[test]
    fn who_is_refused_is_not_asked_again() {
        let mut queue = Queue::default();
        let now = Instant::now();
        queue.push(now, letter(&[A]));
        let job = queue.next(now).unwrap();
        queue.handle(now, job.number, answers(&job, Answer::Refused));
        assert_eq!((queue.waiting(), queue.status().refused), (0, 1));
    }

    #[test]
    fn too_many_drive_out_the_oldest_and_the_old_are_given_up() {
        let mut queue = Queue::default();
        let now = Instant::now();
        for _ in 0..MAX_WAITING {
            assert!(!queue.push(now, letter(&[A])));
        }
        assert!(queue.push(now, letter(&[A])));
        assert_eq!(queue.next(now).unwrap().number, 1);
        assert_eq!(queue.status().lost, 1);
        let late = now + MAX_AGE;
        queue.push(late, letter(&[A]));
        let job = queue.next(late).unwrap();
        queue.handle(late, job.number, Attempt::broken("gone"));
        assert_eq!(queue.waiting(), 1);
    }

    proptest! {
        /// Whatever the relay answers, each mail ends once for each recipient, and for each recipient
        /// mails end in their order.
        #[test]
        fn every_mail_ends_once_in_order(said in prop::collection::vec(0u8..5, 1..200)) {
            let mut queue = Queue::default();
            let mut now = Instant::now();
            let mut ended: BTreeMap<String, Vec<u64>> = BTreeMap::new();
            for _ in 0..5 {
                queue.push(now, letter(&[A, B]));
            }
            let mut said = said.into_iter().chain(std::iter::repeat(0));
            while queue.waiting() > 0 {
                let Some(job) = queue.next(now) else {
                    now = queue.poll_timeout(now).unwrap();
                    prop_assert!(queue.next(now).is_some(), "woken for nothing");
                    continue;
                };
                let mut attempt = Attempt::default();
                for address in &job.to {
                    let answer = match said.next().unwrap_or_default() {
                        0 | 1 => Answer::Accepted,
                        2 => Answer::Refused,
                        3 => Answer::Deferred,
                        _ => {
                            attempt.trouble = Some("gone".into());
                            break;
                        }
                    };
                    attempt.answers.push((address.clone(), answer));
                    if answer != Answer::Deferred {
                        ended.entry(address.to_string()).or_default().push(job.number);
                    }
                }
                queue.handle(now, job.number, attempt);
            }
            for numbers in ended.values() {
                prop_assert_eq!(numbers, &vec![0, 1, 2, 3, 4]);
            }
        }
    }
}
