//! Values of options: right ones, and wrong ones of every kind.

use rand::seq::IndexedRandom;
use rand::{Rng, RngExt};

/// Words that are no options.
pub(crate) const STRAY: &[&[u8]] = &[
    b"foo",
    b"",
    b"-",
    b"--",
    b"5",
    b"-5",
    b"\xff\xfe",
    b"10.0.0.1:80",
    b"ipvsadm",
    b"-1",
    b"#",
];

/// Options that there are not.
pub(crate) const UNKNOWN: &[&str] = &[
    "-Q",
    "--bogus",
    "-LnQ",
    "-V",
    "--num",
    "--add",
    "--tcp",
    "--add-servic",
    "--add-services",
    "--lis",
    "--stat",
    "--persist",
    "--real",
    "--sched",
    "--ADD-SERVICE",
    "--Numeric",
    "-numeric",
    "---numeric",
    "-n-",
    "--no-sort",
    "--tun-type=",
    "--pe=",
    "--json",
    "--socket",
    "--socket=/nonexistent",
    "-tcp-service",
    "--ops=3",
    "-o=1",
    "--list=3",
    "-nq",
    "--6",
    "-6",
    "-k",
    "--",
    "--=",
    "-=",
    "--sort=1",
    "-n=5",
    "--numeric=",
    "--weight",
    "-list",
    "--set=10",
    "--ipv6=1",
    "-é",
];

const SERVICES: &[(&str, &str)] = &[
    ("tcp-service", "10.0.0.1:80"),
    ("tcp-service", "10.0.0.1:443"),
    ("tcp-service", "10.0.0.2:80"),
    ("tcp-service", "10.0.0.3"),
    ("udp-service", "10.0.0.1:53"),
    ("udp-service", "10.0.0.2:5060"),
    ("sctp-service", "10.0.0.1:2905"),
    ("tcp-service", "[2001:db8::1]:80"),
    ("udp-service", "[2001:db8::2]:53"),
    ("tcp-service", "2001:db8::3"),
    ("fwmark-service", "5"),
    ("fwmark-service", "4294967295"),
    ("fwmark-service", "2147483648"),
    ("tcp-service", "vip1:http"),
    ("udp-service", "vip2.lab.example:domain"),
    ("tcp-service", "192.168.0.1:8080"),
    ("tcp-service", "0xa.0.0.1:80"),
    ("tcp-service", "10.1:00080"),
    ("tcp-service", "0.0.0.0:80"),
    ("tcp-service", "[::]:8"),
    ("tcp-service", "255.255.255.255:1"),
    ("tcp-service", "[::1.2.3.4]:80"),
    ("udp-service", "[::ffff:10.0.0.1]:80"),
    ("tcp-service", "[fe80::1]:80"),
    ("tcp-service", "thirty-three-bytes.lab.example:http"),
    ("sctp-service", "[2001:db8::1]:2905"),
    ("tcp-service", "10.0.0.1:0"),
    ("tcp-service", "[2001:db8::3]:0"),
    ("tcp-service", "[10.0.0.2]:80"),
    ("tcp-service", "2001:db8::1:80"),
    ("tcp-service", "[2001:DB8:0:0::1]:0080"),
    ("tcp-service", "10.0.0.1:ssh"),
    ("udp-service", "10.0.0.1:tftp"),
    ("sctp-service", "10.0.0.2:80"),
    ("fwmark-service", "0000007"),
    ("tcp-service", "224.0.0.1:80"),
    ("tcp-service", "[ff02::1]:80"),
    ("udp-service", "127.0.0.1:53"),
];

const WRONG_SERVICES: &[(&str, &str)] = &[
    ("tcp-service", "10.0.0.1:http1"),
    ("tcp-service", "10.0.0.256:80"),
    ("tcp-service", "10.0.0.1:65536"),
    ("tcp-service", "10.0.0.1:"),
    ("tcp-service", ":80"),
    ("tcp-service", ""),
    ("tcp-service", "10.0.0.1:-1"),
    ("tcp-service", "10.0.0.1: 80"),
    ("tcp-service", "10.0.0.1:80 "),
    ("tcp-service", " 10.0.0.1:80"),
    ("tcp-service", "10.0.0.1 :80"),
    ("tcp-service", "10.0.0.1:+80"),
    ("tcp-service", "10.0.0.1:0x50"),
    ("tcp-service", "10.0.0.1:80:80"),
    ("tcp-service", "[2001:db8::1]"),
    ("tcp-service", "[2001:db8::1"),
    ("tcp-service", "[2001:db8::1]80"),
    ("tcp-service", "[2001:db8::1]:"),
    ("tcp-service", "[2001:db8::g]:80"),
    ("tcp-service", "[fe80::1%lo]:80"),
    ("tcp-service", "[vip1]:80"),
    ("tcp-service", "[vip6.lab.example]:80"),
    ("tcp-service", "vip6.lab.example:80"),
    ("tcp-service", "nowhere.lab.example:80"),
    ("tcp-service", "[10.0.0.2]"),
    ("tcp-service", "[]:80"),
    ("tcp-service", "]"),
    ("tcp-service", ":::"),
    ("udp-service", "10.0.0.1:http"),
    ("udp-service", "10.0.0.1:HTTP"),
    ("sctp-service", "10.0.0.1:http"),
    ("tcp-service", "10.0.0.1:HTTP"),
    ("tcp-service", "08.0.0.1:80"),
    ("tcp-service", "1.2.3.4.5:80"),
    ("tcp-service", "10.0.0.1.:80"),
    ("tcp-service", "0x:80"),
    ("tcp-service", "4294967296:80"),
    ("tcp-service", "10.0.0.1x:80"),
    ("tcp-service", "fe80::1%lo"),
    ("tcp-service", "[fe80::1%1]:80"),
    ("tcp-service", "10.0.0.1:tftp"),
    ("udp-service", "10.0.0.1:ssh "),
    ("tcp-service", "10.0.0.1:80,443"),
    ("tcp-service", "10.0.0.1-10.0.0.3:80"),
    ("tcp-service", "10.0.0.0/24:80"),
    ("tcp-service", "[10.0.0.1:80]"),
    ("tcp-service", "[[2001:db8::1]]:80"),
    ("tcp-service", "10.0.0.1:99999999999999999999"),
    (
        "tcp-service",
        "a.very.long.name.that.nobody.has.ever.heard.of.in.any.place.lab.example:80",
    ),
    ("fwmark-service", "0"),
    ("fwmark-service", "5 "),
    ("fwmark-service", "10.0.0.1:80"),
    ("fwmark-service", "-1"),
    ("fwmark-service", "4294967296"),
    ("fwmark-service", "x"),
    ("fwmark-service", ""),
    ("fwmark-service", "5x"),
    ("fwmark-service", "0x5"),
    ("fwmark-service", " 5"),
    ("fwmark-service", "+5"),
    ("fwmark-service", "005"),
    ("fwmark-service", "18446744073709551617"),
];

const SERVERS: &[&str] = &[
    "10.1.0.1:80",
    "10.1.0.1",
    "10.1.0.2:8080",
    "10.1.0.3",
    "10.1.0.4:443",
    "200.1.0.1:80",
    "[2001:db8:1::1]:80",
    "[2001:db8:1::2]:8080",
    "2001:db8:1::3",
    "real1:http",
    "real1",
    "real2.lab.example:domain",
    "127.0.0.1:80",
    "10.1.0.5:0",
    "[10.1.0.6]:80",
    "[::1]:80",
    "10.1.0.1:00080",
    "1.1:80",
    "10.0.0.1:80",
    "real1:tftp",
    "real2.lab.example:ssh",
    "10.1.0.2:65535",
    "0x0a010001:80",
    "[2001:DB8:1:0::1]:443",
];

const WRONG_SERVERS: &[&str] = &[
    "10.1.0.1:99999",
    "10.1.0.256",
    "",
    "[2001:db8:1::1]",
    "nowhere",
    "real1:nothing",
    "224.0.0.1:80",
    "0.0.0.0:80",
    "[ff02::1]:80",
    "255.255.255.255:80",
    "10.1.0.1:",
    ":80",
    "real6.lab.example:80",
    "[fe80::5]:80",
    "[fe80::5%d0]:80",
    "fe80::5%d0",
    "10.1.0.1:+80",
    "10.1.0.1:-80",
    "10.1.0.1:80x",
    " 10.1.0.1:80",
    "10.1.0.1:80 ",
    "-",
    "--",
    "vip6.lab.example",
    "127.0.0.1",
    "10.1.0.1:80:80",
    "[real1]:80",
];

const NUMBERS_WRONG: &[&str] = &[
    "",
    "x",
    "-1",
    "5x",
    "5 ",
    " 5",
    "+5",
    "-0",
    "0",
    "0x5",
    "1.5",
    "4294967296",
    "18446744073709551621",
    "-5",
    "2147483648",
    "99999999999999999999999",
    "\t7",
    "007",
    "--",
    "+",
    "-",
];

/// A service as an option.
pub(crate) struct Service {
    pub(crate) option: &'static str,
    pub(crate) value: String,
    pub(crate) ipv6_mark: bool,
}

/// The values of one sequence: a few services and servers that come again and again.
pub(crate) struct Values {
    services: Vec<(&'static str, &'static str, bool)>,
    servers: Vec<&'static str>,
    wrong: bool,
    /// Whether the last service stands for all ports.
    needs_persistence: bool,
}

impl Values {
    pub(crate) fn pick(rng: &mut impl Rng) -> Self {
        let services = (0..rng.random_range(1..4)).map(|_| {
            // The plain ones more often than the odd ones.
            let count = if rng.random() { 13 } else { SERVICES.len() };
            let (option, value) = *SERVICES[..count].choose(rng).expect("not empty");
            (option, value, rng.random_ratio(1, 3))
        });
        let services: Vec<_> = services.collect();
        let servers: Vec<_> = (0..rng.random_range(2..6))
            .map(|_| *SERVERS.choose(rng).expect("not empty"))
            .collect();
        Self {
            services,
            servers,
            wrong: false,
            needs_persistence: false,
        }
    }

    /// From now on a value in three is wrong, or none.
    pub(crate) fn set_wrong(&mut self, wrong: bool) {
        self.wrong = wrong;
    }

    pub(crate) fn wants_persistence(&self) -> bool {
        self.needs_persistence
    }

    fn is_wrong(&self, rng: &mut impl Rng) -> bool {
        self.wrong && rng.random_ratio(1, 3)
    }

    pub(crate) fn service(&mut self, rng: &mut impl Rng) -> Service {
        let (option, value, ipv6_mark) = if self.is_wrong(rng) {
            let (option, value) = *WRONG_SERVICES.choose(rng).expect("not empty");
            (option, value, rng.random_ratio(1, 3))
        } else if rng.random_ratio(1, 12) {
            let (option, value) = *SERVICES.choose(rng).expect("not empty");
            (option, value, false)
        } else {
            *self.services.choose(rng).expect("not empty")
        };
        self.needs_persistence =
            matches!(value, "10.0.0.3" | "2001:db8::3") || value.ends_with(":0");
        Service {
            option,
            value: value.to_owned(),
            ipv6_mark: option == "fwmark-service" && ipv6_mark,
        }
    }

    pub(crate) fn server(&self, rng: &mut impl Rng) -> String {
        let pool = if self.is_wrong(rng) {
            WRONG_SERVERS
        } else {
            &self.servers
        };
        (*pool.choose(rng).expect("not empty")).to_owned()
    }

    fn one_of(&self, rng: &mut impl Rng, right: &[&str], wrong: &[&str]) -> String {
        let pool = if self.is_wrong(rng) { wrong } else { right };
        (*pool.choose(rng).expect("not empty")).to_owned()
    }

    pub(crate) fn scheduler(&self, rng: &mut impl Rng) -> String {
        let right = [
            "rr", "wrr", "lc", "wlc", "lblc", "lblcr", "dh", "sh", "sed", "nq", "fo", "ovf", "mh",
            "sh", "mh",
        ];
        self.one_of(
            rng,
            &right,
            &["", "RR", "none", "a-name-that-is-too-long-for-ipvs", "rr "],
        )
    }

    pub(crate) fn flags(&self, rng: &mut impl Rng, scheduler: &str) -> String {
        let right: &[&str] = match scheduler {
            "sh" => &[
                "sh-port",
                "sh-fallback",
                "sh-port,sh-fallback",
                "sh-port,flag-3",
                "flag-3",
                "sh-port,sh-port",
            ],
            "mh" => &[
                "mh-port",
                "mh-fallback",
                "mh-fallback,mh-port",
                "flag-1,mh-port",
                "flag-3",
            ],
            _ => &[
                "flag-1",
                "flag-2",
                "flag-3",
                "flag-1,flag-2,flag-3",
                "flag-3,flag-1",
                "",
                ",flag-1",
                "flag-2,",
            ],
        };
        let wrong = [
            "sh-port",
            "mh-port",
            "sh-fallback,x",
            "flag-4",
            "x,sh-port",
            "SH-PORT",
            "flag-1 ",
            "flag-1;flag-2",
        ];
        self.one_of(rng, right, &wrong)
    }

    pub(crate) fn persistence(&self, rng: &mut impl Rng) -> String {
        let right = ["1", "30", "300", "360", "2678400", "0050", "+7", "600"];
        if self.is_wrong(rng) {
            return self.one_of(rng, NUMBERS_WRONG, &["2678401", "0", "-5", "x"]);
        }
        self.one_of(rng, &right, &right)
    }

    pub(crate) fn netmask(&self, rng: &mut impl Rng) -> String {
        let right = [
            "255.255.255.0",
            "255.255.0.0",
            "255.255.255.255",
            "64",
            "128",
            "24",
            "1",
            "127",
            "255.0.255.0",
            "0.0.0.0",
            "255.255",
            "0xffffff00",
        ];
        let wrong = [
            "",
            "x",
            "64x",
            "0",
            "129",
            "-1",
            "255.255.255.256",
            "255.255.255.0 ",
            "/24",
            "+64",
            " 64",
            "4294967295",
        ];
        self.one_of(rng, &right, &wrong)
    }

    pub(crate) fn engine(&self, rng: &mut impl Rng) -> String {
        self.one_of(
            rng,
            &["sip"],
            &["", "SIP", "http", "a-name-that-is-too-long"],
        )
    }

    pub(crate) fn weight(&self, rng: &mut impl Rng) -> String {
        self.one_of(
            rng,
            &["0", "1", "5", "100", "65535", "2147483647", "0007"],
            NUMBERS_WRONG,
        )
    }

    pub(crate) fn threshold(&self, rng: &mut impl Rng, upper: bool) -> String {
        let right: &[&str] = if upper {
            &["0", "100", "1000", "2147483647"]
        } else {
            &["0", "10", "80", "100"]
        };
        self.one_of(rng, right, NUMBERS_WRONG)
    }

    pub(crate) fn tunnel(&self, rng: &mut impl Rng) -> String {
        self.one_of(
            rng,
            &["ipip", "gue", "gre", "gue"],
            &["", "GUE", "vxlan", "ipip "],
        )
    }

    pub(crate) fn port(&self, rng: &mut impl Rng) -> String {
        self.one_of(
            rng,
            &["1", "6080", "8848", "65535", "9000", "+6080", "007", " 8"],
            &["0", "65536", "http", "", "-1", "5x", "70000", "0x10", "8 "],
        )
    }

    pub(crate) fn timeout(&self, rng: &mut impl Rng) -> String {
        self.one_of(
            rng,
            &["0", "10", "900", "120", "300", "2678400", "+60"],
            &[
                "", "x", "-1", "2678401", "10s", "--", "1.5", "-0", "007", " 9", "9 ", "0x9",
            ],
        )
    }

    pub(crate) fn sync_id(&self, rng: &mut impl Rng) -> String {
        self.one_of(
            rng,
            &["0", "1", "100", "255"],
            &[
                "256",
                "-1",
                "",
                "x",
                "1x",
                "99999999999",
                "+5",
                "-0",
                "007",
                " 5",
            ],
        )
    }

    pub(crate) fn sync_length(&self, rng: &mut impl Rng) -> String {
        self.one_of(
            rng,
            &["1", "1000", "1024", "1400", "1472", "9000", "65507"],
            &["0", "65508", "", "x", "-1", "+1400", "01400", "1400 "],
        )
    }

    pub(crate) fn interface(&self, rng: &mut impl Rng) -> String {
        self.one_of(
            rng,
            &["d0", "d0", "d0", "lo"],
            &["", "nosuch", "d1", "a-name-of-more-than-fifteen-bytes"],
        )
    }

    pub(crate) fn group(&self, rng: &mut impl Rng) -> String {
        let right = [
            "224.0.0.81",
            "239.1.1.1",
            "ff02::81",
            "ff05::1",
            "224.0.0.1",
        ];
        let wrong = [
            "10.0.0.1",
            "",
            "x",
            "2001:db8::1",
            "[ff02::81]",
            "224.0.0",
            "::",
            "224.0.0.81:80",
            "0xe0000051",
        ];
        self.one_of(rng, &right, &wrong)
    }

    pub(crate) fn ttl(&self, rng: &mut impl Rng) -> String {
        let wrong = ["0", "256", "", "x", "-1", "+7", "007", "4294967297"];
        self.one_of(rng, &["1", "16", "255"], &wrong)
    }
}
