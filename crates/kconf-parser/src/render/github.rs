//! Diagnostics as workflow commands, which GitHub shows beside the lines of a pull request.
//!
//! Source: GitHub Docs, "Workflow commands for GitHub Actions", setting an error message.

use std::fmt::Write as _;

use crate::analysis::Analysis;
use crate::diagnostic::{Diagnostic, Severity};

/// A workflow command on a line of its own for each diagnostic.
pub fn github(analysis: &Analysis) -> String {
    let mut text = String::new();
    for diagnostic in &analysis.diagnostics {
        command(analysis, diagnostic, &mut text);
    }
    text
}

fn command(analysis: &Analysis, diagnostic: &Diagnostic, text: &mut String) {
    let location = analysis.sources.location(diagnostic.primary.place);
    let name = match diagnostic.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    };
    let file = property(&location.path.to_string_lossy());
    let _ = write!(text, "::{name} file={file},line={}", location.line);
    // Columns are for ranges within a line.
    if location.end_line == location.line {
        let (start, end) = (location.column, location.end_column);
        let _ = write!(text, ",col={start},endColumn={end}");
    } else {
        let _ = write!(text, ",endLine={}", location.end_line);
    }
    let mut message = diagnostic.message.clone();
    for more in [Some(&diagnostic.primary.text), diagnostic.help.as_ref()] {
        if let Some(more) = more.filter(|more| !more.is_empty()) {
            message.push('\n');
            message.push_str(more);
        }
    }
    let _ = writeln!(text, ",title={}::{}", diagnostic.code, data(&message));
}

fn data(text: &str) -> String {
    text.replace('%', "%25")
        .replace('\r', "%0D")
        .replace('\n', "%0A")
}

fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::{MemoryLoader, Options, analyze};

    #[test]
    fn signs_of_the_format_are_escaped() {
        let path = Path::new("/a,b:c.conf");
        let loader = MemoryLoader::default().with(path, "router_id 100% # top level\n");
        let analysis = analyze(path, &Options::default(), &loader);
        let text = github(&analysis);
        let head = "::error file=/a%2Cb%3Ac.conf,line=1,col=1,endColumn=10,title=KC0018::";
        assert!(text.starts_with(head), "{text}");
        assert_eq!(text.lines().count(), 1);
        assert_eq!(data("100%\n"), "100%25%0A");
    }
}
