//! lvsadm in the place of `/sbin/ipvsadm`, under programs that know nothing of it, on a real kernel.

use std::process::Command;
use std::time::Duration;

use lvs_testkit::lab::{self, Host, LIMIT, Lab, Switch};
use lvs_testkit::wait_until;

const IPVSADM: &str = "/sbin/ipvsadm";

/// `/sbin/ipvsadm` is lvsadm as long as this lives.
struct StandIn;

impl StandIn {
    fn new() -> Self {
        let status = Command::new("mount")
            .args(["--bind", env!("CARGO_BIN_EXE_lvsadm"), IPVSADM])
            .status();
        assert!(status.is_ok_and(|status| status.success()), "mount --bind");
        Self
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(IPVSADM).status();
    }
}

/// A client, a director between two networks, and two servers behind it that tell their names.
struct Network {
    outside: Switch,
    client: Host,
    director: Host,
    servers: [Host; 2],
}

impl Network {
    fn new(lab: &Lab) -> Self {
        let (outside, inside) = (lab.switch("outside"), lab.switch("inside"));
        let client = lab.host("client");
        client.plug(&outside, "eth0", &["192.0.2.2/24", "2001:db8:1::2/64"]);
        let director = lab.host("director");
        director.plug(&outside, "eth0", &["192.0.2.1/24", "2001:db8:1::1/64"]);
        director.plug(&inside, "eth1", &["10.0.0.1/24", "2001:db8:2::1/64"]);
        director.forward_packets();
        let servers = [2, 3].map(|number| {
            let server = lab.host(&format!("server{number}"));
            let addresses = [
                format!("10.0.0.{number}/24"),
                format!("2001:db8:2::{number}/64"),
            ];
            server.plug(&inside, "eth0", &addresses.each_ref().map(String::as_str));
            server.route("default via 10.0.0.1");
            server.route("default via 2001:db8:2::1");
            server.serve(&format!("server{number}"), &[80]);
            server
        });
        Self {
            outside,
            client,
            director,
            servers,
        }
    }

    /// Gives the servers a way to the client past the director, and the virtual addresses of direct
    /// routing and tunnels, of which they do not speak.
    fn answer_directly(&self) {
        for (server, number) in self.servers.iter().zip([2, 3]) {
            server.sysctl("net.ipv4.conf.all.arp_ignore", "1");
            server.sysctl("net.ipv4.conf.all.arp_announce", "2");
            let address = format!("192.0.2.1{number}/24");
            server.plug(&self.outside, "eth1", &[address.as_str()]);
            server.ip(&format!(
                "address add 192.0.2.101/32 dev lo\naddress add 192.0.2.102/32 dev lo\n\
                 link add tunnel type ipip local 10.0.0.{number} remote any\nlink set tunnel up\n"
            ));
            for interface in ["all", "tunnel"] {
                server.sysctl(&format!("net.ipv4.conf.{interface}.rp_filter"), "0");
            }
        }
    }

    /// How many of so many fetches each server has answered.
    fn shares(&self, url: &str, fetches: usize) -> [usize; 2] {
        let answers: Vec<String> = (0..fetches).map(|_| self.client.fetch(url)).collect();
        ["server2", "server3"].map(|name| answers.iter().filter(|answer| *answer == name).count())
    }

    fn table(&self) -> String {
        self.ipvsadm(&["-Sn"])
    }

    fn ipvsadm(&self, words: &[&str]) -> String {
        let line: Vec<&str> = ["ipvsadm"].iter().chain(words).copied().collect();
        self.director.run(&line)
    }
}

/// Checks every second; a server that fails gets weight 0.
const LDIRECTORD: &str = r#"checktimeout = 2
checkinterval = 1
quiescent = yes
supervised = yes
logfile = "FOLDER/log"
virtual = 192.0.2.1:80
    real = 10.0.0.2:80 masq 3
    real = 10.0.0.3:80 masq 1
    service = http
    request = "/"
    receive = "server"
    scheduler = wrr
    protocol = tcp
    checktype = negotiate
"#;

#[test]
fn ldirectord_runs_on_it() {
    let Some(lab) = lab::enter() else { return };
    let Some(ldirectord) = lvs_testkit::program("ldirectord") else {
        return lvs_testkit::skip("no ldirectord here");
    };
    let _stand_in = StandIn::new();
    let network = Network::new(&lab);
    let folder = tempfile::tempdir().unwrap();
    let configuration = folder.path().join("ldirectord.cf");
    let text = LDIRECTORD.replace("FOLDER", folder.path().to_str().unwrap());
    std::fs::write(&configuration, text).unwrap();
    let mut command = Command::new(ldirectord);
    let daemon = network
        .director
        .start(command.arg(&configuration).arg("start"));
    let wait_for = |what: &str, lines: &[&str]| {
        wait_until(what, LIMIT, || {
            let table = network.table();
            lines.iter().all(|line| table.contains(line)).then_some(())
        });
    };
    let service = "-A -t 192.0.2.1:80 -s wrr\n";
    let second = "-a -t 192.0.2.1:80 -r 10.0.0.3:80 -m -w 1\n";
    let first = |weight| format!("-a -t 192.0.2.1:80 -r 10.0.0.2:80 -m -w {weight}\n");
    wait_for("both servers", &[service, &first(3), second]);
    assert_eq!(network.shares("http://192.0.2.1/", 8), [6, 2]);

    network.servers[0].ip("link set eth0 down");
    wait_for("the first to be quiesced", &[service, &first(0), second]);
    assert_eq!(network.shares("http://192.0.2.1/", 4), [0, 4]);

    network.servers[0].ip("link set eth0 up");
    network.servers[0].route("default via 10.0.0.1");
    wait_for("the first to be back", &[service, &first(3), second]);
    assert_eq!(network.shares("http://192.0.2.1/", 8), [6, 2]);

    let _ = daemon.stop(LIMIT + Duration::from_secs(10));
    assert_eq!(network.table(), "");
}

/// Every way to forward, by commands as scripts write them.
#[test]
fn scripts_of_ipvsadm_balance_nat_direct_routing_and_tunnels() {
    let Some(lab) = lab::enter() else { return };
    let _stand_in = StandIn::new();
    let network = Network::new(&lab);
    let addresses =
        [100, 101, 102].map(|number| format!("address add 192.0.2.{number}/32 dev eth0\n"));
    network.director.ip(&addresses.concat());
    for (address, method) in [(100, "-m"), (101, "-g"), (102, "-i")] {
        if method == "-g" {
            network.answer_directly();
        }
        let service = format!("192.0.2.{address}:80");
        network.ipvsadm(&["-A", "-t", &service, "-s", "rr"]);
        for number in [2, 3] {
            let server = format!("10.0.0.{number}:80");
            network.ipvsadm(&["-a", "-t", &service, "-r", &server, method]);
        }
        let shares = network.shares(&format!("http://{service}/"), 4);
        assert_eq!(shares, [2, 2], "{method}");
        let connections = network.ipvsadm(&["-Lnc"]);
        assert_eq!(connections.matches(&service).count(), 4, "{connections}");
    }
}

/// As the kernel's own test of IPVS does it: a file goes through a virtual address from nc to nc, and
/// cmp looks whether it has arrived.
#[test]
fn a_file_goes_through_nat_direct_routing_and_tunnels() {
    let Some(lab) = lab::enter() else { return };
    if lvs_testkit::program("nc").is_none() {
        return lvs_testkit::skip("no nc here");
    }
    let _stand_in = StandIn::new();
    let network = Network::new(&lab);
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name).display().to_string();
    let sent = file("sent");
    network.client.run(&[
        "dd",
        "if=/dev/urandom",
        &format!("of={sent}"),
        "bs=1k",
        "count=300",
    ]);
    network.director.ip(
        "address add 192.0.2.100/32 dev eth0\naddress add 192.0.2.101/32 dev eth0\n\
         address add 192.0.2.102/32 dev eth0",
    );
    let [server, _] = &network.servers;
    for (address, method) in [(100, "-m"), (101, "-g"), (102, "-i")] {
        if method == "-g" {
            network.answer_directly();
        }
        let virtual_address = format!("192.0.2.{address}");
        let service = format!("{virtual_address}:8080");
        network.ipvsadm(&["-C"]);
        network.ipvsadm(&["-A", "-t", &service, "-s", "rr"]);
        network.ipvsadm(&["-a", method, "-t", &service, "-r", "10.0.0.2:8080"]);
        let received = file(method);
        let listen = format!("exec nc -l -p 8080 > {received}");
        let listener = server.start(Command::new("bash").args(["-c", &listen]));
        wait_until("nc to listen", LIMIT, || {
            let sockets = server.run(&["ss", "-Hltn", "sport", "=", ":8080"]);
            (!sockets.is_empty()).then_some(())
        });
        let send = format!("nc -N -w 10 {virtual_address} 8080 < {sent}");
        network.client.run(&["bash", "-c", &send]);
        assert!(listener.wait(LIMIT).success(), "{method}");
        network.client.run(&["cmp", &sent, &received]);
        let connections = network.ipvsadm(&["-Lnc"]);
        assert_eq!(connections.matches(&service).count(), 1, "{connections}");
    }
}
