//! Unix sockets that only their owner may open.

use std::fs::Permissions;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::Path;

/// Listens at `path` with mode 0600, in place of a socket that a crash left behind.
///
/// The caller holds the run folder's lock, so what is there belongs to nobody any more.
///
/// # Errors
///
/// When the folder is not writable or the path is too long for a socket (107 bytes).
pub fn listen(path: &Path) -> io::Result<UnixListener> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, Permissions::from_mode(0o600))?;
    Ok(listener)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_left_behind_is_replaced_and_closed_to_others() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        drop(listen(&path).unwrap());
        let _listener = listen(&path).unwrap();
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}
