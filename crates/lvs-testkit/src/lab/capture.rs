//! Packets of an interface, captured by tcpdump.

use std::process::Command;

use tempfile::TempDir;

use super::{Daemon, Host, LIMIT};
use crate::program;

/// A running capture, to a file in the format of pcap. It ends with the lab.
#[derive(Debug)]
pub struct Capture {
    folder: TempDir,
    tcpdump: Daemon,
}

impl Capture {
    #[track_caller]
    pub(super) fn start(host: &Host, interface: &str, filter: &str) -> Self {
        let tcpdump = program("tcpdump").expect("tcpdump is installed");
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let tcpdump = host.start(
            Command::new(tcpdump)
                // Every packet goes to the file as it comes.
                .args([
                    "--immediate-mode",
                    "-U",
                    "-n",
                    "-Z",
                    "root",
                    "-i",
                    interface,
                    "-w",
                ])
                .arg(folder.path().join("packets.pcap"))
                .args(filter.split_whitespace()),
        );
        tcpdump.wait_for("listening on", LIMIT);
        Self { folder, tcpdump }
    }

    /// The packets so far, a line each as tcpdump prints them with `flags`: `-e` for the link layer,
    /// `-v` for details. Numbers are not resolved; packets of the last moment may be missing, so
    /// rather [`wait`](Self::wait) for what must come.
    ///
    /// # Panics
    ///
    /// When tcpdump does not take the flags.
    #[track_caller]
    pub fn packets(&self, flags: &[&str]) -> Vec<String> {
        let output = Command::new(program("tcpdump").expect("tcpdump is installed"))
            .args(["-nn", "-t", "-r"])
            .arg(self.folder.path().join("packets.pcap"))
            .args(flags)
            .output()
            .expect("tcpdump can be started");
        let text = String::from_utf8_lossy(&output.stdout);
        text.lines().map(str::to_owned).collect()
    }

    /// The file, in the format of pcap.
    ///
    /// # Panics
    ///
    /// When it cannot be read.
    #[track_caller]
    pub fn bytes(&self) -> Vec<u8> {
        std::fs::read(self.folder.path().join("packets.pcap")).expect("tcpdump writes a file")
    }

    /// Waits until `found` gives something for the packets, printed with `flags`.
    ///
    /// # Panics
    ///
    /// When it does not within [`LIMIT`](super::LIMIT); with the packets.
    #[track_caller]
    pub fn wait<T>(&self, flags: &[&str], found: impl Fn(&[String]) -> Option<T>) -> T {
        let deadline = std::time::Instant::now() + LIMIT;
        loop {
            let packets = self.packets(flags);
            if let Some(value) = found(&packets) {
                return value;
            }
            assert!(
                std::time::Instant::now() < deadline,
                "waited {LIMIT:?} in vain for packets, got only:\n{}",
                packets.join("\n")
            );
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }

    /// Waits for a packet whose line contains `text`, and gives the line.
    ///
    /// # Panics
    ///
    /// As [`wait`](Self::wait).
    #[track_caller]
    pub fn wait_for(&self, text: &str) -> String {
        self.wait(&[], |packets| {
            packets.iter().find(|line| line.contains(text)).cloned()
        })
    }

    /// Ends the capture; what has arrived stays readable.
    ///
    /// # Panics
    ///
    /// When tcpdump has ended before.
    #[track_caller]
    pub fn stop(&self) {
        self.tcpdump.stop(LIMIT);
    }
}
