//! What tests of models over the network have in common: a key, where it is found, a server's certificate, and the official
//! client.

use std::io::{ErrorKind as IoKind, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;

use serde_json::Value;

/// A key, which nothing but the server may see.
pub(crate) const KEY: &str = "sk-planted-0123456789";

pub(crate) fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

pub(crate) fn env(name: &str) -> Option<String> {
    match name {
        "KEY" => Some(KEY.to_owned()),
        "PLANTED" => Some("planted-header-value".to_owned()),
        _ => None,
    }
}

/// What a server shows that has this certificate.
pub(crate) fn encrypted(own: &rcgen::CertifiedKey<rcgen::KeyPair>) -> rustls::ServerConfig {
    let key = rustls::pki_types::PrivateKeyDer::try_from(own.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![own.cert.der().clone()], key)
        .unwrap()
}

/// A program of the models' virtual environment.
pub(crate) fn program(name: &str) -> PathBuf {
    root().join(".tools/models/bin").join(name)
}

/// Runs the official client, and gives what it printed.
#[track_caller]
pub(crate) fn client(arguments: &[&str], input: &[Value]) -> String {
    let python = program("python");
    let mut command = Command::new(&python);
    command.arg("-B").arg(root().join("tests/peers/models.py")).args(arguments);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut process = command.spawn().unwrap_or_else(|error| match error.kind() {
        IoKind::NotFound => panic!(
            "OpenAI's Python client is not there; run scripts/setup.sh models, which installs it into .tools"
        ),
        _ => panic!("{}: {error}", python.display()),
    });
    let mut to = process.stdin.take().unwrap();
    for line in input {
        writeln!(to, "{line}").unwrap();
    }
    drop(to);
    let output = process.wait_with_output().unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "models.py {arguments:?}:\n{complaint}");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}
