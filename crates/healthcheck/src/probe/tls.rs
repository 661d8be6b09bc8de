//! TLS for probes: any certificate will do.
//!
//! # Design
//!
//! A check asks whether a server can do its work, not whether it is who it claims to be; real
//! servers are addressed by IP address and often have self-signed, expired or foreign certificates.
//! keepalived verifies nothing, and neither does [`TlsClient::accept_any`]. Signatures of the
//! handshake are waved through too, because checking them refuses X.509 v1 certificates and short
//! RSA keys.
//!
//! rustls speaks TLS 1.2 and 1.3 with forward secrecy. A server that offers TLS 1.0 or 1.1 only, or
//! RSA key exchange only, fails the handshake here where OpenSSL may pass it.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::{Deadline, io_failure};
use crate::verdict::{Cause, Failure, Stage};

/// A TLS client context. Cheap to clone; one serves all checks.
#[derive(Clone)]
pub struct TlsClient(Arc<ClientConfig>);

impl TlsClient {
    /// A context that accepts any certificate and makes a full handshake each time.
    ///
    /// # Panics
    ///
    /// Never: the provider it is built with has suites for the protocol versions it is asked for.
    pub fn accept_any() -> Self {
        let provider = provider();
        let verifier = Arc::new(AcceptAny {
            schemes: signature_schemes(&provider),
        });
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            // Fails only for a provider without suites for TLS 1.2 and 1.3; ring has both, see the
            // tests.
            .expect("ring has suites for TLS 1.2 and 1.3")
            .dangerous()
            .with_custom_certificate_verifier(verifier)
            .with_no_client_auth();
        config.resumption = Resumption::disabled();
        Self(Arc::new(config))
    }

    /// Agrees on TLS over `stream`. Without `sni` no server name is sent.
    pub(super) async fn handshake(
        &self,
        stream: TcpStream,
        peer: IpAddr,
        sni: Option<&str>,
        deadline: Deadline,
    ) -> Result<TlsStream<TcpStream>, Failure> {
        let name = server_name(peer, sni)?;
        let stage = Stage::Handshaking;
        deadline
            .within(stage, async {
                TlsConnector::from(Arc::clone(&self.0))
                    .connect(name, stream)
                    .await
                    .map_err(|error| match io_failure(stage, &error) {
                        Failure::Io { cause, .. } => Failure::Tls(cause),
                        failure => failure,
                    })
            })
            .await
    }
}

impl fmt::Debug for TlsClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsClient").finish_non_exhaustive()
    }
}

/// The cryptography behind TLS. Always passed on explicitly: with two providers in one program
/// rustls would not know which to take.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

fn signature_schemes(provider: &CryptoProvider) -> Vec<SignatureScheme> {
    provider
        .signature_verification_algorithms
        .supported_schemes()
}

/// The name for the handshake; an IP address is never sent. A port that a virtual host may carry is
/// cut off.
fn server_name(peer: IpAddr, sni: Option<&str>) -> Result<ServerName<'static>, Failure> {
    let Some(name) = sni else {
        return Ok(ServerName::IpAddress(peer.into()));
    };
    let host = match name.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => name,
    };
    ServerName::try_from(host.to_owned()).map_err(|error| Failure::Unusable(Cause::of(&error)))
}

#[derive(Debug)]
struct AcceptAny {
    schemes: Vec<SignatureScheme>,
}

impl ServerCertVerifier for AcceptAny {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.schemes.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_context_can_be_made() {
        let _ = TlsClient::accept_any();
    }

    #[test]
    fn names_to_send() {
        let peer: IpAddr = "10.0.0.2".parse().unwrap();
        let name = |sni| server_name(peer, sni).map(|name| name.to_str().into_owned());
        assert_eq!(name(None).as_deref(), Ok("10.0.0.2"));
        assert_eq!(
            name(Some("www.example.org")).as_deref(),
            Ok("www.example.org")
        );
        assert_eq!(
            name(Some("www.example.org:8443")).as_deref(),
            Ok("www.example.org")
        );
        assert!(matches!(name(Some("no host")), Err(Failure::Unusable(_))));
    }
}
