//! The keepalived.conf that the demo shows and runs.

use std::fmt::Write as _;
use std::net::SocketAddr;

/// The weights of the three servers.
pub(crate) const WEIGHTS: [u32; 3] = [5, 3, 1];

/// What the servers are called.
pub(crate) const NAMES: [&str; 3] = ["a", "b", "c"];

/// The page that is checked.
pub(crate) const CHECK_PATH: &str = "/health";

/// The file as text. keepalived can run it, too.
pub(crate) fn keepalived_conf(service: SocketAddr, servers: &[SocketAddr; 3]) -> String {
    let mut text = format!(
        "virtual_server {} {} {{
    delay_loop 1
    warmup 0
    lb_algo wrr
    lb_kind NAT
    protocol TCP
",
        service.ip(),
        service.port()
    );
    for (server, weight) in servers.iter().zip(WEIGHTS) {
        // Writing to a String cannot fail.
        let _ = write!(
            text,
            "
    real_server {} {} {{
        weight {weight}
        HTTP_GET {{
            url {{
                path {CHECK_PATH}
                status_code 200
            }}
            connect_timeout 3
            retry 1
            delay_before_retry 1
        }}
    }}
",
            server.ip(),
            server.port()
        );
    }
    text.push_str("}\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_server_is_in_it_with_its_weight() {
        let address = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let text = keepalived_conf(address(8080), &[address(1), address(2), address(3)]);
        assert!(text.starts_with("virtual_server 127.0.0.1 8080 {\n"));
        for (port, weight) in [(1, 5), (2, 3), (3, 1)] {
            let block = format!("real_server 127.0.0.1 {port} {{\n        weight {weight}\n");
            assert!(text.contains(&block), "{text}");
        }
        assert_eq!(text.matches('{').count(), text.matches('}').count());
    }
}
