//! The one call that does it all: read, expand, check, resolve.

use std::collections::BTreeMap;
use std::path::Path;

use crate::ast;
use crate::config::Config;
use crate::diagnostic::{Diagnostic, Severity};
use crate::expand::expand;
use crate::keyword::KeywordTable;
use crate::lint::{Rules, lint};
use crate::loader::FileLoader;
use crate::reader;
use crate::report::Report;
use crate::resolve::resolve;
use crate::source::SourceMap;
use crate::tree::{self, Statement};

/// What the text may depend on besides the files.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Id that `@id` lines are compared with, and the value of `${_INSTANCE}`.
    ///
    /// keepalived takes `-i`, else the host name up to its first dot. Default: empty.
    pub config_id: String,
    /// Whether every `include` must match and be readable, as with `-e`. Default: no.
    pub check_includes: bool,
    /// Variables for `${_ENV NAME}`. Default: none.
    pub environment: BTreeMap<String, String>,
    /// Start of `${_RANDOM}` unless the text has `random_seed`. Default: 0.
    pub random_seed: u64,
    /// Which warnings are reported.
    pub rules: Rules,
}

/// Everything that one run found out.
#[derive(Debug, Clone)]
pub struct Analysis {
    /// The files, and the way from spans to lines.
    pub sources: SourceMap,
    /// The configuration as written.
    pub ast: ast::Block,
    /// The configuration as meant. To be used only when [`Self::has_errors`] is false, unless
    /// the caller wants to go on without what is wrong, as keepalived does at start.
    pub config: Config,
    /// All problems, in the order of the text. Errors in the text itself come before what may only
    /// follow from them, such as a name that nothing has.
    pub diagnostics: Vec<Diagnostic>,
}

impl Analysis {
    /// Statements and blocks, without meaning.
    ///
    /// Made of the text again: few ask for it, and it would be the largest part of what is kept.
    pub fn tree(&self) -> Vec<Statement> {
        build(&self.sources).0
    }

    /// Whether any problem is an error; then a check fails and a reload is refused.
    pub fn has_errors(&self) -> bool {
        self.diagnostics
            .iter()
            .any(|diagnostic| diagnostic.severity == Severity::Error)
    }

    /// How many problems there are of a severity.
    pub fn count(&self, severity: Severity) -> usize {
        self.diagnostics
            .iter()
            .filter(|diagnostic| diagnostic.severity == severity)
            .count()
    }
}

/// Reads the configuration that begins with the file `path`, and checks all of it.
///
/// Never fails: a file that cannot be read is a diagnostic like any other.
pub fn analyze(path: &Path, options: &Options, loader: &dyn FileLoader) -> Analysis {
    let (sources, found) = expand(path, options, loader);
    let mut report = Report::new(&sources, found);
    let ast = read(&sources, &mut report);
    report.text_is_read();
    let config = resolve(&ast, &mut report);
    let selection = options.rules.select(&sources);
    lint(&ast, &config, &selection, &mut report);
    let mut diagnostics = report.finish();
    selection.apply(&mut diagnostics, &sources);
    Analysis {
        sources,
        ast,
        config,
        diagnostics,
    }
}

/// The configuration as written; nothing of the tree is left when this returns.
fn read(sources: &SourceMap, report: &mut Report<'_>) -> ast::Block {
    let (tree, problems) = build(sources);
    reader::report_problems(report, &problems);
    reader::read(&tree, report)
}

fn build(sources: &SourceMap) -> (Vec<Statement>, Vec<tree::Problem>) {
    let tokens = tree::tokenize(sources.text());
    tree::build(sources.text(), &tokens, &KeywordTable)
}
