//! Who runs a script, and whether it may be run at all.
//!
//! # Design
//! keepalived's rules, judged each time a script is about to run and not only when the configuration
//! is read ([`problems`]): permissions change. Looking is separate from running ([`crate::notify`]). A director that
//! is not root cannot become anybody else: it runs scripts as itself.

use std::collections::HashSet;
use std::ffi::CString;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use kconf_parser::config::{Globals, NotifyDeleted, Script, ScriptUser};
use nix::unistd::{AccessFlags, Gid, Group, Uid, User};
use tracing::warn;

/// The user who runs scripts that name nobody, if there is such a user.
const DEFAULT_USER: &str = "keepalived_script";

/// A script that may be run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Runnable {
    /// The program, an absolute path.
    pub program: PathBuf,
    /// What it gets.
    pub arguments: Vec<String>,
    /// Who runs it; `None` when that is who we are.
    pub identity: Option<(u32, u32)>,
}

/// Why a script may not be run. Displays as keepalived's log line.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The user or group does not exist.
    #[error("Invalid user/group for notify script {script} - ignoring")]
    UnknownUser {
        /// The script.
        script: String,
    },
    /// With `enable_script_security`, no user named, and no default user.
    #[error("Unable to set default user keepalived_script for script {script}")]
    NoDefaultUser {
        /// The script.
        script: String,
    },
    /// It cannot be looked at.
    #[error("Script {script} cannot be accessed - {}", words(source))]
    NotAccessible {
        /// The script.
        script: String,
        /// Why.
        source: io::Error,
    },
    /// Its user may not execute it.
    #[error("WARNING - script '{script}' is not executable for uid:gid {uid}:{gid} - disabling.")]
    NotExecutable {
        /// The script.
        script: String,
        /// The user.
        uid: u32,
        /// The group.
        gid: u32,
    },
    /// With `enable_script_security`, root would run what somebody else may change.
    #[error("Unsafe permissions found for script '{script}' - disabling.")]
    Unsafe {
        /// The script.
        script: String,
    },
}

/// Judges a script by the rules of `globals`.
///
/// # Errors
///
/// Why it may not be run.
pub fn judge(script: &Script, globals: &Globals) -> Result<Runnable, Refusal> {
    let name = script.argv.first().cloned().unwrap_or_default();
    let me = (nix::unistd::geteuid(), nix::unistd::getegid());
    let (uid, gid) = match me.0.is_root() {
        true => identity(script, globals, &name)?,
        false => me,
    };
    let program = find(&name)?;
    let not_accessible = |source| Refusal::NotAccessible {
        script: name.clone(),
        source,
    };
    // Links are followed first: what counts is what is run.
    let real = program.canonicalize().map_err(not_accessible)?;
    if !is_executable(&real, uid, gid).map_err(not_accessible)? {
        return Err(Refusal::NotExecutable {
            script: name,
            uid: uid.as_raw(),
            gid: gid.as_raw(),
        });
    }
    if globals.script_security
        && uid.is_root()
        && !only_root_writes(&real).map_err(not_accessible)?
    {
        return Err(Refusal::Unsafe { script: name });
    }
    Ok(Runnable {
        program: real,
        arguments: script.argv.iter().skip(1).cloned().collect(),
        identity: ((uid, gid) != me).then_some((uid.as_raw(), gid.as_raw())),
    })
}

/// Says now what will keep scripts from running, and not only when they are needed: each reason once,
/// in their order. Needs a tokio runtime.
pub fn warn_of<'a>(scripts: impl Iterator<Item = &'a Script>, globals: &Globals) {
    let scripts: Vec<Script> = scripts.cloned().collect();
    if !globals.script_security && !scripts.is_empty() {
        warn!("SECURITY VIOLATION - scripts are being executed but script_security not enabled.");
    }
    // Users may have to be asked for over the network, and nobody waits for that.
    let globals = globals.clone();
    tokio::task::spawn_blocking(move || {
        for problem in problems(scripts.iter(), &globals) {
            warn!("{problem}");
        }
    });
}

/// Why scripts could not be run now: each reason once, in their order.
#[must_use]
pub fn problems<'a>(scripts: impl Iterator<Item = &'a Script>, globals: &Globals) -> Vec<String> {
    // Thousands of servers share a few scripts.
    let mut judged = HashSet::new();
    let mut problems = Vec::new();
    for script in scripts {
        let user = script.user.as_ref();
        let user = user.map(|user| (&user.user, &user.group));
        if judged.insert((script.argv.first(), user))
            && let Err(refusal) = judge(script, globals)
        {
            problems.push(refusal.to_string());
        }
    }
    let mut told = HashSet::new();
    problems.retain(|problem| told.insert(problem.clone()));
    problems
}

/// All scripts of a configuration that are about virtual servers or the director as a whole.
pub fn scripts(config: &kconf_parser::Config) -> impl Iterator<Item = &Script> {
    let services = config.services.iter().flat_map(|service| {
        let servers = service.real_servers.iter();
        let servers = servers.flat_map(|server| [&server.notify_up, &server.notify_down]);
        [&service.quorum_up, &service.quorum_down]
            .into_iter()
            .chain(servers)
    });
    let globals = &config.globals;
    [&globals.startup_script, &globals.shutdown_script]
        .into_iter()
        .chain(services)
        .flatten()
}

/// All scripts of a configuration that are told of virtual routers.
pub fn vrrp_scripts(config: &kconf_parser::Config) -> impl Iterator<Item = &Script> {
    let instances = config.vrrp.instances.iter().map(|it| &it.notify);
    let groups = config.vrrp.sync_groups.iter().map(|it| &it.notify);
    instances.chain(groups).flat_map(|it| {
        let deleted = match &it.deleted {
            NotifyDeleted::Run(script) => Some(script),
            NotifyDeleted::AsFault | NotifyDeleted::Deleted => None,
        };
        let all = [
            &it.master,
            &it.backup,
            &it.fault,
            &it.stop,
            &it.any,
            &it.rx_lower_priority,
        ];
        all.into_iter().flatten().chain(deleted)
    })
}

fn identity(script: &Script, globals: &Globals, name: &str) -> Result<(Uid, Gid), Refusal> {
    let unknown = || Refusal::UnknownUser {
        script: name.to_owned(),
    };
    if let Some(user) = script.user.as_ref().or(globals.script_user.as_ref()) {
        return look_up(user).ok_or_else(unknown);
    }
    match User::from_name(DEFAULT_USER) {
        Ok(Some(user)) => Ok((user.uid, user.gid)),
        _ if globals.script_security => Err(Refusal::NoDefaultUser {
            script: name.to_owned(),
        }),
        _ => Ok((Uid::from_raw(0), Gid::from_raw(0))),
    }
}

/// The numbers of a user and a group; `None` when there is no such user or group.
pub(crate) fn look_up(user: &ScriptUser) -> Option<(Uid, Gid)> {
    let known = match user.user.parse() {
        Ok(number) => User::from_uid(Uid::from_raw(number)),
        Err(_) => User::from_name(&user.user),
    };
    let known = known.ok().flatten()?;
    let gid = match &user.group {
        None => known.gid,
        Some(group) => match group.parse() {
            Ok(number) => Gid::from_raw(number),
            Err(_) => Group::from_name(group).ok().flatten()?.gid,
        },
    };
    Some((known.uid, gid))
}

/// A path as it is, a bare name by `PATH`.
fn find(name: &str) -> Result<PathBuf, Refusal> {
    if name.contains('/') {
        return Ok(PathBuf::from(name));
    }
    let path = std::env::var_os("PATH").unwrap_or_else(|| "/usr/bin:/bin".into());
    let mut candidates = std::env::split_paths(&path).map(|folder| folder.join(name));
    match candidates.find(|candidate| candidate.is_file()) {
        Some(found) => {
            tracing::debug!(
                "WARNING - script `{name}` resolved by path search to `{}`. Please specify full path.",
                found.display()
            );
            Ok(found)
        }
        None => Err(Refusal::NotAccessible {
            script: name.to_owned(),
            source: io::Error::from_raw_os_error(libc::ENOENT),
        }),
    }
}

/// What the C library calls an error.
fn words(error: &io::Error) -> String {
    let text = error.to_string();
    match text.split_once(" (os error") {
        Some((words, _)) => words.to_owned(),
        None => text,
    }
}

fn is_executable(path: &Path, uid: Uid, gid: Gid) -> io::Result<bool> {
    let metadata = std::fs::metadata(path)?;
    if !metadata.is_file() {
        return Ok(false);
    }
    if uid == nix::unistd::geteuid() {
        let path = CString::new(path.as_os_str().as_bytes())?;
        return Ok(nix::unistd::eaccess(path.as_c_str(), AccessFlags::X_OK).is_ok());
    }
    let mode = metadata.permissions().mode();
    let bit = if metadata.uid() == uid.as_raw() {
        0o100
    } else if metadata.gid() == gid.as_raw() {
        0o010
    } else {
        0o001
    };
    Ok(mode & bit != 0)
}

/// Whether only root can change the file or put another in its place. Sticky folders such as `/tmp`
/// pass, because nobody may rename another's files there.
///
/// # Errors
///
/// What the system says of a file or folder that cannot be looked at.
pub fn only_root_writes(path: &Path) -> io::Result<bool> {
    for (depth, part) in path.ancestors().enumerate() {
        let metadata = std::fs::metadata(part)?;
        let mode = metadata.permissions().mode();
        let sticky = depth > 0 && mode & 0o1000 != 0;
        if metadata.uid() != 0 || (mode & 0o022 != 0 && !sticky) {
            return Ok(false);
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn script(words: &[&str]) -> Script {
        Script {
            argv: words.iter().map(|word| (*word).to_owned()).collect(),
            user: None,
        }
    }

    fn file(folder: &Path, mode: u32) -> String {
        let path = folder.join("script.sh");
        fs::write(&path, "#!/bin/sh\n").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path.display().to_string()
    }

    #[test]
    fn a_script_that_is_missing_or_not_executable_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let globals = Globals::default();
        let error = judge(&script(&["/nonexistent/x.sh"]), &globals).unwrap_err();
        assert_eq!(
            error.to_string(),
            "Script /nonexistent/x.sh cannot be accessed - No such file or directory"
        );
        let path = file(folder.path(), 0o600);
        assert!(matches!(
            judge(&script(&[&path]), &globals),
            Err(Refusal::NotExecutable { .. })
        ));
        let path = file(folder.path(), 0o700);
        let runnable = judge(&script(&[&path, "a b", "c"]), &globals).unwrap();
        assert_eq!(runnable.arguments, ["a b", "c"]);
    }

    #[test]
    fn what_keeps_scripts_from_running_is_known_before_they_are_needed() {
        let folder = tempfile::tempdir().unwrap();
        let text = format!(
            "global_defs {{\n startup_script /nonexistent/up\n script_user root\n}}\n\
             virtual_server 10.0.0.1 80 {{\n protocol TCP\n lb_algo rr\n lb_kind NAT\n\
             quorum_up \"{0} up\"\n quorum_down \"{0} down\"\n\
             real_server 10.0.1.1 80 {{\n notify_up /bin/true\n}}\n\
             real_server 10.0.1.2 80 {{\n notify_down /nonexistent/up\n}}\n}}\n",
            file(folder.path(), 0o644)
        );
        let files = kconf_parser::loader::MemoryLoader::default().with("/k.conf", text);
        let config = kconf_parser::analyze("/k.conf".as_ref(), &Default::default(), &files).config;
        let problems = problems(scripts(&config), &config.globals);
        assert_eq!(problems.len(), 2, "{problems:?}");
        assert!(problems[0].starts_with("Script /nonexistent/up cannot be accessed"));
        assert!(problems[1].contains("script.sh' is not executable for uid:gid"));
    }

    #[test]
    fn a_bare_name_is_searched() {
        let runnable = judge(&script(&["true"]), &Globals::default()).unwrap();
        assert!(runnable.program.is_absolute());
        assert!(judge(&script(&["no-such-program"]), &Globals::default()).is_err());
    }

    #[test]
    fn root_does_not_run_what_others_can_change() {
        if !nix::unistd::geteuid().is_root() {
            return lvs_testkit::skip("needs root");
        }
        let folder = tempfile::tempdir().unwrap();
        let root = ScriptUser {
            user: "root".into(),
            group: None,
        };
        let globals = Globals {
            script_security: true,
            script_user: Some(root),
            ..Globals::default()
        };
        let path = file(folder.path(), 0o755);
        judge(&script(&[&path]), &globals).unwrap();
        let path = file(folder.path(), 0o775);
        assert!(matches!(
            judge(&script(&[&path]), &globals),
            Err(Refusal::Unsafe { .. })
        ));
        file(folder.path(), 0o755);
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
        assert!(matches!(
            judge(&script(&[&path]), &globals),
            Err(Refusal::Unsafe { .. })
        ));
    }

    #[test]
    fn an_unknown_user_is_refused_by_root() {
        if !nix::unistd::geteuid().is_root() {
            return lvs_testkit::skip("needs root");
        }
        let mut script = script(&["true"]);
        script.user = Some(ScriptUser {
            user: "no-such-user".into(),
            group: None,
        });
        assert!(matches!(
            judge(&script, &Globals::default()),
            Err(Refusal::UnknownUser { .. })
        ));
        script.user = Some(ScriptUser {
            user: "65534".into(),
            group: None,
        });
        let runnable = judge(&script, &Globals::default()).unwrap();
        assert_eq!(runnable.identity.map(|(uid, _)| uid), Some(65534));
    }
}
