//! Batches, and what happens when their answers do not fit into the socket.

use ipvs_netlink::*;
use lvs_testkit::lab;

use crate::{tcp, with_client};

fn add(service: ServiceKey, number: u16) -> Command {
    let [high, low] = number.to_be_bytes();
    let address = ([10, 1, high, low], 80).into();
    let destination = Destination::new(address, ForwardMethod::Masq);
    Command::AddDestination {
        service,
        destination,
    }
}

/// 300 servers, a third of which have two additions and one a service that is not there.
fn commands(key: ServiceKey) -> (Vec<Command>, Vec<usize>) {
    let service = VirtualService::new(key, "rr".parse().unwrap());
    let mut commands = vec![Command::AddService(service)];
    let mut refused = Vec::new();
    for number in 1..=300 {
        commands.push(add(key, number));
        if number % 3 == 0 {
            refused.push(commands.len());
            commands.push(add(tcp("10.0.0.9:9"), number));
        }
    }
    (commands, refused)
}

#[test]
fn every_refusal_of_a_batch_is_told() {
    let Some(lab) = lab::enter() else { return };
    with_client(&lab.host("director"), |mut client| {
        let key = tcp("10.0.0.1:80");
        let (commands, refused) = commands(key);
        let failures = client.apply(&commands).unwrap();
        let indices: Vec<usize> = failures.iter().map(|failure| failure.index).collect();
        assert_eq!(indices, refused);
        assert_eq!(failures[0].request(&commands), Some(&commands[refused[0]]));
        assert!(
            failures
                .iter()
                .all(|one| one.refused.reason() == Reason::NoSuchService)
        );
        assert_eq!(client.destinations(&key).unwrap().len(), 300);
    });
}

#[test]
fn answers_that_do_not_fit_are_asked_for_again() {
    let Some(lab) = lab::enter() else { return };
    with_client(&lab.host("director"), |_| {
        let transport = KernelTransport::open().unwrap();
        // Room for a handful of answers, and yet all at once.
        transport.set_receive_buffer(4096).unwrap();
        let mut client = Client::connect(transport).unwrap();
        client.set_batch(1000);
        let key = tcp("10.0.0.1:80");
        let (commands, refused) = commands(key);
        let failures = client.apply(&commands).unwrap();
        let indices: Vec<usize> = failures.iter().map(|failure| failure.index).collect();
        assert_eq!(indices, refused);
        assert!(
            failures
                .iter()
                .all(|one| one.refused.reason() == Reason::NoSuchService)
        );
        assert_eq!(client.destinations(&key).unwrap().len(), 300);
        // And the other way, with commands that have been done and are not there to be done again.
        let mut deletions: Vec<Command> = commands
            .iter()
            .filter_map(|command| match command {
                Command::AddDestination {
                    service,
                    destination,
                } => Some(Command::DeleteDestination {
                    service: *service,
                    destination: destination.key(),
                }),
                _ => None,
            })
            .collect();
        deletions.push(Command::DeleteService(key));
        client.apply(&deletions).unwrap();
        assert_eq!(client.rules().unwrap(), []);
    });
}
