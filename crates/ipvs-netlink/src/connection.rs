//! Entries of the connection table, as lines of `/proc/net/ip_vs_conn`.
//!
//! Design: netlink has no command for connections, only this file has them, so its text is the
//! format on the Unix socket too. The list may have millions of lines: entries are handed on one by
//! one and never collected here.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::error::IpvsError;

/// First line of the list.
pub(crate) const TITLE: &str = "Pro FromIP   FPrt ToIP     TPrt DestIP   DPrt State       Expires \
                                PEName PEData\n";

/// A connection, or a persistence template, which looks like one from client port 0.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectionEntry {
    /// The protocol in the kernel's words: `TCP`, `UDP`, `SCTP`, and `IP` for templates of marks.
    pub protocol: String,
    /// The client. Port 0 and the masked address in a template.
    pub client: SocketAddr,
    /// Where the client connected to. In a template of a mark the address holds the mark: as the
    /// number of an IPv4 address, or in the second 16-bit groups of an IPv6 one.
    pub virtual_address: SocketAddr,
    /// The server.
    pub destination: SocketAddr,
    /// The state in the kernel's words: `ESTABLISHED`, `FIN_WAIT`, `UDP`, `NONE`, `ASSURED`.
    pub state: String,
    /// When the entry goes if no packet comes; whole seconds.
    pub expires: Duration,
    /// Name and data of the persistence engine, if it has said something.
    pub engine: Option<(String, String)>,
}

impl ConnectionEntry {
    /// Reads a line of the list. The closing newline may be there.
    ///
    /// # Errors
    ///
    /// [`IpvsError::MalformedConnection`] with the line.
    pub fn parse(line: &str) -> Result<Self, IpvsError> {
        read(line).ok_or_else(|| IpvsError::MalformedConnection {
            line: line.trim_end().to_owned(),
        })
    }
}

/// The line as the kernel writes it, without newline.
impl fmt::Display for ConnectionEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<3}", self.protocol)?;
        for address in [self.client, self.virtual_address, self.destination] {
            match address.ip() {
                IpAddr::V4(ip) => write!(f, " {:08X}", u32::from(ip))?,
                IpAddr::V6(ip) => {
                    let mut separator = ' ';
                    for group in ip.segments() {
                        write!(f, "{separator}{group:04x}")?;
                        separator = ':';
                    }
                }
            }
            write!(f, " {:04X}", address.port())?;
        }
        write!(f, " {:<11} {:>7}", self.state, self.expires.as_secs())?;
        match &self.engine {
            Some((name, data)) => write!(f, " {name} {data}"),
            None => Ok(()),
        }
    }
}

/// Hands the entries of whole lines of the list to `each`. The title is skipped.
pub(crate) fn parse_lines(
    text: &[u8],
    each: &mut impl FnMut(ConnectionEntry),
) -> Result<(), IpvsError> {
    for line in text.split(|byte| *byte == b'\n') {
        if line.is_empty() || line.starts_with(b"Pro ") {
            continue;
        }
        each(ConnectionEntry::parse(&String::from_utf8_lossy(line))?);
    }
    Ok(())
}

fn read(line: &str) -> Option<ConnectionEntry> {
    let line = line.trim_end_matches('\n');
    let mut words = line.split_ascii_whitespace();
    let mut word = || words.next();
    let protocol = word()?.to_owned();
    let client = address(word()?, word()?)?;
    let virtual_address = address(word()?, word()?)?;
    let destination = address(word()?, word()?)?;
    let state = word()?.to_owned();
    let expires = Duration::from_secs(word()?.parse().ok()?);
    let engine = match word() {
        None => None,
        // The data is whatever the engine took from a packet; blanks belong to it.
        Some(name) => {
            let rest = name.as_ptr() as usize - line.as_ptr() as usize + name.len();
            let data = line.get(rest..)?;
            Some((
                name.to_owned(),
                data.strip_prefix(' ').unwrap_or(data).to_owned(),
            ))
        }
    };
    Some(ConnectionEntry {
        protocol,
        client,
        virtual_address,
        destination,
        state,
        expires,
        engine,
    })
}

fn address(address: &str, port: &str) -> Option<SocketAddr> {
    let address = match address.len() {
        8 => Ipv4Addr::from(u32::from_str_radix(address, 16).ok()?).into(),
        39 => address.parse::<Ipv6Addr>().ok()?.into(),
        _ => return None,
    };
    Some(SocketAddr::new(
        address,
        u16::from_str_radix(port, 16).ok()?,
    ))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Read from /proc/net/ip_vs_conn of Linux 6.1.
    const LINES: &str = "\
Pro FromIP   FPrt ToIP     TPrt DestIP   DPrt State       Expires PEName PEData
TCP 0A000002 9550 0A000002 004D 0A010001 004D ESTABLISHED   99997
IP  2001:0db8:0000:0000:0000:0000:0000:0001 0000 0000:0006:0000:0000:0000:0000:0000:0000 0000 2001:0db8:0001:0000:0000:0000:0000:0001 0000 ASSURED          47
UDP 0A000001 A8ED 0A000001 0035 0A010001 0035 UDP             297
TCP 0A000002 0000 0A000002 0000 0A010001 0000 ASSURED          97
UDP 0A000001 0000 0A000001 13C4 0A010001 13C4 NONE             57 sip abc123@host
TCP 2001:0db8:0000:0000:0000:0000:0000:0001 BF3E 2001:0db8:0000:0000:0000:0000:0000:0001 0058 2001:0db8:0001:0000:0000:0000:0000:0001 0058 ESTABLISHED   99997
IP  0A000002 0000 00000005 0000 0A010001 0000 ASSURED          47
";

    #[test]
    fn kernel_lines_survive() {
        let mut written = TITLE.to_owned();
        parse_lines(LINES.as_bytes(), &mut |entry| {
            written += &format!("{entry}\n")
        })
        .unwrap();
        assert_eq!(written, LINES);
    }

    #[test]
    fn fields_are_where_they_should_be() {
        let line = "UDP 0A000001 0000 0A000001 13C4 0A010001 13C4 NONE             57 sip a b";
        let entry = ConnectionEntry::parse(line).unwrap();
        assert_eq!(entry.client, "10.0.0.1:0".parse().unwrap());
        assert_eq!(entry.virtual_address, "10.0.0.1:5060".parse().unwrap());
        assert_eq!(entry.destination, "10.1.0.1:5060".parse().unwrap());
        assert_eq!(
            (entry.state.as_str(), entry.expires),
            ("NONE", Duration::from_secs(57))
        );
        assert_eq!(entry.engine, Some(("sip".to_owned(), "a b".to_owned())));
    }

    #[test]
    fn a_short_line_is_reported() {
        let error = ConnectionEntry::parse("TCP 0A000001 0000").unwrap_err();
        assert!(
            matches!(error, IpvsError::MalformedConnection { line } if line.starts_with("TCP"))
        );
    }

    proptest! {
        #[test]
        fn rubbish_never_panics(line in "\\PC{0,120}") {
            let _ = ConnectionEntry::parse(&line);
        }

        #[test]
        fn parse_reverses_display(
            client: (u32, u16), vip: (u128, u16), expires: u32, data in "[!-~]{1,20}"
        ) {
            let entry = ConnectionEntry {
                protocol: "TCP".to_owned(),
                client: SocketAddr::new(Ipv4Addr::from(client.0).into(), client.1),
                virtual_address: SocketAddr::new(Ipv6Addr::from(vip.0).into(), vip.1),
                destination: SocketAddr::new(Ipv4Addr::from(!client.0).into(), vip.1),
                state: "ESTABLISHED".to_owned(),
                expires: Duration::from_secs(expires.into()),
                engine: Some(("sip".to_owned(), data)),
            };
            prop_assert_eq!(ConnectionEntry::parse(&entry.to_string()).unwrap(), entry);
        }
    }
}
