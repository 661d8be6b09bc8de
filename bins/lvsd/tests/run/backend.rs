//! Small real HTTP servers that can be stopped, made to fail, and asked what they saw.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;

/// An HTTP/1 server that answers every path with its name, on 127.0.0.1.
pub(crate) struct Backend {
    port: u16,
    state: Arc<State>,
    accepting: Option<JoinHandle<()>>,
}

struct State {
    name: String,
    status: AtomicU16,
    requests: AtomicU64,
    stopped: AtomicBool,
    /// The open connections, so that a stop can cut them.
    streams: Mutex<HashMap<u64, TcpStream>>,
}

impl State {
    fn lock(&self) -> MutexGuard<'_, HashMap<u64, TcpStream>> {
        self.streams.lock().expect("no thread panics")
    }
}

impl Backend {
    pub(crate) fn start(name: &str) -> Self {
        let state = State {
            name: name.to_owned(),
            status: AtomicU16::new(200),
            requests: AtomicU64::new(0),
            stopped: AtomicBool::new(true),
            streams: Mutex::new(HashMap::new()),
        };
        let mut backend = Self {
            port: lvs_testkit::free_port(),
            state: Arc::new(state),
            accepting: None,
        };
        backend.resume();
        backend
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// How many requests other than checks it has answered.
    pub(crate) fn requests(&self) -> u64 {
        self.state.requests.load(Ordering::SeqCst)
    }

    /// Answers with this status from now on.
    pub(crate) fn set_status(&self, status: u16) {
        self.state.status.store(status, Ordering::SeqCst);
    }

    /// Refuses connections and cuts those it has.
    pub(crate) fn stop(&mut self) {
        let Some(accepting) = self.accepting.take() else {
            return;
        };
        self.state.stopped.store(true, Ordering::SeqCst);
        // Wakes the accepting thread.
        let _ = TcpStream::connect(self.address());
        accepting
            .join()
            .expect("the accepting thread does not panic");
        for (_, stream) in self.state.lock().drain() {
            let _ = stream.shutdown(std::net::Shutdown::Both);
        }
    }

    /// Accepts connections again, on the same port.
    pub(crate) fn resume(&mut self) {
        // Not reused by anybody else: the port is outside the range of clients.
        let socket = lvs_testkit::wait_until("the port to be free", super::lab::LIMIT, || {
            TcpListener::bind(self.address()).ok()
        });
        self.state.stopped.store(false, Ordering::SeqCst);
        let state = Arc::clone(&self.state);
        self.accepting = Some(std::thread::spawn(move || accept(&socket, &state)));
    }

    fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.stop();
    }
}

fn accept(listener: &TcpListener, state: &Arc<State>) {
    for (number, stream) in (0..).zip(listener.incoming()) {
        if state.stopped.load(Ordering::SeqCst) {
            return;
        }
        let Ok(stream) = stream else { continue };
        if let Ok(copy) = stream.try_clone() {
            state.lock().insert(number, copy);
        }
        let state = Arc::clone(state);
        std::thread::spawn(move || {
            answer(stream, &state);
            // The copy would keep the connection open.
            state.lock().remove(&number);
        });
    }
}

/// Answers requests until the client hangs up; errors are the client's affair.
fn answer(stream: TcpStream, state: &State) {
    let Ok(mut writer) = stream.try_clone() else {
        return;
    };
    let _ = stream.set_nodelay(true);
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    loop {
        let mut is_http10 = false;
        let mut is_check = false;
        let mut closes = false;
        loop {
            line.clear();
            match reader.read_line(&mut line) {
                Ok(0) | Err(_) => return,
                Ok(_) => {}
            }
            let text = line.trim_end().to_ascii_lowercase();
            is_http10 |= text.ends_with("http/1.0");
            is_check |= text == "user-agent: keepaliveclient";
            closes |= text == "connection: close";
            if text.is_empty() {
                break;
            }
        }
        if !is_check {
            state.requests.fetch_add(1, Ordering::SeqCst);
        }
        let close = is_http10 || closes;
        let answer = format!(
            "HTTP/1.1 {} -\r\nContent-Length: {}\r\nConnection: {}\r\n\r\n{}",
            state.status.load(Ordering::SeqCst),
            state.name.len(),
            if close { "close" } else { "keep-alive" },
            state.name
        );
        if writer.write_all(answer.as_bytes()).is_err() || close {
            return;
        }
    }
}
