//! Large configurations without a mistake, for the criterion bench and the comparison with
//! keepalived.

use std::fmt::Write as _;

/// At least this many lines of services, each with two servers that are checked.
pub fn services(lines: usize) -> String {
    let mut text = String::from("global_defs {\n    router_id bench\n}\n");
    for service in 0..lines.div_ceil(SERVICE_LINES) {
        let (port, high, low) = (1 + (service >> 16), service >> 8 & 0xff, service & 0xff);
        let _ = write!(
            text,
            "# service {service}\nvirtual_server 10.{high}.{low}.1 {port} {{\n    delay_loop 6\n    \
             lb_algo wrr\n    lb_kind NAT\n    protocol TCP\n"
        );
        for server in 2..4 {
            let _ = write!(
                text,
                "    real_server 10.{high}.{low}.{server} 80 {{\n        weight 5\n        \
                 HTTP_GET {{\n            url {{\n                path /health\n                \
                 status_code 200\n            }}\n            connect_timeout 3\n            \
                 retry 2\n        }}\n    }}\n"
            );
        }
        text.push_str("}\n");
    }
    text
}

/// Lines of one service.
const SERVICE_LINES: usize = 29;

/// At least this many lines of virtual routers, 200 on each interface; the interfaces need not
/// exist.
pub fn virtual_routers(lines: usize) -> String {
    let mut text = String::from(
        "global_defs {\n    dynamic_interfaces\n    enable_script_security\n    script_user root\n}\n\
         vrrp_script alive {\n    script \"/bin/true\"\n    interval 2\n    weight -10\n}\n",
    );
    for router in 0..lines.div_ceil(ROUTER_LINES) {
        let (interface, number) = (router / 200, router % 200 + 1);
        let (high, low) = (interface >> 8 & 0xff, interface & 0xff);
        let _ = write!(
            text,
            "vrrp_instance router-{router} {{\n    state BACKUP\n    interface vlan{interface}\n    \
             virtual_router_id {number}\n    priority 150\n    advert_int 1\n    \
             virtual_ipaddress {{\n        10.{high}.{low}.{number}/32\n    }}\n    \
             track_script {{\n        alive\n    }}\n}}\n"
        );
    }
    text
}

/// Lines of one virtual router.
const ROUTER_LINES: usize = 13;

#[cfg(test)]
mod tests {
    use std::path::Path;

    use kconf_parser::{MemoryLoader, Options, analyze, render};

    use super::*;

    #[test]
    fn they_have_the_length_that_is_asked_for_and_no_mistake() {
        for (make, block) in [(services as fn(usize) -> _, 29), (virtual_routers, 13)] {
            let text = make(1000);
            let lines = text.lines().count();
            assert!((1000..1000 + block + 12).contains(&lines), "{lines}");
            let path = Path::new("/k.conf");
            let loader = MemoryLoader::default().with(path, text);
            let analysis = analyze(path, &Options::default(), &loader);
            assert_eq!(render::human(&analysis, false), "");
        }
    }
}
