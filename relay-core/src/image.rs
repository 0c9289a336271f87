//! What an image runs when a step names no program (`operator.md` §11).

use std::collections::BTreeMap;
use std::fmt;

use async_trait::async_trait;
use secrecy::SecretString;

/// Looks into images, to find out what they run.
///
/// ```
/// use relay_core::{ImageInspector, ImageProgram, MemoryImages};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), relay_core::ImageError> {
/// let program = ImageProgram { entrypoint: vec!["/bin/tool".into()], ..Default::default() };
/// let images = MemoryImages::default().with_image("tool:1", program);
/// let found = images.inspect("tool:1", &[]).await?;
/// assert_eq!(found.invocation(&["-v".into()]).unwrap(), ["/bin/tool", "-v"]);
/// # Ok(()) }
/// ```
#[async_trait]
pub trait ImageInspector: Send + Sync + fmt::Debug {
    /// What the image runs. Of `logins`, those for its registry may be used, one after the other.
    ///
    /// # Errors
    ///
    /// When the registry does not tell, in words for the author of the workflow.
    async fn inspect(
        &self,
        image: &str,
        logins: &[RegistryLogin],
    ) -> Result<ImageProgram, ImageError>;
}

/// What an image runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImageProgram {
    /// The program and its first arguments.
    pub entrypoint: Vec<String>,
    /// Its further arguments, unless others are given; the program, where there is no entrypoint.
    pub cmd: Vec<String>,
}

impl ImageProgram {
    /// The program and its arguments, when these arguments are given; `None` where nothing names a
    /// program. As containers have it, arguments take the place of `cmd`.
    #[must_use]
    pub fn invocation(&self, args: &[String]) -> Option<Vec<String>> {
        let rest = if args.is_empty() { &self.cmd } else { args };
        let words: Vec<String> = self.entrypoint.iter().chain(rest).cloned().collect();
        words.first().is_some_and(|program| !program.is_empty()).then_some(words)
    }
}

/// A name and a password for a registry.
#[derive(Clone, Debug)]
pub struct RegistryLogin {
    /// The registry's host, with a port where it is not the usual one, and perhaps the first part of
    /// the repositories that it is for, such as `registry.example.com/team`.
    pub registry: String,
    /// The name.
    pub user: String,
    /// The password.
    pub password: SecretString,
}

/// Why it could not be found out what an image runs.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the program of image {image:?} is not known: {problem}")]
pub struct ImageError {
    /// The image.
    pub image: String,
    /// What is the matter with it.
    pub problem: String,
    /// Whether that may be over soon.
    pub is_temporary: bool,
}

/// Images that are known from the start.
#[derive(Clone, Debug, Default)]
pub struct MemoryImages(BTreeMap<String, ImageProgram>);

impl MemoryImages {
    /// With one more image.
    #[must_use]
    pub fn with_image(mut self, image: &str, program: ImageProgram) -> Self {
        self.0.insert(image.to_owned(), program);
        self
    }
}

#[async_trait]
impl ImageInspector for MemoryImages {
    async fn inspect(&self, image: &str, _: &[RegistryLogin]) -> Result<ImageProgram, ImageError> {
        self.0.get(image).cloned().ok_or_else(|| ImageError {
            image: image.to_owned(),
            problem: "there is no such image".to_owned(),
            is_temporary: false,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entrypoint_cmd_and_arguments() {
        for (name, entrypoint, cmd, args, expected) in [
            ("an entrypoint", &["e"][..], &[][..], &[][..], Some(&["e"][..])),
            ("cmd is its arguments", &["e", "1"], &["c"], &[], Some(&["e", "1", "c"])),
            ("arguments take cmd's place", &["e", "1"], &["c"], &["a"], Some(&["e", "1", "a"])),
            ("cmd alone", &[], &["c", "1"], &[], Some(&["c", "1"])),
            ("arguments in the place of cmd alone", &[], &["c"], &["a", "b"], Some(&["a", "b"])),
            ("arguments alone", &[], &[], &["a"], Some(&["a"])),
            ("nothing", &[], &[], &[], None),
            ("an empty word", &[""], &[], &["a"], None),
        ] {
            let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
            let program = ImageProgram { entrypoint: words(entrypoint), cmd: words(cmd) };
            let args: Vec<String> = words(args);
            assert_eq!(program.invocation(&args), expected.map(words), "{name}");
        }
    }
}
