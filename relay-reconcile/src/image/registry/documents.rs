//! What is read of the documents of an image. They are as long as a registry likes, so what is not
//! needed is not kept while reading, and lists do not become objects.

use std::fmt;

use relay_core::ImageProgram;
use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// The most words of a command.
const WORDS: usize = 4096;

/// A manifest, or a list of them with one chosen.
#[derive(Debug, Default)]
pub(super) struct Manifest {
    /// The digest of the configuration, of a manifest.
    pub(super) config: Option<String>,
    /// The digest of the manifest for a processor, of a list.
    pub(super) chosen: Option<String>,
    /// Whether it is a list.
    pub(super) is_list: bool,
}

impl Manifest {
    /// Reads either of them; the chosen one is for Linux on this architecture.
    pub(super) fn read(bytes: &[u8], architecture: &str) -> Result<Self, serde_json::Error> {
        let mut reader = serde_json::Deserializer::from_slice(bytes);
        let manifest = Choice(architecture).deserialize(&mut reader)?;
        reader.end()?;
        Ok(manifest)
    }
}

/// Reads a manifest while choosing one for this architecture.
struct Choice<'a>(&'a str);

impl<'de> DeserializeSeed<'de> for Choice<'_> {
    type Value = Manifest;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Manifest, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Choice<'_> {
    type Value = Manifest;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a manifest or a list of manifests")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Manifest, A::Error> {
        let mut manifest = Manifest::default();
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "config" => manifest.config = Some(map.next_value::<Descriptor>()?.digest),
                "manifests" => {
                    manifest.is_list = true;
                    manifest.chosen = map.next_value_seed(First(self.0))?;
                }
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(manifest)
    }
}

/// Picks the first entry of a list that fits.
struct First<'a>(&'a str);

impl<'de> DeserializeSeed<'de> for First<'_> {
    type Value = Option<String>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for First<'_> {
    type Value = Option<String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of manifests")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
        let mut first = None;
        while let Some(entry) = entries.next_element::<Entry>()? {
            let platform = entry.platform.unwrap_or_default();
            if first.is_none() && platform.os == "linux" && platform.architecture == self.0 {
                first = Some(entry.digest);
            }
        }
        Ok(first)
    }
}

#[derive(Deserialize)]
struct Descriptor {
    digest: String,
}

#[derive(Deserialize)]
struct Entry {
    digest: String,
    platform: Option<Platform>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Platform {
    os: String,
    architecture: String,
}

/// The configuration of an image, as much of it as matters.
#[derive(Deserialize)]
pub(super) struct Image {
    #[serde(default)]
    config: Option<Config>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Config {
    entrypoint: Option<Words>,
    cmd: Option<Words>,
}

impl Image {
    /// What it runs.
    pub(super) fn program(self) -> ImageProgram {
        let words = |words: Option<Words>| words.map_or_else(Vec::new, |Words(words)| words);
        let config = self.config.unwrap_or_default();
        ImageProgram { entrypoint: words(config.entrypoint), cmd: words(config.cmd) }
    }
}

/// A command, of no more words than a program is given.
struct Words(Vec<String>);

impl<'de> Deserialize<'de> for Words {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(Few).map(Self)
    }
}

struct Few;

impl<'de> Visitor<'de> for Few {
    type Value = Vec<String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a list of no more than {WORDS} words")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
        let mut words = Vec::new();
        while let Some(word) = entries.next_element()? {
            if words.len() == WORDS {
                return Err(serde::de::Error::invalid_length(WORDS + 1, &self));
            }
            words.push(word);
        }
        Ok(words)
    }
}
