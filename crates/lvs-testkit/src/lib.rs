//! What lvskit's tests share: skips that are counted, free ports, waiting for a condition, child
//! processes that end with the test, real nginx servers, and manual pages against help texts.
//!
//! For tests only: everything here panics when it cannot do its work, because a test that cannot
//! get its surroundings has failed.
//!
//! ```
//! let port = lvs_testkit::free_port();
//! assert!(std::net::TcpListener::bind(("127.0.0.1", port)).is_ok());
//! ```
//!
//! # Modules
//!
//! - [`lab`]: hosts and networks under a real kernel with IPVS.
//! - [`smtp`]: a real mail relay on loopback, with good and bad manners.
//! - [`process`]: children that are ended, and waited for, when the test lets go of them.
//! - [`manual`]: manual pages held against the help of their programs.
//! - [`netns`]: network namespaces joined by cables.
//! - [`nginx`]: a real nginx on loopback, with what a check needs to see.

pub mod lab;
pub mod manual;
pub mod netns;
pub mod nginx;
pub mod process;
pub mod smtp;

use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::path::PathBuf;
use std::time::{Duration, Instant};

pub use nginx::Nginx;
pub use process::Process;

/// The environment variable with the file that collects the skipped tests, a line each.
///
/// `cargo xtask test` sets it and counts the lines; without it a skip is only printed.
pub const SKIPPED_FILE: &str = "LVSKIT_SKIPPED_FILE";

/// Says that the running test is skipped, and why; the caller then returns.
///
/// The name of the test is that of its thread, as the test harness sets it.
///
/// # Panics
///
/// When the file named by [`SKIPPED_FILE`] cannot be written: an uncounted skip would hide itself.
pub fn skip(reason: &str) {
    let thread = std::thread::current();
    let line = format!("{}: {reason}\n", thread.name().unwrap_or("unnamed test"));
    eprint!("skipped {line}");
    if let Some(path) = std::env::var_os(SKIPPED_FILE) {
        std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(path)
            .and_then(|mut file| file.write_all(line.as_bytes()))
            .expect("the file of skipped tests can be written");
    }
}

/// Where a program is: on `PATH`, or in the `sbin` folders that an ordinary user's lacks.
pub fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/sbin", "/usr/local/sbin"].map(PathBuf::from))
        .map(|folder| folder.join(name))
        .find(|candidate| candidate.is_file())
}

/// What the fuzz targets of a folder in `fuzz/corpus` start from: the files that are kept there,
/// each with its name. What a fuzzer has added is not among them; its names have no dot.
///
/// # Panics
///
/// When there are none: whoever asks wants to try them.
pub fn seeds(folder: &str) -> Vec<(String, Vec<u8>)> {
    let corpus = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus");
    let entries = std::fs::read_dir(corpus.join(folder)).expect("the folder is there");
    let mut seeds = Vec::new();
    for entry in entries {
        let path = entry.expect("the folder is readable").path();
        if path.extension().is_some() {
            let name = path.display().to_string();
            seeds.push((name, std::fs::read(path).expect("a file")));
        }
    }
    assert!(!seeds.is_empty(), "no seeds in {folder}");
    seeds
}

/// A TCP and UDP port that was free on 127.0.0.1 a moment ago.
///
/// Ports come from below the range that the kernel hands out to clients, at a place that depends
/// on the process, so that neither an outgoing connection nor a test that runs beside this one
/// takes the port before it is used.
///
/// # Panics
///
/// When no port is free.
pub fn free_port() -> u16 {
    use std::sync::atomic::{AtomicU32, Ordering};
    const FIRST: u32 = 10_000;
    const COUNT: u32 = 22_000;
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let start = std::process::id().wrapping_mul(97);
    for _ in 0..COUNT {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        let port = FIRST + start.wrapping_add(step) % COUNT;
        let port = u16::try_from(port).expect("FIRST + COUNT is below 65536");
        let address = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port);
        if TcpListener::bind(address).is_ok() && UdpSocket::bind(address).is_ok() {
            return port;
        }
    }
    panic!("no free port between {FIRST} and {}", FIRST + COUNT);
}

/// Waits until `condition` gives a value, and returns that.
///
/// # Panics
///
/// When there is none after `limit`; `what` then says what was waited for. The limit guards
/// against a hang and is no measurement: choose it generously.
#[track_caller]
pub fn wait_until<T>(what: &str, limit: Duration, mut condition: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(
            Instant::now() < deadline,
            "waited {limit:?} in vain for {what}"
        );
        std::thread::sleep(Duration::from_millis(5));
    }
}
