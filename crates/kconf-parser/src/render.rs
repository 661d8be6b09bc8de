//! Diagnostics for people and for programs.

use crate::analysis::Analysis;

/// All diagnostics as source snippets, each ending in an empty line; empty when there are none.
///
/// `color` adds terminal escapes.
pub fn human(analysis: &Analysis, color: bool) -> String {
    let _ = (analysis, color);
    String::new()
}
