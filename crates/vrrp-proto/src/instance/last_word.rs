//! The last word of a Master that yields, and its repetition.
//!
//! # Design: a wire that is mended in one direction first
//!
//! Of two Masters that hear each other again, the one that stays announces the addresses because it
//! hears the last word of the one that yields. That word may be lost, and surely is as long as only
//! the wire from the better Master to the worse one is mended. Then neither would speak to the other
//! any more, and hosts would go on believing in the one that has yielded. So a Backup that was the
//! rival of a Master repeats its last word until the Master answers: by an advertisement out of its
//! rhythm, less than half an interval after the word. The word always follows an advertisement
//! that came in rhythm, so the next regular one is a whole interval away, and no timer is needed.
//!
//! Some Masters never answer (those of RFC 3768, keepalived with `lower_prio_no_advert`), so the
//! pauses grow, and after some ten minutes at one second the Backup gives up. A router that does
//! not answer a lower priority itself expects no answer and says one word, as does one that was
//! told not to answer a higher priority none. A Backup that has not been a Master's rival is silent.
//!
//! Third routers hear the word, too, and may take its sender for a Master. It has the Master's
//! interval, so that they wait no shorter than before, and the priority by which the contest was
//! lost; where that would win by now, the one below the Master's.

use std::net::IpAddr;
use std::time::Duration;

use super::Instance;
use super::check::Advertisement;
use super::election::{self, Contest};
use super::output::Event;
use super::reason::Heard;
use super::state::Backup;
use crate::time::Time;
use crate::types::Priority;
use crate::wire::AdvertisedPriority;

/// How often a word is said that nobody answers: for 702 of the Master's intervals.
const MOST_WORDS: u32 = 16;

/// The longest pause is this power of two: 64 of the Master's intervals.
const LONGEST_PAUSE: u32 = 6;

/// Words without an answer after which the Master does not seem to hear us.
const DEAF_AFTER: u32 = 2;

/// A last word that has not been answered yet.
#[derive(Clone, Copy, Debug)]
pub(super) struct LastWord {
    /// By which the contest was lost.
    priority: Priority,
    /// To whom it is said: the Master.
    to: IpAddr,
    /// When that one was last heard.
    heard_at: Time,
    /// The advertisement after which it was said, by the number of its packet; 0 for none.
    after: u16,
    /// Until when an advertisement is an answer.
    answer_until: Time,
    /// When the next one in rhythm is a reason to say it again.
    again_at: Time,
    /// How often it was said.
    times: u32,
}

impl LastWord {
    /// It has just been said, because of this advertisement.
    fn said(&mut self, now: Time, after: &Advertisement) {
        let interval = after.interval.as_duration();
        let answer = election::tolerance(interval);
        self.times += 1;
        self.after = after.identification;
        self.answer_until = now + answer;
        self.again_at = now + (interval * 2_u32.pow(self.times.min(LONGEST_PAUSE)) - answer);
    }

    /// Whether an advertisement of the Master answers it. A copy of the one that it followed does
    /// not; over IPv6, where packets have no number, a copy cannot be told.
    fn is_answered(&self, now: Time, by: &Advertisement) -> bool {
        let copy = by.identification != 0 && by.identification == self.after;
        now < self.answer_until && !copy
    }
}

/// Whether advertisements so far apart are neighbours. Others were lost in between, or lay in a
/// socket while this instance stood still, and what follows them at once is no answer.
fn is_rhythm(apart: Duration, interval: Duration) -> bool {
    let tolerance = election::tolerance(interval);
    (interval - tolerance..=interval + tolerance).contains(&apart)
}

impl Instance {
    /// Says the last word to a better Master, if it is to be said.
    pub(super) fn say_last_word(&mut self, now: Time, after: &Advertisement) -> Option<LastWord> {
        let priority = self.effective;
        if !self.config.answer_higher {
            return None;
        }
        self.advertise(AdvertisedPriority::Priority(priority), after.interval);
        let mut word = LastWord {
            priority,
            to: after.source,
            heard_at: now,
            after: 0,
            answer_until: now,
            again_at: now,
            times: 0,
        };
        word.said(now, after);
        if self.stands_still(now) {
            // What else has come meanwhile is no answer.
            word.answer_until = now;
        }
        Some(word)
    }

    /// A Backup has accepted an advertisement: it answers the last word, or is a reason to say it
    /// again.
    pub(super) fn repeat_last_word(
        &mut self,
        now: Time,
        advertisement: &Advertisement,
        master: Heard,
        backup: &mut Backup,
    ) {
        let Some(word) = &mut backup.last_word else {
            return;
        };
        let interval = advertisement.interval.as_duration();
        let apart = now.since(word.heard_at);
        if word.to != master.address {
            if apart > interval * 3 {
                (word.to, word.heard_at) = (master.address, now);
            }
            return;
        }
        word.heard_at = now;
        let expected = self.config.answer_higher && self.config.answer_lower;
        let exhausted = word.times >= MOST_WORDS && now >= word.again_at;
        if !expected || exhausted || word.is_answered(now, advertisement) {
            backup.last_word = None;
            return;
        }
        if now < word.again_at || !is_rhythm(apart, interval) {
            return;
        }
        let theirs = (master.priority, master.address);
        let loses = |priority: &Priority| {
            let ours = self.source.map(|source| (*priority, source));
            ours.is_some_and(|ours| election::contest(ours, theirs) == Contest::TheyWin)
        };
        // One below the Master's, if that was lowered meanwhile.
        let below = master.priority.adjusted(-1);
        let Some(priority) = [word.priority, below].into_iter().find(loses) else {
            return;
        };
        word.said(now, advertisement);
        let times = word.times;
        if times == DEAF_AFTER + 1 {
            self.event(Event::LastWordUnanswered { master });
        }
        self.advertise(
            AdvertisedPriority::Priority(priority),
            advertisement.interval,
        );
    }
}
