//! Probes against a real nginx, and digests against the real genhash.

use std::fs;
use std::process::Command;

use healthcheck::probe::{Connect, HttpProbe, TlsClient, Url};
use healthcheck::{Expectation, Failure, HttpVersion, Md5Digest, Outcome};
use lvs_testkit::{Nginx, free_port, program, skip};

const VERSIONS: [HttpVersion; 3] = [
    HttpVersion::Http10,
    HttpVersion::Http10Close,
    HttpVersion::Http11,
];

/// Pages of every kind that a digest is taken of.
const PAGES: [&str; 4] = ["/plain.html", "/chunked.shtml", "/gzip.html", "/empty.html"];

struct Servers {
    nginx: Nginx,
    plain: u16,
    tls: u16,
}

fn servers() -> Option<Servers> {
    let (plain, tls) = (free_port(), free_port());
    let made = rcgen::generate_simple_self_signed(["www.example.org".to_owned()]).unwrap();
    let keys = tempfile::tempdir().unwrap();
    let (certificate, key) = (keys.path().join("cert.pem"), keys.path().join("key.pem"));
    fs::write(&certificate, made.cert.pem()).unwrap();
    fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let http = format!(
        "types {{ text/html html shtml; }}
         log_format host '$http_host $ssl_server_name $request';
         server {{
           listen 127.0.0.1:{plain};
           listen 127.0.0.1:{tls} ssl;
           access_log ROOT/hosts.log host;
           ssl_certificate {};
           ssl_certificate_key {};
           root ROOT/www;
           location /chunked.shtml {{ ssi on; }}
           location /gzip.html {{ gzip_static always; }}
           location /moved {{ return 302 /plain.html; }}
         }}",
        certificate.display(),
        key.display()
    );
    let nginx = Nginx::start(&http, &[plain, tls])?;
    let root = nginx.folder().join("www");
    fs::create_dir(&root).unwrap();
    fs::write(root.join("plain.html"), "a page\r\n\r\nwith a blank line\n").unwrap();
    fs::write(root.join("empty.html"), "").unwrap();
    fs::write(root.join("chunked.shtml"), "a page of unknown length\n").unwrap();
    // Any bytes do: nobody unpacks them.
    fs::write(root.join("gzip.html.gz"), b"\x1f\x8b\x08\x00not really").unwrap();
    Some(Servers { nginx, plain, tls })
}

impl Servers {
    fn probe(&self, path: &str, tls: bool) -> HttpProbe {
        let port = if tls { self.tls } else { self.plain };
        let url = Url {
            path: path.into(),
            ..Url::default()
        };
        let mut probe = HttpProbe::new(Connect::new(([127, 0, 0, 1], port).into()), vec![url]);
        probe.connect.timeout = std::time::Duration::from_secs(60);
        probe.tls = tls.then(TlsClient::accept_any);
        probe
    }
}

/// The digest that a probe sees: that of the body as HTTP defines it.
async fn seen(mut probe: HttpProbe) -> Md5Digest {
    probe.urls[0].expect.digest = Some(Md5Digest::from_bytes([0; 16]));
    match probe.run(0).await {
        Outcome::Failure(Failure::Digest { got, .. }) => got,
        other => panic!("expected a wrong digest, got {other}"),
    }
}

#[tokio::test]
async fn every_page_in_every_version_plain_and_tls() {
    let Some(servers) = servers() else {
        return skip("nginx is not installed");
    };
    for tls in [false, true] {
        for version in VERSIONS {
            for page in PAGES {
                let mut probe = servers.probe(page, tls);
                probe.version = version;
                let outcome = probe.run(0).await;
                assert!(
                    outcome.is_success(),
                    "{outcome} for {page} {version} tls {tls}"
                );
                let file = match page {
                    "/gzip.html" => "/gzip.html.gz",
                    page => page,
                };
                let body = fs::read(format!("{}/www{file}", servers.nginx.folder().display()));
                assert_eq!(
                    seen(probe).await,
                    Md5Digest::of(&body.unwrap()),
                    "{page} {version}"
                );
            }
        }
    }
}

#[tokio::test]
async fn status_of_a_real_server() {
    let Some(servers) = servers() else {
        return skip("nginx is not installed");
    };
    for (path, code) in [("/missing", 404), ("/moved", 302)] {
        let mut probe = servers.probe(path, false);
        let expected = "200-299".to_owned();
        let failure = Outcome::Failure(Failure::Status { code, expected });
        assert_eq!(probe.run(0).await, failure);
        probe.urls[0].expect = Expectation {
            status: format!("200,{code}").parse().unwrap(),
            digest: None,
        };
        assert!(probe.run(0).await.is_success());
    }
}

#[tokio::test]
async fn names_reach_a_real_server() {
    let Some(servers) = servers() else {
        return skip("nginx is not installed");
    };
    let mut probe = servers.probe("/plain.html", true);
    probe.urls[0].virtualhost = Some("www.example.org".into());
    assert!(probe.run(0).await.is_success());
    probe.urls[0].sni = Some("sni.example.org".into());
    assert!(probe.run(0).await.is_success());
    let log = lvs_testkit::wait_until("two log lines", std::time::Duration::from_secs(20), || {
        let log = fs::read_to_string(servers.nginx.folder().join("hosts.log")).ok()?;
        (log.lines().count() == 2).then_some(log)
    });
    assert_eq!(
        log,
        "www.example.org - GET /plain.html HTTP/1.0\n\
         www.example.org sni.example.org GET /plain.html HTTP/1.0\n"
    );
}

#[tokio::test]
async fn a_digest_made_by_genhash_matches() {
    let Some(genhash) = program("genhash") else {
        return skip("genhash is not installed");
    };
    let Some(servers) = servers() else {
        return skip("nginx is not installed");
    };
    for tls in [false, true] {
        for (version, name) in [
            (HttpVersion::Http10, "1.0"),
            (HttpVersion::Http10Close, "1.0c"),
            (HttpVersion::Http11, "1.1"),
        ] {
            for page in PAGES {
                let mut probe = servers.probe(page, tls);
                let port = probe.connect.address.port().to_string();
                let mut command = Command::new(&genhash);
                command.args(["-s", "127.0.0.1", "-p", &port, "-u", page, "-P", name]);
                if tls {
                    command.arg("-S");
                }
                let printed = command.output().unwrap().stdout;
                let printed = String::from_utf8(printed).unwrap();
                let digest: Md5Digest = printed.trim().parse().unwrap_or_else(|error| {
                    panic!("genhash printed {printed:?} for {page} {name} tls {tls}: {error}")
                });
                probe.version = version;
                probe.urls[0].expect.digest = Some(digest);
                let outcome = probe.run(0).await;
                assert!(
                    outcome.is_success(),
                    "{outcome} for {page} {name} tls {tls}"
                );
            }
        }
    }
}
