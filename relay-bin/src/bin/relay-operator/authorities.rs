//! The authorities that steps are to trust beside the public ones.

use std::fmt;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;

use crate::Failure;

/// They go into each step of each run, and there is an end to what one object may hold.
const LARGEST: usize = 16 << 10;

/// The certificates of a file, as PEM, with nothing else that may be in it.
pub(crate) fn read(file: &Path) -> Result<String, Failure> {
    let shown = file.display();
    let wrong = |what: &dyn fmt::Display| {
        Failure(format!("{shown}, which --metadata-api-ca-file names, {what}"))
    };
    let text = std::fs::read(file).map_err(|error| wrong(&format!("cannot be read: {error}")))?;
    let mut pem = String::new();
    for certificate in CertificateDer::pem_slice_iter(&text) {
        let certificate = certificate.map_err(|error| wrong(&format!("is no PEM: {error}")))?;
        let encoded = STANDARD.encode(&certificate);
        pem.push_str("-----BEGIN CERTIFICATE-----\n");
        for line in encoded.as_bytes().chunks(64) {
            pem.extend(line.iter().copied().map(char::from));
            pem.push('\n');
        }
        pem.push_str("-----END CERTIFICATE-----\n");
    }
    if pem.is_empty() {
        return Err(wrong(&"holds no PEM of certificates"));
    }
    if pem.len() > LARGEST {
        let most = LARGEST >> 10;
        return Err(wrong(&format!(
            "holds more than {most} KiB of certificates: steps need that of the metadata API's \
             authority alone, and know the public ones"
        )));
    }
    Ok(pem)
}
