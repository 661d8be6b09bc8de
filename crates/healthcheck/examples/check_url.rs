//! Probes one URL once, as `HTTP_GET` and `SSL_GET` do, and says what came of it.
//!
//! ```text
//! cargo run -p healthcheck --example check_url -- http://127.0.0.1:8080/status 200-299,304
//! ```

use std::error::Error;
use std::process::ExitCode;

use healthcheck::probe::{Connect, HttpProbe, TlsClient, Url};
use healthcheck::{Expectation, HttpVersion, Outcome, StatusSet};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<ExitCode, Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let Some(url) = arguments.next() else {
        return Err("usage: check_url http[s]://HOST[:PORT][/PATH] [STATUS[-STATUS],...]".into());
    };
    let status: StatusSet = match arguments.next() {
        Some(list) => list.parse()?,
        None => StatusSet::default(),
    };

    let (tls, rest) = match url.split_once("://") {
        Some(("http", rest)) => (false, rest),
        Some(("https", rest)) => (true, rest),
        _ => return Err("the url must begin with http:// or https://".into()),
    };
    let (authority, path) = rest
        .find('/')
        .map_or((rest, "/"), |slash| rest.split_at(slash));
    let has_port = authority
        .rsplit_once(':')
        .is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    let target = match (has_port, tls) {
        (true, _) => authority.to_owned(),
        (false, false) => format!("{authority}:80"),
        (false, true) => format!("{authority}:443"),
    };
    let address = tokio::net::lookup_host(&target)
        .await?
        .next()
        .ok_or_else(|| format!("{target} has no address"))?;

    let name = (!authority.starts_with(['[', '1'])).then(|| authority.to_owned());
    let url = Url {
        path: path.to_owned(),
        virtualhost: Some(authority.to_owned()),
        sni: name,
        expect: Expectation {
            status,
            digest: None,
        },
    };
    let mut probe = HttpProbe::new(Connect::new(address), vec![url]);
    probe.version = HttpVersion::Http11;
    probe.tls = tls.then(TlsClient::accept_any);

    let outcome = probe.run(0).await;
    println!("{address}: {outcome}");
    Ok(match outcome {
        Outcome::Success { .. } => ExitCode::SUCCESS,
        Outcome::Failure(_) => ExitCode::FAILURE,
    })
}
