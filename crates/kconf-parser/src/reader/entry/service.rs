//! Lines of a `virtual_server_group`: checked here, expanded when the group is resolved.

use crate::diagnostic::Code;
use crate::tree::Word;
use crate::value::{Args, choice, group_range};

/// `IP [PORT]`, a range of them, or `fwmark N [FAMILY]`; the words that count.
pub(super) fn read(args: &mut Args<'_, '_>) -> Option<Vec<Word>> {
    let word = args.next()?;
    let text = args.text(word);
    if text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text != "fwmark"
        && let Some(near) = args.report.nearest(text, std::iter::once("fwmark"))
    {
        let message = format!("`{text}` is not an IP address");
        let diagnostic = args.report.error(Code::BadAddress, word.outer(), message);
        let place = args.report.place(word.span);
        let label = format!("did you mean `{near}`?");
        return args.wrong(diagnostic.label(label).suggest(place, near));
    }
    let mut used = vec![word];
    if text == "fwmark" {
        let mark = args.required("a number")?;
        let text = args.text(mark);
        if text.parse::<u32>().is_err() {
            let message = format!("`{text}` is not a mark: marks go from 0 to 4294967295");
            let diagnostic = args.report.error(Code::BadNumber, mark.outer(), message);
            return args.wrong(diagnostic);
        }
        used.push(mark);
        if let Some(family) = args.next() {
            choice(args, family, &["inet", "inet6"], false)?;
            used.push(family);
        }
        return Some(used);
    }
    // `< IPADDR> <PORT>` has as many problems as words; one message will do.
    group_range(args, word)?;
    if let Some(port) = args.next() {
        if args.placeholder(port) {
            return None;
        }
        let text = args.text(port);
        if text.parse::<u16>().is_err() {
            let message = format!("`{text}` is not a port: ports go from 0 to 65535");
            let diagnostic = args.report.error(Code::BadNumber, port.outer(), message);
            return args.wrong(diagnostic);
        }
        used.push(port);
    }
    if let Some(extra) = args.next() {
        let text = args.text(extra);
        let message = format!("`{text}` is not read: an entry is an address and a port");
        let code = Code::TrailingWords;
        let diagnostic = args.report.warning(code, extra.outer(), message);
        args.report.push(diagnostic);
    }
    Some(used)
}
