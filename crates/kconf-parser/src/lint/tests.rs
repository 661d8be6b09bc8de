//! Each rule has a text with the mistake, whose line says so, and is silent on the same text put
//! right.

use std::path::{Path, PathBuf};

use super::*;
use crate::loader::MemoryLoader;
use crate::{Analysis, Options, analyze};

const PATH: &str = "/k.conf";

fn read(text: &str, rules: Rules) -> Analysis {
    let options = Options {
        rules,
        ..Options::default()
    };
    let loader = MemoryLoader::default().with(PATH, text);
    analyze(Path::new(PATH), &options, &loader)
}

fn all_on() -> Rules {
    let mut rules = Rules::default();
    rules.switch_all_on();
    rules
}

/// Lines from 1 that have this code.
fn lines(analysis: &Analysis, code: Code) -> Vec<u32> {
    let found = analysis
        .diagnostics
        .iter()
        .filter(|found| found.code == code);
    found
        .map(|found| analysis.sources.location(found.primary.place).line)
        .collect()
}

fn instance(text: &str) -> String {
    format!(
        "vrrp_instance v {{\ninterface eth0\nvirtual_router_id 1\nvirtual_ipaddress {{\n\
         10.0.0.9\n}}\n{text}\n}}\n"
    )
}

fn service(text: &str) -> String {
    format!(
        "virtual_server 10.0.0.1 80 {{\nlb_kind NAT\nprotocol TCP\ndelay_loop 10\nalpha\n{text}\n}}\n"
    )
}

fn server(text: &str) -> String {
    service(&format!(
        "lb_algo wlc\nreal_server 10.0.0.2 80 {{\n{text}\n}}"
    ))
}

/// Kind, text with the mistake, text without; the mistake is in the line that holds `<`.
fn cases() -> Vec<(Code, String, String)> {
    let tcp = "real_server 10.0.0.2 80 {\nTCP_CHECK {\n}\n}";
    vec![
        (
            Code::MasterWithoutPriority,
            instance("state MASTER # <"),
            instance("state MASTER\npriority 100"),
        ),
        (
            Code::Overridden,
            instance("priority 100\npriority 90 # <"),
            instance("priority 100"),
        ),
        (
            Code::SingleQuotes,
            "global_defs {\nrouter_id 'a' # <\n}\n".into(),
            "global_defs {\nrouter_id \"a\"\n}\n".into(),
        ),
        (
            Code::SwitchedOnByOff,
            instance("skip_check_adv_addr off # <"),
            instance("skip_check_adv_addr"),
        ),
        (
            Code::WideMask,
            instance("virtual_ipaddress {\n10.0.0.10/24 # <\n}"),
            instance("virtual_ipaddress {\n10.0.0.10/24 noprefixroute\n10.0.0.11/32\n}"),
        ),
        (
            Code::MisnamedOption,
            instance("virtual_ipaddress_excluded {\n2001:db8::1/64 -nodad # <\n}"),
            instance("virtual_ipaddress_excluded {\n2001:db8::1/64\n}"),
        ),
        (
            Code::DeprecatedAddress,
            instance("virtual_ipaddress_excluded {\n2001:db8::1 # <\n}"),
            instance("virtual_ipaddress_excluded {\n2001:db8::1 preferred_lft forever\n}"),
        ),
        (
            Code::ParallelNotify,
            instance("notify /a\nnotify_master /b # <"),
            instance("notify_master /b\nnotify_backup /c"),
        ),
        (
            Code::InitFail,
            "vrrp_script s {\nscript /s\ninit_fail # <\n}\n".into(),
            "vrrp_script s {\nscript /s\n}\n".into(),
        ),
        (
            Code::LongerThanInterval,
            "vrrp_script s {\nscript /s\ninterval 2\ntimeout 3 # <\n}\n".into(),
            "vrrp_script s {\nscript /s\ninterval 2\ntimeout 2\n}\n".into(),
        ),
        (
            Code::LongerThanInterval,
            server("TCP_CHECK {\nconnect_timeout 20 # <\n}"),
            server("TCP_CHECK {\nconnect_timeout 10\n}"),
        ),
        (
            Code::NoChecks,
            service("lb_algo wlc\nreal_server 10.0.0.2 80 {\n}").replacen('{', "{ # <", 1),
            service(&format!("lb_algo wlc\n{tcp}")),
        ),
        (
            Code::HashWithoutPort,
            service(&format!("lb_algo mh # <\n{tcp}")),
            service(&format!("lb_algo mh\nmh-port\n{tcp}")),
        ),
        (
            Code::PersistenceHidesScheduler,
            service(&format!("lb_algo rr\npersistence_timeout 50 # <\n{tcp}")),
            service(&format!("lb_algo wlc\npersistence_timeout 50\n{tcp}")),
        ),
        (
            Code::SorryIsRealServer,
            service(&format!("lb_algo wlc\nsorry_server 10.0.0.2 80 # <\n{tcp}")),
            service(&format!("lb_algo wlc\nsorry_server 10.0.0.2 81\n{tcp}")),
        ),
        (
            Code::TlsNotVerified,
            server("SSL_GET { # <\nurl {\npath /\n}\n}"),
            server("HTTP_GET {\nurl {\npath /\n}\n}"),
        ),
        (
            Code::NoServerName,
            server("SSL_GET {\nvirtualhost www # <\nurl {\npath /\n}\n}"),
            server("SSL_GET {\nenable_sni\nvirtualhost www\nurl {\npath /\n}\n}"),
        ),
        (
            Code::DigestOfChunks,
            server(
                "HTTP_GET {\nhttp_protocol 1.1\nurl {\npath /\n\
                 digest 0123456789abcdef0123456789abcdef # <\n}\n}",
            ),
            server("HTTP_GET {\nurl {\npath /\ndigest 0123456789abcdef0123456789abcdef\n}\n}"),
        ),
        (
            Code::LenientCheck,
            server("SMTP_CHECK { # <\n}"),
            server("TCP_CHECK {\n}"),
        ),
        (
            Code::SilenceIsSuccess,
            server("UDP_CHECK { # <\n}"),
            server("UDP_CHECK {\nrequire_reply\n}"),
        ),
        (
            Code::UnknownName,
            server("FILE_CHECK {\ntrack_file f # <\n}"),
            format!(
                "track_file f {{\nfile /f\n}}\n{}",
                server("FILE_CHECK {\ntrack_file f\n}")
            ),
        ),
        (
            Code::FirstCheckLate,
            server("TCP_CHECK {\n}")
                .replace("alpha\n", "")
                .replacen('{', "{ # <", 1),
            server("TCP_CHECK {\n}"),
        ),
        (
            Code::DefaultAlerts,
            format!(
                "global_defs {{\nnotification_email {{\na@b\n}}\n}}\n{}",
                server("TCP_CHECK {\n}").replace("80 {\nTCP", "80 { # <\nTCP")
            ),
            format!(
                "global_defs {{\nsmtp_alert off\nnotification_email {{\na@b\n}}\n}}\n{}",
                server("TCP_CHECK {\n}")
            ),
        ),
        (
            Code::ScriptSecurityOff,
            instance("notify /good # <"),
            format!(
                "global_defs {{\nenable_script_security\n}}\n{}",
                instance("notify /good")
            ),
        ),
        (
            Code::NoEffectYet,
            "global_defs {\nenable_traps # <\n}\n".into(),
            "global_defs {\nrouter_id a\n}\n".into(),
        ),
    ]
}

#[test]
fn a_rule_finds_its_mistake_and_nothing_else() {
    for (code, wrong, right) in cases() {
        let marked = wrong.lines().zip(1..).find(|(line, _)| line.contains('<'));
        let marked = marked.map(|(_, number)| number);
        let analysis = read(&wrong, all_on());
        assert_eq!(
            lines(&analysis, code).first().copied(),
            marked,
            "{code} in\n{wrong}"
        );
        let analysis = read(&right, all_on());
        assert_eq!(
            lines(&analysis, code),
            Vec::<u32>::new(),
            "{code} in\n{right}"
        );
    }
}

#[test]
fn every_rule_of_one_file_has_a_case() {
    let tested: Vec<Code> = cases().into_iter().map(|(code, _, _)| code).collect();
    let rules = Code::ALL
        .iter()
        .filter(|code| (100..130).contains(&code.number()));
    let untested: Vec<_> = rules.filter(|code| !tested.contains(code)).collect();
    assert_eq!(untested, Vec::<&Code>::new());
}

#[test]
fn rules_are_switched_by_code_and_by_comment() {
    let text = instance("virtual_ipaddress {\n10.0.0.10/24\n}");
    let on =
        |text: &str, rules: &Rules| !lines(&read(text, rules.clone()), Code::WideMask).is_empty();
    let mut rules = Rules::default();
    assert!(on(&text, &rules));
    rules.switch_off(Rules::code("kc104").unwrap());
    assert!(!on(&text, &rules));
    let usual = Rules::default();
    let line = text.replace("/24", "/24 # lvskit: off KC0104");
    assert!(!on(&line, &usual));
    let above = text.replace("10.0.0.10", "! lvskit: off KC0104, KC0101\n10.0.0.10");
    assert!(!on(&above, &usual));
    let elsewhere = format!("# lvskit: off KC0104\n{text}");
    assert!(on(&elsewhere, &usual));
    let file = format!("{text}# lvskit: off-file KC0104\n");
    assert!(!on(&file, &usual));
    let back = format!("# lvskit: on-file KC0104\n{text}");
    assert!(on(&back, &rules));
    assert!(Rules::code("KC9999").is_err());
    // What is silent by default is switched on the same way.
    let text = instance("notify /a\nnotify_master /b");
    let found = |rules: Rules| lines(&read(&text, rules), Code::ParallelNotify).len();
    let mut asked = Rules::default();
    asked.switch_on(Code::ParallelNotify);
    assert_eq!((found(Rules::default()), found(asked)), (0, 1));
}

#[test]
fn errors_cannot_be_switched_off() {
    let text = "global_defs {\nruoter_id a # lvskit: off KC0017\n}\n";
    let mut rules = Rules::default();
    rules.switch_off(Code::UnknownKeyword);
    assert!(read(text, rules).has_errors());
}

/// Changes of a good pair, and what is said of it.
#[test]
fn a_pair_is_compared() {
    let base = "global_defs {\nrouter_id NAME\nlvs_sync_daemon eth0 id 5\n}\n\
        vrrp_instance v {\nstate BACKUP\ninterface eth0\nvirtual_router_id 1\npriority PRIO\n\
        version 2\nadvert_int 1\n\
        authentication {\nauth_type PASS\nauth_pass secret\n}\nunicast_src_ip OWN\n\
        unicast_peer {\nPEER\n}\nvirtual_ipaddress {\n10.0.0.9\n}\n}\n\
        virtual_server 10.0.0.9 80 {\nlb_algo mh\nmh-port\nlb_kind NAT\nprotocol TCP\n\
        real_server 10.0.0.21 80 {\nTCP_CHECK {\n}\n}\n\
        real_server 10.0.0.22 80 {\nTCP_CHECK {\n}\n}\n}\n";
    let fill = |name: &str, priority: &str, own: &str, peer: &str| {
        base.replace("NAME", name)
            .replace("PRIO", priority)
            .replace("OWN", own)
            .replace("PEER", peer)
    };
    let one = fill("a", "150", "10.0.0.2", "10.0.0.3");
    let other = fill("b", "100", "10.0.0.3", "10.0.0.2");
    let codes = |one: &str, other: &str| {
        let (one, other) = (read(one, all_on()), read(other, all_on()));
        assert!(!one.has_errors(), "{:?}", one.diagnostics);
        assert!(!other.has_errors(), "{:?}", other.diagnostics);
        let found = compare_pair(&one, &other);
        found
            .into_iter()
            .map(|found| found.code)
            .collect::<Vec<_>>()
    };
    assert_eq!(codes(&one, &other), Vec::new());
    let v3 = |text: &str| {
        let start = text.find("authentication").unwrap();
        let end = text.find("unicast_src").unwrap();
        format!("{}{}", &text[..start], &text[end..]).replace("version 2", "version 3")
    };
    let swapped = other
        .replace("10.0.0.21", "x")
        .replace("10.0.0.22", "10.0.0.21")
        .replace('x', "10.0.0.22");
    let cases = [
        (
            other.replace("_router_id 1", "_router_id 2"),
            vec![Code::PairNoPartner; 2],
        ),
        (v3(&other), vec![Code::PairVersion]),
        (
            other.replace("advert_int 1", "advert_int 2"),
            vec![Code::PairInterval],
        ),
        (
            other.replace("secret", "public"),
            vec![Code::PairAuthentication],
        ),
        (
            other.replace("ipaddress {\n10.0.0.9", "ipaddress {\n10.0.0.8"),
            vec![Code::PairAddresses],
        ),
        (
            fill("b", "100", "10.0.0.4", "10.0.0.2"),
            vec![Code::PairDestination],
        ),
        (
            other
                .replace("unicast_src_ip 10.0.0.3\n", "")
                .replace("unicast_peer {\n10.0.0.2\n}\n", ""),
            vec![Code::PairDestination],
        ),
        (
            fill("b", "150", "10.0.0.3", "10.0.0.2"),
            vec![Code::PairPriority],
        ),
        (
            other.replace("priority 100", "priority 100\nnopreempt"),
            vec![Code::PairPreempt],
        ),
        (
            fill("a", "100", "10.0.0.3", "10.0.0.2"),
            vec![Code::PairRouterId],
        ),
        (other.replace("id 5", "id 6"), vec![Code::PairSyncDaemon]),
        (swapped, vec![Code::PairServerOrder]),
        (
            other.replace("lb_algo mh\nmh-port", "lb_algo wlc"),
            vec![Code::PairService],
        ),
        (
            other.replace("10.0.0.9 80 {", "10.0.0.9 81 {"),
            vec![Code::PairService],
        ),
        (
            format!("{other}vrrp_sync_group g {{\ngroup {{\nv\n}}\n}}\n"),
            vec![Code::PairGroup],
        ),
    ];
    for (other, expected) in cases {
        assert_eq!(codes(&one, &other), expected, "{other}");
    }
    let checksum = v3(&other).replace("version 3", "version 3\nv3_checksum_as_v2");
    assert_eq!(codes(&v3(&one), &checksum), [Code::PairChecksum]);
}

/// A machine with one interface, one user and some files.
struct Fake;

impl Machine for Fake {
    fn has_interface(&self, name: &str) -> bool {
        name == "eth0"
    }

    fn has_user(&self, user: &str) -> bool {
        user == "root"
    }

    fn has_group(&self, group: &str) -> bool {
        group == "adm"
    }

    fn file(&self, path: &Path) -> Option<FileFacts> {
        let (executable, only_root_writes) = match path.to_str()? {
            "/good" | "/bin/good" => (true, true),
            "/unsafe" => (true, false),
            "/text" => (false, true),
            _ => return None,
        };
        Some(FileFacts {
            executable,
            only_root_writes,
        })
    }

    fn find_program(&self, name: &str) -> Option<PathBuf> {
        (name == "good").then(|| "/bin/good".into())
    }

    fn sysctl(&self, _: &str) -> Option<String> {
        Some("0".into())
    }
}

#[test]
fn a_machine_is_looked_at() {
    let secure = "global_defs {\nenable_script_security\nscript_user root\n}\n";
    let codes = |text: &str| {
        let found = check_machine(&read(text, all_on()), &Fake);
        found
            .into_iter()
            .map(|found| found.code)
            .collect::<Vec<_>>()
    };
    let with = |text: &str| format!("{secure}{}", instance(text));
    assert_eq!(
        codes(&with("notify /good root:adm\nnotify_stop good")),
        Vec::new()
    );
    let cases = [
        (with("").replace("eth0", "eth9"), Code::NoSuchInterface),
        (with("track_interface {\neth9\n}"), Code::NoSuchInterface),
        (
            with("virtual_ipaddress {\n10.0.0.8 dev eth9\n}"),
            Code::NoSuchInterface,
        ),
        (with("notify /good nobody"), Code::NoSuchUser),
        (with("notify /good root:staff"), Code::NoSuchUser),
        (with("notify /nothing"), Code::ScriptMissing),
        (with("notify nothing"), Code::ScriptMissing),
        (with("notify /text"), Code::ScriptNotExecutable),
        (with("notify /unsafe"), Code::ScriptUnsafe),
        (
            with("notify /good").replace("script_user root\n", ""),
            Code::NoSuchUser,
        ),
        (server("TCP_CHECK {\n}"), Code::ForwardingOff),
    ];
    for (text, code) in cases {
        assert_eq!(codes(&text), [code], "{text}");
    }
}
