//! The sharp edges of keepalived, one by one: a text that has it, and what is said of it.
//!
//! Each is something that keepalived does in silence, or says where nobody looks. They are
//! numbered so that none is left out.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use kconf_parser::lint::{FileFacts, Machine, check_machine, compare_pair};
use kconf_parser::{
    Analysis, Code, Diagnostic, DiskLoader, MemoryLoader, Options, Rules, analyze, render,
};

const PATH: &str = "/etc/keepalived/keepalived.conf";

fn options() -> Options {
    let mut rules = Rules::default();
    rules.switch_all_on();
    Options {
        rules,
        ..Options::default()
    }
}

fn read(text: &str) -> Analysis {
    analyze(
        Path::new(PATH),
        &options(),
        &MemoryLoader::default().with(PATH, text),
    )
}

fn instance(text: &str) -> String {
    format!(
        "vrrp_instance A {{\ninterface eth0\nvirtual_router_id 1\npriority 100\n\
         virtual_ipaddress {{\n192.0.2.9\n}}\n{text}\n}}\n"
    )
}

fn service(text: &str) -> String {
    format!(
        "virtual_server 192.0.2.1 80 {{\nprotocol TCP\nlb_algo wlc\nlb_kind NAT\n{text}\n\
         real_server 10.0.0.2 80 {{\nTCP_CHECK {{\n}}\n}}\n}}\n"
    )
}

fn server(text: &str) -> String {
    format!(
        "virtual_server 192.0.2.1 80 {{\nprotocol TCP\nlb_algo wlc\nlb_kind NAT\nalpha\n\
         real_server 10.0.0.2 80 {{\n{text}\n}}\n}}\n"
    )
}

/// Number of the edge, code, and a text in which a line with `<` has it.
fn edges() -> Vec<(u32, Code, String)> {
    let page = "url {\npath /\n}";
    let digest = "digest 0123456789abcdef0123456789abcdef";
    let script = "vrrp_script s {\nscript /s\n";
    let pair = |text: &str| {
        let other = instance("").replace("A {", "B {").replace("id 1", "id 2");
        format!("{}{other}{text}", instance(""))
    };
    let auth = |text: &str| instance(&format!("authentication {{ # <\n{text}\n}}"));
    let long = "x".repeat(1100);
    vec![
        (
            1,
            Code::PasswordTooLong,
            instance("authentication {\nauth_type PASS\nauth_pass 123456789 # <\n}"),
        ),
        (
            2,
            Code::AuthenticationDropped,
            auth("auth_type PASS\nauth_pass 1234").replace("interface", "version 3\ninterface"),
        ),
        (
            2,
            Code::AuthenticationDropped,
            format!(
                "global_defs {{\nvrrp_strict\n}}\n{}",
                auth("auth_type PASS\nauth_pass 1234")
            ),
        ),
        (
            3,
            Code::TrailingWords,
            instance("").replace("id 1", "id 5 priority 33 # <"),
        ),
        (4, Code::BadNumber, service("delay_loop 10s # <")),
        (4, Code::BadNumber, instance("preempt_delay 5s # <")),
        (5, Code::BadNumber, instance("garp_master_repeat 10x # <")),
        (6, Code::FlagArgument, service("alpha off # <")),
        (6, Code::FlagArgument, service("omega no # <")),
        (6, Code::FlagArgument, service("ha_suspend off # <")),
        (6, Code::FlagArgument, instance("nopreempt off # <")),
        (
            6,
            Code::FlagArgument,
            instance("dont_track_primary off # <"),
        ),
        (
            6,
            Code::FlagArgument,
            "global_defs {\nlvs_flush no # <\n}\n".into(),
        ),
        (
            6,
            Code::FlagArgument,
            "global_defs {\nvrrp_no_swap off # <\n}\n".into(),
        ),
        (
            6,
            Code::FlagArgument,
            "global_defs {\nno_email_faults off # <\n}\n".into(),
        ),
        (
            6,
            Code::FlagArgument,
            "global_defs {\nenable_script_security no # <\n}\n".into(),
        ),
        (
            7,
            Code::UnknownKeyword,
            "frobnicate x { # <\na 1\nb {\n}\n}\n".into(),
        ),
        (
            8,
            Code::MissingValue,
            instance("garp_master_delay # <\nnonsense"),
        ),
        (10, Code::OneMemberGroup, {
            format!(
                "{}vrrp_sync_group G {{ # <\ngroup {{\nA\n}}\n}}\n",
                instance("")
            )
        }),
        (10, Code::Rounded, instance("preempt_delay 1.00000001 # <")),
        (
            12,
            Code::MissingSetting,
            instance("")
                .replace("A {", "A { # <")
                .replace("virtual_router_id 1\n", ""),
        ),
        (
            12,
            Code::DuplicateVrid,
            format!("{}{}", instance(""), instance("").replace("A {", "B {")).replace(
                "B {\ninterface eth0\nvirtual_router_id 1",
                "B {\ninterface eth0\nvirtual_router_id 1 # <",
            ),
        ),
        (
            13,
            Code::MasterWithoutPriority,
            instance("state MASTER # <").replace("priority 100\n", ""),
        ),
        (
            14,
            Code::PreemptIgnored,
            instance("state MASTER\nnopreempt # <"),
        ),
        (
            14,
            Code::PreemptIgnored,
            instance("state MASTER\npreempt_delay 5 # <"),
        ),
        (16, Code::Rounded, instance("version 2\nadvert_int 0.5 # <")),
        (
            17,
            Code::UnicastWithoutPeers,
            instance("unicast_src_ip 192.0.2.7 # <"),
        ),
        (
            18,
            Code::DefinedBelow,
            format!("{}{script}}}\n", instance("track_script {\ns # <\n}")),
        ),
        (20, Code::InitFail, format!("{script}init_fail # <\n}}\n")),
        (
            21,
            Code::WeightWithoutEffect,
            format!(
                "{script}}}\n{}",
                pair("vrrp_sync_group G {\ngroup {\nA\nB\n}\n}\n").replacen(
                    "priority 100",
                    "track_script {\ns weight 5 # <\n}\npriority 100",
                    1
                )
            ),
        ),
        (
            22,
            Code::ParallelNotify,
            instance("notify /a\nnotify_master /b # <"),
        ),
        (
            23,
            Code::Repeated,
            instance("notify_master /a\nnotify_master /b # <"),
        ),
        (
            23,
            Code::Overridden,
            instance("advert_int 1\nadvert_int 2 # <"),
        ),
        (
            24,
            Code::SwitchedOnByOff,
            instance("skip_check_adv_addr off # <"),
        ),
        (
            25,
            Code::LostWord,
            instance("virtual_routes {\ninet6 2001:db8::/64 dev eth0 # <\n}"),
        ),
        (
            25,
            Code::BadValue,
            instance("virtual_rules {\nsport 80 table 5 preference 5 # <\n}"),
        ),
        (
            26,
            Code::NoProtocol,
            service("").replace("80 {\nprotocol TCP\n", "80 { # <\n"),
        ),
        (
            26,
            Code::NoScheduler,
            service("")
                .replacen("{\n", "{ # <\n", 1)
                .replace("lb_algo wlc\n", ""),
        ),
        (
            26,
            Code::NoMethod,
            service("")
                .replacen("{\n", "{ # <\n", 1)
                .replace("lb_kind NAT\n", ""),
        ),
        (
            27,
            Code::PortMismatch,
            service("")
                .replace("NAT", "DR")
                .replace("10.0.0.2 80 {", "10.0.0.2 8080 { # <"),
        ),
        (27, Code::QuorumTooHigh, service("quorum 5 # <")),
        (27, Code::HysteresisTooHigh, service("hysteresis 1 # <")),
        (
            28,
            Code::SchedulerFlagMismatch,
            service("sh-port # <\nlb_algo sh").replace("lb_algo wlc\n", ""),
        ),
        (28, Code::SchedulerFlagMismatch, service("hashed # <")),
        (
            29,
            Code::SuspendedForEver,
            format!(
                "virtual_server_group g {{\n192.0.2.1 80\n}}\n{}",
                service("ha_suspend # <").replace("192.0.2.1 80 {", "group g {")
            ),
        ),
        (
            30,
            Code::FirstCheckLate,
            service("").replacen('{', "{ # <", 1),
        ),
        (
            31,
            Code::DigestOfChunks,
            server(&format!(
                "HTTP_GET {{\nhttp_protocol 1.1\nurl {{\npath /\n{digest} # <\n}}\n}}"
            )),
        ),
        (
            32,
            Code::TlsNotVerified,
            server(&format!("SSL_GET {{ # <\n{page}\n}}")),
        ),
        (
            32,
            Code::NoServerName,
            server(&format!("SSL_GET {{\nvirtualhost www # <\n{page}\n}}")),
        ),
        (33, Code::LenientCheck, server("SMTP_CHECK { # <\n}")),
        (
            33,
            Code::LenientCheck,
            server("DNS_CHECK { # <\ntype A\nname example.org\n}"),
        ),
        (33, Code::SilenceIsSuccess, server("UDP_CHECK { # <\n}")),
        (34, Code::UselessCheck, server("HTTP_GET { # <\n}")),
        (
            35,
            Code::IncludeNoMatch,
            "include conf.d/web.conf # <\n".into(),
        ),
        (
            36,
            Code::CommentInWord,
            instance("authentication {\nauth_type PASS\nauth_pass a!b<\n}"),
        ),
        (
            36,
            Code::SingleQuotes,
            "global_defs {\nrouter_id 'a' # <\n}\n".into(),
        ),
        (
            37,
            Code::LineTooLong,
            format!("global_defs {{\nrouter_id {long} # <\n}}\n"),
        ),
        (
            38,
            Code::DefaultAlerts,
            format!(
                "global_defs {{\nnotification_email {{\na@b\n}}\n}}\n{}",
                service("").replace("10.0.0.2 80 {", "10.0.0.2 80 { # <")
            ),
        ),
        (
            39,
            Code::DeprecatedAddress,
            instance("virtual_ipaddress_excluded {\n2001:db8::1 # <\n}"),
        ),
        (
            39,
            Code::MisnamedOption,
            instance("virtual_ipaddress_excluded {\n2001:db8::1/64 -nodad # <\n}"),
        ),
        (
            40,
            Code::NoEffectYet,
            "global_defs {\nstats_dump_file /tmp/s # <\n}\n".into(),
        ),
        (
            40,
            Code::NoEffectYet,
            "global_defs {\njson_dump_file /tmp/s # <\n}\n".into(),
        ),
    ]
}

/// Traps that users report, by name; those of pairs and machines have tests of their own below.
fn traps() -> Vec<(&'static str, Code, String)> {
    let both = format!(
        "{}{}",
        instance(""),
        instance("").replace("A {", "B {").replace("9\n}", "8\n}")
    );
    vec![
        (
            "nopreempt with state MASTER",
            Code::PreemptIgnored,
            instance("state MASTER\nnopreempt # <"),
        ),
        (
            "group of one",
            Code::OneMemberGroup,
            format!(
                "{}vrrp_sync_group G {{ # <\ngroup {{\nA\n}}\n}}\n",
                instance("")
            ),
        ),
        (
            "script defined behind its use",
            Code::DefinedBelow,
            format!(
                "{}vrrp_script s {{\nscript /s\n}}\n",
                instance("track_script {\ns # <\n}")
            ),
        ),
        (
            "number used twice on an interface",
            Code::DuplicateVrid,
            both.replace(
                "B {\ninterface eth0\nvirtual_router_id 1",
                "B {\ninterface eth0\nvirtual_router_id 1 # <",
            ),
        ),
        (
            "mask wider than needed",
            Code::WideMask,
            instance("").replace("192.0.2.9", "192.0.2.9/24 # <"),
        ),
        (
            "interval of version 2 below a second",
            Code::Rounded,
            instance("version 2\nadvert_int 0.2 # <"),
        ),
        (
            "authentication dropped",
            Code::AuthenticationDropped,
            instance("version 3\nauthentication { # <\nauth_type PASS\nauth_pass 1234\n}"),
        ),
        (
            "password too long",
            Code::PasswordTooLong,
            instance("authentication {\nauth_type PASS\nauth_pass secretsecret # <\n}"),
        ),
        (
            "mh without port",
            Code::HashWithoutPort,
            service("").replace("wlc", "mh # <"),
        ),
        (
            "sh without port",
            Code::HashWithoutPort,
            service("").replace("wlc", "sh # <"),
        ),
        (
            "TLS not verified",
            Code::TlsNotVerified,
            server("SSL_GET { # <\nurl {\npath /\n}\n}"),
        ),
        (
            "quorum above all weights",
            Code::QuorumTooHigh,
            service("quorum 9 # <"),
        ),
        (
            "port of a real server with DR",
            Code::PortMismatch,
            service("")
                .replace("NAT", "DR")
                .replace("10.0.0.2 80 {", "10.0.0.2 81 { # <"),
        ),
        (
            "persistence hides the scheduler",
            Code::PersistenceHidesScheduler,
            service("persistence_timeout 60 # <").replace("wlc", "rr"),
        ),
        (
            "no checks",
            Code::NoChecks,
            server("weight 1").replacen('{', "{ # <", 1),
        ),
        (
            "sorry server is a real server",
            Code::SorryIsRealServer,
            service("sorry_server 10.0.0.2 80 # <"),
        ),
        (
            "thresholds upside down",
            Code::ThresholdsUpsideDown,
            server("uthreshold 10\nlthreshold 20 # <\nTCP_CHECK {\n}"),
        ),
        (
            "check longer than the loop",
            Code::LongerThanInterval,
            service("delay_loop 2\nconnect_timeout 3 # <"),
        ),
    ]
}

/// Edges that are not about one text alone; each has a test of its own below.
const ELSEWHERE: &[u32] = &[9, 11, 15, 19];

fn on_line(analysis: &Analysis, found: &Diagnostic) -> u32 {
    analysis.sources.location(found.primary.place).line
}

#[test]
fn each_edge_and_trap_is_named_on_its_line() {
    let mut missing = Vec::new();
    let edges = edges().into_iter();
    let edges = edges.map(|(number, code, text)| (format!("edge {number}"), code, text));
    let traps = traps().into_iter();
    let traps = traps.map(|(name, code, text)| (name.to_owned(), code, text));
    for (name, code, text) in edges.chain(traps) {
        let marked = text.lines().zip(1..).find(|(line, _)| line.contains('<'));
        let (_, marked) = marked.expect("a line of each text is marked");
        let analysis = read(&text);
        let named = |found: &&Diagnostic| found.code == code && on_line(&analysis, found) == marked;
        if analysis.diagnostics.iter().find(named).is_none() {
            let said = render::human(&analysis, false);
            missing.push(format!(
                "{name}: no {code} in line {marked} of\n{text}\n{said}"
            ));
        }
    }
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}

#[test]
fn no_edge_is_left_out() {
    let mut numbers: Vec<u32> = edges().into_iter().map(|(number, _, _)| number).collect();
    numbers.extend(ELSEWHERE);
    numbers.sort_unstable();
    numbers.dedup();
    assert_eq!(numbers, (1..=40).collect::<Vec<u32>>());
}

/// Edges 7 and 8: neither ends the check, and neither changes what stands around it.
#[test]
fn what_is_wrong_hides_nothing_else() {
    let text = format!(
        "unknown x {{\na 1\nb {{\nc\n}}\n}}\n{}global_defs {{\nlvs_flush no\n}}\n",
        instance("garp_master_delay\ndown_timer_adverts 0")
    );
    let analysis = read(&text);
    let codes: Vec<Code> = analysis
        .diagnostics
        .iter()
        .map(|found| found.code)
        .collect();
    assert_eq!(
        codes,
        [
            Code::UnknownKeyword,
            Code::MissingValue,
            Code::OutOfRange,
            Code::FlagArgument
        ]
    );
    assert_eq!(analysis.config.vrrp.instances.len(), 1);
}

/// Edges 9 and 35: a file that is not there, or is taken for a script.
#[test]
fn a_file_that_is_not_read_is_named() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("k.conf");
    let codes = |path: &Path| -> Vec<Code> {
        let analysis = analyze(path, &options(), &DiskLoader);
        analysis
            .diagnostics
            .iter()
            .map(|found| found.code)
            .collect()
    };
    assert_eq!(codes(&path), [Code::FileNotReadable]);
    assert_eq!(codes(folder.path()), [Code::FileSkipped]);
    let executable = |path: &Path| {
        fs::write(path, "global_defs {\n}\n").expect("a writable folder");
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("it is ours");
    };
    executable(&path);
    assert_eq!(codes(&path), [Code::FileSkipped]);
    let main = folder.path().join("main.conf");
    fs::write(&main, "include k.conf\n").expect("a writable folder");
    assert_eq!(codes(&main), [Code::FileSkipped]);
}

/// Root's machine with one interface and one file, which is no script.
struct Small;

impl Machine for Small {
    fn has_interface(&self, name: &str) -> bool {
        name == "eth0"
    }

    fn has_user(&self, user: &str) -> bool {
        user == "root"
    }

    fn has_group(&self, group: &str) -> bool {
        group == "root"
    }

    fn file(&self, path: &Path) -> Option<FileFacts> {
        (path == Path::new("/text")).then_some(FileFacts {
            executable: false,
            only_root_writes: true,
        })
    }

    fn find_program(&self, _: &str) -> Option<PathBuf> {
        None
    }

    fn sysctl(&self, _: &str) -> Option<String> {
        Some("1".into())
    }
}

/// Edges 11 and 19: `keepalived -t` looks at no notify script, and a script that cannot run counts
/// as a success.
#[test]
fn scripts_and_users_are_looked_at() {
    let secure = "global_defs {\nenable_script_security\nscript_user root\n}\n";
    let codes = |text: &str| -> Vec<Code> {
        let analysis = read(&format!("{secure}{text}"));
        let found = check_machine(&analysis, &Small);
        found.into_iter().map(|found| found.code).collect()
    };
    assert_eq!(
        codes(&instance("notify_master /missing")),
        [Code::ScriptMissing]
    );
    assert_eq!(
        codes(&instance("notify_master /text")),
        [Code::ScriptNotExecutable]
    );
    assert_eq!(
        codes(&instance("notify_master /text nobody")),
        [Code::ScriptNotExecutable, Code::NoSuchUser]
    );
    let script = "vrrp_script s {\nscript /missing\n}\n";
    let tracked = format!("{script}{}", instance("track_script {\ns\n}"));
    assert_eq!(codes(&tracked), [Code::ScriptMissing]);
}

/// Edge 15: what must be the same on both directors.
#[test]
fn directors_that_disagree_are_named() {
    let one = instance("version 2\nadvert_int 1");
    let codes = |other: String| -> Vec<Code> {
        let other = other.replace("priority 100", "priority 90");
        let found = compare_pair(&read(&one), &read(&other));
        found.into_iter().map(|found| found.code).collect()
    };
    assert_eq!(codes(one.clone()), []);
    let same = compare_pair(&read(&one), &read(&one));
    assert!(same.iter().any(|found| found.code == Code::PairPriority));
    assert_eq!(
        codes(one.replace("version 2", "version 2\nstate BACKUP\nnopreempt")),
        [Code::PairPreempt]
    );
    assert_eq!(
        codes(one.replace("advert_int 1", "advert_int 2")),
        [Code::PairInterval]
    );
    assert_eq!(
        codes(one.replace("192.0.2.9", "192.0.2.8")),
        [Code::PairAddresses]
    );
}
