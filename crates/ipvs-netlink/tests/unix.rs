//! Client and table over a real Unix socket.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use ipvs_netlink::unix::{self, UnixTransport};
use ipvs_netlink::*;

/// A dataplane that knows some connections and cannot listen on port 81.
#[derive(Default)]
struct Plane {
    connections: Vec<ConnectionEntry>,
    /// What it was told to do.
    applied: Vec<Command>,
}

impl Dataplane for Plane {
    fn apply(&mut self, command: &Command) -> Result<(), Refusal> {
        if let Command::AddService(service) = command
            && service.key.port() == 81
        {
            let message = format!("cannot listen on {}: permission denied", service.key);
            return Err(Refusal::new(13, message));
        }
        self.applied.push(command.clone());
        Ok(())
    }

    fn service_stats(&mut self, service: &ServiceKey) -> Stats {
        Stats {
            conns: service.port().into(),
            in_bytes: u64::MAX,
            ..Stats::default()
        }
    }

    fn destination_status(&mut self, _: &ServiceKey, key: &DestinationKey) -> DestinationStatus {
        DestinationStatus {
            active_conns: key.port.into(),
            ..DestinationStatus::default()
        }
    }

    fn connections(&mut self, position: u64, entries: &mut Vec<ConnectionEntry>) -> Option<u64> {
        let start = position as usize;
        let end = (start + 300).min(self.connections.len());
        entries.extend_from_slice(&self.connections[start..end]);
        (end < self.connections.len()).then_some(end as u64)
    }
}

struct Served {
    table: Arc<Mutex<Table<Plane>>>,
    path: PathBuf,
    _folder: tempfile::TempDir,
}

impl Served {
    fn new(plane: Plane) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ipvs.sock");
        let listener = UnixListener::bind(&path).unwrap();
        let table = Arc::new(Mutex::new(Table::new(plane)));
        let served = Arc::clone(&table);
        thread::spawn(move || unix::serve(&listener, &served));
        Self {
            table,
            path,
            _folder: folder,
        }
    }

    fn client(&self) -> Client<UnixTransport> {
        Client::connect(UnixTransport::connect(&self.path).unwrap()).unwrap()
    }
}

fn tcp(port: u16) -> ServiceKey {
    ServiceKey::tcp(([10, 0, 0, 1], port).into())
}

fn service(port: u16) -> VirtualService {
    VirtualService::new(tcp(port), "wlc".parse().unwrap())
}

fn server(host: u16) -> Destination {
    let address: SocketAddr = ([10, 1, (host >> 8) as u8, host as u8], 8080).into();
    Destination::new(address, ForwardMethod::Masq)
}

#[test]
fn what_goes_in_comes_out_with_counters() {
    let served = Served::new(Plane::default());
    let mut client = served.client();
    assert_eq!(client.info().unwrap(), Info::default());
    assert_eq!(client.services().unwrap(), []);
    assert_eq!(client.destinations(&tcp(80)).unwrap(), []);
    assert_eq!(client.daemons().unwrap(), []);
    client.add_service(&service(80)).unwrap();
    for host in [1, 2, 3] {
        client.add_destination(&tcp(80), &server(host)).unwrap();
    }
    client
        .edit_destination(
            &tcp(80),
            &Destination {
                weight: 7,
                ..server(2)
            },
        )
        .unwrap();
    client
        .delete_destination(&tcp(80), &server(3).key())
        .unwrap();
    let update = TimeoutsUpdate {
        udp: Some(Duration::from_millis(1500)),
        ..Default::default()
    };
    client.set_timeouts(&update).unwrap();

    let entry = client.service(&tcp(80)).unwrap();
    assert_eq!(entry.service, service(80));
    assert_eq!((entry.stats.conns, entry.stats.in_bytes), (80, u64::MAX));
    assert_eq!(client.services().unwrap(), [entry]);
    let entries = client.destinations(&tcp(80)).unwrap();
    let listed: Vec<Destination> = entries.iter().map(|entry| entry.destination).collect();
    assert_eq!(
        listed,
        [
            Destination {
                weight: 7,
                ..server(2)
            },
            server(1)
        ]
    );
    assert_eq!(entries[0].status.active_conns, 8080);
    let timeouts = client.timeouts().unwrap();
    // Whole seconds, rounded up.
    assert_eq!(
        timeouts,
        Timeouts {
            udp: Duration::from_secs(2),
            ..Timeouts::default()
        }
    );
    assert_eq!(
        client.rules().unwrap(),
        served.table.lock().unwrap().rules()
    );
}

#[test]
fn refusals_have_names_and_reasons() {
    let served = Served::new(Plane::default());
    let mut client = served.client();
    let reason = |result: Result<(), IpvsError>| {
        result
            .unwrap_err()
            .refused()
            .map(|refused| refused.reason())
            .unwrap()
    };
    assert_eq!(
        reason(client.delete_service(&tcp(80))),
        Reason::NoSuchService
    );
    assert_eq!(
        reason(client.add_destination(&tcp(80), &server(1))),
        Reason::NoSuchService
    );
    client.add_service(&service(80)).unwrap();
    assert_eq!(
        reason(client.add_service(&service(80))),
        Reason::ServiceExists
    );
    let unknown = VirtualService::new(tcp(82), "nosuch".parse().unwrap());
    assert_eq!(
        reason(client.add_service(&unknown)),
        Reason::NoSuchSchedulerOrEngine
    );
    assert_eq!(
        reason(client.delete_destination(&tcp(80), &server(1).key())),
        Reason::NoSuchDestination
    );
    let low = Destination {
        lower_threshold: 1,
        ..server(1)
    };
    assert_eq!(
        reason(client.add_destination(&tcp(80), &low)),
        Reason::OutOfRange
    );
    let multicast = Destination::new(([224, 0, 0, 1], 80).into(), ForwardMethod::Masq);
    assert_eq!(
        reason(client.add_destination(&tcp(80), &multicast)),
        Reason::Invalid
    );

    // The dataplane's own words arrive, and the table is as it was.
    let error = client.add_service(&service(81)).unwrap_err();
    let refused = error.refused().unwrap();
    assert_eq!(
        (refused.command, refused.errno),
        (CommandKind::AddService, 13)
    );
    let message = "cannot listen on [10.0.0.1]:tcp:81: permission denied";
    assert_eq!(refused.message.as_deref(), Some(message));
    assert_eq!(error.to_string(), format!("add service: {message}"));
    assert_eq!(
        reason(client.delete_service(&tcp(81))),
        Reason::NoSuchService
    );
}

#[test]
fn a_batch_tells_which_commands_failed_and_does_the_others() {
    let served = Served::new(Plane::default());
    let mut client = served.client();
    let mut commands: Vec<Command> = (1..=350).map(|p| Command::AddService(service(p))).collect();
    // Among them 81, which the dataplane refuses; these two fail as well, the last one included.
    commands[199] = Command::DeleteService(tcp(9999));
    commands.push(Command::AddService(service(1)));
    let failures = client.apply(&commands).unwrap();
    let indexes: Vec<usize> = failures.iter().map(|failure| failure.index).collect();
    assert_eq!(indexes, [80, 199, 350]);
    assert_eq!(failures[1].refused.reason(), Reason::NoSuchService);
    assert_eq!(failures[2].refused.reason(), Reason::ServiceExists);
    assert_eq!(client.services().unwrap().len(), 348);
    assert_eq!(client.apply(&[]).unwrap(), []);
}

#[test]
fn long_lists_come_in_pieces() {
    let entry = |number: u32| ConnectionEntry {
        protocol: "TCP".to_owned(),
        client: SocketAddr::new(std::net::Ipv4Addr::from(number).into(), 1),
        virtual_address: ([10, 0, 0, 1], 80).into(),
        destination: ([10, 1, 0, 1], 8080).into(),
        state: "ESTABLISHED".to_owned(),
        expires: Duration::from_secs(900),
        engine: None,
    };
    let plane = Plane {
        connections: (0..10_000).map(entry).collect(),
        ..Plane::default()
    };
    let served = Served::new(plane);
    let mut client = served.client();
    let mut next = 0;
    client
        .connections(|read| {
            assert_eq!(read, entry(next));
            next += 1;
        })
        .unwrap();
    assert_eq!(next, 10_000);

    client.add_service(&service(80)).unwrap();
    let add = |host| Command::AddDestination {
        service: tcp(80),
        destination: server(host),
    };
    assert_eq!(
        client
            .apply(&(1..=3000).map(add).collect::<Vec<_>>())
            .unwrap(),
        []
    );
    let hosts: Vec<Destination> = client
        .destinations(&tcp(80))
        .unwrap()
        .iter()
        .map(|entry| entry.destination)
        .collect();
    assert_eq!(hosts, (1..=3000).rev().map(server).collect::<Vec<_>>());
}

#[test]
fn a_table_that_changes_under_a_dump_says_so() {
    let mut table = Table::new(());
    table.execute(&Command::AddService(service(80))).unwrap();
    for host in 1..=300 {
        let destination = server(host);
        table
            .execute(&Command::AddDestination {
                service: tcp(80),
                destination,
            })
            .unwrap();
    }
    let query = exchange::Query::Destinations(tcp(80));
    let mut request = Vec::new();
    let mut exchange = exchange::Exchange::query(&query, 0x1c, 1, &mut request);
    let mut session = Session::new();
    session.handle_input(&request).unwrap();
    let mut output = Vec::new();
    session.poll_output(&mut table, &mut output).unwrap();
    session.poll_output(&mut table, &mut output).unwrap();
    assert!(!output.is_empty());
    let read = |exchange: &mut exchange::Exchange, output: &[u8]| {
        for message in codec::Messages::new(output) {
            exchange.handle_message(&message.unwrap()).unwrap();
        }
    };
    read(&mut exchange, &output);
    assert!(!exchange.is_interrupted() && !exchange.is_finished());
    output.clear();
    let gone = Command::DeleteDestination {
        service: tcp(80),
        destination: server(300).key(),
    };
    table.execute(&gone).unwrap();
    while session.poll_output(&mut table, &mut output).unwrap() {}
    read(&mut exchange, &output);
    assert!(exchange.is_interrupted() && exchange.is_finished());
}

#[test]
fn silence_and_hanging_up_are_errors() {
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    let asked = thread::spawn(move || {
        let result = Client::connect(UnixTransport::new(ours).unwrap());
        result.map(drop).unwrap_err()
    });
    let mut request = [0; 32];
    theirs.read_exact(&mut request).unwrap();
    drop(theirs);
    assert!(matches!(asked.join().unwrap(), IpvsError::Closed));

    // A peer that is no IPVS says that there is none, one that talks rubbish is found out.
    for (answer, is_right) in [
        (
            b"HTTP/1.1 400 Bad Request\r\n\r\n".as_slice(),
            (|error| matches!(error, IpvsError::Malformed(_))) as fn(&IpvsError) -> bool,
        ),
        (
            &[
                20, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0xfe, 0xff, 0xff, 0xff,
            ],
            |error| matches!(error, IpvsError::NoFamily),
        ),
    ] {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        theirs.write_all(answer).unwrap();
        let error = Client::connect(UnixTransport::new(ours).unwrap())
            .map(drop)
            .unwrap_err();
        assert!(is_right(&error), "{error}");
    }

    let served = Served::new(Plane::default());
    let mut client = served.client();
    client.set_limit(Duration::from_millis(1));
    // Nobody answers while the table is locked.
    let table = served.table.lock().unwrap();
    assert!(matches!(client.info(), Err(IpvsError::TimedOut { .. })));
    drop(table);
    // The late answer belongs to nobody; the next question gets its own.
    client.set_limit(Duration::from_secs(10));
    assert_eq!(client.timeouts().unwrap(), Timeouts::default());
}

#[test]
fn a_client_that_speaks_something_else_is_cut_off() {
    let served = Served::new(Plane::default());
    let mut stream = UnixStream::connect(&served.path).unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    // The end, whether by closing or by reset.
    let _ = stream.read_to_end(&mut answer);
    assert_eq!(answer, b"");
    assert_eq!(served.client().services().unwrap(), []);
}

#[test]
fn an_explicit_socket_is_the_only_one_tried() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("none.sock");
    let error = unix::find(Some(&path)).map(drop).unwrap_err();
    assert_eq!(error.tried.len(), 1);
    assert!(
        error
            .to_string()
            .contains("none.sock: No such file or directory"),
        "{error}"
    );
}
