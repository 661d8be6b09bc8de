//! The language and the codes as a manual page.

use std::fmt::Write as _;

use kconf_parser::Code;
use kconf_parser::explain::{explain_block, explain_code};
use kconf_parser::keyword::BlockKind;

const HEAD: &str = "\
.\\\" Made by `lvsd explain --man` from the tables that the checker uses.
.Dd $Mdocdate$
.Dt LVSD.CONF 5
.Os
.Sh NAME
.Nm lvsd.conf
.Nd keywords of keepalived.conf, and the codes of lvsd check
.Sh DESCRIPTION
.Xr lvsd 8
reads the language of
.Xr keepalived.conf 5 .
This page lists every keyword by the block it stands in, with its value, its
default and what it does, and every code of
.Nm lvsd Cm check .
";

/// The page, in mdoc(7).
pub(super) fn page() -> String {
    let mut page = HEAD.to_owned();
    for kind in BlockKind::ALL {
        let title = match kind.name() {
            "" => "TOP LEVEL".to_owned(),
            name => format!("{name} ({kind:?})"),
        };
        let _ = writeln!(page, ".Sh {}\n.Bl -tag -width Ds", escaped(&title));
        for told in explain_block(*kind) {
            let _ = writeln!(page, ".It Li {}", escaped(&told.syntax));
            let _ = writeln!(page, "{}.", escaped(told.doc));
            let _ = writeln!(page, ".br\nValue: {}.", escaped(&told.value));
            if !told.default.is_empty() {
                let _ = writeln!(page, ".br\nDefault: {}.", escaped(told.default));
            }
            if let Some(new) = told.renamed {
                let _ = writeln!(page, ".br\nAn old name of\n.Li {} .", escaped(new));
            }
        }
        page.push_str(".El\n");
    }
    page.push_str(".Sh CODES\n.Bl -tag -width KC0000\n");
    for code in Code::ALL {
        let told = explain_code(*code);
        let _ = writeln!(page, ".It {}\n{}", told.code, escaped(told.summary));
        let _ = writeln!(page, ".br\n{}", escaped(told.remedy));
    }
    page.push_str(".El\n.Sh SEE ALSO\n.Xr keepalived.conf 5 ,\n.Xr lvsd 8\n");
    page
}

/// Text that no macro is made of: a backslash is itself, and a sign at the start is no control.
fn escaped(text: &str) -> String {
    let text = text.replace('\\', "\\e").replace('"', "\\(dq");
    match text.starts_with(['.', '\'']) {
        true => format!("\\&{text}"),
        false => text,
    }
}
