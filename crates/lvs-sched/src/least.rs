//! The comparison that wlc, lblc, lblcr, sed and nq share: cost per weight, without division.

use crate::Destination;

/// Is `a` less loaded than `b`, strictly: cost(a) / weight(a) < cost(b) / weight(b), compared by
/// cross-multiplication. A destination of weight 0 is never less loaded than another.
pub(crate) fn less_loaded(
    a: &Destination,
    b: &Destination,
    cost: impl Fn(&Destination) -> u64,
) -> bool {
    // Costs are below 2^41 and weights below 2^31, so the products need more than 64 bits.
    u128::from(cost(b)) * u128::from(a.weight) > u128::from(cost(a)) * u128::from(b.weight)
}

/// The eligible destination with the least cost per weight, the first in the list of equals.
pub(crate) fn least_loaded(
    destinations: &[Destination],
    cost: impl Fn(&Destination) -> u64,
) -> Option<&Destination> {
    let mut eligible = destinations.iter().filter(|d| d.is_eligible());
    let first = eligible.next()?;
    Some(eligible.fold(
        first,
        |best, d| if less_loaded(d, best, &cost) { d } else { best },
    ))
}

/// The choice of wlc.
pub(crate) fn wlc(destinations: &[Destination]) -> Option<&Destination> {
    least_loaded(destinations, Destination::overhead)
}

/// What a new flow would have to wait behind, in the eyes of sed and nq.
pub(crate) fn expected_delay(destination: &Destination) -> u64 {
    u64::from(destination.active_conns) + 1
}

/// The rule of lblc and lblcr for leaving a server: it has more active connections than weight,
/// and some destination of the service has fewer than half of its weight. That other one need not
/// be eligible.
pub(crate) fn is_hot(destination: &Destination, destinations: &[Destination]) -> bool {
    destination.active_conns > destination.weight
        && destinations
            .iter()
            .any(|d| u64::from(d.active_conns) * 2 < u64::from(d.weight))
}
