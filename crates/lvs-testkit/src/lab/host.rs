//! A host of the lab: a network namespace, and what is done in it.

use std::fs::File;
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Output};
use std::sync::Arc;
use std::time::Duration;

use nix::sched::{CloneFlags, setns};

use super::{Capture, Daemon, LIMIT, Switch, Things, ip};
use crate::{Nginx, Process, wait_until};

/// A host. Clones are the same host.
#[derive(Clone, Debug)]
pub struct Host {
    name: String,
    things: Arc<Things>,
}

impl Host {
    pub(super) fn new(name: &str, things: Arc<Things>) -> Self {
        Self {
            name: name.to_owned(),
            things,
        }
    }

    /// The name, which is that of its namespace in `ip netns`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Runs `work` on a thread that is in this host: sockets that it opens and programs that it
    /// starts are the host's. `/proc/net` is not: that is the process's; `/proc/thread-self/net` is.
    ///
    /// # Panics
    ///
    /// As `work` does.
    #[track_caller]
    pub fn enter<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let path = format!("/run/netns/{}", self.name);
        let namespace =
            File::open(&path).unwrap_or_else(|error| panic!("cannot open {path}: {error}"));
        // The name of the test, for whoever asks.
        let thread = std::thread::Builder::new()
            .name(std::thread::current().name().unwrap_or_default().to_owned());
        let result = std::thread::scope(|scope| {
            let inner = thread.spawn_scoped(scope, || {
                setns(namespace, CloneFlags::CLONE_NEWNET).expect("root may enter a namespace");
                work()
            });
            inner.expect("a thread can be started").join()
        });
        result.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }

    /// Connects a new interface to a switch and waits until it carries packets. `addresses` with
    /// their prefix length (`10.0.0.1/24`, `fd00::1/64`) may be none.
    ///
    /// # Panics
    ///
    /// When the kernel refuses: the name is taken, or no address is one.
    #[track_caller]
    pub fn plug(&self, switch: &Switch, interface: &str, addresses: &[&str]) {
        let (host, wire) = (&self.name, switch.name());
        let port = self.port(interface);
        ip(
            Some(wire),
            &format!(
                "link add {port} type veth peer name {interface} netns {host}\n\
                 link set {port} master bridge up\n"
            ),
        );
        let mut lines = String::new();
        for address in addresses {
            lines += &format!("address add {address} dev {interface}\n");
        }
        lines += &format!("link set {interface} up\n");
        ip(Some(host), &lines);
        wait_until("a link to carry packets", LIMIT, || {
            let ready = |output: String, word: &str| output.contains(word).then_some(());
            ready(
                self.run(&["ip", "-oneline", "link", "show", "dev", interface]),
                "state UP",
            )?;
            ready(
                in_namespace(wire, &["bridge", "link", "show", "dev", &port]),
                "state forwarding",
            )
        });
    }

    /// Pulls the cable of an interface out of its switch, or puts it back in.
    ///
    /// # Panics
    ///
    /// When the interface was not plugged into this switch.
    #[track_caller]
    pub fn set_cable(&self, switch: &Switch, interface: &str, is_in: bool) {
        let state = if is_in { "up" } else { "down" };
        let port = self.port(interface);
        ip(Some(switch.name()), &format!("link set {port} {state}\n"));
    }

    /// What an interface is called in its switch.
    fn port(&self, interface: &str) -> String {
        // Names of interfaces may have 15 bytes; the index is unique in the switch.
        format!("{:.10}.{:.4}", self.name, interface)
    }

    /// Adds a route, in the words of `ip route add`: `default via 10.0.0.1`.
    ///
    /// # Panics
    ///
    /// When the kernel refuses.
    #[track_caller]
    pub fn route(&self, route: &str) {
        let family = if route.contains("::") { "-6 " } else { "" };
        self.ip(&format!("{family}route add {route}"));
    }

    /// Does one or more lines of `ip` in this host, such as `address add 10.0.0.9/32 dev lo`.
    ///
    /// # Panics
    ///
    /// When `ip` or the kernel refuses one.
    #[track_caller]
    pub fn ip(&self, lines: &str) {
        if lines.starts_with("-6 ") {
            let words: Vec<&str> = lines.split_whitespace().collect();
            self.run(&[&["ip"], words.as_slice()].concat());
        } else {
            ip(Some(&self.name), &format!("{lines}\n"));
        }
    }

    /// Sets a kernel parameter of this host: `net.ipv4.ip_forward`, `1`.
    ///
    /// # Panics
    ///
    /// When there is no such parameter, or it does not take the value.
    #[track_caller]
    pub fn sysctl(&self, name: &str, value: &str) {
        let path = format!("/proc/sys/{}", name.replace('.', "/"));
        let written = self.enter(|| std::fs::write(&path, value));
        written.unwrap_or_else(|error| panic!("cannot set {name} to {value}: {error}"));
    }

    /// Lets the host forward packets of both families.
    ///
    /// # Panics
    ///
    /// When the kernel refuses.
    #[track_caller]
    pub fn forward_packets(&self) {
        self.sysctl("net.ipv4.ip_forward", "1");
        self.sysctl("net.ipv6.conf.all.forwarding", "1");
    }

    /// Runs a program to its end and gives what it printed on its standard output.
    ///
    /// # Panics
    ///
    /// When it does not end with status 0; with all that it printed.
    #[track_caller]
    pub fn run(&self, words: &[&str]) -> String {
        let output = self.output(&mut command(words));
        assert!(
            output.status.success(),
            "{words:?} in {} ended with {}:\n{}{}",
            self.name,
            output.status,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Runs a program to its end, however that is.
    ///
    /// # Panics
    ///
    /// When it cannot be started.
    #[track_caller]
    pub fn output(&self, command: &mut Command) -> Output {
        let output = self.enter(|| command.output());
        output.unwrap_or_else(|error| {
            panic!("cannot start {}: {error}", command.get_program().display())
        })
    }

    /// Starts a program that runs until the test ends or [`Daemon::stop`]s it.
    ///
    /// # Panics
    ///
    /// When it cannot be started.
    #[track_caller]
    pub fn start(&self, command: &mut Command) -> Daemon {
        let daemon = Daemon::new(self.enter(|| Process::start(command)));
        self.things.keep(daemon.clone());
        daemon
    }

    /// Starts a real nginx with `http`, the inner text of its `http` block, and waits until `ports`
    /// answer on the host's loopback. It runs until the test ends.
    ///
    /// # Panics
    ///
    /// When nginx is not installed or does not start.
    #[track_caller]
    pub fn nginx(&self, http: &str, ports: &[u16]) -> Arc<Nginx> {
        let nginx = self.enter(|| Nginx::start(http, ports));
        let nginx = Arc::new(nginx.expect("nginx is installed"));
        self.things.keep(Arc::clone(&nginx));
        nginx
    }

    /// A real nginx that answers every request on `ports` of all addresses with `body`.
    ///
    /// # Panics
    ///
    /// When nginx is not installed or does not start.
    #[track_caller]
    pub fn serve(&self, body: &str, ports: &[u16]) -> Arc<Nginx> {
        let server = |port: &u16| {
            format!(
                "server {{ listen {port}; listen [::]:{port}; location / {{ return 200 '{body}'; }} }}\n"
            )
        };
        self.nginx(&ports.iter().map(server).collect::<String>(), ports)
    }

    /// The body that curl gets from `url`, over a connection of its own.
    ///
    /// # Panics
    ///
    /// When the answer is not a success, or does not come within 5 seconds.
    #[track_caller]
    pub fn fetch(&self, url: &str) -> String {
        self.run(&[
            "curl",
            "-sS",
            "--fail",
            "--noproxy",
            "*",
            "--max-time",
            "5",
            url,
        ])
    }

    /// The body that curl gets from `url`, or `None` for whatever reason it does not.
    pub fn try_fetch(&self, url: &str) -> Option<String> {
        let words = [
            "curl",
            "-s",
            "--fail",
            "--noproxy",
            "*",
            "--max-time",
            "5",
            url,
        ];
        let output = self.output(&mut command(&words));
        let body = String::from_utf8_lossy(&output.stdout).into_owned();
        output.status.success().then_some(body)
    }

    /// Waits until somebody accepts TCP connections at `address`, as seen from this host.
    ///
    /// # Panics
    ///
    /// When nobody does in [`LIMIT`].
    #[track_caller]
    pub fn wait_for_server(&self, address: SocketAddr) {
        let limit = Duration::from_secs(1);
        self.enter(|| {
            wait_until(&format!("a server at {address}"), LIMIT, || {
                TcpStream::connect_timeout(&address, limit).ok()
            });
        });
    }

    /// Begins to capture the packets of an interface that match `filter`, in the words of
    /// pcap-filter(7). The capture is running when this returns.
    ///
    /// # Panics
    ///
    /// When tcpdump does not take the interface or the filter.
    #[track_caller]
    pub fn capture(&self, interface: &str, filter: &str) -> Capture {
        Capture::start(self, interface, filter)
    }
}

fn command(words: &[&str]) -> Command {
    let mut words = words.iter();
    let mut command = Command::new(words.next().expect("a program to run"));
    command.args(words);
    command
}

#[track_caller]
fn in_namespace(name: &str, words: &[&str]) -> String {
    Host::new(name, Arc::default()).run(words)
}
