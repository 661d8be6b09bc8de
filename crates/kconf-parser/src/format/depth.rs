//! How many blocks are open, for each id that conditions name.

/// More ids than this are treated as if there were no conditions.
const MAX_IDS: usize = 64;

/// `@id` or `@^id`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Condition {
    id: String,
    negated: bool,
}

impl Condition {
    /// Reads it with its `@`.
    pub(super) fn of(text: &str) -> Self {
        let text = text.strip_prefix('@').unwrap_or(text);
        Self {
            id: text.strip_prefix('^').unwrap_or(text).to_owned(),
            negated: text.starts_with('^'),
        }
    }
}

/// Open blocks under every id.
#[derive(Debug)]
pub(super) struct Depth {
    ids: Vec<String>,
    /// Open blocks for each id, and for one that no condition names.
    open: Vec<usize>,
    /// Line of the first `}` too many, for each of them.
    extra: Vec<Option<u32>>,
    /// Line that is being read.
    pub(super) line: u32,
    /// Line of the last `{`.
    last_open: u32,
}

impl Depth {
    pub(super) fn new(conditions: impl Iterator<Item = Condition>) -> Self {
        let mut ids: Vec<String> = Vec::new();
        for condition in conditions {
            if !ids.contains(&condition.id) {
                ids.push(condition.id);
            }
            if ids.len() > MAX_IDS {
                ids.clear();
                break;
            }
        }
        Self {
            open: vec![0; ids.len() + 1],
            extra: vec![None; ids.len() + 1],
            ids,
            line: 1,
            last_open: 1,
        }
    }

    /// Whether a line with these conditions counts under an id.
    fn counts(&self, conditions: &[Condition], index: usize) -> bool {
        let id = self.ids.get(index);
        let holds = |condition: &Condition| (id == Some(&condition.id)) != condition.negated;
        self.ids.is_empty() || conditions.iter().all(holds)
    }

    /// How deep a line with these conditions stands.
    pub(super) fn of(&self, conditions: &[Condition]) -> usize {
        let open = self.open.iter().enumerate();
        open.filter(|(index, _)| self.counts(conditions, *index))
            .map(|(_, open)| *open)
            .max()
            .unwrap_or(0)
    }

    /// Opens or closes a block in a line with these conditions.
    pub(super) fn change(&mut self, conditions: &[Condition], by: isize) {
        if by > 0 {
            self.last_open = self.line;
        }
        for index in 0..self.open.len() {
            if !self.counts(conditions, index) {
                continue;
            }
            let (Some(open), Some(extra)) = (self.open.get_mut(index), self.extra.get_mut(index))
            else {
                continue;
            };
            match open.checked_add_signed(by) {
                Some(now) => *open = now,
                None => *extra = extra.or(Some(self.line)),
            }
        }
    }

    /// The line to look at if braces match under no id.
    pub(super) fn unbalanced(&self) -> Option<u32> {
        let good = self.open.iter().zip(&self.extra);
        let mut good = good.map(|(open, extra)| *open == 0 && extra.is_none());
        let first = self.extra.iter().flatten().min().copied();
        (!good.any(|good| good)).then(|| first.unwrap_or(self.last_open))
    }
}
