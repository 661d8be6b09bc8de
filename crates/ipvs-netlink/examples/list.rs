//! Lists the kernel's IPVS table and doubles the weight of every destination.

use ipvs_netlink::{Client, KernelTransport};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut client = Client::connect(KernelTransport::open()?)?;
    for entry in client.services()? {
        let key = entry.service.key;
        println!("{key}: {} connections", entry.stats.conns);
        for entry in client.destinations(&key)? {
            let mut destination = entry.destination;
            println!("  {} weight {}", destination.key(), destination.weight);
            destination.weight = destination.weight.saturating_mul(2);
            client.edit_destination(&key, &destination)?;
        }
    }
    Ok(())
}
