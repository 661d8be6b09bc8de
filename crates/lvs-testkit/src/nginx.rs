//! A real nginx on loopback.

use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use crate::{Process, program, wait_until};

/// A running nginx that serves what its `server` blocks say, without root and without daemonising.
#[derive(Debug)]
pub struct Nginx {
    // Declared before the folder: nginx must end before its files go.
    process: Process,
    folder: TempDir,
}

impl Nginx {
    /// Starts nginx with `http`, the inner text of its `http` block, and waits until `ports` answer
    /// on 127.0.0.1. `None` when nginx is not installed: the test is then to be skipped.
    ///
    /// The text `ROOT` in `http` stands for the folder of the server, where [`Nginx::folder`] files
    /// may be put.
    ///
    /// # Panics
    ///
    /// When nginx does not start with this configuration.
    #[track_caller]
    pub fn start(http: &str, ports: &[u16]) -> Option<Self> {
        let nginx = program("nginx")?;
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let root = folder.path().display().to_string();
        let http = http.replace("ROOT", &root);
        let configuration = format!(
            "daemon off;\nworker_processes 1;\npid {root}/nginx.pid;\nerror_log {root}/error.log;\n{user}\
             events {{ worker_connections 4096; }}\n\
             http {{\n  access_log {root}/access.log;\n  client_body_temp_path {root}/b;\n  \
             proxy_temp_path {root}/p;\n  fastcgi_temp_path {root}/f;\n  uwsgi_temp_path {root}/u;\n  \
             scgi_temp_path {root}/s;\n{http}\n}}\n",
            // As root, nginx would switch its workers to a user who cannot read the folder.
            user = if nix::unistd::geteuid().is_root() {
                "user root;\n"
            } else {
                ""
            },
        );
        let path = folder.path().join("nginx.conf");
        std::fs::write(&path, configuration).expect("the temporary folder is writable");
        let error_log = folder.path().join("error.log");
        let process = Process::start(
            Command::new(nginx)
                .arg("-e")
                .arg(error_log)
                .arg("-c")
                .arg(&path),
        );
        for &port in ports {
            wait_until("nginx to listen", Duration::from_secs(20), || {
                TcpStream::connect(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).ok()
            });
        }
        Some(Self { process, folder })
    }

    /// The folder that `ROOT` stands for.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The running process, to stop or pause it.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// The access log so far.
    pub fn access_log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("access.log")).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use super::*;

    #[test]
    fn it_serves_a_page() {
        let port = crate::free_port();
        let http =
            format!("server {{ listen 127.0.0.1:{port}; location / {{ return 200 hello; }} }}");
        let Some(nginx) = Nginx::start(&http, &[port]) else {
            return crate::skip("nginx is not installed");
        };
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("nginx listens");
        stream
            .write_all(b"GET / HTTP/1.0\r\n\r\n")
            .expect("nginx reads");
        let mut answer = String::new();
        stream
            .read_to_string(&mut answer)
            .expect("nginx answers in text");
        assert!(
            answer.starts_with("HTTP/1.1 200") && answer.ends_with("hello"),
            "{answer}"
        );
        assert!(nginx.folder().join("access.log").exists());
    }
}
