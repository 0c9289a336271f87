//! Whether a certificate is good.

use jiff::{SignedDuration, Timestamp};
use rcgen::PublicKeyData as _;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, UnixTime};
use webpki::{EndEntityCert, KeyUsage, anchor_from_trusted_cert};

use super::Pair;

/// With so much left a certificate is renewed.
const RENEW: SignedDuration = SignedDuration::from_hours(30 * 24);
/// With less than that left it is not counted on any more.
const MINIMUM: SignedDuration = SignedDuration::from_hours(24);

/// How a certificate stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// Good, and for a while.
    Good,
    /// Good, and to be renewed.
    Due,
    /// Not good, and why.
    Unusable(&'static str),
}

/// Looks at a pair that is to be shown as `dns_name`, to clients who trust `authorities` (PEM).
pub(super) fn check(pair: &Pair, authorities: &[u8], dns_name: &str, now: Timestamp) -> Standing {
    match examine(pair, authorities, dns_name, now) {
        Ok(standing) => standing,
        Err(why) => Standing::Unusable(why),
    }
}

fn examine(
    pair: &Pair,
    authorities: &[u8],
    dns_name: &str,
    now: Timestamp,
) -> Result<Standing, &'static str> {
    let chain = certificates(&pair.certificate).ok_or("tls.crt is no chain of certificates")?;
    let [end, rest @ ..] = chain.as_slice() else {
        return Err("tls.crt is empty");
    };
    if rest.is_empty() {
        return Err("tls.crt has no certificate of its CA");
    }
    let end = EndEntityCert::try_from(end).map_err(|_| "the certificate cannot be read")?;
    let key = std::str::from_utf8(&pair.key).ok();
    let key = key.and_then(|pem| rcgen::KeyPair::from_pem(pem).ok());
    let key = key.ok_or("tls.key is no private key")?;
    if key.subject_public_key_info() != end.subject_public_key_info().as_ref() {
        return Err("tls.key belongs to another certificate");
    }
    if !end.valid_dns_names().eq([dns_name]) {
        return Err("the certificate is for other names");
    }
    let authorities = certificates(authorities).ok_or("ca.crt holds no certificates")?;
    let anchors: Vec<_> = authorities
        .iter()
        .filter_map(|authority| anchor_from_trusted_cert(authority).ok())
        .collect();
    let holds_at = |time: Timestamp| {
        let seconds = u64::try_from(time.as_second()).unwrap_or_default();
        let time = UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds));
        let algorithms = webpki::ALL_VERIFICATION_ALGS;
        let usage = KeyUsage::server_auth();
        end.verify_for_usage(algorithms, &anchors, rest, time, usage, None, None).is_ok()
    };
    let later = |span| now.checked_add(span).unwrap_or(Timestamp::MAX);
    match () {
        () if !holds_at(now) => Err("the certificate has ended, or ca.crt is another CA"),
        () if !holds_at(later(MINIMUM)) => Err("the certificate ends within a day"),
        () if !holds_at(later(RENEW)) => Ok(Standing::Due),
        () => Ok(Standing::Good),
    }
}

/// The certificates in a PEM; none where it holds none, or something that is none.
pub(super) fn certificates(pem: &[u8]) -> Option<Vec<CertificateDer<'static>>> {
    let all = CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>().ok()?;
    (!all.is_empty()).then_some(all)
}
