//! `lvsd lsp`: a language server on standard input and output.

use std::process::ExitCode;

use lsp_server::Connection;

use crate::files::say;

/// Serves one editor.
pub(crate) fn run() -> ExitCode {
    let (connection, threads) = Connection::stdio();
    let served = kconf_lsp::serve(&connection, env!("CARGO_PKG_VERSION"));
    // The writer ends when nothing can be sent any more.
    drop(connection);
    if let Err(error) = served {
        say(&format!("lvsd lsp: {error}\n"));
        return ExitCode::FAILURE;
    }
    match threads.join() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("lvsd lsp: {error}\n"));
            ExitCode::FAILURE
        }
    }
}
