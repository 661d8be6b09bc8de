//! What is wrong with braces and quotes, in words.

use crate::diagnostic::Code;
use crate::report::Report;
use crate::source::{Place, Span};
use crate::tree::{MAX_DEPTH, Problem};

/// Reports the problems that the tree builder found.
pub(crate) fn report_problems(report: &mut Report<'_>, problems: &[Problem]) {
    for problem in problems {
        let diagnostic = match problem {
            Problem::MissingBrace {
                head,
                before,
                counted,
            } => missing_brace(report, *head, *before, *counted),
            Problem::ExtraBrace {
                brace,
                closes: None,
            } => report
                .error(Code::ExtraBrace, *brace, "this `}` closes nothing")
                .help("delete it, or look for a `{` that is missing above")
                .suggest(report.place(*brace), ""),
            Problem::ExtraBrace {
                brace,
                closes: Some(block),
            } => {
                let name = first_word(report, *block);
                let message = format!("this `}}` closes `{name}` too early");
                report
                    .error(Code::ExtraBrace, *brace, message)
                    .also(report.place(*block), "the block begins here")
                    .help("what follows belongs in that block, and a later `}` closes nothing")
                    .suggest(report.place(*brace), "")
            }
            Problem::StrayBlock(brace) => report
                .error(Code::UnexpectedBlock, *brace, "this `{` follows no keyword")
                .help("the block is ignored"),
            Problem::OpenQuote { quote } => open_quote(report, *quote),
            Problem::TooDeep(brace) => {
                let message = format!("blocks are nested over {MAX_DEPTH} deep");
                report
                    .error(Code::TooDeep, *brace, message)
                    .help("the block is ignored")
            }
        };
        report.push(diagnostic);
    }
}

fn open_quote(report: &Report<'_>, quote: Span) -> crate::Diagnostic {
    let message = "this quote is not closed on its line";
    let text = report.slice(quote).trim_end();
    let end = quote.start + u32::try_from(text.len()).unwrap_or(0);
    let last = Span {
        start: end.saturating_sub(1),
        end,
    };
    let diagnostic = report
        .error(Code::UnterminatedQuote, quote, message)
        .help("the line is ignored");
    match text.len() {
        // Nothing stands behind it: the sign is one too many.
        1 => diagnostic.suggest(report.place(last), ""),
        _ => diagnostic.suggest(report.place(last).after(), "\""),
    }
}

fn missing_brace(
    report: &Report<'_>,
    head: Span,
    before: Span,
    counted: Span,
) -> crate::Diagnostic {
    let name = first_word(report, head);
    let (place, end) = (report.place(head), line_before(report, head, before));
    let line = report.line(place);
    let message =
        format!("missing `}}`: the `{name}` block that begins in line {line} is never closed");
    let end_line = report.line(end);
    let mut diagnostic = report
        .error(Code::MissingBrace, head, message)
        .label("this block is not closed")
        .also(
            end,
            format!("it most likely ends here, behind line {end_line}"),
        );
    if counted != head {
        let outer = first_word(report, counted);
        let text = format!("if braces are only counted, it is this `{outer}` that stays open");
        diagnostic = diagnostic.also(report.place(counted), text);
    }
    diagnostic.suggest(end, format!("\n{}}}", indent(report, head)))
}

/// The blanks that the line of a block begins with.
fn indent<'a>(report: &Report<'a>, head: Span) -> &'a str {
    let before = report.text().get(..head.start as usize).unwrap_or_default();
    let line = before.rsplit('\n').next().unwrap_or_default();
    match line.trim().is_empty() {
        true => line,
        false => "",
    }
}

/// The end of the last word before a place, in the same file if possible.
fn line_before(report: &Report<'_>, head: Span, before: Span) -> Place {
    let text = report.slice(Span {
        start: head.start,
        end: before.start,
    });
    let kept = text.trim_end().len();
    let end = head.start + u32::try_from(kept).unwrap_or(0);
    // The byte before the end has a place of its own; an empty span would have that of what
    // follows.
    let last = text
        .trim_end()
        .chars()
        .next_back()
        .map_or(0, |last| last.len_utf8());
    let start = end - u32::try_from(last).unwrap_or(0);
    report.place(Span { start, end }).after()
}

fn first_word<'a>(report: &Report<'a>, span: Span) -> &'a str {
    report.slice(span).split_whitespace().next().unwrap_or("{")
}
