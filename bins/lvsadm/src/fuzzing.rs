//! What the fuzz target calls. Not for others; changes without notice.

use ipvs_netlink::{Command, DaemonRole, plan};

use crate::command::{Dialect, parse};
use crate::output::rules::line;
use crate::table_file::{self, DaemonWish, Problem, Wished};

/// Takes `bytes` for a file with a table: what can be read must come back when it is written. Each
/// line is also taken as `-R` takes it.
///
/// # Panics
///
/// If it does not come back.
pub fn table(bytes: &[u8]) {
    for text in bytes.split(|byte| *byte == b'\n') {
        let words: Vec<&[u8]> = table_file::words(text).map(|(_, word)| word).collect();
        let _ = parse(&words, b"ipvsadm", Dialect::default());
    }
    let Ok(wished) = read(bytes) else {
        return;
    };
    let text: String = commands(&wished)
        .iter()
        .map(|command| line(command) + "\n")
        .collect();
    assert_eq!(read(text.as_bytes()), Ok(wished), "{text}");
}

fn read(text: &[u8]) -> Result<Wished, Vec<Problem>> {
    table_file::read(text).expect("memory can be read")
}

fn commands(wished: &Wished) -> Vec<Command> {
    let daemon = |role, wish: &DaemonWish| match wish {
        DaemonWish::AsItIs => None,
        DaemonWish::Stopped => Some(Command::StopDaemon(role)),
        DaemonWish::Running(daemon) => Some(Command::StartDaemon(daemon.clone())),
    };
    let mut commands = plan(&wished.rules, &[]);
    commands.extend(wished.timeouts.map(Command::SetTimeouts));
    commands.extend(daemon(DaemonRole::Master, &wished.master));
    commands.extend(daemon(DaemonRole::Backup, &wished.backup));
    commands
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_seeds_survive_and_mean_something() {
        for (name, bytes) in lvs_testkit::seeds("lvsadm_table") {
            table(&bytes);
            let is_refused = name.ends_with("refused.rules");
            assert_eq!(read(&bytes).is_err(), is_refused, "{name}");
        }
    }
}
