//! Which IPVS is meant: the kernel's, or that of a running lvsd.
//!
//! Design: by the name `lvsadm` a running userspace dataplane comes first, because nobody has one by
//! accident; by the name `ipvsadm` the kernel does. A socket that was named is the only one tried.

use std::io;
use std::path::Path;
use std::process::{Command, Stdio};

use ipvs_netlink::{
    Client, Info, IpvsError, KernelTransport, Reason, Transport, UnixTransport, unix,
};

use crate::exit::{Failure, Outcome};

/// A client of whatever there is.
pub(crate) type AnyClient = Client<Box<dyn Transport>>;

/// Finds IPVS. `kernel_first` says which is tried first when no socket was named.
pub(crate) fn open(socket: Option<&Path>, kernel_first: bool) -> Outcome<(AnyClient, Info)> {
    if let Some(path) = socket {
        return named(path, "--socket");
    }
    if let Some(path) = std::env::var_os("LVSD_SOCKET").filter(|path| !path.is_empty()) {
        return named(Path::new(&path), "$LVSD_SOCKET");
    }
    if kernel_first {
        return kernel().or_else(|mut lost| {
            userspace().or_else(|other| {
                lost.remedy = other.remedy;
                load_module(lost)
            })
        });
    }
    userspace().or_else(|lost| {
        kernel().or_else(|mut other| {
            other.remedy = lost.remedy;
            load_module(other)
        })
    })
}

/// Why there is no IPVS.
struct Lost {
    reason: String,
    remedy: String,
    /// Whether loading the module may help.
    no_module: bool,
}

impl Lost {
    fn failure(self) -> Failure {
        let Self { reason, remedy, .. } = self;
        Failure::usage(format!(
            "Can't initialize ipvs: {reason}\n\
             Are you sure that IP Virtual Server is built in the kernel or as module?\n\
             {remedy}"
        ))
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
        no_module: false,
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
        let not_permitted = error
            .refused()
            .is_some_and(|refused| refused.reason() == Reason::NotPermitted);
        let reason = match error {
            _ if not_permitted => "Permission denied (you must be root)".to_owned(),
            IpvsError::Transport(error) => words(&error),
            _ => "Protocol not available".to_owned(),
        };
        Lost {
            reason,
            remedy: String::new(),
            no_module: !not_permitted,
        }
    })
}

/// Loads the module as ipvsadm does, and looks again. Only root can.
fn load_module(lost: Lost) -> Outcome<(AnyClient, Info)> {
    if !lost.no_module || !crate::names::is_root() {
        return Err(lost.failure());
    }
    let status = Command::new("/sbin/modprobe")
        .args(["--", "ip_vs"])
        .stdin(Stdio::null())
        .status();
    match status {
        Ok(status) if status.success() => kernel().map_err(|again| {
            Lost {
                remedy: lost.remedy,
                ..again
            }
            .failure()
        }),
        _ => Err(lost.failure()),
    }
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
