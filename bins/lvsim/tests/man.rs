//! The manual page tells of every option that `--help` tells of, and of no other.

use std::path::Path;

use lvs_testkit::manual::{Manual, commands, help_of};

const LVSIM: &str = env!("CARGO_BIN_EXE_lvsim");

#[test]
fn the_page_and_the_help_agree() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = Manual::read(&folder.join("../../docs/man/lvsim.1"));
    let help = help_of(LVSIM, &["--help"]);
    page.assert_documents("OPTIONS", &help);
    assert_eq!(commands(&help), ["replay"]);
    page.assert_documents("lvsim replay", &help_of(LVSIM, &["replay", "--help"]));
}
