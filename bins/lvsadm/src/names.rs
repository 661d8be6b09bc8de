//! Names of hosts and services, as the C library knows them.
//!
//! Design: the only unsafe code of lvsadm. The standard library looks names up, but not the other
//! way round, and knows no services.

use std::ffi::{CStr, CString};
use std::fs::File;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::IntoRawFd;

use ipvs_netlink::Protocol;
use socket2::SockAddr;

#[allow(unsafe_code)]
unsafe extern "C" {
    // Not in the libc crate. `getaddrinfo` would sort the addresses by which is nearest.
    fn gethostbyname(name: *const libc::c_char) -> *const libc::hostent;
}

/// The first IPv4 address of a host, in the order of the hosts file or of the DNS answer.
#[allow(unsafe_code)]
pub(crate) fn address_of_host(name: &str) -> Option<Ipv4Addr> {
    // A fuzzer must not send its words to the DNS.
    if cfg!(fuzzing) {
        return None;
    }
    let name = CString::new(name).ok().filter(|name| !name.is_empty())?;
    // SAFETY: the name has a closing NUL. The answer is null or points to static memory, which is
    // read before another call could change it: lvsadm has one thread. Its list of addresses ends
    // with a null pointer, and each holds `h_length` bytes.
    unsafe {
        let host = gethostbyname(name.as_ptr()).as_ref()?;
        if host.h_addrtype != libc::AF_INET || host.h_length != 4 {
            return None;
        }
        let first = host.h_addr_list.as_ref()?.cast::<[u8; 4]>().as_ref()?;
        Some(Ipv4Addr::from(*first))
    }
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

/// Opens `/dev/null` for each of the three standard streams that is closed: what is opened next must
/// not be taken for one.
#[allow(unsafe_code)]
pub(crate) fn open_streams() {
    let mut streams = [0, 1, 2].map(|fd| libc::pollfd {
        fd,
        events: 0,
        revents: 0,
    });
    // SAFETY: there are as many entries as is said, and they outlive the call.
    unsafe { libc::poll(streams.as_mut_ptr(), 3, 0) };
    for _ in streams
        .iter()
        .filter(|stream| stream.revents & libc::POLLNVAL != 0)
    {
        let null = File::options().read(true).write(true).open("/dev/null");
        // The lowest number that is free; it is to stay open.
        let _ = null.map(IntoRawFd::into_raw_fd);
    }
}

/// How many lines the terminal on standard output has; `None` if it is none.
#[allow(unsafe_code)]
pub(crate) fn terminal_lines() -> Option<usize> {
    let mut size = libc::winsize {
        ws_row: 0,
        ws_col: 0,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    // SAFETY: the request fills a winsize, which outlives the call.
    let status = unsafe { libc::ioctl(libc::STDOUT_FILENO, libc::TIOCGWINSZ, &raw mut size) };
    (status == 0 && size.ws_row > 0).then_some(size.ws_row.into())
}

/// Whether we are root.
#[allow(unsafe_code)]
pub(crate) fn is_root() -> bool {
    // SAFETY: takes nothing, changes nothing, cannot fail.
    unsafe { libc::geteuid() == 0 }
}
