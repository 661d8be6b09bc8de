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
    assert_eq!(commands(&help), ["run", "status", "replay", "check", "demo"]);
    for command in ["status", "replay", "check", "demo"] {
        let help = help_of(LVSD, &[command, "--help"]);
        page.assert_documents(&format!("lvsd {command}"), &help);
    }
}
