//! `relay graph`.

use std::io::{self, Write};
use std::path::Path;

use clap::ValueEnum;
use relay_model::workflow_file::Drawing;

use crate::{Out, files, print};

/// How to draw.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// A line for each step and for each step that it waits for
    #[default]
    Text,
    /// For Graphviz
    Dot,
    /// For Markdown viewers
    Mermaid,
}

/// Draws the steps of a file; the exit code.
pub(crate) fn graph(path: &Path, format: Option<Format>, out: Out) -> u8 {
    if let (Some(_), Out::Json) = (format, out) {
        print::error("--format and --out json exclude each other: JSON is a format of its own");
        return 2;
    }
    let checked = match files::read(path) {
        Ok(checked) => checked,
        Err(message) => {
            print::error(&message);
            return 2;
        }
    };
    // There is nobody left to tell that standard error is gone.
    let _ = print::findings(&checked.name, &checked.parsed.findings, &mut io::stderr().lock());
    let Some(file) = checked.parsed.file else { return 1 };
    match show(&file.drawing(), format.unwrap_or_default(), out, &mut io::stdout().lock()) {
        Ok(()) => 0,
        Err(error) => {
            print::error(&format!("cannot print: {error}"));
            2
        }
    }
}

fn show(drawing: &Drawing<'_>, format: Format, out: Out, stdout: &mut dyn Write) -> io::Result<()> {
    match (out, format) {
        (Out::Json, _) => writeln!(stdout, "{}", serde_json::to_string(drawing)?)?,
        (Out::Text, Format::Text) => write!(stdout, "{}", drawing.text())?,
        (Out::Text, Format::Dot) => write!(stdout, "{}", drawing.dot())?,
        (Out::Text, Format::Mermaid) => write!(stdout, "{}", drawing.mermaid())?,
    }
    stdout.flush()
}
