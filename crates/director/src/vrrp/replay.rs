//! What a recording makes of the machine: the same inputs at the same times, hence the same outputs.

use std::io::{self, BufRead};

use vrrp_proto::{Record, Refused, Router, RouterOutput, Time};

/// Why a recording could not be replayed to its end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReplayError {
    /// It could not be read.
    #[error("line {line} cannot be read")]
    Io {
        /// Which line, from 1.
        line: usize,
        /// What the system said.
        #[source]
        error: io::Error,
    },
    /// A line is not an input of the machine.
    #[error("line {line} is not a line of a recording")]
    NotARecord {
        /// Which line, from 1.
        line: usize,
        /// What is wrong with it.
        #[source]
        error: serde_json::Error,
    },
    /// A configuration in it is refused.
    #[error("the configuration of line {line} is refused")]
    Refused {
        /// Which line, from 1.
        line: usize,
        /// Why.
        #[source]
        error: Refused,
    },
}

/// Replays a recording of `lvsd --record`, and tells each output with the time of its input.
///
/// # Errors
///
/// At the first line that is not one of a recording; what came before it has been told.
pub fn replay(
    recording: impl BufRead,
    mut tell: impl FnMut(Time, &RouterOutput),
) -> Result<(), ReplayError> {
    let mut router = Router::new();
    for (number, text) in recording.lines().enumerate() {
        let line = number + 1;
        let text = text.map_err(|error| ReplayError::Io { line, error })?;
        let record: Record<'_> =
            serde_json::from_str(&text).map_err(|error| ReplayError::NotARecord { line, error })?;
        router
            .handle(record.at, &record.input)
            .map_err(|error| ReplayError::Refused { line, error })?;
        while let Some(output) = router.poll_output() {
            tell(record.at, &output);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use vrrp_proto::config::NamedInstance;
    use vrrp_proto::{Family, Input, InstanceConfig, InterfaceState, RouterConfig, Version, Vrid};

    use super::*;

    #[test]
    fn a_recording_gives_the_outputs_again() {
        let vrid = Vrid::try_from(51).unwrap();
        let config = InstanceConfig::new(Version::V3, Family::Ipv4, vrid, "eth0");
        let instances = vec![NamedInstance {
            name: "web".into(),
            config,
        }];
        let inputs = [
            (
                0,
                Input::Configure(RouterConfig {
                    instances,
                    ..RouterConfig::default()
                }),
            ),
            (
                0,
                Input::Interface {
                    interface: "eth0".into(),
                    state: InterfaceState::up(["192.0.2.1".parse().unwrap()]),
                },
            ),
            // A router that had not looked meanwhile would listen before it takes over.
            (1, Input::Timeout),
            (2, Input::Timeout),
            (3, Input::Timeout),
            (4, Input::Timeout),
        ];
        let lines = inputs.map(|(at, input)| {
            let at = Time::from_secs(at);
            serde_json::to_string(&Record { at, input }).unwrap()
        });
        let text = lines.join("\n");
        let mut states = Vec::new();
        replay(text.as_bytes(), |at, output| {
            states.extend(output.transition().map(|(_, it)| (at, it.to)));
        })
        .unwrap();
        let expected = [
            (0, vrrp_proto::State::Backup),
            (4, vrrp_proto::State::Master),
        ];
        assert_eq!(
            states,
            expected.map(|(at, state)| (Time::from_secs(at), state))
        );
    }

    #[test]
    fn a_line_of_something_else_is_named() {
        let error = replay("{}".as_bytes(), |_, _| ()).unwrap_err();
        assert!(matches!(error, ReplayError::NotARecord { line: 1, .. }));
    }
}
