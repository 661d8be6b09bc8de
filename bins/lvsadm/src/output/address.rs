//! Addresses as ipvsadm prints them.

use std::net::{IpAddr, Ipv4Addr};

use ipvs_netlink::{AddressFamily, Granularity, Protocol, VirtualService};

use crate::names;

/// The longest address with port, wherever it is printed.
const LONGEST: usize = 59;

/// The longest IPv4 address with port in a listing of services.
const LONGEST_LISTED: usize = 28;

/// Prints addresses, by number or by name.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Addresses {
    pub(crate) numeric: bool,
}

impl Addresses {
    /// `ADDRESS:PORT`. The service name is looked up for `protocol`; without one, as for marks, the
    /// port stays a number.
    pub(crate) fn text(self, address: IpAddr, port: u16, protocol: Option<Protocol>) -> String {
        let host = if self.numeric {
            None
        } else {
            names::host_of_address(address)
        };
        let host = host.unwrap_or_else(|| inet_ntop(address));
        let service = match protocol {
            Some(protocol) if port != 0 && !self.numeric => names::service_of_port(port, protocol),
            _ => None,
        };
        let port = service.unwrap_or_else(|| port.to_string());
        let text = match address {
            IpAddr::V4(_) => format!("{host}:{port}"),
            IpAddr::V6(_) => format!("[{host}]:{port}"),
        };
        cut(&text, LONGEST).to_owned()
    }
}

/// An address in a listing of services: an IPv4 one is cut to its column.
pub(crate) fn cut_for_listing(text: &str, address: IpAddr) -> &str {
    match address {
        IpAddr::V4(_) => cut(text, LONGEST_LISTED),
        IpAddr::V6(_) => text,
    }
}

/// The address in numbers, as the C library writes it: the last 32 bits of an otherwise empty IPv6
/// address as IPv4.
pub(crate) fn inet_ntop(address: IpAddr) -> String {
    match address {
        IpAddr::V6(v6) => match v6.segments() {
            [0, 0, 0, 0, 0, 0, high, low] if high != 0 => {
                format!(
                    "::{}",
                    Ipv4Addr::from(u32::from(high) << 16 | u32::from(low))
                )
            }
            _ => v6.to_string(),
        },
        IpAddr::V4(v4) => v4.to_string(),
    }
}

/// The persistence mask of a service, unless it tells all clients apart.
pub(crate) fn mask(service: &VirtualService) -> Option<String> {
    if service.persistence_granularity == Granularity::Host {
        return None;
    }
    let family = service.key.family();
    let netmask = service.persistence_granularity.netmask(family);
    Some(match family {
        AddressFamily::Inet => Ipv4Addr::from(netmask).to_string(),
        AddressFamily::Inet6 => netmask.to_string(),
    })
}

fn cut(text: &str, length: usize) -> &str {
    let mut end = text.len().min(length);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_of_the_c_library() {
        let numeric = Addresses { numeric: true };
        let text = |address: &str| numeric.text(address.parse().unwrap(), 80, Some(Protocol::Tcp));
        assert_eq!(text("10.0.0.1"), "10.0.0.1:80");
        assert_eq!(text("2001:db8:0:0::1"), "[2001:db8::1]:80");
        assert_eq!(text("::"), "[::]:80");
        assert_eq!(text("::1"), "[::1]:80");
        assert_eq!(text("::102:304"), "[::1.2.3.4]:80");
        assert_eq!(text("::ffff:1.2.3.4"), "[::ffff:1.2.3.4]:80");
        assert_eq!(text("0:7::"), "[0:7::]:80");
    }

    #[test]
    fn long_names_are_cut() {
        let v4: IpAddr = [10, 0, 0, 1].into();
        let name = "thirty-three.lab.example:http";
        assert_eq!(cut_for_listing(name, v4), "thirty-three.lab.example:htt");
        assert_eq!(cut_for_listing(name, [0_u16; 8].into()), name);
        assert_eq!(cut("aé", 2), "a");
    }
}
