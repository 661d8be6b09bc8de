//! `TCP_CHECK`: a connection that can be made is enough.

use super::{Connect, measure};
use crate::verdict::Outcome;

/// Connects and hangs up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TcpProbe {
    /// Where to.
    pub connect: Connect,
}

impl TcpProbe {
    /// Runs the probe.
    pub async fn run(&self) -> Outcome {
        measure(self.connect.timeout, |deadline| async move {
            self.connect.open(deadline).await.map(drop)
        })
        .await
    }
}
