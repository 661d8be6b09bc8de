//! Which rules count.

use std::collections::BTreeSet;

use crate::diagnostic::{Code, Diagnostic, Severity};
use crate::source::SourceMap;

use super::mention::Mentions;

/// Rules that are switched off or on.
///
/// Errors cannot be switched off: they say that something else happens than is written. A
/// comment in a file does the same for its place: `# lvskit: off KC0102` for the line it is on, or
/// the line below if it stands alone; `# lvskit: off-file KC0102` for the whole file; `on` and
/// `on-file` likewise.
///
/// ```
/// use kconf_parser::{Code, lint::Rules};
///
/// let mut rules = Rules::default();
/// rules.switch_off(Code::WideMask);
/// assert!(!rules.is_on(Code::WideMask));
/// assert!(!rules.is_on(Code::DefaultAlerts)); // only when it is asked for
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rules {
    off: BTreeSet<Code>,
    on: BTreeSet<Code>,
    all: bool,
}

/// A text that is not the code of a rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not the code of a rule; they look like KC0102")]
pub struct UnknownCode(pub String);

impl Rules {
    /// Does not report this kind of warning.
    pub fn switch_off(&mut self, code: Code) {
        self.on.remove(&code);
        self.off.insert(code);
    }

    /// Reports this kind of warning.
    pub fn switch_on(&mut self, code: Code) {
        self.off.remove(&code);
        self.on.insert(code);
    }

    /// Reports what is usually silent, too, unless it is switched off by itself.
    pub fn switch_all_on(&mut self) {
        self.all = true;
    }

    /// Whether this kind of warning is reported.
    pub fn is_on(&self, code: Code) -> bool {
        !self.off.contains(&code)
            && (self.all || self.on.contains(&code) || !code.is_silent_unless_asked())
    }

    /// Reads a code such as `KC0102`, in any case of letters, with or without `KC` and zeros.
    ///
    /// # Errors
    ///
    /// [`UnknownCode`] if there is no such code.
    pub fn code(text: &str) -> Result<Code, UnknownCode> {
        let upper = text.to_ascii_uppercase();
        let digits = upper.strip_prefix("KC").unwrap_or(&upper);
        let number = digits.parse::<u16>().ok();
        let mut all = Code::ALL.iter().copied();
        all.find(|code| Some(code.number()) == number)
            .ok_or_else(|| UnknownCode(text.to_owned()))
    }

    /// Leaves out what is switched off, here or by a comment.
    pub fn apply(&self, found: &mut Vec<Diagnostic>, sources: &SourceMap) {
        self.select(sources).apply(found, sources);
    }

    /// The rules for some files, with what comments in them say.
    pub(crate) fn select(&self, sources: &SourceMap) -> Selection<'_> {
        Selection {
            rules: self,
            mentions: Mentions::of(sources),
        }
    }
}

/// Rules, and what comments of a configuration say of them.
pub(crate) struct Selection<'r> {
    rules: &'r Rules,
    mentions: Mentions,
}

impl Selection<'_> {
    /// Whether a warning of this kind is reported anywhere; if not, nobody needs to look for it.
    pub(crate) fn may_report(&self, code: Code) -> bool {
        self.rules.is_on(code) || self.mentions.name(code)
    }

    /// Leaves out what is switched off.
    pub(crate) fn apply(&self, found: &mut Vec<Diagnostic>, sources: &SourceMap) {
        found.retain(|diagnostic| {
            if diagnostic.severity == Severity::Error {
                return true;
            }
            let place = diagnostic.primary.place;
            let said = match self.mentions.is_empty() {
                true => None,
                false => {
                    let file = sources.file(place.file);
                    let line = file.map_or(0, |file| file.line_index(place.start));
                    self.mentions.said(place.file, line, diagnostic.code)
                }
            };
            said.unwrap_or_else(|| self.rules.is_on(diagnostic.code))
        });
    }
}
