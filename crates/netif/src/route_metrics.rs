//! The numbers that a route gives to the connections that use it.

use neli::consts::rtnl::Rta;
use serde::{Deserialize, Serialize};

use crate::codec::{Attribute, ParseError, Writer};

/// One number of a route. Units: bytes for sizes, packets for windows and counts, the kernel's
/// units for times (`rtt` 1/8 ms, `rttvar` 1/4 ms, `rto_min` 1 ms). Source: `RTAX_*` of
/// `linux/rtnetlink.h`, and the keywords of the same names in `ip route` and keepalived.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum RouteMetric {
    /// Largest packet.
    Mtu,
    /// Largest TCP window to advertise.
    Window,
    /// Initial round trip time.
    Rtt,
    /// Initial variance of the round trip time.
    RttVar,
    /// Initial slow start threshold.
    SlowStartThreshold,
    /// Largest congestion window; needs its lock to count.
    CongestionWindow,
    /// TCP segment size to advertise.
    AdvertisedMss,
    /// How much reordering is taken for normal.
    Reordering,
    /// Hop limit of packets.
    HopLimit,
    /// Initial congestion window.
    InitialCongestionWindow,
    /// Features, as bits: 1 is ECN.
    Features,
    /// Smallest retransmission timeout.
    RtoMin,
    /// Initial receive window.
    InitialReceiveWindow,
    /// 1: acknowledge at once.
    QuickAck,
    /// 1: TCP fast open without cookie.
    FastOpenNoCookie,
}

impl RouteMetric {
    const NUMBERS: [(Self, u16); 15] = [
        (Self::Mtu, 2),
        (Self::Window, 3),
        (Self::Rtt, 4),
        (Self::RttVar, 5),
        (Self::SlowStartThreshold, 6),
        (Self::CongestionWindow, 7),
        (Self::AdvertisedMss, 8),
        (Self::Reordering, 9),
        (Self::HopLimit, 10),
        (Self::InitialCongestionWindow, 11),
        (Self::Features, 12),
        (Self::RtoMin, 13),
        (Self::InitialReceiveWindow, 14),
        (Self::QuickAck, 15),
        (Self::FastOpenNoCookie, 17),
    ];

    fn number(self) -> u16 {
        let row = Self::NUMBERS.iter().find(|row| row.0 == self);
        row.map_or(0, |row| row.1)
    }

    fn from_number(number: u16) -> Option<Self> {
        let row = Self::NUMBERS.iter().find(|row| row.1 == number);
        row.map(|row| row.0)
    }
}

/// `RTAX_LOCK` and `RTAX_CC_ALGO`.
const LOCK: u16 = 1;
const CONGESTION_CONTROL: u16 = 16;

/// The numbers of a route; by default none, and the system's own count.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct RouteMetrics {
    values: Vec<(RouteMetric, u32)>,
    locked: u32,
    congestion_control: Option<String>,
}

impl RouteMetrics {
    /// Sets one; a second value replaces the first.
    pub fn set(&mut self, metric: RouteMetric, value: u32) {
        self.values.retain(|(other, _)| *other != metric);
        self.values.push((metric, value));
        self.values.sort_unstable();
    }

    /// The value of one.
    pub fn value(&self, metric: RouteMetric) -> Option<u32> {
        let row = self.values.iter().find(|(other, _)| *other == metric);
        row.map(|row| row.1)
    }

    /// Locks one: the kernel does not adapt it (`mtu lock 1400`).
    pub fn lock(&mut self, metric: RouteMetric) {
        self.locked |= 1 << metric.number();
    }

    /// Whether one is locked.
    pub fn is_locked(&self, metric: RouteMetric) -> bool {
        self.locked & 1 << metric.number() != 0
    }

    /// Sets the TCP congestion control algorithm; `lock` makes it override the program's own
    /// choice.
    pub fn set_congestion_control(&mut self, name: &str, lock: bool) {
        self.congestion_control = Some(name.to_owned());
        if lock {
            self.locked |= 1 << CONGESTION_CONTROL;
        }
    }

    /// The TCP congestion control algorithm.
    pub fn congestion_control(&self) -> Option<&str> {
        self.congestion_control.as_deref()
    }

    pub(crate) fn read(attribute: &Attribute<'_>) -> Result<Self, ParseError> {
        let mut metrics = Self::default();
        for attribute in attribute.nested() {
            let attribute = attribute?;
            match attribute.kind {
                LOCK => metrics.locked = attribute.u32()?,
                CONGESTION_CONTROL => metrics.congestion_control = Some(attribute.text()),
                number => {
                    if let Some(metric) = RouteMetric::from_number(number) {
                        metrics.set(metric, attribute.u32()?);
                    }
                }
            }
        }
        Ok(metrics)
    }

    pub(crate) fn write(&self, writer: &mut Writer<'_>) {
        if *self == Self::default() {
            return;
        }
        writer.nest(Rta::Metrics.into(), |writer| {
            if self.locked != 0 {
                writer.u32(LOCK, self.locked);
            }
            for (metric, value) in &self.values {
                writer.u32(metric.number(), *value);
            }
            if let Some(name) = &self.congestion_control {
                writer.text(CONGESTION_CONTROL, name);
            }
        });
    }
}
