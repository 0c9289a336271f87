//! Names of Kubernetes objects, made from names that may be anything, without collisions
//! (`operator.md` §2.4).

use sha2::{Digest as _, Sha256};

/// The longest DNS label.
pub const MAX_LABEL: usize = 63;
const HASH_DIGITS: usize = 10;

/// The name as a DNS label (RFC 1035). One that is a label already stays as it is; any other keeps
/// what it can and ends in a hash of the whole, so that two names never become one.
///
/// ```
/// use relay_model::name::dns_label;
///
/// assert_eq!(dns_label("deploy-1"), "deploy-1");
/// assert_eq!(dns_label("Nightly build"), "nightly-build-3e7964d522");
/// ```
#[must_use]
pub fn dns_label(name: &str) -> String {
    derived(name, "")
}

/// The name as that of an object of ours, which may begin with a digit (RFC 1123). One that is such a
/// name already stays as it is.
///
/// ```
/// use relay_model::name::object_name;
///
/// assert_eq!(object_name("01-hello"), "01-hello");
/// assert_eq!(object_name("Nightly build"), "nightly-build-3e7964d522");
/// ```
#[must_use]
pub fn object_name(name: &str) -> String {
    let rest = name.trim_start_matches(|c: char| c.is_ascii_digit());
    let behind_digits = rest.len() < name.len()
        && rest.chars().all(is_label_char)
        && !name.ends_with('-')
        && name.len() <= MAX_LABEL;
    if behind_digits { name.to_owned() } else { dns_label(name) }
}

/// The name as that of an object of another kind, such as a PipelineRun, that takes any name of an
/// object but a long one: it becomes the value of a label.
///
/// ```
/// use relay_model::name::exact;
///
/// assert_eq!(exact("4f0c1d2e.x"), "4f0c1d2e.x");
/// assert_eq!(exact(&"a".repeat(70)).len(), 63);
/// ```
#[must_use]
pub fn exact(name: &str) -> String {
    let inner = |c: char| is_label_char(c) || c == '.';
    if name.len() <= MAX_LABEL && name.chars().all(inner) && label_value(name) == name {
        name.to_owned()
    } else {
        dns_label(name)
    }
}

/// The name of an object of a step: what there is room for of `name`, and a suffix that no other
/// step has (`operator.md` §2.4).
///
/// ```
/// use relay_model::name::suffixed;
///
/// assert_eq!(suffixed("1-deploy-Build it", "-abc"), "deploy-build-it-abc");
/// assert_eq!(suffixed(&"a".repeat(60), "-abcdef"), format!("{}-abcdef", "a".repeat(56)));
/// ```
#[must_use]
pub fn suffixed(name: &str, suffix: &str) -> String {
    let room = MAX_LABEL.saturating_sub(suffix.len());
    let mut end = 0;
    // Where a character would be cut in two, its first part counts as one.
    let kept = name.chars().take_while(|c| {
        let begins = end < room;
        end += c.len_utf8();
        begins
    });
    let mapped = kept.chain(suffix.chars()).map(|c| {
        let lower = c.to_ascii_lowercase();
        if is_label_char(lower) { lower } else { '-' }
    });
    let joined: String =
        mapped.skip_while(|c| c.is_ascii_digit() || *c == '-').take(MAX_LABEL).collect();
    joined.trim_end_matches('-').to_owned()
}

/// The name of an object that belongs to another one: `NAME-WORD`, or with a hash where that would
/// be no DNS label.
#[must_use]
pub fn derived(name: &str, suffix: &str) -> String {
    if is_label(name) && name.len() + suffix.len() <= MAX_LABEL {
        return format!("{name}{suffix}");
    }
    let room = MAX_LABEL.saturating_sub(suffix.len() + HASH_DIGITS + 1);
    let mapped: String = name
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' })
        .collect();
    let start = mapped.trim_start_matches(|c: char| c.is_ascii_digit() || c == '-');
    let cut = start.get(..room.min(start.len())).unwrap_or_default().trim_end_matches('-');
    let cut = if cut.is_empty() { "x" } else { cut };
    format!("{cut}-{}{suffix}", short_hash(name))
}

/// The name as the value of a label: itself where it is one, otherwise a hash.
#[must_use]
pub fn label_value(name: &str) -> String {
    let edge = |c: char| c.is_ascii_alphanumeric();
    let inner = |c: char| edge(c) || matches!(c, '-' | '_' | '.');
    let valid = name.len() <= MAX_LABEL
        && name.starts_with(edge)
        && name.ends_with(edge)
        && name.chars().all(inner);
    if valid { name.to_owned() } else { format!("hash-{}", short_hash(name)) }
}

fn is_label(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_lowercase())
        && !name.ends_with('-')
        && name.chars().all(is_label_char)
}

fn is_label_char(c: char) -> bool {
    c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-'
}

fn short_hash(name: &str) -> String {
    let digest = hex::encode(Sha256::digest(name.as_bytes()));
    digest.get(..HASH_DIGITS).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_apart() {
        let names = ["1-job", "2-job", "x.y", "x-y", &"a".repeat(70), &"a".repeat(71), "", "É"];
        let derived: std::collections::BTreeSet<_> =
            names.iter().map(|name| derived(name, "-immutable")).collect();
        assert_eq!(derived.len(), names.len());
        for name in derived {
            assert!(name.len() <= MAX_LABEL && is_label(&name), "{name}");
        }
    }

    #[test]
    fn objects_may_begin_with_a_digit() {
        for name in ["01-hello", "7", "2fa", "plain"] {
            assert_eq!(object_name(name), name);
        }
        for name in ["1-", "1.x", "1X", &"1".repeat(64), ""] {
            assert!(object_name(name).len() <= MAX_LABEL && is_label(&object_name(name)), "{name}");
        }
    }

    #[test]
    fn label_values() {
        assert_eq!(label_value("Deploy_1.x"), "Deploy_1.x");
        assert!(label_value(&"r".repeat(70)).starts_with("hash-"));
        assert!(label_value("with space").starts_with("hash-"));
    }
}
