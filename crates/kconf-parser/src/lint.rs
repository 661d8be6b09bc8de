//! What is right by the rules of the language and yet probably a mistake.
//!
//! # Design
//!
//! A rule is a function that looks at the configuration as written and as meant, and reports
//! warnings; each kind has a [`Code`] of its own. Rules about what only keepalived
//! does, or about what is a matter of taste, are silent until they are asked for; see
//! [`Rules`]. Comparing the two directors of a pair is [`compare_pair`], and looking at the machine
//! [`check_machine`].

mod check;
mod machine;
mod mention;
mod pair;
mod rules;
mod service;
mod setting;
#[cfg(test)]
mod tests;
mod vrrp;

use crate::ast::Block;
use crate::config::Config;
use crate::diagnostic::Code;
use crate::report::Report;
use crate::source::Span;
use crate::tree::Word;

pub use machine::{FileFacts, Machine, check_machine};
pub use pair::compare_pair;
pub(crate) use rules::Selection;
pub use rules::{Rules, UnknownCode};
pub(crate) use setting::is_without_effect;

/// What a rule looks at.
struct Lint<'l, 'a> {
    report: &'l mut Report<'a>,
    root: &'l Block,
    config: &'l Config,
    selection: &'l Selection<'l>,
}

impl<'a> Lint<'_, 'a> {
    /// Whether somebody wants to hear of this.
    fn wants(&self, code: Code) -> bool {
        self.selection.may_report(code)
    }

    fn warn(&mut self, code: Code, span: Span, message: impl Into<String>, help: &str) {
        let diagnostic = self.report.warning(code, span, message).help(help);
        self.report.push(diagnostic);
    }

    /// A warning with another place that explains it.
    fn warn_with(
        &mut self,
        code: Code,
        span: Span,
        message: impl Into<String>,
        other: (Span, &str),
        help: &str,
    ) {
        let diagnostic = self
            .report
            .warning(code, span, message)
            .also(self.report.place(other.0), other.1)
            .help(help);
        self.report.push(diagnostic);
    }

    fn slice(&self, word: Word) -> &'a str {
        self.report.slice(word.span)
    }
}

/// Applies every rule.
pub(crate) fn lint(
    root: &Block,
    config: &Config,
    selection: &Selection<'_>,
    report: &mut Report<'_>,
) {
    let mut lint = Lint {
        report,
        root,
        config,
        selection,
    };
    setting::rules(&mut lint);
    vrrp::rules(&mut lint);
    service::rules(&mut lint);
    check::rules(&mut lint);
}

/// Where a keyword of a block stands, or the block.
fn place_of(block: &Block, keyword: &str) -> Span {
    block
        .setting(keyword)
        .map_or(block.head, |setting| setting.span)
}
