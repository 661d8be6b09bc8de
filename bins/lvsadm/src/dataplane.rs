//! Which IPVS is meant: the kernel's, or that of a running lvsd.
//!
//! Design: by the name `lvsadm` a running userspace dataplane comes first, because nobody has one by
//! accident; by the name `ipvsadm` the kernel does. A socket that was named is the only one tried.

use std::io::{self, IsTerminal};
use std::path::Path;
use std::process::{Command, Stdio};

use ipvs_netlink::{
    Client, Info, IpvsError, KernelTransport, Reason, Transport, UnixTransport, unix,
};

use crate::exit::{Failure, Outcome};

/// A client of whatever there is.
pub(crate) type AnyClient = Client<Box<dyn Transport>>;

/// Which IPVS the command line asks for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted<'a> {
    /// The socket of an lvsd.
    pub(crate) socket: Option<&'a Path>,
    /// Whether we stand in for ipvsadm, which knows the kernel's only.
    pub(crate) as_ipvsadm: bool,
}

/// Finds IPVS.
pub(crate) fn open(wanted: &Wanted<'_>) -> Outcome<(AnyClient, Info)> {
    if let Some(path) = wanted.socket {
        return named(path, "--socket");
    }
    if let Some(path) = std::env::var_os("LVSD_SOCKET").filter(|path| !path.is_empty()) {
        return named(Path::new(&path), "$LVSD_SOCKET");
    }
    if wanted.as_ipvsadm {
        return kernel().or_else(|mut lost| {
            userspace().or_else(|other| {
                lost.remedy = other.remedy;
                load_module(lost, wanted)
            })
        });
    }
    userspace().or_else(|lost| {
        kernel().or_else(|mut other| {
            other.remedy = lost.remedy;
            load_module(other, wanted)
        })
    })
}

/// Why there is no IPVS.
struct Lost {
    reason: String,
    remedy: String,
}

impl Lost {
    /// ipvsadm's two lines, which scripts compare; people get the remedy too.
    fn failure(self, wanted: &Wanted<'_>) -> Failure {
        let Self { reason, remedy, .. } = self;
        let mut message = format!(
            "Can't initialize ipvs: {reason}\n\
             Are you sure that IP Virtual Server is built in the kernel or as module?"
        );
        if !wanted.as_ipvsadm && io::stderr().is_terminal() {
            message += &format!("\n{remedy}");
        }
        Failure::usage(message)
    }
}

/// The lvsd at a socket that the caller named by `option`. The kernel has nothing to do with it.
fn named(path: &Path, option: &str) -> Outcome<(AnyClient, Info)> {
    let (reason, remedy) = match UnixTransport::connect(path) {
        Ok(transport) => match connect(Box::new(transport)) {
            Ok(found) => return Ok(found),
            Err(error) => (
                error.to_string(),
                "That is no lvsd's table: name ipvs.sock in the run folder of a running lvsd",
            ),
        },
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => (
            words(&error),
            "The socket is for its user alone: ask as the one who runs lvsd, or as root",
        ),
        Err(error) => (
            words(&error),
            "Start lvsd, or name ipvs.sock in the run folder of a running one",
        ),
    };
    Err(Failure::usage(format!(
        "Can't initialize ipvs: no lvsd answers on {} (from {option}): {reason}\n{remedy}",
        path.display()
    )))
}

fn userspace() -> Result<(AnyClient, Info), Lost> {
    let lost = |reason: String, paths: &str| Lost {
        reason,
        remedy: format!(
            "No lvsd answers on {paths}: start lvsd, or name its socket by --socket PATH"
        ),
    };
    match unix::find(None) {
        Ok((path, transport)) => connect(Box::new(transport))
            .map_err(|error| lost(error.to_string(), &path.display().to_string())),
        Err(not_found) => {
            let paths: Vec<String> = not_found
                .tried
                .iter()
                .map(|(path, _)| path.display().to_string())
                .collect();
            let reason = not_found
                .tried
                .last()
                .map(|(_, error)| words(error))
                .unwrap_or_default();
            Err(lost(reason, &paths.join(", ")))
        }
    }
}

fn kernel() -> Result<(AnyClient, Info), Lost> {
    let client = KernelTransport::open()
        .map_err(IpvsError::from)
        .and_then(|transport| connect(Box::new(transport)));
    client.map_err(|error| {
        // Whoever may not use it learns that first, whether it is there or not.
        let not_permitted = !crate::names::is_root()
            || error
                .refused()
                .is_some_and(|refused| refused.reason() == Reason::NotPermitted);
        let reason = match error {
            IpvsError::NoFamily | IpvsError::Refused(_) if not_permitted => {
                "Permission denied (you must be root)".to_owned()
            }
            IpvsError::Transport(error) => words(&error),
            _ => "Protocol not available".to_owned(),
        };
        Lost {
            reason,
            remedy: String::new(),
        }
    })
}

/// Loads the module, and looks again. That may help nobody but root; as ipvsadm it is tried in any
/// case, and modprobe says what it has to say.
fn load_module(lost: Lost, wanted: &Wanted<'_>) -> Outcome<(AnyClient, Info)> {
    let _ = Command::new("/sbin/modprobe")
        .args(["--", "ip_vs"])
        .stdin(Stdio::null())
        .status();
    let remedy = lost.remedy;
    kernel().map_err(|again| Lost { remedy, ..again }.failure(wanted))
}

fn connect(transport: Box<dyn Transport>) -> Result<(AnyClient, Info), IpvsError> {
    let mut client = Client::connect(transport)?;
    let info = client.info()?;
    Ok((client, info))
}

fn words(error: &io::Error) -> String {
    let text = error.to_string();
    match text.split_once(" (os error") {
        Some((words, _)) => words.to_owned(),
        None => text,
    }
}
