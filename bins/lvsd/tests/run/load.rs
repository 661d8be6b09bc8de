//! Load that notices every lost request.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use crate::lab::LIMIT;

/// Clients that ask without a pause, half of them over kept-alive connections, half over new ones.
pub(crate) struct Load {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    answered: AtomicU64,
    lost: Mutex<Vec<String>>,
}

impl Load {
    pub(crate) fn start(port: u16) -> Self {
        let shared = Arc::new(Shared::default());
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let client = |keeps: bool| {
            let shared = Arc::clone(&shared);
            std::thread::spawn(move || work(address, keeps, &shared))
        };
        let threads = [true, true, true, true, false, false].map(client).into();
        Self { shared, threads }
    }

    /// Requests that were answered with status 200 so far.
    pub(crate) fn answered(&self) -> u64 {
        self.shared.answered.load(Ordering::SeqCst)
    }

    /// Waits for this many more answers.
    #[track_caller]
    pub(crate) fn wait_for_more(&self, count: u64) {
        let target = self.answered() + count;
        lvs_testkit::wait_until("answers under load", LIMIT, || {
            (self.answered() >= target || !self.lost().is_empty()).then_some(())
        });
    }

    fn lost(&self) -> Vec<String> {
        self.shared.lost.lock().expect("no thread panics").clone()
    }

    /// Ends the load; returns why requests were lost.
    pub(crate) fn stop(self) -> Vec<String> {
        self.shared.stop.store(true, Ordering::SeqCst);
        for thread in self.threads {
            thread.join().expect("no client panics");
        }
        let lost = self.shared.lost.lock().expect("no thread panics");
        lost.clone()
    }
}

fn work(address: SocketAddr, keeps: bool, shared: &Shared) {
    let mut connection = None;
    while !shared.stop.load(Ordering::SeqCst) {
        match ask(address, keeps, &mut connection) {
            Ok(()) => {
                shared.answered.fetch_add(1, Ordering::SeqCst);
            }
            Err(error) => {
                connection = None;
                let kind = if keeps {
                    "kept connection"
                } else {
                    "new connection"
                };
                let mut lost = shared.lost.lock().expect("no thread panics");
                lost.push(format!("{kind}: {error}"));
                if lost.len() > 100 {
                    return;
                }
            }
        }
    }
}

fn ask(
    address: SocketAddr,
    keeps: bool,
    connection: &mut Option<BufReader<TcpStream>>,
) -> std::io::Result<()> {
    let stream = match connection {
        Some(stream) => stream,
        None => {
            let stream = TcpStream::connect(address)?;
            stream.set_read_timeout(Some(LIMIT))?;
            stream.set_nodelay(true)?;
            connection.insert(BufReader::new(stream))
        }
    };
    let request: &[u8] = if keeps {
        b"GET /load HTTP/1.1\r\nHost: x\r\n\r\n"
    } else {
        b"GET /load HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    };
    stream.get_mut().write_all(request)?;
    let mut line = String::new();
    stream.read_line(&mut line)?;
    if !line.starts_with("HTTP/1.1 200") {
        return Err(std::io::Error::other(format!("answered {line:?}")));
    }
    let mut length = 0;
    while line.trim_end() != "" {
        line.clear();
        stream.read_line(&mut line)?;
        if let Some(value) = line.strip_prefix("Content-Length: ") {
            length = value.trim_end().parse().map_err(std::io::Error::other)?;
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    if !keeps {
        *connection = None;
    }
    Ok(())
}
