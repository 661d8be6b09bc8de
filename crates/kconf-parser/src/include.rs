//! The include family: which words include, what they check, and which paths a pattern means.

use std::path::{Path, PathBuf};

use crate::loader::FileLoader;

/// Deepest nesting of includes.
pub(crate) const MAX_DEPTH: usize = 32;

/// Most files of one configuration.
pub(crate) const MAX_FILES: usize = 10_000;

/// Most text of one configuration, in bytes, files and expansions together.
pub(crate) const MAX_TEXT: usize = 1 << 30;

/// What makes a pattern of a path.
const WILDCARDS: [char; 3] = ['*', '?', '['];

/// Most paths that the braces of one pattern may stand for.
const MAX_ALTERNATIVES: usize = 1_000;

/// What an include insists on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Checks {
    /// Every match is a plain file that can be read.
    pub(crate) readable: bool,
    /// A pattern without wildcards matches.
    pub(crate) matched: bool,
    /// A pattern with wildcards matches too.
    pub(crate) wildcard: bool,
    /// Every alternative in braces matches.
    pub(crate) brace: bool,
}

impl Checks {
    /// All of them, as with `includea` and `-e`.
    pub(crate) const ALL: Self = Self {
        readable: true,
        matched: true,
        wildcard: true,
        brace: true,
    };

    /// The checks of a word of the include family; `default` are those of plain `include`.
    pub(crate) fn of(word: &str, default: Self) -> Option<Self> {
        let readable = Self {
            readable: true,
            ..Self::default()
        };
        Some(match word {
            "include" => default,
            "includer" => readable,
            "includem" => Self {
                matched: true,
                ..readable
            },
            "includew" => Self {
                matched: true,
                wildcard: true,
                ..readable
            },
            "includeb" => Self {
                brace: true,
                ..readable
            },
            "includea" => Self::ALL,
            _ => return None,
        })
    }

    /// Whether a word, without its sign, names a check of `include_check`.
    pub(crate) fn is_known(word: &str) -> bool {
        ["readable", "match", "wildcard_match", "brace_match"].contains(&word)
    }

    /// What `include_check` with these words makes of the present checks; bare means all.
    #[must_use]
    pub(crate) fn changed<'a>(self, words: impl Iterator<Item = &'a str>) -> Self {
        let mut words = words.peekable();
        if words.peek().is_none() {
            return Self::ALL;
        }
        let (mut checks, mut first) = (self, true);
        for word in words {
            let (name, on, relative) = match word.split_at_checked(1) {
                Some(("+", name)) => (name, true, true),
                Some(("-", name)) => (name, false, true),
                _ => (word, true, false),
            };
            // Without a sign the list starts from nothing.
            if std::mem::take(&mut first) && !relative {
                checks = Self::default();
            }
            match name {
                "readable" => checks.readable = on,
                "match" => checks.matched = on,
                "wildcard_match" => checks.wildcard = on,
                "brace_match" => checks.brace = on,
                _ => {}
            }
        }
        checks
    }
}

/// One alternative of a pattern and what it matches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Alternative {
    /// The pattern, braces resolved, as written.
    pub(crate) pattern: String,
    /// Whether it may match nothing: it has wildcards, and the folder they are in exists. Without
    /// the folder keepalived takes it for a missing file.
    pub(crate) may_be_empty: bool,
    /// Files in the order of their names.
    pub(crate) paths: Vec<PathBuf>,
}

/// What a pattern matches; relative ones begin at the directory of the including file.
pub(crate) fn find(pattern: &str, directory: &Path, loader: &dyn FileLoader) -> Vec<Alternative> {
    let mut alternatives = Vec::new();
    expand_braces(pattern, &mut alternatives);
    let look_up = |pattern: String| {
        let absolute = match Path::new(&pattern).is_absolute() || directory.as_os_str().is_empty() {
            true => pattern.clone(),
            false => {
                let directory = glob::Pattern::escape(&directory.to_string_lossy());
                format!("{}/{pattern}", directory.trim_end_matches('/'))
            }
        };
        let paths = loader.matches(&absolute);
        let folder = pattern.find(WILDCARDS).map(|_| folder(&absolute));
        let may_be_empty = folder.is_some_and(|folder| loader.has_folder(Path::new(&folder)));
        Alternative {
            pattern,
            may_be_empty,
            paths,
        }
    };
    alternatives.into_iter().map(look_up).collect()
}

/// The folder above the first wildcard of a pattern.
fn folder(pattern: &str) -> String {
    let mut names = Vec::new();
    for name in pattern.split('/') {
        // `[x]` is how a wildcard in the name of a folder is written, see `glob::Pattern::escape`.
        let plain = ["[*]", "[?]", "[[]", "[]]"];
        let rest = plain
            .iter()
            .fold(name.to_owned(), |rest, wildcard| rest.replace(wildcard, ""));
        if rest.contains(WILDCARDS) {
            break;
        }
        let bare = plain.iter().fold(name.to_owned(), |bare, wildcard| {
            bare.replace(wildcard, wildcard.get(1..2).unwrap_or_default())
        });
        names.push(bare);
    }
    match names.join("/") {
        folder if folder.is_empty() && pattern.starts_with('/') => "/".to_owned(),
        folder if folder.is_empty() => ".".to_owned(),
        folder => folder,
    }
}

/// `a{b,c}d` to `abd` and `acd`, from left to right, nested ones too.
fn expand_braces(pattern: &str, found: &mut Vec<String>) {
    let mut waiting = vec![pattern.to_owned()];
    while let Some(pattern) = waiting.pop() {
        if found.len() >= MAX_ALTERNATIVES || waiting.len() >= MAX_ALTERNATIVES {
            return;
        }
        match split_braces(&pattern) {
            Some((head, parts, tail)) => {
                waiting.extend(parts.iter().rev().map(|part| format!("{head}{part}{tail}")));
            }
            None => found.push(pattern),
        }
    }
}

/// The first braces that hold a comma: before, alternatives, behind.
fn split_braces(pattern: &str) -> Option<(&str, Vec<&str>, &str)> {
    let open = pattern.find('{')?;
    let (mut depth, mut part_start, mut parts) = (0usize, open + 1, Vec::new());
    for (at, byte) in pattern.bytes().enumerate().skip(open) {
        match byte {
            b'{' => depth += 1,
            b',' if depth == 1 => {
                parts.push(pattern.get(part_start..at)?);
                part_start = at + 1;
            }
            b'}' => {
                depth -= 1;
                if depth == 0 {
                    parts.push(pattern.get(part_start..at)?);
                    return Some((pattern.get(..open)?, parts, pattern.get(at + 1..)?));
                }
            }
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn braces(pattern: &str) -> Vec<String> {
        let mut found = Vec::new();
        expand_braces(pattern, &mut found);
        found
    }

    #[test]
    fn braces_expand_from_left_to_right() {
        assert_eq!(braces("a{b,c}d{e,f}"), ["abde", "abdf", "acde", "acdf"]);
        assert_eq!(braces("{a,b{c,d}}"), ["a", "bc", "bd"]);
        assert_eq!(braces("a{b"), ["a{b"]);
    }

    #[test]
    fn the_folder_of_a_pattern_is_above_its_wildcards() {
        assert_eq!(folder("/etc/conf.d/*.conf"), "/etc/conf.d");
        assert_eq!(folder("/etc/*/a"), "/etc");
        assert_eq!(folder("/*"), "/");
        assert_eq!(folder("*.conf"), ".");
        assert_eq!(folder("/a[[]b/x?"), "/a[b");
    }

    #[test]
    fn braces_without_end_stop_at_a_limit() {
        assert!(braces(&"{a,b}".repeat(40)).len() <= MAX_ALTERNATIVES);
    }

    #[test]
    fn include_check_starts_anew_unless_it_has_signs() {
        let some = Checks {
            readable: true,
            ..Checks::default()
        };
        let changed = |words: &str| some.changed(words.split_whitespace());
        assert_eq!(changed(""), Checks::ALL);
        assert_eq!(
            changed("match"),
            Checks {
                matched: true,
                ..Checks::default()
            }
        );
        assert_eq!(
            changed("+match"),
            Checks {
                matched: true,
                ..some
            }
        );
        assert_eq!(changed("-readable"), Checks::default());
    }
}
