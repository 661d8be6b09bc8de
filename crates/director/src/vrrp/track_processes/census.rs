//! Which processes are among those that are tracked.

use std::collections::{BTreeSet, HashMap};

use kconf_parser::config::{ParameterMatch, TrackProcess};

/// The kernel keeps this much of a process's name.
const NAME: usize = 15;

/// Number of a process.
pub(super) type Pid = i32;

/// A process as it shows itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Process {
    pub(super) pid: Pid,
    /// Its name, cut by the kernel.
    pub(super) name: Vec<u8>,
    /// What it was called with, the command first. Not looked at unless a pattern needs it.
    pub(super) command: Vec<Vec<u8>>,
}

/// What is looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pattern {
    process: Vec<u8>,
    parameters: Vec<Vec<u8>>,
    parameter_match: ParameterMatch,
    full_command: bool,
}

impl Pattern {
    pub(super) fn new(config: &TrackProcess) -> Self {
        let parameters = config.parameters.iter();
        Self {
            process: config.process.clone().into_bytes(),
            parameters: parameters.map(|it| it.clone().into_bytes()).collect(),
            parameter_match: config.parameter_match,
            full_command: config.full_command,
        }
    }

    fn matches(&self, process: &Process) -> bool {
        if !self.full_command {
            let end = self.process.len().min(NAME);
            return self.process.get(..end) == Some(process.name.as_slice());
        }
        let Some((command, parameters)) = process.command.split_first() else {
            return false;
        };
        *command == self.process && self.matches_parameters(parameters)
    }

    fn matches_parameters(&self, given: &[Vec<u8>]) -> bool {
        let wished = self.parameters.as_slice();
        match self.parameter_match {
            ParameterMatch::Any => true,
            ParameterMatch::Exact => given == wished,
            ParameterMatch::Partial => given.starts_with(wished),
            ParameterMatch::Initial => match wished.split_last() {
                None => true,
                Some((last, before)) => {
                    let next = given.get(before.len());
                    given.starts_with(before) && next.is_some_and(|it| it.starts_with(last))
                }
            },
        }
    }
}

/// Who matches which pattern. Values only.
#[derive(Debug, Default)]
pub(super) struct Census {
    patterns: Vec<Pattern>,
    /// The processes that match any, and which.
    members: HashMap<Pid, BTreeSet<usize>>,
}

impl Census {
    pub(super) fn new(patterns: Vec<Pattern>) -> Self {
        Self {
            patterns,
            members: HashMap::new(),
        }
    }

    /// Whether commands must be known, and not just names.
    pub(super) fn needs_commands(&self) -> bool {
        self.patterns.iter().any(|it| it.full_command)
    }

    /// These are all that there are.
    pub(super) fn handle_all(&mut self, processes: &[Process]) {
        self.members.clear();
        for process in processes {
            self.handle_process(process);
        }
    }

    /// A process is like this now.
    pub(super) fn handle_process(&mut self, process: &Process) {
        let patterns = self.patterns.iter().enumerate();
        let matching = patterns.filter(|(_, pattern)| pattern.matches(process));
        let matching: BTreeSet<usize> = matching.map(|(number, _)| number).collect();
        match matching.is_empty() {
            true => self.members.remove(&process.pid),
            false => self.members.insert(process.pid, matching),
        };
    }

    /// A process has a child, which is like itself until it says otherwise.
    pub(super) fn handle_fork(&mut self, parent: Pid, child: Pid) {
        match self.members.get(&parent).cloned() {
            Some(matching) => self.members.insert(child, matching),
            None => self.members.remove(&child),
        };
    }

    /// A process is gone.
    pub(super) fn handle_exit(&mut self, pid: Pid) {
        self.members.remove(&pid);
    }

    /// How many processes match each pattern, in their order.
    pub(super) fn counts(&self) -> Vec<u32> {
        let mut counts = vec![0; self.patterns.len()];
        for number in self.members.values().flatten() {
            if let Some(count) = counts.get_mut(*number) {
                *count += 1;
            }
        }
        counts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(pid: Pid, command: &[&str]) -> Process {
        let command: Vec<Vec<u8>> = command.iter().map(|it| it.as_bytes().to_vec()).collect();
        let mut name = command.first().cloned().unwrap_or_default();
        name.truncate(NAME);
        Process { pid, name, command }
    }

    fn pattern(words: &[&str], parameter_match: ParameterMatch) -> Pattern {
        let mut words = words.iter().map(|it| it.as_bytes().to_vec());
        Pattern {
            process: words.next().unwrap(),
            parameters: words.collect(),
            parameter_match,
            full_command: parameter_match != ParameterMatch::Any,
        }
    }

    #[test]
    fn every_way_to_compare_parameters() {
        use ParameterMatch::{Any, Exact, Initial, Partial};
        let given: [&[&str]; 6] = [
            &["sleep"],
            &["sleep", "10"],
            &["sleep", "10", "20"],
            &["sleep", "10", "200"],
            &["sleep", "10", "20", "30"],
            &["/bin/sleep", "10", "20"],
        ];
        let all = given.map(|command| process(1, command));
        for (words, how, expected) in [
            (vec!["sleep"], Any, "yyyyyn"),
            (vec!["sleep"], Exact, "ynnnnn"),
            (vec!["sleep", "10", "20"], Exact, "nnynnn"),
            (vec!["sleep", "10", "20"], Partial, "nnynyn"),
            (vec!["sleep", "10", "20"], Initial, "nnyyyn"),
            (vec!["sleep", "1"], Initial, "nyyyyn"),
        ] {
            let pattern = pattern(&words, how);
            let got: String = all
                .iter()
                .map(|it| if pattern.matches(it) { 'y' } else { 'n' })
                .collect();
            assert_eq!(got, expected, "{words:?} {how:?}");
        }
    }

    #[test]
    fn a_long_name_is_compared_as_the_kernel_keeps_it() {
        let long = pattern(&["a-very-long-daemon-name"], ParameterMatch::Any);
        assert!(long.matches(&process(1, &["a-very-long-daemon-name"])));
        assert!(!long.matches(&process(1, &["a-very-long"])));
        // A thread of the kernel has no command.
        let full = pattern(&["kthreadd"], ParameterMatch::Exact);
        assert!(!full.matches(&process(2, &[])));
    }

    #[test]
    fn processes_come_and_change_and_go() {
        let mut census = Census::new(vec![
            pattern(&["web"], ParameterMatch::Any),
            pattern(&["web", "-d"], ParameterMatch::Exact),
        ]);
        assert!(census.needs_commands());
        census.handle_all(&[process(1, &["init"]), process(5, &["web", "-d"])]);
        assert_eq!(census.counts(), [1, 1]);
        census.handle_fork(5, 6);
        census.handle_fork(1, 7);
        assert_eq!(census.counts(), [2, 2]);
        census.handle_process(&process(6, &["sh"]));
        census.handle_process(&process(7, &["web"]));
        assert_eq!(census.counts(), [2, 1]);
        census.handle_exit(5);
        census.handle_exit(99);
        assert_eq!(census.counts(), [1, 0]);
        // The number is used again.
        census.handle_fork(1, 7);
        assert_eq!(census.counts(), [0, 0]);
    }
}
