//! What holds for every text at the level as written.

use kconf_parser::document::{Document, Node};
use kconf_parser::fuzzing;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

/// Pieces of lines: words, signs and whatever the expander acts on.
const PIECES: &[&str] = &[
    "virtual_server 10.0.0.1 80",
    "real_server 10.0.0.2 80",
    "weight 5",
    "notify_up \"/bin/x a\"",
    "notify_up '/x \"",
    "include {a,b}.conf",
    "$A=x {",
    "$A=a \\",
    "$A",
    "${A}",
    "${_RANDOM 1 3}",
    "~SEQ(i,3)",
    "~LST({a,b},{c,d})",
    "~LST(",
    "@node",
    "@^node",
    "{",
    "}",
    "\"",
    "'",
    "\\",
    "# c",
    "!",
    "\u{0}",
    "\u{feff}",
    "\u{540d}",
    "\u{0b}",
    "\t",
    "\n",
    "\n",
    "\r\n",
];

fn soup() -> impl Strategy<Value = String> {
    (vec(select(PIECES), 0..60), select(&[" ", "", "\n"][..]))
        .prop_map(|(pieces, between)| pieces.join(between))
}

/// A service with comments, and its servers in one of several styles.
fn service() -> impl Strategy<Value = String> {
    let server = select(
        &[
            "    real_server 10.1.0.1 80 {\n        weight 1 # one\n    }\n",
            "    real_server 10.1.0.2 80 { weight 2 }\n",
            "\treal_server 10.1.0.3 80\n\t{\n\t}\n",
            "    @node real_server 10.1.0.4 80 {\n    @node }\n",
            "\n    # nothing\n",
            "    ~SEQ(i,2) real_server 10.1.1.$i 80 { }\n",
        ][..],
    );
    (0_u8..3, vec(server, 0..6)).prop_map(|(number, servers)| {
        let servers = servers.concat();
        format!("$N={number}\nvirtual_server 10.0.0.{number} 80 {{ # web\n{servers}    protocol  TCP\n}}\n")
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn any_text_prints_as_it_was(text in soup()) {
        fuzzing::lexer(text.as_bytes());
    }

    #[test]
    fn any_bytes_print_as_they_were(data in vec(any::<u8>(), 0..300)) {
        fuzzing::lexer(&data);
    }

    #[test]
    fn an_edit_leaves_all_else_as_it_stands(text in service(), value in "[a-z]{1,8}|[a-z]+ [a-z]+") {
        let path = ["virtual_server"];
        let mut document = Document::parse(text.as_str());
        prop_assert!(document.is_balanced());
        for keyword in ["protocol", "virtualhost"] {
            document.set(&path, keyword, &[&value]).unwrap();
            let found = document.find(&["virtual_server", keyword]).unwrap();
            let written = found.args[0].value(document.text()).into_owned();
            prop_assert_eq!(&written, &value);
        }
        document.remove(&["virtual_server", "virtualhost"]).unwrap();
        document.set(&path, "protocol", &["TCP"]).unwrap();
        prop_assert_eq!(document.text(), text);
    }
}

#[test]
fn nodes_say_what_stands_where() {
    let document = Document::parse("# c\n@a b \"x y\" # d\n{\n  e 1\n}\n}");
    let nodes = serde_json::to_value(&document).unwrap();
    let expected = serde_json::json!([
        {"kind": "comment", "text": "# c"},
        {"kind": "blank", "text": "\n"},
        {"kind": "directive", "directive": "condition", "text": "@a"},
        {"kind": "blank", "text": " "},
        {
            "kind": "statement", "keyword": "b", "args": ["x y"], "line": 2, "text": "b \"x y\"",
            "open": " # d\n{",
            "block": [
                {"kind": "blank", "text": "\n  "},
                {"kind": "statement", "keyword": "e", "args": ["1"], "line": 4, "text": "e 1"},
                {"kind": "blank", "text": "\n"},
            ],
            "close": "}",
        },
        {"kind": "blank", "text": "\n"},
        {"kind": "stray", "text": "}"},
    ]);
    assert_eq!(nodes, expected);
    let nodes: Vec<Node> = serde_json::from_value(nodes).unwrap();
    assert_eq!(Document::from(nodes).text(), document.text());
}
