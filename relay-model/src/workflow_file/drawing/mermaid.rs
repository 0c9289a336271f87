//! Mermaid, which many Markdown viewers draw.

use std::collections::HashMap;
use std::fmt::{self, Write as _};

use super::{Drawing, Kind};
use crate::workflow_file::Origin;

pub(super) fn write(drawing: &Drawing<'_>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    writeln!(f, "flowchart TD")?;
    writeln!(f, "  %% solid: dependsOn; dashed: an output; dotted: a status")?;
    // Names such as `end` are words of the language, so nodes go by number.
    let steps = || drawing.steps.iter().zip(1_usize..);
    let numbers: HashMap<&str, usize> = steps().map(|(step, number)| (step.name, number)).collect();
    for (step, number) in steps() {
        let (open, close) = if step.kind == Kind::Approval { ('{', '}') } else { ('[', ']') };
        writeln!(f, "  s{number}{open}\"{}\"{close}", label(step.name))?;
    }
    let mut drawn = 0_usize;
    let mut dashed = Vec::new();
    for (step, to) in steps() {
        for edge in &step.dependencies {
            let Some(from) = numbers.get(edge.step) else { continue };
            let arrow = if edge.origin == Origin::DependsOn { "-->" } else { "-.->" };
            writeln!(f, "  s{from} {arrow} s{to}")?;
            if edge.origin == Origin::Output {
                dashed.push(drawn.to_string());
            }
            drawn += 1;
        }
    }
    // The language has dots and no dashes.
    if !dashed.is_empty() {
        writeln!(f, "  linkStyle {} stroke-dasharray:8 4", dashed.join(","))?;
    }
    Ok(())
}

/// Text between quotes. What Mermaid and its Markdown give a meaning to differs from release to
/// release, so all becomes a number but letters, digits, single spaces, and what stands inside a
/// word, as in `run_tests-2`.
fn label(text: &str) -> impl fmt::Display {
    fmt::from_fn(move |f| {
        let mut before = None;
        let mut rest = text.chars().peekable();
        while let Some(c) = rest.next() {
            let between = before.zip(rest.peek().copied());
            let both =
                |wanted: fn(char) -> bool| between.is_some_and(|(a, b)| wanted(a) && wanted(b));
            let stays = match c {
                ' ' => both(|c| c != ' '),
                '-' | '_' | '.' | '/' => both(char::is_alphanumeric),
                c => c.is_alphanumeric(),
            };
            if stays {
                f.write_char(c)?;
            } else {
                write!(f, "#{};", u32::from(c))?;
            }
            before = Some(c);
        }
        Ok(())
    })
}
