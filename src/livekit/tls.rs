//! Whom an encrypted connection trusts: the certificate authorities of the system, and one's own.

use std::path::Path;
use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use tokio_rustls::TlsConnector;

/// The largest file of certificates, in bytes: the largest collection of a system is 250 KB.
const FILE_MAX: u64 = 4 << 20;

/// What makes TLS connections that trust the system's authorities and, if a file is named, the ones in
/// it.
///
/// # Errors
/// The file cannot be read or has no certificate, or there is nobody to trust at all; in words.
pub fn connector(own: Option<&Path>) -> Result<TlsConnector, String> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("TLS cannot be set up: {error}"))?
        .with_root_certificates(roots(own)?)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

fn roots(own: Option<&Path>) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    let system = rustls_native_certs::load_native_certs();
    // A system has a few that are too old for a reader; the others serve.
    roots.add_parsable_certificates(system.certs);
    if let Some(path) = own {
        let found = read(path).map_err(|why| format!("{}: {why}", path.display()))?;
        let (added, _) = roots.add_parsable_certificates(found);
        if added == 0 {
            return Err(format!(
                "{}: no certificate of an authority in it; give a PEM file, with \
                 `-----BEGIN CERTIFICATE-----`",
                path.display()
            ));
        }
    }
    if roots.is_empty() {
        return Err(
            "this system has no certificate authorities, so no server can be trusted; install \
             them (Debian: ca-certificates), or name a file with --ca"
                .to_owned(),
        );
    }
    Ok(roots)
}

fn read(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let size = std::fs::metadata(path).map_err(|error| error.to_string())?.len();
    if size > FILE_MAX {
        return Err(format!("more than {FILE_MAX} bytes, which is no list of certificates"));
    }
    let pem = std::fs::read(path).map_err(|error| error.to_string())?;
    Ok(CertificateDer::pem_slice_iter(&pem).filter_map(Result::ok).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_certificates_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.pem");
        std::fs::write(&path, "nothing").unwrap();
        let error = connector(Some(&path)).err().unwrap();
        assert!(error.contains("ca.pem") && error.contains("PEM"), "{error}");
        let error = connector(Some(&folder.path().join("none.pem"))).err().unwrap();
        assert!(error.contains("none.pem"), "{error}");
    }
}
