//! Side by side with keepalived: its verdict on many small configurations, and what it says it
//! read of a whole one.
//!
//! Needs keepalived 2.2 and the right to make network namespaces; without, it says so and passes.

#[path = "keepalived/services.rs"]
mod services;

use std::collections::HashSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use kconf_parser::config::{
    Authentication, Broadcast, Destination, Family, InitialState, Named, NotifyDeleted, Tracked,
    VrrpInstance, VrrpVersion,
};
use kconf_parser::{Analysis, DiskLoader, Options, analyze, render};

/// Makes the interfaces that the configurations name.
const INTERFACES: &str = "ip link set lo up
for i in eth0 eth1 eth2 ens192 bond0 br0; do ip link add $i type bridge; ip link set $i up; done
ip addr add 10.9.9.1/24 dev eth0; ip addr add 10.9.8.1/24 dev eth1
ip -6 addr add fe80::1/64 dev eth0 nodad";

/// Whether the comparison can be made here.
fn possible() -> bool {
    let runs = |program: &str, args: &[&str]| {
        let output = Command::new(program).args(args).output();
        output.is_ok_and(|output| output.status.success())
    };
    let version = Command::new("keepalived").arg("--version").output();
    let version = version.map(|output| String::from_utf8_lossy(&output.stderr).into_owned());
    let known = version.is_ok_and(|version| version.contains("v2.2."));
    let possible = known && runs("unshare", &["-n", "true"]);
    if !possible {
        eprintln!("SKIPPED: this needs keepalived 2.2 and the right to make network namespaces");
    }
    possible
}

fn shell(script: &str) -> String {
    let output = Command::new("unshare")
        .args(["-n", "-m", "sh", "-c", script])
        .output()
        .expect("unshare runs, see `possible`");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn check(path: &Path) -> Analysis {
    analyze(path, &Options::default(), &DiskLoader)
}

/// A whole configuration with a text at its place.
fn configuration(place: &str, text: &str) -> String {
    let text = text.replace(';', "\n");
    let at = |wanted: &str| if wanted == place { text.as_str() } else { "" };
    let vrrp = match place {
        "v6" => "interface eth0\nvirtual_router_id 5\nvirtual_ipaddress {\nfe80::9\n}",
        "vrrp3" => {
            "version 3\ninterface eth0\nvirtual_router_id 5\nvirtual_ipaddress {\n10.9.9.9\n}"
        }
        _ => "interface eth0\nvirtual_router_id 5\nvirtual_ipaddress {\n10.9.9.9\n}",
    };
    let instance = [at("vrrp"), at("vrrp3"), at("v6")].concat();
    // A script that nothing tracks would be a problem of its own.
    let tracked = match place {
        "script" => "track_script {\nunder_test\n}",
        _ => "",
    };
    let script = match place {
        "script" => format!(
            "vrrp_script under_test {{\n{}script \"/bin/true\"\n}}\n",
            if text.trim().starts_with("script") {
                ""
            } else {
                "# "
            }
        )
        .replace("# script", "script"),
        _ => String::new(),
    };
    let script = script.replace(
        "script \"/bin/true\"\n}",
        &format!("script \"/bin/true\"\n{}\n}}", at("script")),
    );
    format!(
        "global_defs {{\nenable_script_security\nscript_user root\n{}\n}}\n\
         vrrp_script good {{\nscript \"/bin/true\"\n}}\n{script}\
         vrrp_instance V {{\n{vrrp}\n{instance}\n{tracked}\n}}\n\
         vrrp_instance W {{\ninterface eth1\nvirtual_router_id 6\nvirtual_ipaddress {{\n\
         10.9.8.9\n}}\ntrack_script {{\ngood\n}}\n}}\n\
         virtual_server 10.1.1.1 80 {{\nlb_algo rr\nlb_kind NAT\nprotocol TCP\n{}\n\
         real_server 10.5.5.5 80 {{\nweight 1\n{}\n{}\n}}\n}}\n{}\n",
        at("global"),
        at("service"),
        at("server"),
        match place {
            "check" => format!("HTTP_GET {{\nurl {{\npath /\n}}\n{}\n}}", at("check")),
            _ => String::new(),
        },
        at("top"),
    )
}

/// Whether this is about what is allowed, and probably a mistake.
fn is_lint(code: kconf_parser::Code) -> bool {
    code.number() >= 100 && code != kconf_parser::Code::ScriptSecurityOff
}

/// Fragments on which we differ, and why.
const DIFFERENT: &[(&str, &str)] = &[
    ("vrrp track_interface { ; eth9; }", NOT_HERE),
    ("vrrp virtual_ipaddress { ; 10.9.9.10 dev eth9; }", NOT_HERE),
    (
        "vrrp virtual_routes { ; 10.1.0.0/16 dev eth0 table nonsense; }",
        NOT_HERE,
    ),
    ("script interval 0.5", "versions from 2.3.2 on take it"),
    ("script user no-such-user", NOT_HERE),
    ("global vrrp_iptables", "Debian builds without iptables"),
    (
        "global vrrp_iptables IN OUT",
        "Debian builds without iptables",
    ),
    ("global umask IRWXG|IRWXO", "versions from 2.2.8 on take it"),
    ("global script_user no-such-user", NOT_HERE),
    ("top static_ipaddress { ; 10.8.8.8/24 dev eth9; }", NOT_HERE),
    (
        "top vrrp_instance X { ; interface eth9; virtual_router_id 9; virtual_ipaddress { ; \
         10.9.8.9; }; }",
        NOT_HERE,
    ),
];

/// What is only known on the machine that the configuration is for.
const NOT_HERE: &str = "interfaces, users and names of tables are not looked up";

/// Configurations on which we differ, and why.
const DIFFERENT_WHOLE: &[(&str, &str)] = &[(
    "mail names in angle brackets",
    "the name of the mail server is not looked up",
)];

/// Changes to whole configurations on which we differ, and why.
const DIFFERENT_VARIED: &[(&str, &str)] = &[
    (
        "nginx pair with a check script: ~~ script \"/usr/bin/pgrep nginx\" => script \"/etc/keepalived/check_nginx.sh\"",
        NOT_HERE,
    ),
    (
        "nginx pair with a check script: ~~ interface ens192 => interface ens192:0",
        NOT_HERE,
    ),
    (
        "firewall pair with a group of inside and outside: ~~ eth2 weight 10 => eth99 weight 10",
        NOT_HERE,
    ),
    (
        "cloud servers, unicast only: ~~ 203.0.113.77/32 dev lo scope host => 203.0.113.77/32 dev lo0 scope host",
        NOT_HERE,
    ),
    (
        "virtual MACs and ipvlans: ~~ use_vmac vrrp61; => use_vmac eth1;",
        NOT_HERE,
    ),
    (
        "routes and rules with every option: ~~ table 20 metric 5 => table twenty metric 5",
        NOT_HERE,
    ),
    (
        "routes and rules with every option: ~~ scope global src => protocol statik scope global src",
        NOT_HERE,
    ),
    (
        "routes and rules with every option: ~~ scope global src => protocol static scope global src",
        "routes of any protocol are tracked",
    ),
    (
        "cloud servers, unicast only: ~~ script_user root => script_user nobody nogroup",
        "`-t` ends itself by a signal when scripts have another user than root",
    ),
    (
        "cloud servers, unicast only: ~~ interface eth0 => ",
        "unicast without an interface works, as the manual says",
    ),
    (
        "virtual MACs and ipvlans: ~~ ipv62 10.9.8.62 => ipv62 10.9.8.62;    unicast_src_ip 10.9.8.62;    unicast_peer {;        10.9.8.63;    }",
        "sets `vmac_xmit_base` and then complains about it",
    ),
    (
        "cloud servers, unicast only: ~~ script_user root => script_user nobody:nogroup",
        LATER,
    ),
    (
        "cloud servers, unicast only: ~~ script_user root => script_user root:root",
        LATER,
    ),
    (
        "two families, version 3: ~~ vrrp_version 3 => vrrp_version 3;    v3_checksum_as_v2",
        LATER,
    ),
    (
        "virtual MACs and ipvlans: ~~ use_vmac vrrp61; => use_vmac name vrrp61;",
        LATER,
    ),
    (
        "virtual MACs and ipvlans: ~~ version 3; => version 3;    timer_expired_backup;    nopreempt;",
        LATER,
    ),
    (
        "virtual MACs and ipvlans: ~~ version 3; => version 3;    owner_ignore_adverts on;",
        LATER,
    ),
    (
        "virtual MACs and ipvlans: ~~ version 3; => version 3;    v3_checksum_as_v2;",
        LATER,
    ),
    (
        "virtual MACs and ipvlans: ~~ version 3; => version 3;    no_virtual_ipaddress;",
        LATER,
    ),
    (
        "virtual MACs and ipvlans: ~~ version 3; => version 3;    auth_hmac {;        key 1 hex:00112233445566778899aabbccddeeff;        active_key 1;        anti_replay time;        time_window 2;        mode enforce;    };",
        LATER,
    ),
];

/// Versions after 2.2.7 know it.
const LATER: &str = "later versions take it";

/// Compares the verdicts on named texts; `different` are the names where they are not the same.
fn compare(texts: &[(String, String)], different: &[(&str, &str)]) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = |index: usize| folder.path().join(format!("{index:03}.conf"));
    for (index, (_, text)) in texts.iter().enumerate() {
        fs::write(path(index), text).expect("a writable folder");
    }
    shell(&format!(
        "{INTERFACES}
        cd {}; ls *.conf | xargs -P2 -I@ sh -c \
        'timeout 10 keepalived -t -f $PWD/@ >@.out 2>&1; echo \"status $?\" >>@.out'",
        folder.path().display()
    ));
    let mut wrong = String::new();
    for (index, (name, _)) in texts.iter().enumerate() {
        let path = path(index);
        let said = fs::read_to_string(path.with_extension("conf.out")).unwrap_or_default();
        let analysis = check(&path);
        let clean = said == "status 0\n";
        let agrees = match clean {
            true => !analysis.has_errors(),
            false => analysis
                .diagnostics
                .iter()
                .any(|found| !is_lint(found.code)),
        };
        let expected = !different.iter().any(|(known, _)| known == name);
        if agrees != expected {
            let ours = render::human(&analysis, false);
            let _ = writeln!(wrong, "== {name}\n-- keepalived:\n{said}-- lvskit:\n{ours}");
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn verdicts_are_those_of_keepalived() {
    if !possible() {
        return;
    }
    let fragments = fs::read_to_string("tests/keepalived/fragments.txt").expect("it is there");
    let lines = fragments.lines().filter(|line| !line.starts_with('#'));
    let texts = lines.map(|line| {
        let (place, text) = line.split_once(' ').unwrap_or((line, ""));
        (line.to_owned(), configuration(place, text))
    });
    compare(&texts.collect::<Vec<_>>(), DIFFERENT);
}

/// Named texts of a file, each behind a line with five signs and its name.
fn named(path: &Path) -> Vec<(String, String)> {
    let whole = fs::read_to_string(path).expect("it is there");
    let parts = whole.split("##### ").skip(1);
    let parts = parts.map(|part| part.split_once('\n').expect("a name and a text"));
    parts
        .map(|(name, text)| (name.to_owned(), text.to_owned()))
        .collect()
}

fn files(folder: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("it is there");
    let mut paths: Vec<_> = entries
        .map(|entry| entry.expect("readable").path())
        .collect();
    paths.sort();
    paths
}

/// Each whole configuration, and once more as an editor of another system writes it.
#[test]
fn whole_configurations_have_the_verdict_of_keepalived() {
    if !possible() {
        return;
    }
    let mut texts = named(Path::new("tests/keepalived/whole.txt"));
    for path in files("tests/samples/howto") {
        let text = fs::read_to_string(&path).expect("it is there");
        texts.push((path.display().to_string(), text));
    }
    let other = |(name, text): &(String, String)| {
        let text = text.trim_end().replace('\n', "\r\n").replace("    ", "\t");
        (name.clone(), text)
    };
    let others: Vec<_> = texts.iter().map(other).collect();
    texts.extend(others);
    compare(&texts, DIFFERENT_WHOLE);
}

/// Whole configurations, and what becomes of each when one place of it is written otherwise: a
/// line `~~ OLD => NEW` behind the text; `;` ends a line there.
fn varied() -> Vec<(String, String)> {
    let mut texts = Vec::new();
    for path in files("tests/keepalived/varied") {
        for (name, whole) in named(&path) {
            let (changes, lines): (Vec<&str>, Vec<&str>) =
                whole.lines().partition(|line| line.starts_with("~~ "));
            let text = lines.join("\n") + "\n";
            for change in changes {
                let (old, new) = change[3..].split_once("=>").expect("a change");
                let plain = |text: &str| text.replace(';', "\n");
                let (old, new) = (plain(old.trim_end_matches(' ')), plain(new.trim()));
                assert!(text.contains(&old), "{name} has {old:?}");
                texts.push((format!("{name}: {change}"), text.replacen(&old, &new, 1)));
            }
            texts.push((name, text));
        }
    }
    texts
}

#[test]
fn each_slip_in_a_good_configuration_has_the_verdict_of_keepalived() {
    if possible() {
        compare(&varied(), DIFFERENT_VARIED);
    }
}

/// No keyword is left out of what is compared.
#[test]
fn every_keyword_is_in_a_whole_configuration() {
    let mut texts = varied();
    texts.extend(named(Path::new("tests/keepalived/whole.txt")));
    let split = |text: &str| -> Vec<String> {
        text.split([' ', '\t', '\n', '{', '}'])
            .map(str::to_owned)
            .collect()
    };
    let used: HashSet<String> = texts.iter().flat_map(|(_, text)| split(text)).collect();
    let all = fs::read_to_string("tests/keywords.txt").expect("it is there");
    let names = all.lines().skip(1).filter(|line| !line.starts_with('['));
    let missing: Vec<&str> = names
        .flat_map(|line| line.split(' '))
        .filter(|name| !used.contains(*name))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}

/// What keepalived says it read, without times of day.
fn dump(path: &Path) -> Vec<String> {
    let log = shell(&format!(
        "mount -t tmpfs none /run
        {INTERFACES}
        timeout -s TERM 1 keepalived -n -l -d -D -G --vrrp -f {} 2>&1",
        path.display()
    ));
    // Each line begins as `Thu Nov 26 10:46:35 2026: `.
    let texts = log.lines().filter_map(|line| line.get(26..));
    texts
        .map(str::to_owned)
        .skip_while(|line| !line.contains("VRRP Topology"))
        .take_while(|line| !line.contains("Interfaces >"))
        .collect()
}

/// The same lines of ours.
fn ours(instance: &VrrpInstance) -> Vec<String> {
    let mut lines = vec![format!(" VRRP Instance = {}", instance.name)];
    let mut say = |line: String| lines.push(format!("   {line}"));
    let version = instance.version;
    let number = if version == VrrpVersion::V2 { 2 } else { 3 };
    say(format!("VRRP Version = {number}"));
    let state = match instance.initial_state {
        InitialState::Master => "MASTER",
        InitialState::Backup => "BACKUP",
    };
    say(format!("Wantstate = {state}"));
    let interface = instance.interface.clone().unwrap_or_default();
    say(format!("Interface = {interface}"));
    let garp = &instance.garp;
    let seconds = |time: Option<std::time::Duration>| time.map_or(0, |time| time.as_secs());
    say(format!("Gratuitous ARP delay = {}", seconds(garp.delay)));
    say(format!("Gratuitous ARP repeat = {}", garp.repeat));
    say(format!(
        "Gratuitous ARP refresh = {}",
        seconds(garp.refresh)
    ));
    say(format!(
        "Gratuitous ARP refresh repeat = {}",
        garp.refresh_repeat
    ));
    say(format!(
        "Gratuitous ARP lower priority delay = {}",
        seconds(garp.lower_prio_delay)
    ));
    say(format!(
        "Gratuitous ARP lower priority repeat = {}",
        garp.lower_prio_repeat
    ));
    say(format!(
        "Down timer adverts = {}",
        instance.down_timer_adverts
    ));
    say(format!(
        "Send advert after receive lower priority advert = {}",
        !instance.lower_prio_no_advert
    ));
    say(format!(
        "Send advert after receive higher priority advert = {}",
        instance.higher_prio_send_advert
    ));
    say(format!("Virtual Router ID = {}", instance.vrid));
    say(format!("Priority = {}", instance.priority));
    say(match version {
        VrrpVersion::V2 => format!("Advert interval = {} sec", instance.advert_int.as_secs()),
        _ => format!(
            "Advert interval = {} milli-sec",
            instance.advert_int.as_millis()
        ),
    });
    let enabled = |on: bool| if on { "enabled" } else { "disabled" };
    say(format!("Accept = {}", enabled(instance.accept)));
    say(format!("Preempt = {}", enabled(instance.preempt)));
    if !instance.preempt_delay.is_zero() {
        let delay = instance.preempt_delay.as_secs_f64();
        say(format!("Preempt delay = {delay} secs"));
    }
    say(format!(
        "Promote_secondaries = {}",
        enabled(instance.promote_secondaries)
    ));
    if let Some(Authentication::Password(password)) = &instance.authentication {
        let password = String::from_utf8_lossy(password);
        say(format!("Password = {}", password.trim_end_matches('\0')));
    }
    say(format!("Virtual IP ({}):", instance.addresses.len()));
    for address in &instance.addresses {
        say(format!("  {}", shown(address, &interface)));
    }
    for address in &instance.excluded_addresses {
        say(format!("  {}", shown(address, &interface)));
    }
    if let Destination::Unicast(unicast) = &instance.destination {
        say(format!("Unicast TTL = {}", unicast.ttl));
        for peer in &unicast.peers {
            let (least, most) = (peer.min_ttl, peer.max_ttl);
            say(format!("  {} min_ttl {least} max_ttl {most}", peer.address));
        }
    }
    let trackers = [&instance.tracking.interfaces, &instance.tracking.scripts];
    for Tracked { name, weight } in trackers.into_iter().flatten() {
        say(format!("  {name} weight {}", weight.value));
    }
    let yes = if instance.smtp_alert { "yes" } else { "no" };
    say(format!("Using smtp notification = {yes}"));
    let deleted = match instance.notify.deleted {
        NotifyDeleted::AsFault => "Fault",
        _ => "Deleted",
    };
    say(format!("Notify deleted = {deleted}"));
    say(format!(
        "Notify priority changes = {}",
        instance.notify_priority_changes
    ));
    if instance.family == Family::Inet6 {
        lines.insert(2, "   Using Native IPv6".to_owned());
    }
    lines
}

fn shown(address: &kconf_parser::config::Address, usual: &str) -> String {
    let net = address.address;
    let options = address.options();
    let mut text = match net.prefix_len() == net.max_prefix_len() {
        true => net.addr().to_string(),
        false => net.to_string(),
    };
    if options.broadcast == Some(Broadcast::HostBitsSet) {
        let _ = write!(text, " brd {}", net.broadcast());
    }
    let interface = address.interface.as_deref().unwrap_or(usual);
    let scope = match options.scope {
        Some(Named::Number(253)) => "link",
        _ => "global",
    };
    let _ = write!(text, " dev {interface} scope {scope}");
    if let Some(label) = options.label {
        let _ = write!(text, " label {label}");
    }
    if net.addr().is_ipv6() {
        text.push_str(match address.preferred_lifetime() {
            None => " preferred_lft forever",
            Some(_) => " deprecated",
        });
    }
    text
}

#[test]
fn resolved_values_are_those_of_the_dump() {
    if !possible() {
        return;
    }
    let path = fs::canonicalize("tests/keepalived/dump.conf").expect("it is there");
    let theirs = dump(&path);
    let analysis = check(&path);
    let vrrp = &analysis.config.vrrp;
    let mut mine: Vec<String> = vrrp.instances.iter().flat_map(ours).collect();
    for script in &vrrp.scripts {
        mine.push(format!(" VRRP Script = {}", script.name));
        mine.push(format!("   Interval = {} sec", script.interval.as_secs()));
        mine.push(format!("   Weight = {}", script.weight.value));
        mine.push(format!("   Rise = {}", script.rise));
        mine.push(format!("   Fall = {}", script.fall));
    }
    // What describes the running daemon, or the machine, or is said by other lines.
    const LEFT_OUT: &[&str] = &[
        "------<",
        "Flags",
        "Using unicast",
        "Number of config faults",
        "Using src_ip",
        "Multicast address",
        "Authentication type",
        "Virtual IP Excluded",
        "Check unicast src",
        "Unicast Peer",
        "Unicast checksum",
        "No sockets",
        "Tracked ",
        "Command",
        "Timeout",
        "Result",
        "Insecure",
        "Init state",
        "Status",
        "Script uid",
        "VRRP instances",
        "Tracking instances",
        "  many, weight",
        "State = idle",
    ];
    let left_out = |line: &str| {
        let text = line.strip_prefix("   ").unwrap_or(line);
        LEFT_OUT
            .iter()
            .any(|known| text.starts_with(known) || text.trim().starts_with(known))
            || text.contains("many, weight")
    };
    let theirs: Vec<String> = theirs.into_iter().filter(|line| !left_out(line)).collect();
    assert!(theirs.len() > 100, "the dump has everything: {theirs:?}");
    for (mine, theirs) in mine.iter().zip(&theirs) {
        assert_eq!(mine, theirs);
    }
    assert_eq!(mine.len(), theirs.len());
}
