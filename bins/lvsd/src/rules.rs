//! Rules of `lvsd check`: which count, the other director of a pair, this machine.

use std::ffi::OsStr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use clap::Args;
use kconf_parser::diagnostic::Diagnostic;
use kconf_parser::lint::{FileFacts, Machine, UnknownCode, check_machine, compare_pair};
use kconf_parser::{Analysis, Code, Rules};
use nix::unistd::{Group, User};

/// Flags of `lvsd check` about rules.
#[derive(Debug, Args)]
pub(crate) struct RuleFlags {
    /// The two files are those of a pair of directors: say what they must agree on.
    #[arg(long)]
    pair: bool,
    /// Look at this machine, too: interfaces, users, scripts, sysctls.
    #[arg(long)]
    system: bool,
    /// Do not report warnings of these kinds, such as KC0104.
    #[arg(long, value_name = "CODE", value_delimiter = ',', value_parser = code)]
    off: Vec<Code>,
    /// Report warnings of these kinds, or `all`, which are silent otherwise.
    #[arg(long, value_name = "CODE", value_delimiter = ',', value_parser = code_or_all)]
    on: Vec<Wanted>,
}

/// What is switched on.
#[derive(Debug, Clone, Copy)]
enum Wanted {
    All,
    One(Code),
}

fn code(text: &str) -> Result<Code, UnknownCode> {
    Rules::code(text)
}

fn code_or_all(text: &str) -> Result<Wanted, UnknownCode> {
    match text {
        "all" => Ok(Wanted::All),
        _ => code(text).map(Wanted::One),
    }
}

impl RuleFlags {
    /// The rules that count.
    pub(crate) fn rules(&self) -> Rules {
        let mut rules = Rules::default();
        for wanted in &self.on {
            match wanted {
                Wanted::All => rules.switch_all_on(),
                Wanted::One(code) => rules.switch_on(*code),
            }
        }
        for code in &self.off {
            rules.switch_off(*code);
        }
        rules
    }

    /// Adds what two files, or a file and this machine, say together. `Err` has the reason why
    /// that cannot be.
    pub(crate) fn look_further(&self, checked: &mut [Analysis]) -> Result<(), String> {
        let rules = self.rules();
        if self.system {
            for analysis in checked.iter_mut() {
                let found = check_machine(analysis, &ThisMachine);
                add(analysis, found, &rules);
            }
        }
        if self.pair {
            let [one, other] = checked else {
                return Err("--pair needs the two files of a pair of directors".to_owned());
            };
            let found = compare_pair(one, other);
            add(one, found, &rules);
        }
        Ok(())
    }
}

fn add(analysis: &mut Analysis, found: Vec<Diagnostic>, rules: &Rules) {
    analysis.diagnostics.extend(found);
    rules.apply(&mut analysis.diagnostics, &analysis.sources);
    analysis.diagnostics.sort_by_key(|diagnostic| {
        let place = diagnostic.primary.place;
        (place.file, place.start, diagnostic.code)
    });
}

/// The machine that this runs on.
struct ThisMachine;

impl Machine for ThisMachine {
    fn has_interface(&self, name: &str) -> bool {
        nix::net::if_::if_nametoindex(name).is_ok()
    }

    fn has_user(&self, user: &str) -> bool {
        user.parse::<u32>().is_ok() || User::from_name(user).is_ok_and(|found| found.is_some())
    }

    fn has_group(&self, group: &str) -> bool {
        group.parse::<u32>().is_ok() || Group::from_name(group).is_ok_and(|found| found.is_some())
    }

    fn file(&self, path: &Path) -> Option<FileFacts> {
        let about = std::fs::metadata(path).ok()?;
        Some(FileFacts {
            executable: about.is_file() && about.permissions().mode() & 0o111 != 0,
            only_root_writes: director::privileges::only_root_writes(path).unwrap_or(false),
        })
    }

    fn find_program(&self, name: &str) -> Option<PathBuf> {
        let folders = std::env::var_os("PATH");
        let usual = OsStr::new("/usr/sbin:/usr/bin:/sbin:/bin");
        let folders = folders.as_deref().unwrap_or(usual);
        let mut candidates = std::env::split_paths(folders).map(|folder| folder.join(name));
        candidates.find(|path| self.file(path).is_some_and(|facts| facts.executable))
    }

    fn sysctl(&self, name: &str) -> Option<String> {
        let path = Path::new("/proc/sys").join(name.replace('.', "/"));
        let text = std::fs::read_to_string(path).ok()?;
        Some(text.trim().to_owned())
    }
}
