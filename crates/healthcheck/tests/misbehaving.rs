//! Probes against small servers that do exactly one thing wrong, and against the kernel's own
//! refusals.
//!
//! Deadlines here are either far away or the very thing that is tested; no test looks at a clock.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use healthcheck::probe::{Connect, HttpProbe, Probe, TcpProbe, TlsClient, Url};
use healthcheck::{Expectation, Failure, HttpVersion, Md5Digest, Outcome, Stage};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio_rustls::LazyConfigAcceptor;

/// Far longer than any of these probes takes.
const LONG: Duration = Duration::from_secs(60);
/// For probes that are meant to time out: long enough for all stages before.
const SHORT: Duration = Duration::from_millis(700);

/// Accepts one connection and hands it to `script`.
async fn server<F>(script: impl FnOnce(TcpStream) -> F + Send + 'static) -> SocketAddr
where
    F: Future<Output = ()> + Send,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        drop(listener);
        script(stream).await;
    });
    address
}

/// Reads a whole request.
async fn request(stream: &mut (impl tokio::io::AsyncRead + Unpin)) -> String {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => request.push(byte),
            Err(_) => break,
        }
    }
    String::from_utf8(request).unwrap()
}

/// Reads the request, sends `answer`, closes.
async fn answering(answer: &'static [u8]) -> SocketAddr {
    server(move |mut stream| async move {
        request(&mut stream).await;
        let _ = stream.write_all(answer).await;
        let _ = stream.shutdown().await;
    })
    .await
}

/// Reads the request, sends `answer`, and stays.
async fn staying(answer: &'static [u8]) -> SocketAddr {
    server(move |mut stream| async move {
        request(&mut stream).await;
        let _ = stream.write_all(answer).await;
        let _ = stream.read_u8().await;
    })
    .await
}

/// Reads the request and resets the connection.
async fn resetting() -> SocketAddr {
    server(|mut stream| async move {
        request(&mut stream).await;
        stream.set_zero_linger().unwrap();
    })
    .await
}

fn http(address: SocketAddr) -> HttpProbe {
    let connect = Connect {
        timeout: LONG,
        ..Connect::new(address)
    };
    HttpProbe::new(
        connect,
        vec![Url {
            path: "/".into(),
            ..Url::default()
        }],
    )
}

fn tls(address: SocketAddr) -> HttpProbe {
    HttpProbe {
        tls: Some(TlsClient::accept_any()),
        ..http(address)
    }
}

fn hurried(mut probe: HttpProbe) -> HttpProbe {
    probe.connect.timeout = SHORT;
    probe
}

fn with_digest(mut probe: HttpProbe, body: &[u8]) -> HttpProbe {
    probe.urls[0].expect.digest = Some(Md5Digest::of(body));
    probe
}

async fn failure(probe: HttpProbe) -> Failure {
    match probe.run(0).await {
        Outcome::Failure(failure) => failure,
        success @ Outcome::Success { .. } => panic!("expected a failure, got {success}"),
    }
}

#[track_caller]
fn assert_success(outcome: &Outcome) {
    assert!(outcome.is_success(), "{outcome}");
}

fn timed_out(stage: Stage) -> Failure {
    Failure::TimedOut {
        stage,
        limit: SHORT,
    }
}

// ---- TCP

async fn tcp(connect: Connect) -> Outcome {
    Probe::Tcp(TcpProbe { connect }).run(0).await
}

#[tokio::test]
async fn tcp_is_content_with_a_connection() {
    let address = server(|mut stream| async move {
        let _ = stream.read_u8().await;
    })
    .await;
    assert_success(&tcp(Connect::new(address)).await);
}

#[tokio::test]
async fn tcp_refused() {
    let address = ([127, 0, 0, 1], lvs_testkit::free_port()).into();
    assert_eq!(
        tcp(Connect::new(address)).await,
        Outcome::Failure(Failure::Refused)
    );
}

#[tokio::test]
async fn tcp_unreachable() {
    let connect = Connect::new(([255, 255, 255, 255], 80).into());
    let outcome = tcp(connect).await;
    assert!(
        matches!(outcome, Outcome::Failure(Failure::Unreachable(_))),
        "{outcome}"
    );
}

/// A listener whose queue is full answers no one: the kernel drops the SYNs.
#[tokio::test]
async fn tcp_times_out() {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(0).unwrap();
    let address = listener.local_addr().unwrap();
    let connect = Connect {
        timeout: SHORT,
        ..Connect::new(address)
    };
    let mut held = Vec::new();
    while let Ok(Ok(stream)) = tokio::time::timeout(SHORT, TcpStream::connect(address)).await {
        held.push(stream);
        assert!(held.len() < 1000, "the queue never fills");
    }
    assert_eq!(
        tcp(connect).await,
        Outcome::Failure(timed_out(Stage::Connecting))
    );
}

#[tokio::test]
async fn source_address_and_port_are_used_again_and_again() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let source: SocketAddr = ([127, 0, 0, 9], lvs_testkit::free_port()).into();
    let connect = Connect {
        source: Some(source),
        ..Connect::new(listener.local_addr().unwrap())
    };
    for _ in 0..3 {
        assert_success(&tcp(connect.clone()).await);
        let (mut stream, peer) = listener.accept().await.unwrap();
        assert_eq!(peer, source);
        // A reset, or the port would be blocked for a while.
        let end = stream.read_u8().await.unwrap_err();
        assert_eq!(end.kind(), std::io::ErrorKind::ConnectionReset);
    }
}

#[tokio::test]
async fn a_foreign_source_address_is_our_own_fault() {
    let connect = Connect {
        source: Some(([192, 0, 2, 1], 0).into()),
        ..Connect::new(([127, 0, 0, 1], 1).into())
    };
    let outcome = tcp(connect).await;
    assert!(
        matches!(outcome, Outcome::Failure(Failure::Source(_))),
        "{outcome}"
    );
}

#[tokio::test]
async fn an_interface_that_is_not_there_is_our_own_fault() {
    let connect = Connect {
        interface: Some("no-such-if0".into()),
        ..Connect::new(([127, 0, 0, 1], 1).into())
    };
    let outcome = tcp(connect).await;
    assert!(
        matches!(outcome, Outcome::Failure(Failure::Source(_))),
        "{outcome}"
    );
}

#[tokio::test]
async fn a_socket_connected_to_itself_is_no_server() {
    let itself: SocketAddr = ([127, 0, 0, 1], lvs_testkit::free_port()).into();
    let connect = Connect {
        source: Some(itself),
        ..Connect::new(itself)
    };
    assert_eq!(tcp(connect).await, Outcome::Failure(Failure::Refused));
}

// ---- HTTP: what goes out

async fn request_of(change: impl FnOnce(&mut HttpProbe)) -> (String, SocketAddr) {
    let (tell, told) = oneshot::channel();
    let address = server(|mut stream| async move {
        tell.send(request(&mut stream).await).unwrap();
        let _ = stream.write_all(b"HTTP/1.0 200 OK\r\n\r\n").await;
    })
    .await;
    let mut probe = http(address);
    change(&mut probe);
    assert_success(&probe.run(0).await);
    (told.await.unwrap(), address)
}

#[tokio::test]
async fn requests_look_like_keepaliveds() {
    let (request, address) = request_of(|_| {}).await;
    assert_eq!(
        request,
        format!("GET / HTTP/1.0\r\nUser-Agent: KeepAliveClient\r\nHost: {address}\r\n\r\n")
    );
    for (version, number) in [
        (HttpVersion::Http10Close, "1.0"),
        (HttpVersion::Http11, "1.1"),
    ] {
        let (request, _) = request_of(|probe| {
            probe.version = version;
            probe.urls[0].path = "status?of=me".into();
            probe.urls[0].virtualhost = Some("www.example.org".into());
        })
        .await;
        assert_eq!(
            request,
            format!(
                "GET /status?of=me HTTP/{number}\r\nUser-Agent: KeepAliveClient\r\n\
                 Connection: close\r\nHost: www.example.org\r\n\r\n"
            )
        );
    }
}

#[tokio::test]
async fn a_path_that_no_request_can_carry_is_unusable() {
    let mut probe = http(([127, 0, 0, 1], 1).into());
    probe.urls[0].path = "/a b".into();
    assert!(matches!(failure(probe.clone()).await, Failure::Unusable(_)));
    probe.urls.clear();
    assert!(matches!(failure(probe).await, Failure::Unusable(_)));
}

// ---- HTTP: answers that are fine

#[tokio::test]
async fn answers_that_are_fine() {
    let table: [(&[u8], &[u8]); 8] = [
        (b"HTTP/1.0 200 OK\r\n\r\nabc", b"abc"),
        (b"HTTP/1.1 200\r\nContent-Length: 3\r\n\r\nabc", b"abc"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
        (b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", b"abc"),
        (b"HTTP/1.0 200 OK\n\nabc", b"abc"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n", b"abc"),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n",
            b"2\r\nab\r\n1\r\nc\r\n0\r\n\r\n",
        ),
        (b"HTTP/1.1 200 OK\r\nBad Header\r\nA : b\r\nContent-Length: 3\r\n\r\nabc", b"abc"),
    ];
    for (answer, body) in table {
        let probe = with_digest(http(answering(answer).await), body);
        let outcome = probe.run(0).await;
        assert!(
            outcome.is_success(),
            "{outcome} for {}",
            String::from_utf8_lossy(answer)
        );
    }
}

#[tokio::test]
async fn a_server_that_keeps_the_connection_is_fine() {
    for answer in [
        &b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc"[..],
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    ] {
        let probe = with_digest(http(staying(answer).await), b"abc");
        assert_success(&probe.run(0).await);
    }
}

#[tokio::test]
async fn each_url_is_judged_by_its_own_rules() {
    let address = answering(b"HTTP/1.0 404 Not Found\r\n\r\n").await;
    let mut probe = http(address);
    let gone = Expectation {
        status: "404".parse().unwrap(),
        ..Expectation::default()
    };
    probe.urls.push(Url {
        path: "/gone".into(),
        expect: gone,
        ..Url::default()
    });
    assert_eq!(probe.steps().get(), 2);
    assert_success(&probe.run(1).await);
}

// ---- HTTP: answers that are not

#[tokio::test]
async fn wrong_status() {
    let address = answering(b"HTTP/1.0 503 Busy\r\n\r\nabc").await;
    let expected = Failure::Status {
        code: 503,
        expected: "200-299".into(),
    };
    assert_eq!(failure(http(address)).await, expected);
}

#[tokio::test]
async fn wrong_digest() {
    let address = answering(b"HTTP/1.0 200 OK\r\n\r\nabc").await;
    let (got, expected) = (Md5Digest::of(b"abc"), Md5Digest::of(b"xyz"));
    let probe = with_digest(http(address), b"xyz");
    assert_eq!(failure(probe).await, Failure::Digest { got, expected });
}

#[tokio::test]
async fn silence() {
    let address = staying(b"").await;
    assert_eq!(
        failure(hurried(http(address))).await,
        timed_out(Stage::Waiting)
    );
}

#[tokio::test]
async fn half_a_header_and_silence() {
    let address = staying(b"HTTP/1.1 200 OK\r\nContent-").await;
    assert_eq!(
        failure(hurried(http(address))).await,
        timed_out(Stage::Waiting)
    );
}

#[tokio::test]
async fn half_a_header_and_the_end() {
    let address = answering(b"HTTP/1.1 200 OK\r\nContent-").await;
    assert_eq!(failure(http(address)).await, Failure::NoAnswer);
}

#[tokio::test]
async fn no_answer() {
    assert_eq!(failure(http(answering(b"").await)).await, Failure::NoAnswer);
}

#[tokio::test]
async fn rubbish() {
    for answer in [
        &b"220 mail.example.org ESMTP\r\n"[..],
        b"HTTP/1.1 abc\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
    ] {
        let failure = failure(http(answering(answer).await)).await;
        let text = String::from_utf8_lossy(answer);
        assert!(
            matches!(failure, Failure::Protocol(_)),
            "{failure} for {text}"
        );
    }
}

#[tokio::test]
async fn short_bodies() {
    let table: [(&[u8], u64); 2] = [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc", 3),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nabcd",
            4,
        ),
    ];
    for (answer, received) in table {
        let failure = failure(http(answering(answer).await)).await;
        assert_eq!(failure, Failure::ShortBody { received });
    }
}

#[tokio::test]
async fn a_body_that_stops_halfway() {
    let address = staying(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc").await;
    assert_eq!(
        failure(hurried(http(address))).await,
        timed_out(Stage::Reading)
    );
}

#[tokio::test]
async fn an_endless_head() {
    let address = server(|mut stream| async move {
        request(&mut stream).await;
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nX: ").await;
        while stream.write_all(&[b'x'; 4096]).await.is_ok() {}
    })
    .await;
    assert!(matches!(failure(http(address)).await, Failure::Protocol(_)));
}

#[tokio::test]
async fn an_endless_body() {
    let address = server(|mut stream| async move {
        request(&mut stream).await;
        let _ = stream.write_all(b"HTTP/1.0 200 OK\r\n\r\n").await;
        while stream.write_all(&[b'x'; 65536]).await.is_ok() {}
    })
    .await;
    let probe = HttpProbe {
        body_limit: 3_000_000,
        ..http(address)
    };
    assert_eq!(failure(probe).await, Failure::LongBody { limit: 3_000_000 });
}

#[tokio::test]
async fn a_body_that_drips() {
    let address = server(|mut stream| async move {
        request(&mut stream).await;
        let _ = stream.write_all(b"HTTP/1.0 200 OK\r\n\r\n").await;
        while stream.write_all(b"x").await.is_ok() {
            tokio::time::sleep(SHORT / 20).await;
        }
    })
    .await;
    assert_eq!(
        failure(hurried(http(address))).await,
        timed_out(Stage::Reading)
    );
}

#[tokio::test]
async fn a_reset_instead_of_an_answer() {
    assert_eq!(
        failure(http(resetting().await)).await,
        Failure::Reset(Stage::Waiting)
    );
}

/// The server resets only when the probe has consumed what came before, because a reset overtakes
/// what is still in the socket: it watches for that by the probe's own window, a body larger than
/// all buffers on the way.
#[tokio::test]
async fn a_reset_within_the_body() {
    let address = server(|mut stream| async move {
        request(&mut stream).await;
        let _ = stream
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n")
            .await;
        let _ = stream.write_all(&[b'x'; 20_000_000]).await;
        stream.set_zero_linger().unwrap();
    })
    .await;
    assert_eq!(failure(http(address)).await, Failure::Reset(Stage::Reading));
}

#[tokio::test]
async fn refused() {
    let address = ([127, 0, 0, 1], lvs_testkit::free_port()).into();
    assert_eq!(failure(http(address)).await, Failure::Refused);
    assert_eq!(failure(tls(address)).await, Failure::Refused);
}

// ---- TLS

fn certificate() -> ServerConfig {
    let made = rcgen::generate_simple_self_signed(["certified.example".to_owned()]).unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
    ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap()
}

/// A TLS server that tells the server name it was asked for, answers, and closes without a
/// close_notify.
async fn tls_server(answer: &'static [u8]) -> (SocketAddr, oneshot::Receiver<Option<String>>) {
    let (tell, told) = oneshot::channel();
    let address = server(move |stream| async move {
        let acceptor = LazyConfigAcceptor::new(rustls::server::Acceptor::default(), stream);
        let Ok(start) = acceptor.await else { return };
        let _ = tell.send(start.client_hello().server_name().map(str::to_owned));
        let Ok(mut stream) = start.into_stream(Arc::new(certificate())).await else {
            return;
        };
        request(&mut stream).await;
        let _ = stream.write_all(answer).await;
        let _ = stream.flush().await;
        let (mut tcp, _) = stream.into_inner();
        let _ = tcp.shutdown().await;
    })
    .await;
    (address, told)
}

#[tokio::test]
async fn any_certificate_will_do_and_no_name_is_sent() {
    let (address, name) = tls_server(b"HTTP/1.0 200 OK\r\n\r\nabc").await;
    let mut probe = with_digest(tls(address), b"abc");
    probe.urls[0].virtualhost = Some("www.example.org".into());
    assert_success(&probe.run(0).await);
    assert_eq!(name.await.unwrap(), None);
}

#[tokio::test]
async fn the_name_that_is_asked_for_is_sent() {
    let (address, name) = tls_server(b"HTTP/1.0 200 OK\r\n\r\nabc").await;
    let mut probe = tls(address);
    probe.urls[0].sni = Some("other.example".into());
    assert_success(&probe.run(0).await);
    assert_eq!(name.await.unwrap().as_deref(), Some("other.example"));
}

#[tokio::test]
async fn a_truncated_answer_over_tls() {
    let (address, _) = tls_server(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc").await;
    assert_eq!(
        failure(tls(address)).await,
        Failure::ShortBody { received: 3 }
    );
}

#[tokio::test]
async fn plain_http_where_tls_is_expected() {
    let address = server(|mut stream| async move {
        let _ = stream.write_all(b"HTTP/1.0 400 Bad Request\r\n\r\n").await;
        let _ = stream.read_u8().await;
    })
    .await;
    assert!(matches!(failure(tls(address)).await, Failure::Tls(_)));
}

#[tokio::test]
async fn tls_where_plain_http_is_expected() {
    let (address, _) = tls_server(b"").await;
    let failure = failure(http(address)).await;
    assert!(
        matches!(
            failure,
            Failure::NoAnswer | Failure::Protocol(_) | Failure::Reset(_)
        ),
        "{failure}"
    );
}

#[tokio::test]
async fn silence_where_tls_is_expected() {
    let address = server(|mut stream| async move { while stream.read_u8().await.is_ok() {} }).await;
    assert_eq!(
        failure(hurried(tls(address))).await,
        timed_out(Stage::Handshaking)
    );
}

#[tokio::test]
async fn the_end_where_tls_is_expected() {
    let address = server(|mut stream| async move {
        let _ = stream.read_u8().await;
        let _ = stream.shutdown().await;
        while stream.read_u8().await.is_ok() {}
    })
    .await;
    assert!(matches!(failure(tls(address)).await, Failure::Tls(_)));
}

/// Slow in each stage, but in none so slow that a deadline of its own would be missed.
#[tokio::test]
async fn one_deadline_covers_all_stages() {
    let address = server(|stream| async move {
        tokio::time::sleep(SHORT * 2 / 3).await;
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(certificate()));
        let Ok(mut stream) = acceptor.accept(stream).await else {
            return;
        };
        request(&mut stream).await;
        tokio::time::sleep(SHORT * 2 / 3).await;
        let _ = stream.write_all(b"HTTP/1.0 200 OK\r\n\r\n").await;
    })
    .await;
    assert_eq!(
        failure(hurried(tls(address))).await,
        timed_out(Stage::Waiting)
    );
}
