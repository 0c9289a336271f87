//! A metadata API whose address begins with `https`.

use std::ffi::OsString;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use relay_tools::client::{Authorities, ClientError, Connections, MetadataClient, Retry};
use relay_tools::entrypoint::{Ended, Entrypoint, Invocation};
use rustls::ServerConfig;
use rustls_pki_types::PrivateKeyDer;
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use crate::double::{Double, complete};

/// An authority of one's own.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    fn pem(&self) -> String {
        self.0.pem()
    }

    /// What a server shows for this name.
    fn acceptor(&self, name: &str) -> TlsAcceptor {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap();
        TlsAcceptor::from(Arc::new(config))
    }
}

async fn double() -> Double {
    Double::start().await.on("GET /spec", 200, complete(1)).on("GET /environment", 404, "")
}

/// A client with this one variable.
fn client(url: &str, variable: (&str, impl Into<OsString>)) -> Result<MetadataClient, ClientError> {
    let (name, value) = (variable.0, variable.1.into());
    let authorities = Authorities::from_variables(|asked| (asked == name).then(|| value.clone()));
    MetadataClient::with_http(Connections::trusting(authorities), url, Duration::from_secs(5))
}

fn file(directory: &Path, name: &str, text: &str) -> OsString {
    std::fs::write(directory.join(name), text).unwrap();
    directory.join(name).into()
}

#[tokio::test]
async fn an_authority_that_is_named_is_trusted() {
    let (ours, theirs, files) = (Authority::new(), Authority::new(), tempfile::tempdir().unwrap());
    let double = double().await;
    let url = double.serve_tls(ours.acceptor("localhost")).await;
    let bundle = format!("# Ours.\n{}\n# Theirs.\n{}", theirs.pem(), ours.pem());
    for (name, variable) in [
        ("a text", ("METADATA_API_CA", OsString::from(ours.pem()))),
        ("a file", ("METADATA_API_CA_FILE", file(files.path(), "ours", &ours.pem()))),
        ("a bundle", ("METADATA_API_CA_FILE", file(files.path(), "bundle", &bundle))),
        ("for all programs", ("SSL_CERT_FILE", file(files.path(), "all", &bundle))),
    ] {
        let client = client(&url, variable).unwrap();
        assert_eq!(client.spec(None).await.unwrap().value, 1, "{name}");
    }
    assert!(double.calls()[0].headers.contains_key("authorization"));
}

#[tokio::test]
async fn nobody_else_is() {
    let (ours, theirs) = (Authority::new(), Authority::new());
    let double = double().await;
    let url = double.serve_tls(ours.acceptor("localhost")).await;
    let elsewhere = double.serve_tls(ours.acceptor("elsewhere.example")).await;
    for (name, url, variable, said) in [
        ("unknown", &url, ("NONE", String::new()), "METADATA_API_CA_FILE"),
        ("another authority", &url, ("METADATA_API_CA", theirs.pem()), "METADATA_API_CA_FILE"),
        ("a file of others", &url, ("SSL_CERT_FILE", "/nowhere".to_owned()), "not known here"),
        ("another name", &elsewhere, ("METADATA_API_CA", ours.pem()), "for another name"),
    ] {
        let retry = Retry::all_but_final(Duration::from_secs(60));
        let client = client(url, variable).unwrap().retrying(retry);
        let asked = tokio::time::timeout(Duration::from_secs(10), client.spec(None)).await;
        let error = asked.expect("waiting does not help").unwrap_err();
        let text = format!("{} {error:?}", error.chain());
        assert!(matches!(error, ClientError::Untrusted { .. }), "{name}: {text}");
        assert!(text.contains(said) && text.contains("localhost"), "{name}: {text}");
        assert!(!text.contains("canary"), "{name}: {text}");
    }
    assert!(double.lines().is_empty(), "nothing was told to whom nobody trusts");
}

#[tokio::test]
async fn certificates_are_looked_at_for_https_alone() {
    let files = tempfile::tempdir().unwrap();
    let double = double().await;
    let empty = file(files.path(), "empty", "nothing");
    for (variable, said) in [
        (("METADATA_API_CA", OsString::from("nothing")), "METADATA_API_CA holds no PEM"),
        (("METADATA_API_CA_FILE", empty), "METADATA_API_CA_FILE holds no PEM"),
        (("METADATA_API_CA_FILE", "/nowhere".into()), "/nowhere"),
    ] {
        let plain = client(&double.url(), variable.clone()).unwrap();
        assert_eq!(plain.spec(None).await.unwrap().value, 1, "{variable:?}");
        let error = client("https://:canary@localhost:1", variable.clone()).unwrap_err();
        assert!(error.chain().contains(said), "{variable:?}: {}", error.chain());
    }
}

#[tokio::test]
async fn a_step_and_its_ni_speak_tls() {
    let (authority, double) = (Authority::new(), double().await);
    let url = double.serve_tls(authority.acceptor("localhost")).await;
    let ca = authority.pem();
    let variables = |name: &str| match name {
        "METADATA_API_URL" => Some(OsString::from(&url)),
        "METADATA_API_CA" => Some(OsString::from(&ca)),
        _ => None,
    };
    let entrypoint = Entrypoint::new(Invocation::new("/bin/true", [""; 0]));
    let (output, _chunks) = mpsc::channel(8);
    let step = entrypoint.settings(variables).unwrap();
    let ended = step.run(output, CancellationToken::new()).await.unwrap();
    assert_eq!(ended, Ended::Exited { code: 0 });
    assert!(double.lines().contains(&"PUT /status".to_owned()), "{:?}", double.lines());

    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let settings = relay_tools::ni::Settings::from_variables(variables);
    let code = relay_tools::ni::run(["ni", "get"], &settings, &mut stdout, &mut stderr).await;
    assert_eq!((code, String::from_utf8(stdout).unwrap()), (0, "1".to_owned()), "{stderr:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_program_needs_no_certificates_of_its_image() {
    let (authority, double) = (Authority::new(), double().await);
    let url = double.serve_tls(authority.acceptor("localhost")).await;
    let run = |url: &str, ca: &str| {
        let mut program = Command::new(env!("CARGO_BIN_EXE_relay-runtime-tools"));
        program.env_clear().env("METADATA_API_URL", url).env("METADATA_API_CA", ca);
        // Where a machine has them nobody looks.
        program.env("SSL_CERT_FILE", "/nowhere").env("SSL_CERT_DIR", "/nowhere");
        let output = program.args(["-entrypoint", "/bin/true", "--"]).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let ca = authority.pem();
    let (code, said) = tokio::task::block_in_place(|| run(&url, &ca));
    assert_eq!(code, Some(0), "{said}");
    let (code, said) = tokio::task::block_in_place(|| run(&url, ""));
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("METADATA_API_CA_FILE") && !said.contains("canary"), "{said}");
    let (code, said) = tokio::task::block_in_place(|| run(&double.url(), "broken"));
    assert_eq!(code, Some(0), "{said}");
}
