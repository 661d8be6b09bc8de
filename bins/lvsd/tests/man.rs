//! The manual page tells of every option that `--help` tells of, and of no other.

use std::path::Path;

use lvs_testkit::manual::{Manual, commands, help_of};

const LVSD: &str = env!("CARGO_BIN_EXE_lvsd");

#[test]
fn the_page_and_the_help_agree() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = Manual::read(&folder.join("../../docs/man/lvsd.8"));
    let help = help_of(LVSD, &["--help"]);
    page.assert_documents("OPTIONS", &help);
    // `run` has the options of the program itself, but for the version.
    let others = [
        "status",
        "replay",
        "check",
        "fmt",
        "explain",
        "config",
        "diff",
        "lsp",
        "completions",
        "realserver",
        "demo",
    ];
    assert_eq!(commands(&help)[0], "run");
    assert_eq!(commands(&help)[1..], others);
    for command in others
        .into_iter()
        .filter(|name| !["completions", "realserver"].contains(name))
    {
        let help = help_of(LVSD, &[command, "--help"]);
        page.assert_documents(&format!("lvsd {command}"), &help);
    }
    let help = help_of(LVSD, &["realserver", "--help"]);
    assert_eq!(commands(&help), ["up", "down", "status"]);
    let help = ["up", "down", "status"].map(|verb| help_of(LVSD, &["realserver", verb, "--help"]));
    page.assert_documents("lvsd realserver", &help.concat());
}
