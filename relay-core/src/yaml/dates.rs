//! Dates as text: files of people who never asked for time stamps.

use std::sync::Arc;

use super::{Content, Node, scalar};
use crate::value::Value;

impl Node {
    /// Whether this is nothing: `null`, `~` or no text at all, without quotes and tag.
    #[must_use]
    pub fn is_null(&self) -> bool {
        match self.content.as_ref() {
            Content::Scalar { text, plain: true } => {
                self.tag.is_none() && scalar::resolve(text).is_null()
            }
            _ => false,
        }
    }

    /// The same with each scalar that would be read as a point in time as text, as it was written.
    #[must_use]
    pub fn with_dates_as_text(&self) -> Self {
        crate::stack::grow(|| {
            let content = match self.content.as_ref() {
                Content::Scalar { text, plain: true }
                    if matches!(scalar::resolve(text), Value::Time(_)) =>
                {
                    Content::Scalar { text: Arc::clone(text), plain: false }
                }
                Content::Scalar { .. } => return self.clone(),
                Content::Sequence(items) => {
                    Content::Sequence(items.iter().map(Self::with_dates_as_text).collect())
                }
                Content::Mapping(entries) => Content::Mapping(
                    entries
                        .iter()
                        .map(|(key, value)| (key.clone(), value.with_dates_as_text()))
                        .collect(),
                ),
            };
            Self { content: Arc::new(content), ..self.clone() }
        })
    }
}

#[cfg(test)]
mod tests {
    use crate::yaml;

    #[test]
    fn dates_stay_as_they_were_written() {
        let stream = yaml::read("{d: 2031-02-03, t: [2031-02-03T04:05:06Z], n: 5, o: 017}");
        let mut problems = Vec::new();
        let tree = stream.documents[0].with_dates_as_text().to_tree(&mut problems);
        let expected = r#"{"d":"2031-02-03","n":5,"o":15,"t":["2031-02-03T04:05:06Z"]}"#;
        assert_eq!(tree.to_json(), expected);
        assert!(problems.is_empty());
    }
}
