//! Lists the kernel's IPVS table and doubles the weight of every destination.

use ipvs_netlink::{Client, Destination, KernelTransport};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut client = Client::connect(KernelTransport::open()?)?;
    println!("IPVS {}", client.info()?.version);
    for entry in client.services()? {
        let key = entry.service.key;
        println!(
            "{key} {}: {} connections so far",
            entry.service.scheduler, entry.stats.conns
        );
        for entry in client.destinations(&key)? {
            let destination = entry.destination;
            println!("  {} weight {}", destination.key(), destination.weight);
            let weight = destination.weight.saturating_mul(2);
            client.edit_destination(
                &key,
                &Destination {
                    weight,
                    ..destination
                },
            )?;
        }
    }
    Ok(())
}
