//! Making a certificate.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose,
};
use secrecy::zeroize::Zeroizing;

use super::Pair;
use crate::Error;

/// How long a certificate holds.
const LIFETIME: SignedDuration = SignedDuration::from_hours(90 * 24);
/// From how long before now on, for clients whose clocks are late.
const SKEW: SignedDuration = SignedDuration::from_hours(1);

/// A new certificate, and its CA.
pub(super) struct Issued {
    pub(super) pair: Pair,
    /// The CA, as PEM.
    pub(super) authority: String,
}

/// Makes a CA and, with it, a certificate for this name. The CA's key is dropped here.
pub(super) fn issue(dns_name: &str, now: Timestamp) -> Result<Issued, Error> {
    make(dns_name, now).map_err(Error::Certificate)
}

fn make(dns_name: &str, now: Timestamp) -> Result<Issued, rcgen::Error> {
    let mut authority = lasting(CertificateParams::default(), now);
    authority.distinguished_name = named(&format!("Relay webhook CA of {dns_name}"));
    authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let issuer = Issuer::new(authority.clone(), KeyPair::generate()?);
    let authority = authority.self_signed(issuer.key())?.pem();

    let mut end = lasting(CertificateParams::new([dns_name.to_owned()])?, now);
    end.distinguished_name = named(dns_name);
    end.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    end.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    end.use_authority_key_identifier_extension = true;
    let key = KeyPair::generate()?;
    let certificate = end.signed_by(&key, &issuer)?.pem();
    let pair = Pair {
        certificate: format!("{certificate}{authority}").into_bytes(),
        key: Zeroizing::new(key.serialize_pem().into_bytes()),
    };
    Ok(Issued { pair, authority })
}

fn lasting(mut params: CertificateParams, now: Timestamp) -> CertificateParams {
    let at = |time: Timestamp| {
        let seconds = u64::try_from(time.as_second()).unwrap_or_default();
        rcgen::date_time_ymd(1970, 1, 1) + Duration::from_secs(seconds)
    };
    params.not_before = at(now.checked_sub(SKEW).unwrap_or(now));
    params.not_after = at(now.checked_add(LIFETIME).unwrap_or(now));
    params
}

fn named(name: &str) -> DistinguishedName {
    let mut names = DistinguishedName::new();
    names.push(DnType::OrganizationName, "Relay");
    // 64 letters are the most that a common name takes; which name it is stands elsewhere.
    names.push(DnType::CommonName, name.chars().take(64).collect::<String>());
    names
}
