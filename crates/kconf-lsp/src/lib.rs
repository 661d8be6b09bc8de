//! A language server for keepalived.conf: findings while typing, what a keyword means, what can
//! stand here, where a name is defined, one style, and fixes.
//!
//! The server speaks the Language Server Protocol 3.17 over a [`Connection`]. It reads files and
//! writes none; changes are sent to the editor. A file that another open file includes is checked
//! as part of that one; a client that knows the main file names it in its initialization options as
//! `{"root": "/etc/keepalived/keepalived.conf", "configId": "node1"}`.
//!
//! ```no_run
//! let (connection, threads) = lsp_server::Connection::stdio();
//! kconf_lsp::serve(&connection, "0.1")?;
//! drop(connection);
//! threads.join()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Modules
//!
//! | module | what |
//! |---|---|
//! | `server` | messages in, messages out; the open files |
//! | `context` | what stands at a place of a file, and in which block |
//! | `hover`, `completion`, `definition` | answers about such a place |
//! | `project` | all files of a configuration and their findings |
//! | `position` | bytes to lines and columns of the protocol, paths to URIs |

mod completion;
mod context;
mod definition;
mod hover;
mod position;
mod project;
mod server;

use gen_lsp_types::InitializeParams;
use lsp_server::{Connection, Message};
use serde_json::json;

use server::Server;

/// Why a server ended before it was told to.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The client does not keep to the protocol.
    #[error("the client does not keep to the protocol: {0}")]
    Protocol(#[from] lsp_server::ProtocolError),
    /// The client sends something that is not what the protocol says.
    #[error("the client sends something else than the protocol says: {0}")]
    Message(#[from] serde_json::Error),
    /// The client is gone.
    #[error("the client is gone")]
    Gone,
}

/// Serves a client until it says `exit`.
///
/// # Errors
///
/// An [`Error`] if the client goes without a word, or breaks the protocol.
pub fn serve(connection: &Connection, version: &str) -> Result<(), Error> {
    let (id, params) = connection.initialize_start()?;
    let params: InitializeParams = serde_json::from_value(params)?;
    let mut server = Server::new(&params);
    let answer = json!({
        "capabilities": server.capabilities(),
        "serverInfo": { "name": "lvsd", "version": version },
    });
    connection.initialize_finish(id, answer)?;
    while let Ok(message) = connection.receiver.recv() {
        let answer = match message {
            Message::Request(request) => {
                if connection.handle_shutdown(&request)? {
                    return Ok(());
                }
                Some(Message::Response(server.request(request)))
            }
            Message::Notification(notification) => {
                server.notification(notification);
                None
            }
            Message::Response(_) => None,
        };
        if let Some(answer) = answer {
            send(connection, answer)?;
        }
        // Who types fast sends more before we are ready; only the last text is worth a check.
        if connection.receiver.is_empty() {
            for notification in server.findings() {
                send(connection, Message::Notification(notification))?;
            }
        }
    }
    Err(Error::Gone)
}

fn send(connection: &Connection, message: Message) -> Result<(), Error> {
    connection.sender.send(message).map_err(|_| Error::Gone)
}
