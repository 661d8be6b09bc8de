//! Corners of the replay, a small trace each: what is asked of the scheduler, what is compared, what
//! is refused to be decided. Recorded traces cover the common ground.

use std::path::Path;

use lvs_sim::replay::replay;
use lvs_sim::report::{Disagreement, Outcome, Report};
use lvs_sim::trace::Trace;

const HEAD: &str = r#"{"ev":"trace","format":1,"name":"corner","group":"conn"}"#;
/// rr over 192.168.0.1 and 192.168.0.2, the second first.
const RR: &str = r#"
{"ev":"svc-add","svc":"s","proto":"tcp","addr":"10.200.0.1","port":80,"sched":"rr"}
{"ev":"dest-add","svc":"s","dest":"192.168.0.1:80","weight":1}
{"ev":"dest-add","svc":"s","dest":"192.168.0.2:80","weight":1}"#;

fn read(lines: &str) -> Trace {
    Trace::read(
        Path::new("corner.jsonl"),
        format!("{HEAD}\n{}", lines.trim_start()).as_bytes(),
    )
    .unwrap()
}

fn run(lines: &str) -> Report {
    replay(&read(lines)).unwrap()
}

fn fault(lines: &str) -> String {
    replay(&read(lines)).unwrap_err().to_string()
}

/// An `open` of flow `id` from 203.0.113.1.
fn open(id: u32, port: u16, got: Option<u8>, more: &str) -> String {
    let got = got.map_or_else(
        || "null".to_owned(),
        |server| format!("\"192.168.0.{server}:80\""),
    );
    format!(
        r#"{{"ev":"open","id":{id},"svc":"s","src":"203.0.113.1","sport":{port},"got":{got}{more}}}"#
    )
}

#[track_caller]
fn assert_equal(report: &Report, compared: usize) {
    assert_eq!(report.outcome(), Outcome::Equal, "{report:#?}");
    assert_eq!(report.compared, compared);
}

#[test]
fn a_syn_on_a_living_connection_is_no_decision() {
    let first = open(1, 1000, Some(2), r#","chg":[["s","192.168.0.2:80",1,0]]"#);
    let again = open(2, 1000, Some(2), "");
    let next = open(3, 1001, Some(1), r#","chg":[["s","192.168.0.1:80",1,0]]"#);
    assert_equal(&run(&format!("{RR}\n{first}\n{again}\n{next}")), 2);
}

#[test]
fn a_syn_on_a_closed_connection_is_a_decision() {
    let first = open(1, 1000, Some(2), r#","chg":[["s","192.168.0.2:80",1,0]]"#);
    let reset = r#"{"ev":"pkt","id":1,"dir":"out","flags":"R","fwd":true,"chg":[["s","192.168.0.2:80",0,1]]}"#;
    let syn = r#"{"ev":"pkt","id":1,"dir":"in","flags":"S","fwd":true,"got":"192.168.0.1:80","chg":[["s","192.168.0.2:80",0,0],["s","192.168.0.1:80",1,0]]}"#;
    assert_equal(&run(&format!("{RR}\n{first}\n{reset}\n{syn}")), 2);
    // With conn_reuse_mode 0 it goes where it went.
    let off = r#"{"ev":"sysctl","name":"net.ipv4.vs.conn_reuse_mode","value":0}"#;
    let report = run(&format!("{RR}\n{off}\n{first}\n{reset}\n{syn}"));
    assert_eq!(report.outcome(), Outcome::Incomplete, "{report:#?}");
}

#[test]
fn a_difference_shows_where_and_what() {
    let first = open(1, 1000, Some(1), "");
    let report = run(&format!("{RR}\n{first}\n{first}"));
    let difference = report.difference.unwrap();
    assert_eq!((difference.line, difference.scheduler), (5, "rr"));
    assert_eq!(difference.event, first);
    assert_eq!(
        difference.what,
        Disagreement::Choice {
            kernel: Some("192.168.0.1:80".parse().unwrap()),
            replay: Some("192.168.0.2:80".parse().unwrap()),
        }
    );
    let shown: Vec<_> = difference
        .destinations
        .iter()
        .map(|d| d.address.to_string())
        .collect();
    assert_eq!(shown, ["192.168.0.2:80", "192.168.0.1:80"]);
    assert_eq!(difference.before.len(), 3);
    assert_eq!(report.compared, 1, "the replay ends there");
}

#[test]
fn a_refusal_is_a_decision_too() {
    let refused = open(1, 1000, None, "");
    let report = run(&format!("{RR}\n{refused}"));
    let kernel = report.difference.map(|difference| difference.what);
    let replay = Some("192.168.0.2:80".parse().unwrap());
    assert_eq!(
        kernel,
        Some(Disagreement::Choice {
            kernel: None,
            replay
        })
    );
}

/// The mark is set by a connection at the limit, kept while a connection turns inactive, and looked
/// at again with what is left after a wait.
#[test]
fn marks_follow_from_the_totals() {
    let trace = format!(
        r#"
{{"ev":"svc-add","svc":"s","proto":"tcp","addr":"10.200.0.1","port":80,"sched":"rr"}}
{{"ev":"dest-add","svc":"s","dest":"192.168.0.1:80","weight":1,"upper":2}}
{}
{}
{{"ev":"pkt","id":1,"dir":"out","flags":"R","fwd":true,"chg":[["s","192.168.0.1:80",1,1]]}}
{}
{{"ev":"wait","sec":13,"chg":[["s","192.168.0.1:80",1,0]]}}
{}"#,
        open(1, 1, Some(1), r#","chg":[["s","192.168.0.1:80",1,0]]"#),
        open(2, 2, Some(1), r#","chg":[["s","192.168.0.1:80",2,0]]"#),
        open(3, 3, None, ""),
        open(4, 4, Some(1), r#","chg":[["s","192.168.0.1:80",2,0]]"#),
    );
    assert_equal(&run(&trace), 4);
}

/// One that comes back with fewer connections than it left with was looked at while it was away,
/// under its old thresholds.
#[test]
fn a_mark_can_be_cleared_while_away() {
    let trace = |left: u32| {
        format!(
            r#"
{{"ev":"svc-add","svc":"s","proto":"udp","addr":"10.200.0.1","port":80,"sched":"rr"}}
{{"ev":"dest-add","svc":"s","dest":"192.168.0.1:80","weight":1,"upper":2}}
{}
{}
{{"ev":"dest-del","svc":"s","dest":"192.168.0.1:80"}}
{{"ev":"wait","sec":345}}
{{"ev":"dest-add","svc":"s","dest":"192.168.0.1:80","weight":1,"upper":2,"dests":{{"s":[["192.168.0.1:80",1,0,{left}]]}}}}
{}"#,
            open(1, 1, Some(1), r#","chg":[["s","192.168.0.1:80",0,1]]"#),
            open(2, 2, Some(1), r#","chg":[["s","192.168.0.1:80",0,2]]"#),
            open(3, 3, Some(1), ""),
        )
    };
    assert_equal(&run(&trace(0)), 3);
    assert_eq!(
        run(&trace(2)).outcome(),
        Outcome::Different,
        "nothing has gone: still overloaded"
    );
}

/// The counts told on return settle it even where the timers leave open what has gone.
#[test]
fn counts_told_on_return_are_looked_at_under_the_old_thresholds() {
    let count = |n: u32| format!(r#","chg":[["s","192.168.0.1:80",0,{n}]]"#);
    let trace = format!(
        r#"
{{"ev":"svc-add","svc":"s","proto":"udp","addr":"10.200.0.1","port":80,"sched":"rr"}}
{{"ev":"dest-add","svc":"s","dest":"192.168.0.1:80","weight":1,"upper":4}}
{}
{}
{{"ev":"wait","sec":50}}
{}
{}
{{"ev":"dest-del","svc":"s","dest":"192.168.0.1:80"}}
{{"ev":"wait","sec":255}}
{{"ev":"dest-add","svc":"s","dest":"192.168.0.1:80","weight":1,"upper":2,"dests":{{"s":[["192.168.0.1:80",1,0,2]]}}}}
{}"#,
        open(1, 1, Some(1), &count(1)),
        open(2, 2, Some(1), &count(2)),
        open(3, 3, Some(1), &count(3)),
        open(4, 4, Some(1), &count(4)),
        open(5, 5, Some(1), &count(3)),
    );
    // 2 of 4 is below three quarters; 2 of 2 would not be.
    assert_equal(&run(&trace), 5);
}

#[test]
fn a_service_made_again_finds_its_servers_and_starts_its_scheduler_anew() {
    let first = open(1, 1, Some(2), r#","chg":[["s","192.168.0.2:80",1,0]]"#);
    let again = RR.replace("\"s\"", "\"t\"");
    let last = open(2, 2, Some(2), "").replace("\"s\"", "\"t\"");
    assert_equal(
        &run(&format!(
            "{RR}\n{first}\n{{\"ev\":\"svc-del\",\"svc\":\"s\"}}{again}\n{last}"
        )),
        2,
    );
}

const PERSISTENT: &str = r#"
{"ev":"svc-add","svc":"s","proto":"tcp","addr":"10.200.0.1","port":80,"sched":"rr","persist":100}
{"ev":"dest-add","svc":"s","dest":"192.168.0.1:80","weight":1}
{"ev":"dest-add","svc":"s","dest":"192.168.0.2:80","weight":1}"#;

#[test]
fn a_template_decides_while_it_certainly_lives() {
    let first = open(1, 1, Some(2), r#","chg":[["s","192.168.0.2:80",1,0]]"#);
    let second = open(2, 2, Some(2), r#","chg":[["s","192.168.0.2:80",2,0]]"#);
    let late = |sec: u32, got| {
        let more = format!(r#","chg":[["s","192.168.0.{got}:80",1,0]]"#);
        let wait = format!(r#"{{"ev":"wait","sec":{sec},"chg":[["s","192.168.0.2:80",0,0]]}}"#);
        run(&format!(
            "{PERSISTENT}\n{first}\n{second}\n{wait}\n{}",
            open(3, 3, Some(got), &more)
        ))
    };
    assert_equal(&late(99, 2), 3);
    assert_eq!(late(99, 1).outcome(), Outcome::Different);
    // Between 100 and 114 s its timer may have fired or not.
    assert_eq!(late(110, 2).outcome(), Outcome::Incomplete);
    assert_equal(&late(110, 1), 3);
    assert_equal(&late(114, 1), 3);
    assert_eq!(late(114, 2).outcome(), Outcome::Different);
}

#[test]
fn what_follows_an_undecidable_choice_is_not_replayed_by_those_that_remember() {
    let first = open(1, 1, Some(2), r#","chg":[["s","192.168.0.2:80",1,0]]"#);
    let wait = r#"{"ev":"wait","sec":110,"chg":[["s","192.168.0.2:80",0,0]]}"#;
    let unsure = open(2, 2, Some(2), r#","chg":[["s","192.168.0.2:80",1,0]]"#);
    let other = open(3, 3, Some(1), "").replace("203.0.113.1", "203.0.113.2");
    let report = run(&format!("{PERSISTENT}\n{first}\n{wait}\n{unsure}\n{other}"));
    let reasons: Vec<_> = report
        .skipped
        .iter()
        .map(|s| (s.line, s.reason.as_str()))
        .collect();
    assert_eq!(
        reasons,
        [
            (
                7,
                "whether the persistence template still exists cannot be told from the trace"
            ),
            (
                8,
                "the state of rr is unknown since line 7, which was skipped"
            ),
        ]
    );
    // Another scheduler starts with a clean slate, and lc has no memory in the first place.
    let switched = format!(
        "{PERSISTENT}\n{first}\n{wait}\n{unsure}\n{}\n{other}",
        r#"{"ev":"svc-edit","svc":"s","sched":"lc","persist":100}"#
    );
    let report = run(&switched);
    assert_eq!(
        (report.skipped.len(), report.compared),
        (1, 2),
        "{report:#?}"
    );
}

#[test]
fn kernel_variables_that_hide_the_reason_make_decisions_undecidable() {
    for variable in [
        "net.ipv4.vs.drop_packet",
        "net.ipv4.vs.secure_tcp",
        "net.ipv4.vs.of_2031",
    ] {
        let set = format!(r#"{{"ev":"sysctl","name":"{variable}","value":1}}"#);
        let report = run(&format!("{RR}\n{set}\n{}", open(1, 1, Some(2), "")));
        assert_eq!(report.outcome(), Outcome::Incomplete, "{variable}");
        assert_eq!(report.compared, 0);
    }
}

#[test]
fn random_choices_are_not_replayed() {
    let twos = RR.replace("\"rr\"", "\"twos\"");
    let report = run(&format!("{twos}\n{}", open(1, 1, Some(2), "")));
    assert_eq!(
        report.skipped[0].reason,
        "the kernel's random numbers are not in the trace"
    );
}

#[test]
fn one_packet_flows_move_the_scheduler_and_leave_no_connection() {
    let service = RR
        .replace("\"tcp\"", "\"udp\"")
        .replace("\"rr\"", "\"rr\",\"ops\":true");
    let first = open(1, 1, Some(2), "");
    let second = r#"{"ev":"pkt","id":1,"dir":"in","fwd":true}"#;
    let third = open(2, 1, Some(2), "");
    assert_equal(&run(&format!("{service}\n{first}\n{second}\n{third}")), 2);
}

#[test]
fn a_datagram_after_expiry_is_a_decision_read_from_the_counts() {
    let service = RR.replace("\"tcp\"", "\"udp\"");
    let first = open(1, 1, Some(2), r#","chg":[["s","192.168.0.2:80",0,1]]"#);
    let wait = r#"{"ev":"wait","sec":345,"chg":[["s","192.168.0.2:80",0,0]]}"#;
    let datagram = |got| {
        format!(
            r#"{{"ev":"pkt","id":1,"dir":"in","fwd":true,"chg":[["s","192.168.0.{got}:80",0,1]]}}"#
        )
    };
    assert_equal(
        &run(&format!("{service}\n{first}\n{wait}\n{}", datagram(1))),
        2,
    );
    let wrong = run(&format!("{service}\n{first}\n{wait}\n{}", datagram(2)));
    assert_eq!(wrong.outcome(), Outcome::Different);
}

#[test]
fn events_that_do_not_fit_together_are_refused_with_their_line() {
    for (lines, expected) in [
        (
            r#"{"ev":"svc-del","svc":"x"}"#,
            "corner.jsonl:2: no service `x`",
        ),
        (
            r#"{"ev":"pkt","id":7,"dir":"in","fwd":true}"#,
            "corner.jsonl:2: no flow 7",
        ),
        (
            r#"{"ev":"svc-add","svc":"s","sched":"rr"}"#,
            "corner.jsonl:2: a service needs `proto`, `addr` and `port`, or `fwmark`",
        ),
        (
            r#"{"ev":"svc-add","svc":"s","fwmark":1,"af":5,"sched":"rr"}"#,
            "corner.jsonl:2: address family 5, must be 4 or 6",
        ),
        (
            r#"{"ev":"svc-add","svc":"s","fwmark":1,"sched":"best"}"#,
            "corner.jsonl:2: unknown scheduler `best`",
        ),
        (
            r#"{"ev":"svc-add","svc":"s","fwmark":1,"sched":"sh","flags":["sh-fast"]}"#,
            "corner.jsonl:2: unknown flag `sh-fast`",
        ),
        (
            r#"{"ev":"svc-add","svc":"s","fwmark":1,"sched":"sh","netmask":"wide"}"#,
            "corner.jsonl:2: bad netmask `wide`",
        ),
        (
            r#"{"ev":"svc-add","svc":"s","fwmark":1,"sched":"sh","netmask":33}"#,
            "corner.jsonl:2: bad netmask `33`",
        ),
        (
            r#"{"ev":"sysctl","name":"net.ipv4.vs.lblc_expiration","value":-5}"#,
            "corner.jsonl:2: bad value of `net.ipv4.vs.lblc_expiration`",
        ),
    ] {
        assert_eq!(fault(lines), expected);
    }
    let after = |line: &str| fault(&format!("{RR}\n{line}"));
    for (line, expected) in [
        (RR.lines().nth(1).unwrap(), "service `s` exists"),
        (
            RR.lines().nth(2).unwrap(),
            "destination 192.168.0.1:80 exists",
        ),
        (
            r#"{"ev":"dest-edit","svc":"s","dest":"192.168.0.9:80","weight":1}"#,
            "no destination 192.168.0.9:80",
        ),
        (
            r#"{"ev":"dest-edit","svc":"s","dest":"192.168.0.1:80","weight":4294967295}"#,
            "weight 4294967295 is above 2147483647",
        ),
        (
            r#"{"ev":"dest-edit","svc":"s","dest":"192.168.0.1:80","weight":1,"lower":2}"#,
            "lower threshold 2 is above upper threshold 0",
        ),
        (
            r#"{"ev":"wait","sec":1,"chg":[["s","192.168.0.9:80",1,0]]}"#,
            "counts of `192.168.0.9:80`, which is not in service `s`",
        ),
    ] {
        assert_eq!(after(line), format!("corner.jsonl:5: {expected}"), "{line}");
    }
    let twice = format!(
        "{RR}\n{}\n{}",
        open(1, 1, Some(2), ""),
        open(1, 2, Some(1), "")
    );
    assert_eq!(fault(&twice), "corner.jsonl:6: flow 1 exists");
    let marked = r#"{"ev":"svc-add","svc":"m","fwmark":1,"sched":"rr"}
{"ev":"open","id":1,"svc":"m","src":"203.0.113.1","sport":1,"got":null}"#;
    assert_eq!(
        fault(marked),
        "corner.jsonl:3: an `open` of a firewall-mark service needs `proto`, `dst` and `dport`"
    );
}

/// A client of a persistent service comes again after its server was removed and put back, `between`
/// removal and return, which told `active` connections; then another client comes.
fn removed_and_put_back(between: &str, active: u8, second: u8) -> Report {
    let new = |server: u8, active: u8| {
        let got = format!("192.168.0.{server}:80");
        format!(r#""got":"{got}","chg":[["s","{got}",{active},0]]"#)
    };
    let (again, other) = (
        new(2, active + 1),
        new(second, if second == 2 { active + 2 } else { 1 }),
    );
    run(&format!(
        r#"
{{"ev":"sysctl","name":"net.ipv4.vs.expire_nodest_conn","value":1}}
{{"ev":"svc-add","svc":"s","proto":"tcp","addr":"10.200.0.1","port":80,"sched":"rr","persist":300}}
{{"ev":"dest-add","svc":"s","dest":"192.168.0.1:80","weight":1}}
{{"ev":"dest-add","svc":"s","dest":"192.168.0.2:80","weight":1}}
{{"ev":"open","id":1,"svc":"s","src":"203.0.113.1","sport":1,{}}}
{{"ev":"dest-del","svc":"s","dest":"192.168.0.2:80"}}
{between}
{{"ev":"dest-add","svc":"s","dest":"192.168.0.2:80","weight":1,"dests":{{"s":[["192.168.0.2:80",1,{active},0],["192.168.0.1:80",1,0,0]]}}}}
{{"ev":"open","id":2,"svc":"s","src":"203.0.113.1","sport":2,{again}}}
{{"ev":"open","id":3,"svc":"s","src":"203.0.113.9","sport":3,{other}}}"#,
        new(2, 1)
    ))
}

/// Without a template the client is scheduled again, on 2, and 1 comes next; with one, 2 does.
#[test]
fn with_its_connections_a_removed_server_loses_its_templates() {
    assert_equal(&removed_and_put_back(r#"{"ev":"note"}"#, 0, 1), 3);
    // The kernel may drop them between two lines.
    assert_equal(&removed_and_put_back("", 0, 1), 3);
    assert_equal(&removed_and_put_back("", 1, 2), 3);
}

#[test]
fn a_template_that_may_have_been_re_armed_is_gone_in_the_end() {
    let new = |server: u8| {
        let got = format!("192.168.0.{server}:80");
        format!(r#""got":"{got}","chg":[["s","{got}",0,1]]"#)
    };
    // 300 s for both the connection and its template: which goes first cannot be told, but 409 s
    // later both are gone, and the client is scheduled, to the same server as it happens.
    let trace = format!(
        r#"
{{"ev":"svc-add","svc":"s","proto":"udp","addr":"10.200.0.1","port":80,"sched":"rr","persist":300}}
{{"ev":"dest-add","svc":"s","dest":"192.168.0.1:80","weight":1}}
{{"ev":"open","id":1,"svc":"s","src":"203.0.113.1","sport":1,{got}}}
{{"ev":"wait","sec":409,"chg":[["s","192.168.0.1:80",0,0]]}}
{{"ev":"open","id":2,"svc":"s","src":"203.0.113.1","sport":2,{got}}}"#,
        got = new(1)
    );
    assert_equal(&run(&trace), 2);
}

/// Three years of housekeeping, of weights that never end, of thresholds that never meet.
#[test]
fn extreme_traces_end() {
    let trace = r#"
{"ev":"svc-add","svc":"s","fwmark":1,"sched":"lblc"}
{"ev":"svc-add","svc":"w","fwmark":2,"sched":"wrr"}
{"ev":"dest-add","svc":"w","dest":"192.168.0.1:0","weight":2147483647,"upper":1}
{"ev":"dest-add","svc":"w","dest":"192.168.0.2:0","weight":1,"upper":4294967295,"lower":4294967295}
{"ev":"timeouts","tcp":4294967295,"tcpfin":4294967295,"udp":4294967295}
{"ev":"open","id":1,"svc":"w","src":"203.0.113.1","sport":1,"dst":"10.0.0.1","dport":80,"proto":"udp","got":"192.168.0.2:80","chg":[["w","192.168.0.2:0",4294967295,4294967295]]}
{"ev":"open","id":2,"svc":"w","src":"203.0.113.1","sport":2,"dst":"10.0.0.1","dport":80,"proto":"udp","got":"192.168.0.1:80","chg":[["w","192.168.0.1:0",0,1]]}
{"ev":"open","id":3,"svc":"w","src":"203.0.113.1","sport":3,"dst":"10.0.0.1","dport":80,"proto":"udp","got":null}
{"ev":"wait","sec":1e8}"#;
    assert_equal(&run(trace), 3);
}
