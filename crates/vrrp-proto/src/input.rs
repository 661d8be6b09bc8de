//! What can happen, as plain values that can be recorded.

use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::config::RouterConfig;
use crate::time::{Time, seconds};
use crate::track::TrackReport;
use crate::types::{HardwareAddress, Name};
use crate::wire::ip::Datagram;

/// One thing that happened to a [`Router`](crate::Router).
///
/// For each there is a method of the router; [`Router::handle`](crate::Router::handle) takes any
/// of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Input<'a> {
    /// The configuration at the start, or a new one.
    Configure(RouterConfig),
    /// A process that died was Master; said right after the first configuration.
    Resume {
        /// Which instance.
        instance: Name,
        /// How long ago it died.
        #[serde(with = "seconds")]
        silent_for: Duration,
    },
    /// A packet of protocol 112 (or 51) came in.
    Datagram {
        /// The interface where it came in.
        interface: Name,
        /// The packet.
        #[serde(borrow)]
        datagram: Datagram<'a>,
    },
    /// An interface appeared, disappeared, changed its carrier or its addresses.
    Interface {
        /// Which.
        interface: Name,
        /// How it is now.
        state: InterfaceState,
    },
    /// A tracked object has a new status.
    Track(TrackReport),
    /// Something went wrong outside.
    Trouble {
        /// Which instance.
        instance: Name,
        /// What.
        trouble: Trouble,
    },
    /// Announce the addresses again, if Master: an operator's wish.
    Announce {
        /// Which instance.
        instance: Name,
    },
    /// A deadline has come.
    Timeout,
    /// The process stops.
    Stop,
}

/// An interface as the driver sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct InterfaceState {
    /// Whether it exists, is up and running (`IFF_UP` and `IFF_RUNNING`), after any debouncing.
    pub up: bool,
    /// Its usable addresses (no tentative ones), in the kernel's order. Those that are virtual
    /// addresses of an instance are told apart here, not by the driver.
    pub addresses: Vec<IpAddr>,
}

impl InterfaceState {
    /// An interface that is up with these addresses.
    pub fn up(addresses: impl IntoIterator<Item = IpAddr>) -> Self {
        Self {
            up: true,
            addresses: addresses.into_iter().collect(),
        }
    }

    /// An interface that is down or does not exist.
    pub fn down() -> Self {
        Self::default()
    }
}

/// What went wrong outside of an instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Trouble {
    /// An address that the instance holds was removed by somebody else. It is put back.
    AddressLost {
        /// Which.
        address: IpAddr,
        /// From where.
        interface: Name,
    },
    /// An address could not be added. It is tried again; after three failures in a row the
    /// instance leaves the addresses to another router.
    AddressNotInstalled {
        /// Which.
        address: IpAddr,
        /// Where.
        interface: Name,
        /// The kernel's words.
        detail: String,
    },
    /// An advertisement could not be sent.
    SendFailed {
        /// The kernel's words.
        detail: String,
    },
    /// Another host claims an address of the instance, by ARP or neighbour advertisement.
    AddressClaimed {
        /// Which.
        address: IpAddr,
        /// Its hardware address.
        hardware: HardwareAddress,
    },
}

/// An input and its time: one line of a recording.
///
/// A driver that records writes each input before it hands it to the router, `Timeout` included,
/// so a replay sees the same lateness. Recordings hold the configuration with its passwords.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record<'a> {
    /// When it was handed over.
    pub at: Time,
    /// What it was.
    #[serde(borrow)]
    pub input: Input<'a>,
}
