//! Registries on this machine or in a private network, which often speak no TLS.

use std::net::IpAddr;

use async_trait::async_trait;
use relay_core::{ImageError, ImageInspector, ImageProgram, RegistryLogin};

use super::{Registry, RegistryOptions};

/// Asks the registries of images, and those nearby once more without TLS where that fails with it
/// (`operator.md` §11).
#[derive(Clone, Debug, Default)]
pub struct Registries {
    options: RegistryOptions,
    first: Registry,
}

impl Registries {
    /// Some that are asked like this.
    #[must_use]
    pub fn new(options: RegistryOptions) -> Self {
        Self { first: Registry::new(options.clone()), options }
    }
}

#[async_trait]
impl ImageInspector for Registries {
    async fn inspect(
        &self,
        image: &str,
        logins: &[RegistryLogin],
    ) -> Result<ImageProgram, ImageError> {
        let found = self.first.inspect(image, logins).await;
        // What a registry answers it answers without TLS too.
        if !found.as_ref().is_err_and(|error| error.is_temporary) {
            return found;
        }
        let Some(registry) = registry(image).filter(|registry| is_nearby(registry)) else {
            return found;
        };
        if self.options.plain.iter().any(|plain| plain == registry) {
            return found;
        }
        let plain = vec![registry.to_owned()];
        let plain = Registry::new(RegistryOptions { plain, ..self.options.clone() });
        plain.inspect(image, logins).await.or(found)
    }
}

/// The registry that an image names.
fn registry(image: &str) -> Option<&str> {
    let (first, _) = image.split_once('/')?;
    (first == "localhost" || first.contains(['.', ':'])).then_some(first)
}

/// Whether a registry, as `HOST` or `HOST:PORT`, is on this machine or in a private network.
fn is_nearby(registry: &str) -> bool {
    let port = |text: &str| text.chars().all(|c| c.is_ascii_digit());
    let host = match registry.rsplit_once(':') {
        Some((host, rest)) if port(rest) => host,
        _ => registry,
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    match host.parse::<IpAddr>() {
        Ok(IpAddr::V4(address)) => address.is_loopback() || address.is_private(),
        Ok(IpAddr::V6(address)) => address.is_loopback() || address.is_unique_local(),
        Err(_) => {
            let within = |domain: &str| {
                host.strip_suffix(domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
            };
            within("localhost") || host.ends_with(".local")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_nearby() {
        for image in [
            "localhost/x",
            "localhost:5000/x",
            "registry.localhost/x",
            "registry.local:80/team/x:1",
            "127.0.0.1:5000/x",
            "10.1.2.3/x",
            "172.31.0.1:1/x",
            "192.168.0.1/x@sha256:00",
            "[::1]:5000/x",
            "[fd00::1]/x",
        ] {
            assert!(registry(image).is_some_and(is_nearby), "{image}");
        }
        for image in [
            "alpine",
            "library/alpine",
            "localhostile.example.com/x",
            "example.com/localhost:5000",
            "172.32.0.1/x",
            "8.8.8.8:5000/x",
            "[2606::1]:80/x",
            "local/x",
            "",
        ] {
            assert!(!registry(image).is_some_and(is_nearby), "{image}");
        }
    }
}
