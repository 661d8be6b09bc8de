//! Formatting never changes what a text means, and formats to itself.

use std::fs;
use std::path::{Path, PathBuf};

use kconf_parser::format::format;
use kconf_parser::fuzzing;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

/// Lines of a service, in every form that the language has for them.
const LINES: &[&str] = &[
    "protocol TCP",
    "  lb_algo    wrr # weighted",
    "lb_kind NAT   ! masquerading",
    "\tdelay_loop 7",
    "$DELAY=9",
    "delay_loop $DELAY",
    "quorum_up \"/bin/logger 'a  b'  c\" nobody",
    "quorum_down '/bin/logger \"a  b\"   c'",
    "quorum_down '/bin/logger \\'a   b\\''",
    "quorum_up /bin/logger\\ x   y",
    "virtualhost a\" b  c\"d",
    "@node  quorum  2",
    "@^node quorum 3",
    "@node real_server 10.0.1.1 80 {\n@node weight 4\n@node }",
    "@node real_server 10.0.1.2 80 {\n@^node real_server 10.0.1.3 80 {\nweight 2\n}",
    "~SEQ(i,1,3)   real_server 10.0.2.$i 80 { weight $i }",
    "~LST({a,b},{1,2},{3,4}) real_server 10.0.3.$a 80 {  weight   $b }",
    "$CHECK= \\\n    TCP_CHECK { \\\n   connect_timeout  3 # why \\\n  }",
    "real_server 10.0.4.1 80\n{\n  $CHECK\n}",
    "real_server 10.0.4.2 80 { TCP_CHECK { retry 2 } weight 3 } # two",
    "real_server 10.0.4.3 80 { # c\n\n\n   HTTP_GET {\n url { path \"/{}\" }\n url {\npath /#a\n}\n}\n\n}",
    "$OPEN=real_server 10.0.5.1 80 {",
    "$OPEN\nweight 5\n}",
    "${OPEN} weight 6\n}",
    "include a.conf",
    "include {a,b}.conf   # both",
    "real_server 10.0.6.1 80 { include a.conf\n}",
    "real_server 10.0.6.2 80 { @x 1 }",
    "sorry_server 10.0.0.9  80",
    "\n\n",
    "   # comment with   blanks   ",
    "wieght  5",
    "alpha\r",
    "persistence_timeout\t 50",
    "\u{b}@node omega",
    "weight 3}{",
];

fn service() -> impl Strategy<Value = String> {
    vec(select(LINES), 0..14).prop_map(|lines| {
        let lines = lines.join("\n");
        format!(
            "virtual_server 10.0.0.1 80\n{{\n{lines}\n}}\nvirtual_server fwmark 7 {{ {lines}\n}}"
        )
    })
}

fn soup() -> impl Strategy<Value = String> {
    let word = select(
        &[
            "{",
            "}",
            "a",
            "\"b c\"",
            "'d  e'",
            "\\",
            "#",
            "@node",
            "$A",
            "~SEQ(i,2)",
            "include",
            "\n",
            "\n",
            " ",
            "  ",
            "\t",
            "\"",
        ][..],
    );
    vec(word, 0..50).prop_map(|words| words.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, ..ProptestConfig::default() })]

    #[test]
    fn a_service_means_the_same(text in service()) {
        fuzzing::format(text.as_bytes());
    }

    #[test]
    fn nonsense_means_the_same(text in soup()) {
        fuzzing::format(text.as_bytes());
    }
}

#[test]
fn guides_and_samples_mean_the_same_and_most_can_be_formatted() {
    let (mut all, mut formatted) = (0, 0);
    for folder in ["tests/samples", "tests/samples/howto"] {
        let entries = fs::read_dir(Path::new(folder)).expect("the samples are there");
        let mut paths: Vec<PathBuf> = entries
            .map(|entry| entry.expect("readable").path())
            .collect();
        paths.sort();
        for path in paths.iter().filter(|path| path.is_file()) {
            let text = fs::read(path).expect("a sample");
            fuzzing::format(&text);
            all += 1;
            formatted += usize::from(format(&String::from_utf8_lossy(&text)).is_ok());
        }
    }
    assert!(all > 20 && formatted + 3 >= all, "{formatted} of {all}");
}
