//! "Did you mean": the known word that was most likely meant.

/// The nearest of some words, if one is near enough to be meant.
///
/// Letter case and `-` for `_` cost nothing; otherwise a third of the letters may differ, two
/// swapped ones counting once.
pub(crate) fn nearest<'a>(
    word: &str,
    candidates: impl Iterator<Item = &'a str>,
) -> Option<&'a str> {
    // Longer words are no keywords, and comparing costs the square of the length.
    if word.len() > 64 {
        return None;
    }
    let typed = normal(word);
    let limit = match typed.chars().count() {
        0 => return None,
        1 => 0,
        2..=4 => 1,
        length => length / 3,
    };
    let bag = letters(&typed);
    let mut best: Option<(usize, f64, &'a str)> = None;
    for candidate in candidates {
        if candidate.len().abs_diff(word.len()) > limit {
            continue;
        }
        let known = normal(candidate);
        if bag_distance(&bag, &letters(&known)) > limit {
            continue;
        }
        let distance = strsim::damerau_levenshtein(&typed, &known);
        let likeness = strsim::jaro_winkler(&typed, &known);
        let nearer = best.is_none_or(|(least, most, _)| {
            distance < least || distance == least && likeness > most
        });
        if distance <= limit && nearer {
            best = Some((distance, likeness, candidate));
        }
    }
    best.map(|(_, _, candidate)| candidate)
}

/// How often each letter is in a word; everything else counts together.
fn letters(word: &str) -> [u8; 27] {
    let mut counts = [0; 27];
    for byte in word.bytes() {
        let index = match byte {
            b'a'..=b'z' => usize::from(byte - b'a'),
            _ => 26,
        };
        if let Some(count) = counts.get_mut(index) {
            *count += 1; // words are short, see `nearest`
        }
    }
    counts
}

/// A lower bound of the distance that costs next to nothing and rules most words out.
fn bag_distance(one: &[u8; 27], other: &[u8; 27]) -> usize {
    let more = |one: &[u8; 27], other: &[u8; 27]| -> usize {
        one.iter()
            .zip(other)
            .map(|(one, other)| usize::from(one.saturating_sub(*other)))
            .sum()
    };
    more(one, other).max(more(other, one))
}

fn normal(word: &str) -> String {
    word.to_ascii_lowercase().replace('-', "_")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keyword::BlockKind;

    fn keyword(word: &str, block: BlockKind) -> Option<&'static str> {
        nearest(word, block.keywords().map(|keyword| keyword.name))
    }

    #[test]
    fn mistakes_seen_in_guides_lead_to_what_was_meant() {
        use BlockKind::*;
        assert_eq!(
            keyword("inhibit_on_faliure", RealServer),
            Some("inhibit_on_failure")
        );
        assert_eq!(
            keyword("stmp_connect_timeout", GlobalDefs),
            Some("smtp_connect_timeout")
        );
        assert_eq!(
            keyword("preemtp_delay", VrrpInstance),
            Some("preempt_delay")
        );
        assert_eq!(keyword("autp_pass", Authentication), Some("auth_pass"));
        assert_eq!(keyword("tcp_check", RealServer), Some("TCP_CHECK"));
        assert_eq!(keyword("sh_port", VirtualServer), Some("sh-port"));
        assert_eq!(
            keyword("connection_timeout", TcpCheck),
            Some("connect_timeout")
        );
    }

    #[test]
    fn something_else_leads_nowhere() {
        assert_eq!(keyword("frobnicate", BlockKind::RealServer), None);
        assert_eq!(keyword("", BlockKind::RealServer), None);
        assert_eq!(keyword("x", BlockKind::RealServer), None);
        assert_eq!(nearest("x", ["y"].into_iter()), None);
        assert_eq!(nearest("X", ["y", "x"].into_iter()), Some("x"));
    }
}
