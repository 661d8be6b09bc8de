//! A small load balancer: listens as its arguments say, until it is killed.
//!
//! ```text
//! cargo run --release -p lvs-proxy --example proxy -- \
//!     --scheduler wrr tcp 127.0.0.1:8080 127.0.0.1:9001=3 127.0.0.1:9002 \
//!     udp 127.0.0.1:5353 127.0.0.1:9053
//! ```
//!
//! Words, in order: `--workers N`, `--scheduler NAME`, `--persistent SECONDS` hold for the services behind them;
//! `--socket PATH` answers the IPVS table there, for `lvsadm --socket PATH -L -n`; `tcp ADDRESS` or `udp ADDRESS`
//! begins a service, what follows are its real servers, each with `=WEIGHT` if that is not 1.

use std::error::Error;
use std::io::Write as _;
use std::os::unix::net::UnixListener;
use std::time::Duration;

use ipvs_netlink::{Client, Destination, ForwardMethod, ServiceKey, VirtualService};
use lvs_proxy::{Proxy, ProxyConfig};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let mut config = ProxyConfig::default();
    if let Some(at) = words.iter().position(|word| word == "--workers") {
        config.workers = words
            .get(at + 1)
            .ok_or("--workers wants a number")?
            .parse()?;
    }
    let proxy = Proxy::start(config)?;
    let mut table = Client::connect(proxy.transport())?;

    let (mut scheduler, mut persistence) = ("wlc".to_owned(), None);
    let mut service = None;
    let mut words = words.into_iter();
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or_else(|| format!("{word} wants a value"));
        match word.as_str() {
            "--workers" => drop(value()?),
            "--scheduler" => scheduler = value()?,
            "--persistent" => persistence = Some(Duration::from_secs(value()?.parse()?)),
            "--socket" => proxy.serve(UnixListener::bind(value()?)?)?,
            "tcp" | "udp" => {
                let address = value()?.parse()?;
                let tcp = word == "tcp";
                let key = if tcp {
                    ServiceKey::tcp(address)
                } else {
                    ServiceKey::udp(address)
                };
                let wanted = VirtualService::new(key, scheduler.parse()?);
                table.add_service(&VirtualService {
                    persistence_timeout: persistence,
                    ..wanted
                })?;
                service = Some(key);
            }
            server => {
                let (address, weight) = server.split_once('=').unwrap_or((server, "1"));
                let destination = Destination::new(address.parse()?, ForwardMethod::Masq);
                let destination = Destination {
                    weight: weight.parse()?,
                    ..destination
                };
                let service = service.ok_or("a server needs a service before it")?;
                table.add_destination(&service, &destination)?;
            }
        }
    }
    println!("ready");
    std::io::stdout().flush()?;
    loop {
        std::thread::park();
    }
}
