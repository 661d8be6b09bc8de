//! Names of hosts and services, as the C library knows them.
//!
//! Design: the only unsafe code of lvsadm. The standard library looks names up, but not the other
//! way round, and knows no services.

use std::ffi::{CStr, CString};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs};

use ipvs_netlink::Protocol;
use socket2::SockAddr;

/// The IPv4 address of a host.
pub(crate) fn address_of_host(name: &str) -> Option<Ipv4Addr> {
    if name.is_empty() {
        return None;
    }
    (name, 0)
        .to_socket_addrs()
        .ok()?
        .find_map(|address| match address {
            SocketAddr::V4(address) => Some(*address.ip()),
            SocketAddr::V6(_) => None,
        })
}

/// The host that has an address.
#[allow(unsafe_code)]
pub(crate) fn host_of_address(address: IpAddr) -> Option<String> {
    let address = SockAddr::from(SocketAddr::new(address, 0));
    let mut name = [0_u8; libc::NI_MAXHOST as usize];
    // SAFETY: the address is `len` bytes of an initialised socket address that outlives the call;
    // the name buffer is as long as is said, and no service name is asked for.
    let status = unsafe {
        libc::getnameinfo(
            address.as_ptr().cast(),
            address.len(),
            name.as_mut_ptr().cast(),
            libc::NI_MAXHOST,
            std::ptr::null_mut(),
            0,
            libc::NI_NAMEREQD,
        )
    };
    if status != 0 {
        return None;
    }
    Some(
        CStr::from_bytes_until_nul(&name)
            .ok()?
            .to_string_lossy()
            .into_owned(),
    )
}

/// The port of a service.
#[allow(unsafe_code)]
pub(crate) fn port_of_service(name: &str, protocol: Protocol) -> Option<u16> {
    let name = CString::new(name).ok()?;
    // SAFETY: both are strings with a closing NUL. The answer is null or points to static memory,
    // which is read before another call could change it: lvsadm has one thread.
    let port = unsafe { libc::getservbyname(name.as_ptr(), c_name(protocol).as_ptr()).as_ref() };
    port.map(|service| u16::from_be(service.s_port as u16))
}

/// The service on a port.
#[allow(unsafe_code)]
pub(crate) fn service_of_port(port: u16, protocol: Protocol) -> Option<String> {
    // SAFETY: as above; the name in the answer is a string with a closing NUL.
    let name = unsafe {
        let port = libc::c_int::from(port.to_be());
        let service = libc::getservbyport(port, c_name(protocol).as_ptr()).as_ref()?;
        CStr::from_ptr(service.s_name)
    };
    Some(name.to_string_lossy().into_owned())
}

fn c_name(protocol: Protocol) -> &'static CStr {
    match protocol {
        Protocol::Tcp => c"tcp",
        Protocol::Udp => c"udp",
        Protocol::Sctp => c"sctp",
    }
}

/// A closed pipe shall end the program, as it ends others.
#[allow(unsafe_code)]
pub(crate) fn die_of_closed_pipes() {
    // SAFETY: sets a disposition before there are threads; no handler is involved.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
}

/// Whether we are root.
#[allow(unsafe_code)]
pub(crate) fn is_root() -> bool {
    // SAFETY: takes nothing, changes nothing, cannot fail.
    unsafe { libc::geteuid() == 0 }
}
