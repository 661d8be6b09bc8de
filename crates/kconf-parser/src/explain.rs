//! What a keyword or a code means, from the tables that the checker itself uses.
//!
//! # Design
//!
//! Explanations are values; the program prints them as text, JSON or a manual page. Nothing about
//! a keyword is written here: name, form, default and meaning come from [`keyword`](crate::keyword).

mod codes;
mod syntax;

use serde::Serialize;

use crate::diagnostic::Code;
use crate::keyword::{BlockKind, Keyword, REMOVED, Shape};
use crate::lint::is_without_effect;
use crate::suggest;

pub use syntax::syntax;

/// A keyword in one block.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct KeywordExplanation {
    /// The word.
    pub keyword: &'static str,
    /// The block it stands in; empty at the top level.
    pub block: &'static str,
    /// The blocks that this block stands in, from the top; the first way if there are several.
    pub path: Vec<&'static str>,
    /// How it is written, with what follows it.
    pub syntax: String,
    /// What follows, in words: unit, range, choices.
    pub value: String,
    /// Default, in words; empty if there is none to tell.
    pub default: &'static str,
    /// What it does.
    pub doc: &'static str,
    /// The current name of an old one.
    pub renamed: Option<&'static str>,
    /// What lvskit makes of it.
    pub effect: &'static str,
    /// Keywords or options in its block; empty without one.
    pub members: Vec<&'static str>,
}

/// A kind of problem.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CodeExplanation {
    /// As in `KC0017`.
    pub code: String,
    /// What it means.
    pub summary: &'static str,
    /// A text that has the problem; empty if it is not one of the text.
    pub example: &'static str,
    /// What to do.
    pub remedy: &'static str,
}

/// The code with this name, such as `KC0017`, `kc17` or `17`.
pub fn code(name: &str) -> Option<Code> {
    let digits = name
        .strip_prefix("KC")
        .or_else(|| name.strip_prefix("kc"))
        .unwrap_or(name);
    let number: u16 = digits.parse().ok()?;
    Code::ALL
        .iter()
        .copied()
        .find(|code| code.number() == number)
}

/// What a code means and what to do.
pub fn explain_code(code: Code) -> CodeExplanation {
    let row = codes::ROWS.iter().find(|row| row.number == code.number());
    CodeExplanation {
        code: code.to_string(),
        summary: code.summary(),
        example: row.map_or("", |row| row.example),
        remedy: row.map_or("", |row| row.remedy),
    }
}

/// What a keyword means in each block that has it; in one of them if `block` is given.
pub fn explain_keyword(name: &str, block: Option<&str>) -> Vec<KeywordExplanation> {
    let kinds = BlockKind::ALL.iter().copied();
    kinds
        .filter(|kind| block.is_none_or(|block| kind.name() == block))
        .filter_map(|kind| Some(explain(kind, kind.keyword(name)?)))
        .collect()
}

/// Everything in a block.
pub fn explain_block(kind: BlockKind) -> impl Iterator<Item = KeywordExplanation> {
    kind.keywords().map(move |keyword| explain(kind, keyword))
}

/// Why a keyword is gone, and from which block.
pub fn removed(name: &str) -> Option<(&'static str, &'static str)> {
    let found = REMOVED.iter().find(|(_, gone, _)| *gone == name);
    found.map(|(kind, _, reason)| (kind.name(), *reason))
}

/// The keyword that a misspelt one most likely was meant to be.
pub fn nearest(name: &str) -> Option<&'static str> {
    suggest::nearest(name, names().into_iter())
}

/// Every keyword once, sorted.
pub fn names() -> Vec<&'static str> {
    let kinds = BlockKind::ALL.iter();
    let mut names: Vec<_> = kinds
        .flat_map(|kind| kind.keywords().map(|keyword| keyword.name))
        .collect();
    names.sort_unstable();
    names.dedup();
    names
}

fn explain(kind: BlockKind, keyword: &Keyword) -> KeywordExplanation {
    let (form, value) = syntax(keyword.shape);
    KeywordExplanation {
        keyword: keyword.name,
        block: kind.name(),
        path: path(kind),
        syntax: format!("{} {form}", keyword.name).trim_end().to_owned(),
        value,
        default: keyword.default,
        doc: keyword.doc,
        renamed: keyword.renamed,
        effect: effect(kind, keyword),
        members: members(keyword.shape),
    }
}

/// The blocks from the top level to this one, both included but for the top level.
fn path(kind: BlockKind) -> Vec<&'static str> {
    let mut path = Vec::new();
    let mut at = kind;
    while at != BlockKind::Root && path.len() < BlockKind::ALL.len() {
        path.push(at.name());
        let holds = |outer: &&BlockKind| {
            let mut inner = outer.keywords();
            inner.any(|keyword| keyword.shape.block_kind() == Some(at))
        };
        match BlockKind::ALL.iter().find(holds) {
            Some(outer) => at = *outer,
            None => break,
        }
    }
    path.reverse();
    path
}

fn members(shape: Shape) -> Vec<&'static str> {
    match shape {
        Shape::Entries(kind) | Shape::NamedEntries(kind) => {
            kind.options().iter().map(|option| option.name).collect()
        }
        shape => shape
            .block_kind()
            .into_iter()
            .flat_map(BlockKind::keywords)
            .map(|keyword| keyword.name)
            .collect(),
    }
}

/// What lvskit makes of keywords that it does not act on.
const NOT_YET: &str = "read and checked, without effect yet";

/// Keywords of virtual routers and their groups that the director does not act on yet.
const WITHOUT_EFFECT_YET: &[&str] = &["use_vmac_addr", "vrf"];

/// Keywords of `global_defs` that lvskit has added.
const ADDITIONS: &[&str] = &["smtp_tls", "smtp_tls_ca", "smtp_login"];

/// What lvskit makes of a keyword.
fn effect(kind: BlockKind, keyword: &Keyword) -> &'static str {
    if is_without_effect(kind, keyword.name) {
        return "accepted, without effect in lvskit";
    }
    if kind == BlockKind::GlobalDefs && ADDITIONS.contains(&keyword.name) {
        return "an addition of lvskit, acted on by the director; keepalived does not know it";
    }
    let kind = keyword.shape.block_kind().unwrap_or(kind);
    match kind {
        BlockKind::Root | BlockKind::GlobalDefs | BlockKind::Ssl => {
            "read and checked; used where the daemon has the part that it is about"
        }
        BlockKind::VirtualServer
        | BlockKind::RealServer
        | BlockKind::TcpCheck
        | BlockKind::HttpGet
        | BlockKind::SslGet
        | BlockKind::HttpUrl
        | BlockKind::SslUrl => "acted on by the director",
        BlockKind::SmtpCheck
        | BlockKind::SmtpHost
        | BlockKind::MiscCheck
        | BlockKind::DnsCheck
        | BlockKind::UdpCheck
        | BlockKind::PingCheck
        | BlockKind::BfdCheck
        | BlockKind::FileCheck
        | BlockKind::AuthHmac
        | BlockKind::TrackGroup => NOT_YET,
        BlockKind::VrrpInstance | BlockKind::SyncGroup
            if WITHOUT_EFFECT_YET.contains(&keyword.name) =>
        {
            NOT_YET
        }
        BlockKind::VrrpInstance
        | BlockKind::VrrpScript
        | BlockKind::TrackFile
        | BlockKind::TrackProcess
        | BlockKind::BfdInstance
        | BlockKind::Authentication
        | BlockKind::SyncGroup
        | BlockKind::GarpGroup => "acted on by the director",
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::{MemoryLoader, Options, Rules, analyze};

    #[test]
    fn every_code_has_a_remedy_and_an_example_that_has_the_problem() {
        // Problems of files and sizes, of two files, and of a machine: no short text has them.
        let no_example = |number| matches!(number, 1 | 2 | 8 | 15 | 130..=143 | 150..=156);
        let path = Path::new("/etc/keepalived/keepalived.conf");
        let mut rules = Rules::default();
        rules.switch_all_on();
        let options = Options {
            check_includes: true,
            rules,
            ..Options::default()
        };
        let mut wrong = Vec::new();
        for code in Code::ALL {
            let told = explain_code(*code);
            let found = match no_example(code.number()) {
                true => told.example.is_empty(),
                false => {
                    let loader = MemoryLoader::default().with(path, told.example);
                    let analysis = analyze(path, &options, &loader);
                    let mut codes = analysis.diagnostics.iter().map(|found| found.code);
                    codes.any(|found| found == *code)
                }
            };
            if !found || told.remedy.is_empty() {
                wrong.push(told.code);
            }
        }
        assert_eq!(wrong, Vec::<String>::new());
        assert!(codes::ROWS.is_sorted_by(|a, b| a.number < b.number));
    }

    #[test]
    fn what_does_nothing_here_says_so() {
        let effect = |name: &str, block| explain_keyword(name, Some(block))[0].effect;
        assert_eq!(
            effect("snmp_socket", "global_defs"),
            "accepted, without effect in lvskit"
        );
        assert_eq!(effect("weight", "real_server"), "acted on by the director");
        assert_eq!(
            effect("priority", "vrrp_instance"),
            "acted on by the director"
        );
        assert_eq!(effect("vrf", "vrrp_instance"), NOT_YET);
        assert_eq!(effect("MISC_CHECK", "real_server"), NOT_YET);
        assert!(effect("smtp_tls", "global_defs").starts_with("an addition of lvskit"));
    }

    #[test]
    fn a_keyword_is_told_for_each_block() {
        let told = explain_keyword("weight", None);
        let server = told
            .iter()
            .find(|told| told.block == "real_server")
            .unwrap();
        assert_eq!(server.path, ["virtual_server", "real_server"]);
        assert_eq!(server.syntax, "weight NUMBER");
        assert!(
            server.value.contains("from 0 to 2147483647"),
            "{}",
            server.value
        );
        assert!(told.len() > 1);
        assert_eq!(explain_keyword("weight", Some("real_server")).len(), 1);
        assert_eq!(nearest("wieght"), Some("weight"));
        assert!(explain_keyword("wieght", None).is_empty());
    }

    #[test]
    fn codes_are_found_by_any_spelling() {
        for name in ["KC0017", "kc17", "17"] {
            assert_eq!(code(name), Some(Code::UnknownKeyword));
        }
        assert_eq!(code("KC9999"), None);
        assert_eq!(code("weight"), None);
    }

    #[test]
    fn every_keyword_says_what_follows_it() {
        for kind in BlockKind::ALL {
            for told in explain_block(*kind) {
                assert!(!told.value.is_empty() && !told.doc.is_empty(), "{told:?}");
                assert!(told.syntax.starts_with(told.keyword), "{told:?}");
            }
        }
    }
}
