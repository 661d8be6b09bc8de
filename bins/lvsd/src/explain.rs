//! `lvsd explain KEYWORD|CODE`: what a keyword or a code means.

mod manual;

use std::fmt::Write as _;
use std::process::ExitCode;

use clap::Args;
use clap::builder::{PossibleValue, TypedValueParser};
use kconf_parser::Code;
use kconf_parser::explain::{
    CodeExplanation, KeywordExplanation, code, explain_code, explain_keyword, names, nearest,
    removed,
};
use serde::Serialize;

use crate::files::{print, say};

/// Flags of `lvsd explain`.
#[derive(Debug, Args)]
#[command(after_help = "\
Without a topic, lists the keywords of the top level and all codes.

Examples:
  lvsd explain weight                   in every block that has it
  lvsd explain real_server weight       in this block alone
  lvsd explain virtual_server           a block: what can stand in it
  lvsd explain KC0017                   a code of `lvsd check`, with an example and the remedy
  lvsd explain --man > lvsd.conf.5      all of it as a manual page

Exit status:
  0  explained
  1  there is no such keyword or code, or the command line is wrong")]
pub(crate) struct Explain {
    /// A keyword, a block and one of its keywords, or a code.
    #[arg(value_name = "TOPIC", num_args = 0..=2, value_parser = Topic, hide_possible_values = true)]
    topic: Vec<String>,
    /// Print JSON: a list of keywords, or one of codes.
    #[arg(long, conflicts_with = "man")]
    json: bool,
    /// Print the manual page of the whole language, in mdoc(7).
    #[arg(long, conflicts_with = "topic")]
    man: bool,
}

/// Takes any word, and tells completions what there is.
#[derive(Debug, Clone)]
struct Topic;

impl TypedValueParser for Topic {
    type Value = String;

    fn parse_ref(
        &self,
        _: &clap::Command,
        _: Option<&clap::Arg>,
        value: &std::ffi::OsStr,
    ) -> Result<String, clap::Error> {
        Ok(value.to_string_lossy().into_owned())
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        let codes = Code::ALL
            .iter()
            .map(|code| PossibleValue::new(code.to_string()));
        Some(Box::new(
            names().into_iter().map(PossibleValue::new).chain(codes),
        ))
    }
}

/// Explains a topic.
pub(crate) fn run(explain: &Explain) -> ExitCode {
    if explain.man {
        print(&manual::page());
        return ExitCode::SUCCESS;
    }
    let (name, block) = match explain.topic.as_slice() {
        [] => {
            list(explain.json);
            return ExitCode::SUCCESS;
        }
        [block, name, ..] => (name, Some(block.as_str())),
        [name] => (name, None),
    };
    if let Some(code) = code(name).filter(|_| block.is_none()) {
        let told = [explain_code(code)];
        match explain.json {
            true => json(&told),
            false => print(&code_text(&told[0])),
        }
        return ExitCode::SUCCESS;
    }
    let told = explain_keyword(name, block);
    if told.is_empty() {
        say(&format!("lvsd explain: {}\n", unknown(name, block)));
        return ExitCode::FAILURE;
    }
    match explain.json {
        true => json(&told),
        false => {
            let texts: Vec<String> = told.iter().map(keyword_text).collect();
            print(&texts.join("\n"));
        }
    }
    ExitCode::SUCCESS
}

fn json(value: &impl Serialize) {
    // Plain data: this cannot fail.
    print(&format!(
        "{:#}\n",
        serde_json::to_value(value).unwrap_or_default()
    ));
}

/// The keywords of the top level, and all codes.
fn list(as_json: bool) {
    let codes: Vec<CodeExplanation> = Code::ALL.iter().map(|code| explain_code(*code)).collect();
    if as_json {
        return json(&codes);
    }
    let mut text = String::from("At the top level:\n");
    let root = kconf_parser::keyword::BlockKind::Root;
    for keyword in root.keywords() {
        let _ = writeln!(text, "  {:28} {}", keyword.name, keyword.doc);
    }
    text.push_str("\nCodes of `lvsd check`:\n");
    for code in codes {
        let _ = writeln!(text, "  {}  {}", code.code, code.summary);
    }
    print(&text);
}

fn unknown(name: &str, block: Option<&str>) -> String {
    if let Some((block, reason)) = removed(name) {
        return format!("`{name}` of `{block}` does not exist any more: {reason}");
    }
    match (block, nearest(name)) {
        (Some(block), _) if !explain_keyword(name, None).is_empty() => {
            format!("`{block}` has no `{name}`; see `lvsd explain {name}`")
        }
        (_, Some(near)) => format!("there is no `{name}`; did you mean `{near}`?"),
        _ => format!("there is no keyword or code `{name}`; see `lvsd explain`"),
    }
}

fn keyword_text(told: &KeywordExplanation) -> String {
    let mut text = format!("{}\n", told.syntax);
    let mut line = |name: &str, value: &str| {
        if !value.is_empty() {
            let _ = writeln!(text, "  {name:9} {value}");
        }
    };
    let place = match told.path.as_slice() {
        [] => "the top level".to_owned(),
        path => path.join(" > "),
    };
    line("in", &place);
    line("does", told.doc);
    line("value", &told.value);
    line("default", told.default);
    if let Some(new) = told.renamed {
        line("old", &format!("the name is `{new}` now"));
    }
    line("lvskit", told.effect);
    line("has", &wrapped(&told.members));
    text
}

/// Words in lines of a terminal's width, under each other.
fn wrapped(words: &[&str]) -> String {
    let (mut text, mut width) = (String::new(), 0);
    for word in words {
        if width > 0 && width + word.len() > 66 {
            text.push_str("\n            ");
            width = 0;
        } else if width > 0 {
            text.push(' ');
        }
        text.push_str(word);
        width += word.len() + 1;
    }
    text
}

fn code_text(told: &CodeExplanation) -> String {
    let mut text = format!("{}: {}\n", told.code, told.summary);
    if !told.example.is_empty() {
        text.push_str("\nFor example:\n\n");
        for line in told.example.lines() {
            let _ = writeln!(text, "    {}", line.replace('\0', "^@"));
        }
    }
    let _ = writeln!(text, "\nWhat to do: {}", told.remedy);
    text
}
