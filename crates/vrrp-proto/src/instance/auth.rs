//! Authentication of version 2, on both sides.

use std::net::IpAddr;

use subtle::ConstantTimeEq as _;

use crate::config::Authentication;
use crate::rejected::Rejected;
use crate::time::Time;
use crate::wire::ah;
use crate::wire::ip::Carried;
use crate::wire::v2::AuthType;

/// Senders whose sequence numbers are remembered. All of them know the key.
const MOST_SENDERS: usize = 32;

/// More time than an instance takes for a packet, in the long run; 2^32 of it are 8 years.
const TICK_MS: u32 = 62;

/// The sequence numbers of the IP authentication header.
///
/// # Design
///
/// Each sender's numbers must grow, so a packet that was recorded cannot be used again. Our own go
/// on from the greatest that was seen of anybody: a keepalived peer compares with the last number
/// of the virtual router, whoever sent it. They begin at a number that grows with the driver's
/// clock, so that a process that was started again is not taken for a recording of the one before.
#[derive(Clone, Debug)]
pub(super) struct Sequences {
    greatest: u32,
    senders: Vec<(IpAddr, u32)>,
}

impl Sequences {
    /// The numbers of an instance that is made now.
    pub(super) fn new(now: Time) -> Self {
        let ticks = now.since_epoch().as_millis() / u128::from(TICK_MS);
        Self {
            greatest: u32::try_from(ticks).unwrap_or(0),
            senders: Vec::new(),
        }
    }

    /// The number of the next packet that we send.
    pub(super) fn next(&mut self) -> u32 {
        self.greatest = self.greatest.wrapping_add(1).max(1);
        self.greatest
    }

    /// Whether a sender's number is a new one; remembers it.
    fn accept(&mut self, sender: IpAddr, sequence: u32) -> bool {
        match self.senders.iter_mut().find(|(known, _)| *known == sender) {
            Some((_, last)) if sequence <= *last => return false,
            Some((_, last)) => *last = sequence,
            None => {
                if self.senders.len() >= MOST_SENDERS {
                    self.senders.remove(0);
                }
                self.senders.push((sender, sequence));
            }
        }
        self.greatest = self.greatest.max(sequence);
        true
    }
}

/// The authentication type that we send and demand.
pub(super) const fn auth_type(authentication: &Authentication) -> AuthType {
    match authentication {
        Authentication::None => AuthType::None,
        Authentication::Pass(_) => AuthType::Pass,
        Authentication::Ah(_) => AuthType::Ah,
    }
}

/// The authentication data that we send.
pub(super) const fn auth_data(authentication: &Authentication) -> [u8; 8] {
    match authentication {
        Authentication::Pass(secret) => *secret,
        Authentication::None | Authentication::Ah(_) => [0; 8],
    }
}

/// Whether a packet is what it says it is.
pub(super) fn check(
    authentication: &Authentication,
    sequences: &mut Sequences,
    carried: &Carried<'_>,
    theirs: (AuthType, [u8; 8]),
) -> Result<(), Rejected> {
    let (their_type, their_data) = theirs;
    if let AuthType::Unknown(_) = their_type {
        return Err(Rejected::AuthUnknown);
    }
    let header = carried.authenticated;
    let wants_header = matches!(authentication, Authentication::Ah(_));
    if their_type != auth_type(authentication) || header.is_some() != wants_header {
        return Err(Rejected::AuthMismatch);
    }
    match (authentication, header) {
        (Authentication::Pass(secret), _) if !bool::from(secret.ct_eq(&their_data)) => {
            Err(Rejected::AuthFailed)
        }
        (Authentication::Ah(key), Some((packet, header_len))) => {
            if !ah::verify(packet, header_len, key) {
                return Err(Rejected::AuthFailed);
            }
            let header = packet.get(header_len..).unwrap_or_default();
            let header = ah::Header::new_checked(header)?;
            if !sequences.accept(carried.source, header.sequence()) {
                return Err(Rejected::AuthReplay);
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_counts_once_and_ours_go_on_from_the_greatest() {
        let mut sequences = Sequences::new(Time::ZERO);
        let [a, b] = [1, 2].map(|last| IpAddr::from([10, 0, 0, last]));
        assert_eq!(sequences.next(), 1);
        assert!(sequences.accept(a, 7));
        assert!(!sequences.accept(a, 7));
        assert!(!sequences.accept(a, 6));
        assert!(sequences.accept(b, 3));
        assert!(sequences.accept(a, 8));
        assert_eq!(sequences.next(), 9);
    }

    #[test]
    fn a_process_that_was_started_again_goes_on_above_its_old_numbers() {
        let mut before = Sequences::new(Time::from_secs(100));
        let last = (0..600).map(|_| before.next()).last().unwrap(); // ten minutes, one a second
        assert!(Sequences::new(Time::from_secs(700)).next() > last);
    }

    #[test]
    fn two_masters_that_send_the_same_number_still_hear_each_other() {
        let mut sequences = Sequences::new(Time::ZERO);
        let other = IpAddr::from([10, 0, 0, 1]);
        let ours = sequences.next();
        assert!(sequences.accept(other, ours));
    }

    #[test]
    fn memory_of_senders_is_bounded() {
        let mut sequences = Sequences::new(Time::ZERO);
        for last in 0..=255 {
            assert!(sequences.accept([10, 0, 0, last].into(), 1));
        }
        assert_eq!(sequences.senders.len(), MOST_SENDERS);
    }
}
