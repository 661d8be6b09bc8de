//! Lines that count for some nodes only: `@id` and `@^id`.

/// What a line's condition says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Condition {
    /// The line has none.
    None,
    /// The line counts, from this byte on.
    Keep(usize),
    /// The line does not count here.
    Drop,
}

/// Reads the condition at the start of a line.
///
/// `@id` keeps the rest of the line if `id` is exactly the configuration id, `@^id` if it is
/// not. Only this one line is meant, whatever it opens.
pub(crate) fn condition(line: &str, config_id: &str) -> Condition {
    let start = line.len() - line.trim_start().len();
    let Some(rest) = line.get(start..).and_then(|line| line.strip_prefix('@')) else {
        return Condition::None;
    };
    let (negated, rest) = match rest.strip_prefix('^') {
        Some(rest) => (true, rest),
        None => (false, rest),
    };
    let id_len = rest.find(char::is_whitespace).unwrap_or(rest.len());
    let (id, rest) = rest.split_at(id_len);
    match (id == config_id) != negated {
        true => Condition::Keep(line.len() - rest.len()),
        false => Condition::Drop,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_must_be_exactly_the_same() {
        assert_eq!(condition("priority 100", "a"), Condition::None);
        assert_eq!(condition("  @a priority 100", "a"), Condition::Keep(4));
        assert_eq!(condition("@ab priority 100", "a"), Condition::Drop);
        assert_eq!(condition("@^a priority 100", "a"), Condition::Drop);
        assert_eq!(condition("@^b }", "a"), Condition::Keep(3));
        assert_eq!(condition("@", ""), Condition::Keep(1));
    }
}
