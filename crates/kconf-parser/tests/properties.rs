//! What holds for every text.

#[path = "properties/expansion.rs"]
mod expansion;

use std::path::Path;

use kconf_parser::{Analysis, Code, MemoryLoader, Options, analyze, fuzzing};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::FileFailurePersistence;

const PATH: &str = "/etc/keepalived/keepalived.conf";

fn analysis(text: &str) -> Analysis {
    let loader = MemoryLoader::default().with(PATH, text);
    analyze(Path::new(PATH), &Options::default(), &loader)
}

/// Pieces that mean something to some stage, so that nonsense gets deep.
const PIECES: &[&str] = &[
    "virtual_server 10.0.0.1 80",
    "virtual_server fwmark 7",
    "virtual_server group web",
    "real_server 10.0.0.2 80",
    "sorry_server 10.0.0.9",
    "TCP_CHECK",
    "HTTP_GET",
    "SSL_GET",
    "url",
    "path /",
    "status_code 200-299 404",
    "digest abc",
    "weight 10x",
    "delay_loop 5s",
    "retry 3",
    "quorum_up \"/bin/x 'a b'\"",
    "notify_up '/x \"",
    "virtual_server_group web",
    "10.0.1.1-9 80",
    "10.0.2.0/24 80",
    "2001:db8::1-f 80",
    "fwmark 3 inet6",
    "vrrp_instance V",
    "virtual_ipaddress",
    "10.0.0.1/24 dev eth0",
    "global_defs",
    "include *.conf",
    "include a.conf",
    "includea {a,b}.conf",
    "$A=",
    "$A",
    "${A}",
    "${B}x",
    "${_RANDOM 1 3}",
    "${_HASH}",
    "$A=a \\",
    "~SEQ(i,3)",
    "$i",
    "${i}",
    "~SEQx(j,1,$i)",
    "~LST({a,b},{c,d},e)",
    "~LST(",
    "@node",
    "@^node",
    "@",
    "\u{0}",
    "\u{feff}",
    "\u{540d}",
    "{",
    "}",
    "\"",
    "'",
    "\\",
    "#",
    "!",
    "//",
    "\t",
    "  ",
    "\n",
    "\n",
    "\n",
    "\r\n",
    "lb_algo rr|wrr",
    "lb_kind TUN type gue port 9 csum",
    "protocol tcp",
    "<IPADDR>",
    "|",
    "ops",
    "persistence_granularity 24",
    "hysteresis 99999999999999999999",
    "alpha off",
    "umask 0199",
];

fn soup() -> impl Strategy<Value = String> {
    vec(select(PIECES), 0..60).prop_map(|pieces| pieces.join(" "))
}

fn lines() -> impl Strategy<Value = String> {
    vec(select(PIECES), 0..40).prop_map(|pieces| pieces.join("\n"))
}

/// A statement that is wrong in one way or another and opens nothing.
fn bad_statement() -> impl Strategy<Value = &'static str> {
    select(
        &[
            "wieght 3",
            "frobnicate",
            "weight",
            "weight x",
            "weight -1",
            "weight 3 4 5",
            "retry 5s",
            "delay_loop",
            "lb_algo rr",
            "path /",
            "// comment",
            "router_id \"open",
            "notify_up",
            "uthreshold 99999999999999",
            "alpha maybe",
            "priority 5",
            "inhibit_on_faliure",
            "<IP>",
        ][..],
    )
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 256,
        failure_persistence: Some(Box::new(FileFailurePersistence::WithSource("regressions"))),
        ..ProptestConfig::default()
    })]

    #[test]
    fn bytes_are_checked_without_panic(data in vec(any::<u8>(), 0..400)) {
        fuzzing::check(&data);
        fuzzing::structure(&data);
    }

    #[test]
    fn pieces_of_the_language_are_checked_without_panic(text in soup()) {
        fuzzing::check(text.as_bytes());
        fuzzing::structure(text.as_bytes());
    }

    #[test]
    fn lines_of_the_language_are_checked_without_panic(text in lines()) {
        fuzzing::check(text.as_bytes());
        fuzzing::structure(text.as_bytes());
    }

    #[test]
    fn a_bad_statement_leaves_its_neighbours_alone(bad in bad_statement(), at in 0_usize..4) {
        let service = |number: usize, extra: &str| format!(
            "virtual_server 10.0.0.{number} 80 {{\n    lb_algo wrr\n    lb_kind NAT\n    \
             protocol TCP\n    real_server 10.1.0.{number} 80 {{\n        weight 5\n        \
             TCP_CHECK {{\n            connect_timeout 3\n        }}\n    {extra}\n    }}\n}}\n"
        );
        let make = |bad: Option<&str>| -> String {
            (0..4).map(|n| service(n, bad.filter(|_| n == at).unwrap_or_default())).collect()
        };
        let good = analysis(&make(None));
        prop_assert_eq!(&good.diagnostics, &[]);
        let found = analysis(&make(Some(bad)));
        let line = 12 * at + 10;
        for diagnostic in &found.diagnostics {
            let location = found.sources.location(diagnostic.primary.place);
            prop_assert_eq!(location.line as usize, line, "{}", diagnostic.message);
        }
        prop_assert!(!found.diagnostics.is_empty());
        for (index, service) in good.config.services.iter().enumerate() {
            if index != at {
                prop_assert_eq!(found.config.service(&service.id), Some(service));
            }
        }
    }

    #[test]
    fn a_lost_brace_is_found_where_it_was(lost in 0_usize..12) {
        let service = |number: usize| format!(
            "virtual_server 10.0.0.{number} 80 {{\n    protocol TCP\n    lb_algo rr\n    lb_kind NAT\n    \
             real_server 10.1.0.{number} 80 {{\n        TCP_CHECK {{\n            retry 2\n        \
             }}\n    }}\n}}\n"
        );
        let whole: String = (0..4).map(service).collect();
        let good = analysis(&whole);
        let closing: Vec<usize> = whole.match_indices('}').map(|(at, _)| at).collect();
        let mut text = whole;
        text.replace_range(closing[lost]..=closing[lost], "");
        let found = analysis(&text);
        // Three braces a service: of TCP_CHECK, real_server, virtual_server.
        let opened = 10 * (lost / 3) + [6, 5, 1][lost % 3];
        let lines: Vec<(Code, usize)> = found
            .diagnostics
            .iter()
            .map(|found_here| {
                let place = found_here.primary.place;
                (found_here.code, found.sources.location(place).line as usize)
            })
            .collect();
        prop_assert_eq!(lines, vec![(Code::MissingBrace, opened)]);
        prop_assert_eq!(found.config, good.config);
    }
}
