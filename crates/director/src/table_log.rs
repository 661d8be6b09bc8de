//! Log lines about the dataplane's table.
//!
//! # Design
//! The reconciler tells what happened as values; only the words are here.

use tracing::{error, info, warn};

use crate::reconcile::{Difference, Drift, News, Subject};
use crate::wiring;

/// Logs what the reconciler has to say.
pub fn log(news: &News) {
    match news {
        News::Refused { subject, reason } => {
            let name = name(subject);
            error!("{name} cannot be served - {reason} - trying again");
        }
        News::NotRemoved { subject, reason } => {
            let name = name(subject);
            error!("{name} cannot be removed - {reason} - trying again");
        }
        News::Accepted { subject } => info!("{} is served now", name(subject)),
        News::Drifted { subject, drift } => warn!("{}", drifted(subject, drift)),
        News::DriftsHeldBack(count) => {
            warn!("{count} more changes of the table by somebody else were put right");
        }
        News::ShownOtherwise { subject, drift } => {
            warn!("{}", shown_otherwise(subject, drift));
        }
        News::Lost { reason } => warn!("The dataplane's table does not answer - {reason}"),
        News::Found => info!("The dataplane's table answers again"),
    }
}

fn drifted(subject: &Subject, drift: &Drift) -> String {
    let name = name(subject);
    match drift {
        Drift::Missing => {
            format!("{name} was removed from the table by somebody else - adding it again")
        }
        Drift::Changed(differences) => {
            let differences = differing(differences);
            format!("{name} was changed by somebody else ({differences}) - setting it back")
        }
        Drift::Foreign => format!("{name} was added by somebody else - removing it"),
    }
}

fn shown_otherwise(subject: &Subject, drift: &Drift) -> String {
    let differences = match drift {
        Drift::Changed(differences) => differing(differences),
        Drift::Missing | Drift::Foreign => String::new(),
    };
    let name = name(subject);
    format!("{name} is shown by the dataplane otherwise than it was set ({differences}) - so be it")
}

fn differing(differences: &[Difference]) -> String {
    let differences: Vec<String> = differences
        .iter()
        .map(|difference| {
            let Difference { what, found, left } = difference;
            format!("{what} {found} instead of {left}")
        })
        .collect();
    differences.join(", ")
}

fn name(subject: &Subject) -> String {
    match subject {
        Subject::Service(key) => format!("VS {}", wiring::service_name(key)),
        Subject::Destination(key, destination) => format!(
            "Server {} of VS {}",
            wiring::server_name(key, destination),
            wiring::service_name(key)
        ),
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use ipvs_netlink::ServiceKey;

    use super::*;

    #[test]
    fn a_line_names_the_thing_and_what_was_done_to_it() {
        let key = ServiceKey::tcp(([10, 0, 0, 1], 80).into());
        let server = SocketAddr::from(([10, 0, 1, 1], 8080)).into();
        let difference = |what, found: &str, left: &str| Difference {
            what,
            found: found.to_owned(),
            left: left.to_owned(),
        };
        let changed = Drift::Changed(vec![
            difference("weight", "0", "3"),
            difference("method", "DR", "NAT"),
        ]);
        assert_eq!(
            drifted(&Subject::Service(key), &Drift::Missing),
            "VS [10.0.0.1]:tcp:80 was removed from the table by somebody else - adding it again"
        );
        assert_eq!(
            drifted(&Subject::Destination(key, server), &changed),
            "Server [10.0.1.1]:tcp:8080 of VS [10.0.0.1]:tcp:80 was changed by somebody else \
             (weight 0 instead of 3, method DR instead of NAT) - setting it back"
        );
    }
}
