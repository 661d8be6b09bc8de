//! What passes the bridge, with the kernel's time stamps.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use lvs_testkit::netns::Namespace;

/// How long anything may take.
const LIMIT: Duration = Duration::from_secs(30);

/// A tcpdump on the bridge.
pub(super) struct Capture {
    child: Child,
    seen: Arc<Mutex<Seen>>,
}

/// An advertisement, or a gratuitous ARP.
#[derive(Clone, Debug)]
pub(super) struct Packet {
    /// Nanoseconds since 1970.
    pub(super) at: i128,
    /// Sender of an advertisement; the address that a gratuitous ARP is about.
    pub(super) address: String,
    /// Of an advertisement.
    pub(super) priority: Option<u8>,
}

/// Everything that was seen, in order.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    packets: Vec<Packet>,
}

impl Seen {
    pub(super) fn adverts_of(&self, address: &str) -> impl DoubleEndedIterator<Item = &Packet> {
        let packets = self.packets.iter();
        packets.filter(move |it| it.priority.is_some() && it.address == address)
    }

    pub(super) fn claims_after_last_advert_of(
        &self,
        address: &str,
    ) -> impl Iterator<Item = &Packet> {
        let last = self.adverts_of(address).next_back().map(|it| it.at);
        let after = move |it: &&Packet| last.is_some_and(|last| it.at > last);
        self.packets
            .iter()
            .filter(|it| it.priority.is_none())
            .filter(after)
    }
}

impl Capture {
    pub(super) fn start(switch: &Namespace) -> Result<Self> {
        let mut child = switch
            .run(|| {
                Command::new("tcpdump")
                    .args(["-i", "br0", "-n", "-l", "-tt", "--immediate-mode"])
                    .args(["--time-stamp-precision=nano", "vrrp or arp"])
                    .stdout(Stdio::piped())
                    .stderr(Stdio::piped())
                    .spawn()
            })
            .context("tcpdump")?;
        let output = child.stdout.take().context("no output")?;
        let errors = child.stderr.take().context("no output")?;
        // It says so when it listens.
        for line in BufReader::new(errors).lines() {
            if line?.contains("listening on") {
                break;
            }
        }
        let seen = Arc::new(Mutex::new(Seen::default()));
        let to = Arc::clone(&seen);
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if let Some(packet) = read(&line) {
                    let mut seen = to.lock().unwrap_or_else(PoisonError::into_inner);
                    seen.packets.push(packet);
                }
            }
        });
        Ok(Self { child, seen })
    }

    /// Waits until what was seen is enough, and gives it.
    pub(super) fn wait(&self, what: &str, enough: impl Fn(&Seen) -> bool) -> Result<Seen> {
        let deadline = Instant::now() + LIMIT;
        loop {
            let seen = self
                .seen
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .clone();
            if enough(&seen) {
                return Ok(seen);
            }
            if Instant::now() > deadline {
                bail!("waited in vain for {what}; seen: {:?}", seen.packets.len());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A line of tcpdump, if it is an advertisement or a gratuitous ARP.
fn read(line: &str) -> Option<Packet> {
    let (at, rest) = line.split_once(' ')?;
    let (seconds, nanos) = at.split_once('.')?;
    let at = seconds.parse::<i128>().ok()? * 1_000_000_000 + nanos.parse::<i128>().ok()?;
    if let Some(rest) = rest.strip_prefix("ARP, Request who-has ") {
        let (target, rest) = rest.split_once(' ')?;
        let sender = rest.rsplit_once("tell ")?.1.split(',').next()?;
        return (target == sender).then(|| Packet {
            at,
            address: target.to_owned(),
            priority: None,
        });
    }
    let rest = rest.strip_prefix("IP ")?;
    let (address, rest) = rest.split_once(' ')?;
    let (_, rest) = rest.split_once("prio ")?;
    let priority = rest.split(|c: char| !c.is_ascii_digit()).next()?;
    Some(Packet {
        at,
        address: address.to_owned(),
        priority: Some(priority.parse().ok()?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    // As tcpdump 4.99 prints them.
    #[test]
    fn lines_of_tcpdump_are_read() {
        let advert = "1795692049.740123456 IP 10.0.0.1 > 224.0.0.18: VRRPv2, Advertisement, vrid \
                      51, prio 150, authtype none, intvl 1s, length 20";
        let packet = read(advert).unwrap();
        assert_eq!(
            (packet.address.as_str(), packet.priority),
            ("10.0.0.1", Some(150))
        );
        assert_eq!(packet.at, 1_795_692_049_740_123_456);
        let claim = "1.000000001 ARP, Request who-has 10.0.0.100 (ff:ff:ff:ff:ff:ff) tell \
                     10.0.0.100, length 28";
        let packet = read(claim).unwrap();
        assert_eq!(
            (packet.address.as_str(), packet.priority),
            ("10.0.0.100", None)
        );
        let question = "1.000000001 ARP, Request who-has 10.0.0.3 tell 10.0.0.100, length 28";
        assert!(read(question).is_none());
    }
}
