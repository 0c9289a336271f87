//! DOT, the language of Graphviz.

use std::fmt::{self, Write as _};

use super::{Drawing, Kind};
use crate::workflow_file::Origin;

pub(super) fn write(drawing: &Drawing<'_>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    writeln!(f, "digraph {} {{", quoted(drawing.title))?;
    writeln!(f, "  // solid: dependsOn; dashed: an output; dotted: a status")?;
    writeln!(f, "  node [shape=box]")?;
    for step in &drawing.steps {
        let shape = if step.kind == Kind::Approval { "shape=diamond, " } else { "" };
        let (name, tip) = (quoted(step.name), step.summary().to_string());
        writeln!(f, "  {name} [{shape}tooltip={}]", quoted(&tip))?;
    }
    for step in &drawing.steps {
        for edge in &step.dependencies {
            let (from, to) = (quoted(edge.step), quoted(step.name));
            let style = match edge.origin {
                Origin::DependsOn => "solid",
                Origin::Output => "dashed",
                Origin::Status => "dotted",
            };
            writeln!(f, "  {from} -> {to} [style={style}, tooltip=\"{}\"]", edge.place())?;
        }
    }
    writeln!(f, "}}")
}

/// A string that is shown as `text`. Graphviz reads escapes such as `\N` and HTML entities in what
/// it shows, and takes the name of a node for its label.
fn quoted(text: &str) -> impl fmt::Display {
    fmt::from_fn(move |f| {
        f.write_char('"')?;
        for c in text.chars() {
            match c {
                '"' => f.write_str("\\\"")?,
                '\\' => f.write_str("\\\\")?,
                '&' => f.write_str("&amp;")?,
                c if c.is_control() => f.write_char(' ')?,
                c => f.write_char(c)?,
            }
        }
        f.write_char('"')
    })
}
