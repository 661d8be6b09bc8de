//! Whether to use colours.

use std::ffi::OsStr;
use std::io::IsTerminal;

/// Whether what is written to `stream` should have colours: on a terminal, unless `NO_COLOR` is set and
/// not empty.
pub(crate) fn is_wanted(stream: &impl IsTerminal) -> bool {
    decide(
        stream.is_terminal(),
        std::env::var_os("NO_COLOR").as_deref(),
    )
}

fn decide(is_terminal: bool, no_color: Option<&OsStr>) -> bool {
    is_terminal && no_color.is_none_or(OsStr::is_empty)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_for_terminals_of_those_who_want_them() {
        for (is_terminal, no_color, expected) in [
            (true, None, true),
            (true, Some(""), true),
            (true, Some("1"), false),
            (false, None, false),
        ] {
            assert_eq!(decide(is_terminal, no_color.map(OsStr::new)), expected);
        }
    }
}
