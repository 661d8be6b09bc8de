//! The answering end of the control socket.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc, oneshot};

use super::Event;
use crate::control::{MAX_REQUEST, Response};
use crate::socket;

/// How long a checker may take to tell its status before the last one is told instead.
pub(super) const STATUS_LIMIT: Duration = Duration::from_secs(2);

/// How many may ask at a time; more wait their turn.
const MAX_CONNECTIONS: usize = 64;

/// How long a connection may be silent.
const IDLE_LIMIT: Duration = Duration::from_secs(60);

/// Begins to listen at `path`, for us alone.
pub(super) fn listen(path: &Path, events: mpsc::UnboundedSender<Event>) -> io::Result<()> {
    let listener = socket::listen(path)?;
    listener.set_nonblocking(true)?;
    let listener = UnixListener::from_std(listener)?;
    tokio::spawn(accept(listener, events));
    Ok(())
}

async fn accept(listener: UnixListener, events: mpsc::UnboundedSender<Event>) {
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        // Never closed.
        let Ok(place) = Arc::clone(&places).acquire_owned().await else {
            return;
        };
        match listener.accept().await {
            Ok((stream, _)) => {
                let events = events.clone();
                tokio::spawn(async move {
                    // A peer that goes away in the middle is its own affair.
                    let _ = answer(stream, events).await;
                    drop(place);
                });
            }
            // Out of descriptors, most likely: others have to end first.
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

async fn answer(stream: UnixStream, events: mpsc::UnboundedSender<Event>) -> io::Result<()> {
    let (reader, mut writer) = stream.into_split();
    let mut reader = BufReader::new(reader);
    loop {
        let mut line = Vec::new();
        let limit = u64::try_from(MAX_REQUEST).unwrap_or(u64::MAX);
        let mut limited = (&mut reader).take(limit);
        let read = limited.read_until(b'\n', &mut line);
        let count = tokio::time::timeout(IDLE_LIMIT, read).await??;
        if count == 0 {
            return Ok(());
        }
        let too_long = line.last() != Some(&b'\n') && count >= MAX_REQUEST;
        let response = match serde_json::from_slice(&line) {
            Ok(request) => {
                let (sender, receiver) = oneshot::channel();
                let _ = events.send(Event::Control(request, sender));
                receiver.await.unwrap_or_else(|_| Response::Error {
                    reason: "the director is stopping".to_owned(),
                })
            }
            Err(error) => Response::Error {
                reason: error.to_string(),
            },
        };
        let mut text = serde_json::to_vec(&response)?;
        text.push(b'\n');
        writer.write_all(&text).await?;
        if too_long {
            return Ok(());
        }
    }
}
