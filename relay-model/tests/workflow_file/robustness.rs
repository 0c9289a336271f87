//! No text makes reading or showing panic, hang, or say something about a place that is not there.

use std::time::{Duration, Instant};

use proptest::prelude::*;
use proptest::sample::{Index, select};
use relay_model::workflow_file::{Style, WorkflowFile, render};

use crate::codes::CASES;

const PIECES: &[&str] = &[
    "&a ",
    "*a",
    "<<: *a\n",
    "!Parameter ",
    "!Fn.",
    "${",
    "}",
    "'",
    "\"",
    ": ",
    "- ",
    "\n",
    "\n  ",
    "{",
    "}",
    "[",
    "]",
    ",",
    "|\n",
    "\t",
    "\u{feff}",
    "é",
    "\u{1b}[31m",
    "null",
    "- - ",
    "? ",
    "---\n",
    "#",
    "$type",
    "\r",
    "apiVersion: relay.sh/v1beta1\nkind: Workflow\n",
    "kind: List\nitems:\n- ",
];

fn check(text: &str) {
    let parsed = WorkflowFile::parse(text, "demo");
    let lines = text.matches(['\n', '\r']).count() + 2;
    for finding in &parsed.findings {
        assert!(finding.line <= lines, "{finding:?}");
    }
    for style in [Style::Plain, Style::Colours] {
        let shown = render("demo.yaml", text, &parsed.findings, style).to_string();
        assert!(!shown.contains("\u{1b}[31m"), "escapes of the text are not passed on: {shown:?}");
    }
    if let Some(file) = parsed.file.filter(|file| !file.holds_resources) {
        let yaml = file.convert(None).to_yaml().unwrap();
        let read = WorkflowFile::parse(&yaml, "again");
        assert!(read.file.is_some(), "{text}\n{yaml}\n{:#?}", read.findings);
    }
}

proptest! {
    #[test]
    fn texts_with_mistakes(
        case in select(CASES),
        edits in prop::collection::vec((any::<Index>(), 0usize..12, select(PIECES)), 1..4),
    ) {
        let mut text: Vec<char> = case.1.chars().collect();
        for (place, removed, piece) in edits {
            let start = place.index(text.len() + 1);
            let end = (start + removed).min(text.len());
            text.splice(start..end, piece.chars());
        }
        check(&text.into_iter().collect::<String>());
    }

    #[test]
    fn any_text(text in any::<String>()) {
        check(&text);
    }
}

/// Far below what a quadratic reading would need for these.
const LIMIT: Duration = Duration::from_secs(20);

#[test]
fn large_files_take_no_longer_than_they_are() {
    let count = 5_000;
    let chain: String = (0..count)
        .map(|n| format!("- {{name: s{n}, image: x, dependsOn: [s{}]}}\n", (n + 1) % count))
        .collect();
    let unknown: String = (0..count)
        .map(|n| format!("- {{name: s{n}, image: x, dependsOn: [t{n}, u{n}]}}\n"))
        .collect();
    let many = (0..count).map(|n| format!("t{n}, ")).collect::<String>();
    let outputs = (0..count).map(|n| format!("\"${{outputs.s{n}.x}}\", ")).collect::<String>();
    for (name, text) in [
        ("a cycle of all steps", format!("steps:\n{chain}")),
        ("names that do not exist", format!("steps:\n{unknown}")),
        ("a long list", format!("steps: [{{name: a, image: x, dependsOn: [{many}]}}]")),
        (
            "many outputs",
            format!("steps:\n{chain}- {{name: z, image: x, spec: {{a: [{outputs}]}}}}\n"),
        ),
        ("a long line", format!("steps: [{{name: a, image: x, when: {}}}]", "x".repeat(1_000_000))),
        ("deep", format!("steps: {}{}", "[".repeat(10_000), "]".repeat(10_000))),
        ("aliases without anchor", format!("steps: [{}]", "*x, ".repeat(2_000))),
    ] {
        let start = Instant::now();
        check(&text);
        assert!(start.elapsed() < LIMIT, "{name}: {:?}", start.elapsed());
    }
}

#[test]
fn aliases_do_not_nest_deeper_than_text_may() {
    let mut text = String::from("a0: &a0 x\n");
    for level in 1..200 {
        let (open, close) = ("[".repeat(200), "]".repeat(200));
        text.push_str(&format!("a{level}: &a{level} {open}*a{}{close}\n", level - 1));
    }
    text.push_str("steps: [{name: a, image: x, spec: {x: *a199}}]\n");
    let findings = WorkflowFile::parse(&text, "demo").findings;
    assert!(findings.iter().any(|found| found.message.contains("levels deep")), "{findings:#?}");
}
