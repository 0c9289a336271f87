//! Findings for people: the line for each, and below it the place in the text.

use std::fmt;
use std::ops::Range;

use annotate_snippets::{AnnotationKind, Group, Level as Severity, Renderer, Snippet};
use relay_core::yaml::Location;

use super::finding::{Finding, Level};

/// A line that is longer says nothing at a glance.
const MAX_WIDTH: usize = 200;
/// What is longer is not said twice.
const MAX_LABEL: usize = 70;
/// Places that lie further apart are shown as two pieces.
const MAX_LINES: usize = 40;
/// With more findings than this their places are no help any more.
const MAX_SNIPPETS: usize = 200;

/// Whether there are colours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Style {
    /// For files and programs.
    #[default]
    Plain,
    /// For terminals.
    Colours,
}

/// The findings of a file, for people: for each the line of [`Finding::in_file`], followed by the
/// part of the text that it is about.
///
/// ```
/// use relay_model::workflow_file::{Style, WorkflowFile, render};
///
/// let text = "\
/// steps:
/// - name: compile
///   image: alpine
/// - name: publish
///   image: alpine
///   dependsOn: complie
/// ";
/// let findings = WorkflowFile::parse(text, "deploy").findings;
/// assert_eq!(
///     render("deploy.yaml", text, &findings, Style::Plain).to_string(),
///     r#"deploy.yaml:6:14: error[unknown-step]: step "publish" depends on "complie", which does not exist; did you mean "compile"?
///   |
/// 6 |   dependsOn: complie
///   |              ^^^^^^^ did you mean "compile"?
///
/// "#,
/// );
/// ```
pub fn render<'a>(
    file: &'a str,
    text: &'a str,
    findings: &'a [Finding],
    style: Style,
) -> impl fmt::Display + 'a {
    let source = Source::new(text);
    let renderer = match style {
        Style::Plain => Renderer::plain(),
        Style::Colours => Renderer::styled(),
    };
    fmt::from_fn(move |f| {
        for (index, finding) in findings.iter().enumerate() {
            writeln!(f, "{}", finding.in_file(file))?;
            if let Some(group) = source.group(finding).filter(|_| index < MAX_SNIPPETS) {
                writeln!(f, "{}\n", renderer.render(&[group]))?;
            }
        }
        Ok(())
    })
}

/// A text by its lines.
struct Source<'t> {
    text: &'t str,
    /// Where each line starts and ends, in bytes.
    lines: Vec<Range<usize>>,
}

/// A place to point at.
struct Mark {
    line: usize,
    /// In bytes of the whole text.
    span: Range<usize>,
    kind: AnnotationKind,
    label: String,
}

impl<'t> Source<'t> {
    fn new(text: &'t str) -> Self {
        // As in YAML a carriage return ends a line, also without a line feed behind it.
        let mut lines = Vec::new();
        let mut start = 0;
        while let Some(rest) = text.get(start..).filter(|rest| !rest.is_empty()) {
            let end = rest.find(['\n', '\r']).unwrap_or(rest.len());
            let broken = rest.get(end..).unwrap_or_default();
            lines.push(start..start + end);
            start += end + if broken.starts_with("\r\n") { 2 } else { broken.len().min(1) };
        }
        Self { text, lines }
    }

    fn group(&self, finding: &Finding) -> Option<Group<'_>> {
        let severity = match finding.level {
            Level::Error => Severity::ERROR,
            Level::Warning => Severity::WARNING,
            Level::Note => return None,
        };
        let place = Location { line: finding.line, column: finding.column };
        let primary = self.mark(place, AnnotationKind::Primary, hint(&finding.message))?;
        let related = finding.related.iter().take(MAX_SNIPPETS).filter_map(|related| {
            self.mark(related.location, AnnotationKind::Context, related.label.clone())
        });
        let mut marks: Vec<_> = std::iter::once(primary).chain(related).collect();
        marks.sort_by_key(|mark| mark.line);
        let mut group = Group::with_level(severity);
        let mut piece: Vec<Mark> = Vec::new();
        for mark in marks {
            if piece.first().is_some_and(|first| mark.line - first.line > MAX_LINES) {
                group = group.element(self.snippet(std::mem::take(&mut piece))?);
            }
            piece.push(mark);
        }
        Some(group.element(self.snippet(piece)?))
    }

    /// The lines from the first mark to the last one.
    fn snippet(&self, marks: Vec<Mark>) -> Option<Snippet<'_, annotate_snippets::Annotation<'_>>> {
        let (first, last) = (marks.first()?.line, marks.last()?.line);
        let start = self.line(first)?.start;
        let text = self.text.get(start..self.line(last)?.end)?;
        let annotations = marks.into_iter().map(|mark| {
            let span = mark.span.start.saturating_sub(start)..mark.span.end.saturating_sub(start);
            let label = (!mark.label.is_empty()).then_some(mark.label);
            mark.kind.span(span).label(label)
        });
        Some(Snippet::source(text).line_start(first).annotations(annotations))
    }

    fn line(&self, number: usize) -> Option<Range<usize>> {
        self.lines.get(number.checked_sub(1)?).cloned()
    }

    fn mark(&self, place: Location, kind: AnnotationKind, label: String) -> Option<Mark> {
        let range = self.line(place.line)?;
        let line = self.text.get(range.clone())?;
        if line.len() > MAX_WIDTH {
            return None;
        }
        let column = place.column.checked_sub(1)?;
        let ends = std::iter::once(line.len());
        let offset = line.char_indices().map(|(at, _)| at).chain(ends).nth(column)?;
        let (before, rest) = line.split_at_checked(offset)?;
        let start = range.start + offset;
        let span = start..start + length(before, rest);
        Some(Mark { line: place.line, span, kind, label })
    }
}

/// What is to be done: the last part of the message.
fn hint(message: &str) -> String {
    let message = message.rsplit_once(" (defined at line ").map_or(message, |(message, _)| message);
    let hint = message.rsplit_once("; ").map(|(_, hint)| hint).unwrap_or_default();
    if hint.len() > MAX_LABEL { String::new() } else { hint.to_owned() }
}

/// How long the value is that starts a rest of a line: up to the end of its quotes, or to where
/// something else begins.
fn length(before: &str, rest: &str) -> usize {
    if let Some(quote) = rest.chars().next().filter(|c| matches!(c, '"' | '\'')) {
        let close = rest.char_indices().skip(1).find(|(_, c)| *c == quote);
        return close.map_or(rest.trim_end().len(), |(at, _)| at + 1);
    }
    let flow = before.contains(['{', '[']);
    let mut open = 0usize;
    let mut previous = ' ';
    for (at, c) in rest.char_indices() {
        let behind = rest.get(at + c.len_utf8()..).and_then(|rest| rest.chars().next());
        let blank = behind.is_none_or(char::is_whitespace);
        match c {
            '{' | '[' => open += 1,
            '}' | ']' if open > 0 => open -= 1,
            '}' | ']' | ',' if flow && open == 0 => return at.max(1),
            ':' if open == 0 && blank => return at.max(1),
            '#' if previous == ' ' && at > 0 => {
                return rest.get(..at).map_or(at, |r| r.trim_end().len());
            }
            _ => {}
        }
        previous = c;
    }
    rest.trim_end().len()
}
