//! A certificate authority of a test's, and a TLS proxy before a server.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::ServerConfig;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tempfile::TempDir;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::LocalSet;
use tokio_rustls::TlsAcceptor;

/// An authority; its files are there as long as it is.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    folder: TempDir,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let key = KeyPair::generate().expect("a key can be made");
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let own = params.self_signed(&key).expect("a certificate can be made");
        fs::write(folder.path().join("ca.pem"), own.pem()).expect("a file can be written");
        Self { issuer: Issuer::new(params, key), folder }
    }

    /// The file with its certificate.
    pub(crate) fn file(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// The files of a certificate for a host, and of its key.
    pub(crate) fn certify(&self, host: &str) -> (PathBuf, PathBuf) {
        self.make(host, CertificateParams::new([host.to_owned()]).expect("a host has a name"))
    }

    /// The same, of one that was good long ago.
    pub(crate) fn certified_once(&self, host: &str) -> (PathBuf, PathBuf) {
        let mut params = CertificateParams::new([host.to_owned()]).expect("a host has a name");
        params.not_before = date_time_ymd(2001, 1, 1);
        params.not_after = date_time_ymd(2002, 1, 1);
        self.make("old", params)
    }

    fn make(&self, name: &str, params: CertificateParams) -> (PathBuf, PathBuf) {
        let key = KeyPair::generate().expect("a key can be made");
        let made = params.signed_by(&key, &self.issuer).expect("a certificate can be made");
        let file = |suffix| self.folder.path().join(format!("{name}.{suffix}"));
        fs::write(file("pem"), made.pem()).expect("a file can be written");
        fs::write(file("key"), key.serialize_pem()).expect("a file can be written");
        (file("pem"), file("key"))
    }
}

/// A proxy that takes encrypted connections and makes plain ones of them, as long as the process lives.
pub(crate) struct Proxy {
    port: u16,
}

impl Proxy {
    /// Starts one with a certificate and its key, before a port of this machine.
    pub(crate) fn start((certificate, key): &(PathBuf, PathBuf), port: u16) -> Self {
        let chain = CertificateDer::pem_file_iter(certificate).expect("it was written");
        let chain = chain.collect::<Result<Vec<_>, _>>().expect("it was written");
        let key = PrivateKeyDer::from_pem_file(key).expect("it was written");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("the provider has them")
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .expect("the key is the certificate's");
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("loopback has a port");
        listener.set_nonblocking(true).expect("a socket can be that");
        let own = listener.local_addr().expect("a bound socket has an address").port();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let runtime = runtime.expect("a thread can have one");
            LocalSet::new().block_on(&runtime, serve(listener, acceptor, port));
        });
        Self { port: own }
    }

    /// Where it listens, on 127.0.0.1.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }
}

async fn serve(listener: std::net::TcpListener, acceptor: TlsAcceptor, port: u16) {
    let listener = TcpListener::from_std(listener).expect("it is a socket");
    while let Ok((stream, _)) = listener.accept().await {
        let acceptor = acceptor.clone();
        tokio::task::spawn_local(async move {
            // A client that does not trust it hangs up.
            if let Ok(mut client) = acceptor.accept(stream).await
                && let Ok(mut server) = TcpStream::connect(("127.0.0.1", port)).await
            {
                drop(copy_bidirectional(&mut client, &mut server).await);
            }
        });
    }
}
