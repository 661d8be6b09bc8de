use std::time::Duration;

use kconf_parser::config::{BindTo, HttpCheck, StatusRange, Url};

use super::*;

/// A `TCP_CHECK` of 10.0.0.1:80 with every default.
pub(crate) fn tcp_check() -> Check {
    Check {
        kind: CheckKind::Tcp,
        target: "10.0.0.1:80".parse().unwrap(),
        bind: BindTo::default(),
        fwmark: 0,
        connect_timeout: Duration::from_secs(5),
        delay_loop: Duration::from_secs(60),
        retry: 1,
        delay_before_retry: Duration::from_secs(1),
        warmup: Duration::from_secs(60),
        alpha: false,
        log_all_failures: false,
    }
}

/// An `HTTP_GET` of `/` at 10.0.0.1:80 with every default.
pub(crate) fn http_check() -> Check {
    Check {
        kind: CheckKind::Http(HttpCheck {
            tls: false,
            version: config::HttpVersion::Http10,
            urls: vec![Url {
                path: "/".into(),
                virtualhost: None,
                sni: None,
                digest: None,
                status: vec![StatusRange {
                    first: 200,
                    last: 299,
                }],
                regex: None,
                tls_compliant: false,
            }],
            fast_recovery: false,
            tls_compliant: false,
        }),
        delay_before_retry: Duration::from_secs(3),
        ..tcp_check()
    }
}
