//! Names in a line: replaced by their values, built-in or defined.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use crate::diagnostic::{Code, Diagnostic};
use crate::mapped::Mapped;
use crate::source::Place;
use crate::substitute::{is_quoted, next_use};

use super::{Expander, MAX_STEPS, replace};

/// Names that need no definition.
const BUILT_IN: [&str; 6] = ["_PWD", "_INSTANCE", "_ENV", "_HASH", "_BANG", "_RANDOM"];

/// Why the use of a name is not replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kept {
    /// Nothing defines the name.
    Undefined,
    /// Words stand behind the name in its braces, and it takes none, or not these.
    HasWords,
    /// The value has several lines, and something follows on the line.
    HasLines,
}

impl Kept {
    /// Message and help.
    fn told(self, used: &str) -> (String, &'static str) {
        match self {
            Self::Undefined => (
                format!("nothing defines `{used}`, so it stays as it is"),
                "a definition is a line `$NAME=VALUE` above its use",
            ),
            Self::HasWords => (
                format!("`{used}` stays as it is: what stands behind the name does not fit it"),
                "the forms are `${NAME}`, `${_ENV NAME}` and `${_RANDOM MIN MAX}`",
            ),
            Self::HasLines => (
                format!("`{used}` has several lines and stays as it is: something follows it"),
                "such a name must be the last word of its line",
            ),
        }
    }
}

impl Expander<'_> {
    /// `$NAME = VALUE`, which is no definition: reports it and takes the line out.
    pub(super) fn blank_before_equals(&mut self, line: &Mapped) -> bool {
        let text = line.text();
        let Some(used) = next_use(text, 0).filter(|used| used.args.is_empty()) else {
            return false;
        };
        let before = text.get(..used.range.start).unwrap_or_default();
        let behind = text.get(used.range.end..).unwrap_or_default();
        if !before.trim().is_empty() || !behind.trim_start().starts_with('=') {
            return false;
        }
        let blanks = behind.len() - behind.trim_start().len();
        let gap = line.place(used.range.end..used.range.end + blanks);
        let message = "no blank may stand before the `=` of a definition";
        let place = line.place(used.range.start..text.trim_end().len());
        let diagnostic = Diagnostic::error(Code::BadValue, place, message);
        self.diagnostics.push(diagnostic.suggest(gap, ""));
        true
    }

    /// Replaces every use of a known name; `None` if there is none. Several lines if the value
    /// has several.
    pub(super) fn substitute(&mut self, line: &Mapped) -> Option<Vec<Mapped>> {
        let text = line.text();
        let mut used = next_use(text, 0);
        used.as_ref()?;
        let mut made = vec![Mapped::default()];
        let (mut copied, mut changed) = (0, false);
        while let Some(found) = used {
            let next = next_use(text, found.range.end);
            let name = text.get(found.name.clone()).unwrap_or_default();
            let args = text.get(found.args.clone()).unwrap_or_default();
            let place = line.place(found.range.clone());
            let quoted = is_quoted(text, found.range.start);
            let behind = text.get(found.range.end..).unwrap_or_default();
            let (lines, defined) = match self.value(name, args, quoted) {
                Ok((lines, _)) if lines.len() > 1 && !behind.trim().is_empty() => {
                    let kept = Kept::HasLines;
                    changed |= self.keep(line, &found.range, kept, &mut made, &mut copied);
                    used = next;
                    continue;
                }
                Ok(value) => value,
                Err(kept) => {
                    changed |= self.keep(line, &found.range, kept, &mut made, &mut copied);
                    used = next;
                    continue;
                }
            };
            self.steps += 1;
            if self.steps > MAX_STEPS {
                self.exhaust(line, "definitions are used too often");
                return Some(Vec::new());
            }
            changed = true;
            for (index, value) in lines.iter().enumerate() {
                if index > 0 {
                    made.push(Mapped::default());
                }
                if let Some(last) = made.last_mut() {
                    if index == 0 {
                        last.push_part(line, copied..found.range.start);
                    }
                    last.push(value, place, defined);
                }
            }
            copied = found.range.end;
            used = next;
        }
        if let Some(last) = made.last_mut() {
            last.push_part(line, copied..text.len());
        }
        changed.then_some(made)
    }

    /// Replaces names on one line, without a word about those that are not known.
    pub(super) fn substitute_known(&self, line: &Mapped) -> Mapped {
        replace(line, |name| {
            self.definitions
                .get(name)?
                .lines
                .first()
                .map(|line| &**line)
        })
    }

    /// The value of a name, built-in ones first.
    fn value(
        &mut self,
        name: &str,
        args: &str,
        quoted: bool,
    ) -> Result<(Vec<Arc<str>>, Option<Place>), Kept> {
        let known = BUILT_IN.contains(&name) || self.definitions.contains_key(name);
        if known && !args.is_empty() && !["_ENV", "_RANDOM"].contains(&name) {
            return Err(Kept::HasWords);
        }
        let literal = |sign: &str| {
            if quoted {
                sign.to_owned()
            } else {
                format!("\\{sign}")
            }
        };
        let made = match name {
            "_PWD" => {
                let directory = self.stack.last().and_then(|path| path.parent());
                let directory = directory.unwrap_or_else(|| Path::new(""));
                match directory.as_os_str().is_empty() {
                    true => ".".to_owned(),
                    false => directory.to_string_lossy().into_owned(),
                }
            }
            "_INSTANCE" => self.options.config_id.clone(),
            "_ENV" => (self.options.environment.get(args.trim()))
                .ok_or(Kept::Undefined)?
                .clone(),
            "_HASH" => literal("#"),
            "_BANG" => literal("!"),
            "_RANDOM" => self.random_number(args).ok_or(Kept::HasWords)?.to_string(),
            _ => {
                let known = self.definitions.get(name).ok_or(Kept::Undefined)?;
                return Ok((known.lines.clone(), Some(known.place)));
            }
        };
        Ok((vec![made.into()], None))
    }

    /// A number between the bounds, both included, 0 and 32767 by default.
    fn random_number(&mut self, args: &str) -> Option<u64> {
        let mut bounds = args.split_ascii_whitespace().map(str::parse::<u32>);
        let low = u64::from(bounds.next().unwrap_or(Ok(0)).ok()?);
        let high = u64::from(bounds.next().unwrap_or(Ok(32_767)).ok()?);
        let width = high.checked_sub(low)? + 1;
        // SplitMix64: small, and the same on every machine.
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        Some(low + (mixed ^ (mixed >> 31)) % width)
    }

    /// A name that is not replaced stays as text. In braces it loses them, lest they be taken
    /// for a block; true then.
    fn keep(
        &mut self,
        line: &Mapped,
        range: &Range<usize>,
        kept: Kept,
        made: &mut [Mapped],
        copied: &mut usize,
    ) -> bool {
        let text = line.text();
        let used = text.get(range.clone()).unwrap_or_default();
        let braced = used.starts_with("${");
        let before = text.get(..range.start).unwrap_or_default();
        let word_start = before.is_empty() || before.ends_with([' ', '\t', '"', '\'']);
        if braced || word_start {
            let place = line.place(range.clone());
            let (message, help) = kept.told(used);
            let code = Code::UndefinedName;
            // A line is looked at again after other names in it were replaced.
            let same = |old: &Diagnostic| old.code == code && old.primary.place == place;
            if !self.diagnostics.iter().rev().take(16).any(same) {
                let diagnostic = match kept {
                    // The braces are those of a block then, so keepalived fails.
                    Kept::HasWords => Diagnostic::error(code, place, message),
                    _ => Diagnostic::warning(code, place, message),
                };
                self.diagnostics.push(diagnostic.help(help));
            }
        }
        let Some(last) = made.last_mut().filter(|_| braced) else {
            return false;
        };
        last.push_part(line, *copied..range.start);
        let bare = match kept {
            // With its sign it would be replaced in the next round.
            Kept::HasWords => used.replace(['$', '{', '}'], ""),
            Kept::Undefined | Kept::HasLines => used.replace(['{', '}'], ""),
        };
        last.push(&bare, line.place(range.clone()), None);
        *copied = range.end;
        true
    }
}
