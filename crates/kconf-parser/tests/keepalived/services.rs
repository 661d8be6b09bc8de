//! Services as keepalived says it read them: recorded dumps of 2.2.7 on a kernel with IPVS.
//!
//! The first line of each file names the configuration; the others are lines of
//! `keepalived -n -l -d -C -f FILE`, without times and what describes the running daemon.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use kconf_parser::config::{
    Check, CheckKind, DnsType, Endpoint, ForwardMethod, Granularity, HttpVersion, MiscCheck,
    Protocol, RealServer, Scheduler, StatusRange, TunnelChecksum, VirtualServer, VirtualServerId,
};

use super::{check, files};

fn method(method: ForwardMethod) -> String {
    let sum = |checksum| match checksum {
        TunnelChecksum::None => "",
        TunnelChecksum::Full => ", checksum",
        TunnelChecksum::Remote => ", remote checksum",
    };
    match method {
        ForwardMethod::Masq => "NAT".into(),
        ForwardMethod::DirectRoute => "DR".into(),
        ForwardMethod::Tunnel => "TUN, type = IPIP".into(),
        ForwardMethod::TunnelGue { port, checksum } => {
            format!("TUN, type = GUE, port = {port}{}", sum(checksum))
        }
        ForwardMethod::TunnelGre { checksum } => format!("TUN, type = GRE{}", sum(checksum)),
    }
}

fn on(value: bool) -> &'static str {
    if value { "ON" } else { "OFF" }
}

fn yes(value: bool) -> &'static str {
    if value { "yes" } else { "no" }
}

fn enabled(value: bool) -> &'static str {
    if value { "enabled" } else { "disabled" }
}

/// The lines about a service and its servers, as the dump has them.
fn service(service: &VirtualServer) -> String {
    let mut text = String::new();
    let mut say = |line: String| {
        let _ = writeln!(text, "{line}");
    };
    say(match (&service.id, service.endpoints.first()) {
        (VirtualServerId::Address { address, .. }, _) => {
            format!("VS VIP = {}, VPORT = {}", address.ip(), address.port())
        }
        (VirtualServerId::Group { name, index }, _) => format!("VS GROUP = [{name}]:{index}"),
        (VirtualServerId::FirewallMark { mark, .. }, _) => format!("VS FWMARK = {mark}"),
    });
    say(format!("lvs_sched = {}", service.scheduler));
    let flags = service.scheduler_flags;
    let names = match service.scheduler {
        Scheduler::Sh => [("sh-port", flags.flag2), ("sh-fallback", flags.flag1)].to_vec(),
        Scheduler::Mh => [("mh-port", flags.flag2), ("mh-fallback", flags.flag1)].to_vec(),
        _ => Vec::new(),
    };
    let plain = [
        ("flag-1", flags.flag1),
        ("flag-2", flags.flag2),
        ("flag-3", flags.flag3),
    ];
    let names = if names.is_empty() {
        plain.to_vec()
    } else {
        names
    };
    for (name, set) in names {
        say(format!("{name} = {}", enabled(set)));
    }
    say(format!(
        "One packet scheduling = {}",
        enabled(service.one_packet)
    ));
    if let Some(persistence) = &service.persistence {
        say(format!(
            "persistence timeout = {}",
            persistence.timeout.as_secs()
        ));
        match persistence.granularity {
            Some(Granularity::Mask(mask)) => say(format!("persistence granularity = {mask}")),
            Some(Granularity::Prefix(length)) => say(format!("persistence granularity = {length}")),
            None => {}
        }
    }
    let is_mark = |endpoint: &Endpoint| matches!(endpoint, Endpoint::FirewallMark { .. });
    let protocol = match service.protocol {
        _ if service.endpoints.iter().all(is_mark) => "none",
        Protocol::Tcp => "TCP",
        Protocol::Udp => "UDP",
        Protocol::Sctp => "SCTP",
    };
    say(format!("protocol = {protocol}"));
    say(format!("omega is {}", on(service.omega)));
    say(format!(
        "quorum = {}, hysteresis = {}",
        service.quorum, service.hysteresis
    ));
    say(format!(
        "Using smtp notification = {}",
        yes(service.smtp_alert)
    ));
    say(format!("forwarding method = {}", method(service.method)));
    if let Some(sorry) = &service.sorry_server {
        let (ip, port) = (sorry.address.ip(), sorry.address.port());
        say(format!("sorry server = [{ip}]:{}:{port}", service.protocol));
        say(format!("forwarding method = {}", method(sorry.method)));
        say(format!("Inhibit on failure is {}", on(sorry.inhibit)));
    }
    for server in &service.real_servers {
        let (ip, port) = (server.address.ip(), server.address.port());
        say(format!(
            "RIP = {ip}, RPORT = {port}, WEIGHT = {}",
            server.weight
        ));
        say(format!("forwarding method = {}", method(server.method)));
        say(format!(
            "connection limit range = {} -> {}",
            server.lower_threshold, server.upper_threshold
        ));
        say(format!(
            "Inhibit on failure is {}",
            on(server.inhibit_on_failure)
        ));
        say(format!(
            "Using smtp notification = {}",
            yes(server.smtp_alert)
        ));
    }
    text
}

/// The lines about a check; `None` for kinds that the dump shows in another way.
fn checker(service: &VirtualServer, server: &RealServer, check: &Check) -> Option<String> {
    let mut text = String::new();
    let mut say = |line: String| {
        let _ = writeln!(text, "{line}");
    };
    let protocol = match service.id {
        VirtualServerId::FirewallMark { .. } => "none".to_owned(),
        _ => service.protocol.to_string(),
    };
    let (ip, port) = (server.address.ip(), server.address.port());
    say(format!("{} -> [{ip}]:{protocol}:{port}", service.id));
    say(format!("Alpha = {}", yes(check.alpha)));
    say(format!("Delay loop = {} us", check.delay_loop.as_micros()));
    say(format!("Warmup = {} us", check.warmup.as_micros()));
    say(format!("Retries = {}", check.retry));
    if check.retry > 0 {
        say(format!(
            "Delay before retry = {} us",
            check.delay_before_retry.as_micros()
        ));
    }
    if !matches!(check.kind, CheckKind::Misc(_)) {
        say(format!(
            "Dest = [{}]:{}",
            check.target.ip(),
            check.target.port()
        ));
        say(format!(
            "Timeout = {:.6}",
            check.connect_timeout.as_secs_f64()
        ));
    }
    match &check.kind {
        CheckKind::Tcp => say("Keepalive method = TCP_CHECK".into()),
        CheckKind::Http(http) => {
            let kind = if http.tls { "SSL_GET" } else { "HTTP_GET" };
            let version = match http.version {
                HttpVersion::Http10 => "1.0",
                HttpVersion::Http10Close => "1.0C",
                HttpVersion::Http11 => "1.1",
            };
            say(format!(
                "Keepalive method = {kind}, http protocol {version}"
            ));
            for url in &http.urls {
                say(format!("Checked url = {}", url.path));
                if let Some(digest) = url.digest {
                    let digits: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
                    say(format!("digest = {digits}"));
                }
                say("HTTP Status Code(s)".into());
                for range in merged(&url.status) {
                    say(match range.first == range.last {
                        true => range.first.to_string(),
                        false => format!("{}-{}", range.first, range.last),
                    });
                }
            }
        }
        CheckKind::Misc(misc) if !was_there(misc) => return None,
        CheckKind::Misc(misc) => {
            say("Keepalive method = MISC_CHECK".into());
            say(format!("timeout = {}", misc.timeout.as_secs()));
            say(format!(
                "dynamic = {}",
                if misc.dynamic { "YES" } else { "NO" }
            ));
        }
        CheckKind::Dns(dns) => {
            say("Keepalive method = DNS_CHECK".into());
            let kind = match dns.query_type {
                DnsType::A => "A",
                DnsType::Aaaa => "AAAA",
                DnsType::Soa => "SOA",
                _ => return None,
            };
            say(format!("Type = {kind}"));
            say(format!("Name = {}", dns.name));
        }
        CheckKind::Udp(udp) => {
            say("Keepalive method = UDP_CHECK".into());
            if udp.require_reply {
                say(format!("Min reply length = {}", udp.min_reply_length));
                say(format!("Max reply length = {}", udp.max_reply_length));
            }
        }
        CheckKind::Ping => say("Keepalive method = PING_CHECK".into()),
        _ => return None,
    }
    Some(text)
}

/// keepalived drops a check whose program is not on the machine.
fn was_there(check: &MiscCheck) -> bool {
    check
        .script
        .argv
        .first()
        .is_some_and(|program| program == "/bin/true")
}

/// Codes that follow one another are one range in the dump.
fn merged(codes: &[StatusRange]) -> Vec<StatusRange> {
    let mut ranges: Vec<StatusRange> = Vec::new();
    for code in codes {
        match ranges.last_mut() {
            Some(last) if last.last + 1 == code.first => last.last = code.last,
            _ => ranges.push(*code),
        }
    }
    ranges
}

/// Lines that differ on purpose: the file, the line of the dump, ours, and why.
const DIFFERENT: &[(&str, &str, &str, &str)] = &[
    (
        "tests/samples/plain.conf",
        "quorum = 0, hysteresis = 4294967295",
        "quorum = 1, hysteresis = 0",
        "0 less 1 is no hysteresis",
    ),
    (
        "tests/samples/ports.conf",
        "connection limit range = 9 -> 3",
        "connection limit range = 0 -> 3",
        "IPVS refuses a server with the lower threshold above the upper one",
    ),
    (
        "tests/samples/ports.conf",
        "connection limit range = 5 -> 0",
        "connection limit range = 0 -> 0",
        "IPVS refuses a server with a lower threshold only",
    ),
];

/// What a dump says: the services in order, and the checks sorted.
fn recorded(dump: &str) -> (String, Vec<String>) {
    let (mut services, mut checks) = (String::new(), Vec::<String>::new());
    for line in dump.lines().skip(1) {
        // The dump says `default` of some methods of a service only.
        let line = line.trim_start();
        let line = line.strip_prefix("default ").unwrap_or(line);
        let line = line.split(" EFF WEIGHT").next().unwrap_or_default();
        if line.contains(" -> [") {
            checks.push(format!("{line}\n"));
        } else if let Some(check) = checks.last_mut() {
            // The host of a page is told once more by ours, and payloads by their bytes.
            let told = ["Virtual", "Payload", "Require reply"];
            if !told.iter().any(|start| line.starts_with(start)) {
                let _ = writeln!(check, "{line}");
            }
        } else {
            let _ = writeln!(services, "{line}");
        }
    }
    // Of these the dump has other lines.
    let others = ["SMTP_CHECK", "BFD_CHECK", "FILE_CHECK"];
    checks.retain(|check| {
        check.contains("Keepalive method") && !others.iter().any(|kind| check.contains(kind))
    });
    checks.sort();
    (services, checks)
}

#[test]
fn services_are_those_of_recorded_dumps() {
    let (mut compared, mut wrong) = (0, String::new());
    for path in files("tests/keepalived/services") {
        if path.extension().is_none_or(|extension| extension != "txt") {
            continue;
        }
        let dump = fs::read_to_string(&path).expect("it is there");
        let name = dump.lines().next().expect("a path");
        let analysis = check(Path::new(name));
        let services = &analysis.config.services;
        let mine: String = services.iter().map(service).collect();
        let mut checks: Vec<String> = Vec::new();
        for service in services {
            for server in &service.real_servers {
                checks.extend(
                    server
                        .checks
                        .iter()
                        .filter_map(|it| checker(service, server, it)),
                );
            }
        }
        checks.sort();
        let (mut theirs, their_checks) = recorded(&dump);
        for (file, line, other, _) in DIFFERENT.iter().filter(|row| row.0 == name) {
            assert!(theirs.contains(line), "{file} has the line");
            theirs = theirs.replace(line, other);
        }
        compared += their_checks.len() + services.len();
        for (mine, theirs) in [(mine, theirs), (checks.concat(), their_checks.concat())] {
            if mine != theirs {
                let _ = writeln!(wrong, "== {name}");
                let (mine, theirs): (Vec<_>, Vec<_>) =
                    (mine.lines().collect(), theirs.lines().collect());
                for index in 0..mine.len().max(theirs.len()) {
                    let (mine, theirs) = (mine.get(index), theirs.get(index));
                    if mine != theirs {
                        let _ = writeln!(wrong, "{index}: {theirs:?} is {mine:?} in ours");
                        break;
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
    assert!(compared > 60, "{compared} services and checks");
}
