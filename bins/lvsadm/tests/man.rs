//! The manual page tells of every command and option that `--help` tells of, and of no other.

use std::path::Path;

use lvs_testkit::manual::{Manual, help_of};

#[test]
fn the_page_and_the_help_agree() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = Manual::read(&folder.join("../../docs/man/lvsadm.8"));
    let help = help_of(env!("CARGO_BIN_EXE_lvsadm"), &["help"]);
    let (commands, options) = help
        .split_once("\nOptions:\n")
        .expect("the help lists commands, then options");
    let (options, additions) = options
        .split_once("\nMore commands:\n")
        .expect("and then what is added");
    page.assert_documents("COMMANDS", commands);
    page.assert_documents("OPTIONS", options);
    page.assert_documents("MORE COMMANDS", additions);
}
