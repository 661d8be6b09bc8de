//! Frames between the parent and its children.
//!
//! # Design
//! A frame is four bytes of length, big endian, and that many bytes of JSON, over the socket pair
//! that a child inherits. JSON because frames are few (a configuration, a change of state) and a
//! person who looks at one while hunting a fault can read it. Both ends are the same binary, so
//! there is no versioning. The end of the stream means that the other process is gone, and is told
//! apart from a frame that was cut short.

use std::io;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// The longest frame, in bytes: far more than the largest configuration, and a bound on what a
/// process that went mad can make the other one allocate.
pub const MAX_FRAME: usize = 256 << 20;

/// Why a frame could not be sent or received.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IpcError {
    /// The socket failed, or ended within a frame.
    #[error("the socket to the other process failed")]
    Io(#[from] io::Error),
    /// A frame is longer than [`MAX_FRAME`].
    #[error("a frame of {length} bytes is too long")]
    TooLong {
        /// Its length.
        length: usize,
    },
    /// A frame is not what was expected.
    #[error("a frame is not understood")]
    Json(#[from] serde_json::Error),
}

/// Sends one frame.
///
/// # Errors
///
/// When the other process is gone, or the message is too long.
pub async fn send<T: Serialize + Sync>(
    socket: &mut (impl AsyncWrite + Unpin),
    message: &T,
) -> Result<(), IpcError> {
    let mut frame = vec![0; 4];
    serde_json::to_writer(&mut frame, message)?;
    let length = frame.len() - 4;
    if length > MAX_FRAME {
        return Err(IpcError::TooLong { length });
    }
    let header = u32::try_from(length).map_err(|_| IpcError::TooLong { length })?;
    frame[..4].copy_from_slice(&header.to_be_bytes());
    socket.write_all(&frame).await?;
    Ok(())
}

/// Receives one frame; `None` when the other process closed the socket between two.
///
/// Not cancel safe: a dropped call may have taken a part of a frame. Give it a task of its own.
///
/// # Errors
///
/// When the socket fails, or what arrives is not a frame of this kind.
pub async fn receive<T: DeserializeOwned>(
    socket: &mut (impl AsyncRead + Unpin),
) -> Result<Option<T>, IpcError> {
    let mut header = [0; 4];
    let first = socket.read(&mut header).await?;
    if first == 0 {
        return Ok(None);
    }
    // `first` is at most 4, the length of the buffer that was read into.
    socket.read_exact(&mut header[first..]).await?;
    let length = usize::try_from(u32::from_be_bytes(header)).unwrap_or(usize::MAX);
    if length > MAX_FRAME {
        return Err(IpcError::TooLong { length });
    }
    let mut frame = Vec::with_capacity(length);
    let wanted = u64::try_from(length).unwrap_or(u64::MAX);
    socket.take(wanted).read_to_end(&mut frame).await?;
    if frame.len() < length {
        return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
    }
    Ok(Some(serde_json::from_slice(&frame)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn frames_arrive_whole_and_in_order_whatever_the_pieces() {
        let mut bytes = Vec::new();
        send(&mut bytes, &vec![1u8, 2]).await.unwrap();
        send(&mut bytes, &Vec::<u8>::new()).await.unwrap();
        // A pipe of one byte: every read is a short one.
        let (mut writer, mut reader) = tokio::io::duplex(1);
        let task = tokio::spawn(async move { writer.write_all(&bytes).await });
        assert_eq!(
            receive::<Vec<u8>>(&mut reader).await.unwrap(),
            Some(vec![1, 2])
        );
        assert_eq!(receive::<Vec<u8>>(&mut reader).await.unwrap(), Some(vec![]));
        assert_eq!(receive::<Vec<u8>>(&mut reader).await.unwrap(), None);
        task.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn a_frame_cut_short_is_an_error_and_no_end() {
        let mut bytes = Vec::new();
        send(&mut bytes, &"hello").await.unwrap();
        for length in 1..bytes.len() {
            let mut cut = &bytes[..length];
            assert!(
                matches!(receive::<String>(&mut cut).await, Err(IpcError::Io(_))),
                "{length}"
            );
        }
    }

    #[tokio::test]
    async fn nonsense_is_refused() {
        let mut huge = &[0xff, 0xff, 0xff, 0xff][..];
        assert!(matches!(
            receive::<String>(&mut huge).await,
            Err(IpcError::TooLong { .. })
        ));
        let mut not_json = &b"\0\0\0\x01{"[..];
        assert!(matches!(
            receive::<String>(&mut not_json).await,
            Err(IpcError::Json(_))
        ));
    }
}
