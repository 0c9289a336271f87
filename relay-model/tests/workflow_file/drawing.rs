use relay_model::workflow_file::WorkflowFile;

fn parse(text: &str) -> WorkflowFile {
    let parsed = WorkflowFile::parse(text, "demo \"file\"");
    parsed.file.unwrap_or_else(|| panic!("{:#?}", parsed.findings))
}

fn text(file: &str) -> String {
    parse(file).drawing().text().to_string()
}

const FAN: &str = include_str!("../../../examples/fan-out-fan-in.yaml");

/// Names that mean something to one language or the other.
const NAMES: &str = r##"steps:
- {name: end, type: approval}
- {name: 'say "hi" \N', image: x, command: echo, dependsOn: end, when: "${parameters.\"a\" == '\\\\'}"}
- {name: "größe & 日本 🚀", image: x, when: '${outputs[''say "hi" \\N''].x == 1}'}
- {name: '1. a#35;<b>`c`', image: x, when: '${steps[''größe & 日本 🚀''].failed}', dependsOn: end}
- {name: 'a - run_tests-2/v1.0', image: x, input: [y], spec: {x: !Output ['1. a#35;<b>`c`', y]}}
parameters: {a: {default: b}}
"##;

#[test]
fn text_for_people() {
    insta::assert_snapshot!("text", parse(FAN).drawing().text());
    insta::assert_snapshot!("text_names", parse(NAMES).drawing().text());
    assert_eq!(text("apiVersion: v1\n"), "no steps\n");
}

#[test]
fn dot() {
    insta::assert_snapshot!("dot", parse(FAN).drawing().dot());
    insta::assert_snapshot!("dot_names", parse(NAMES).drawing().dot());
}

#[test]
fn mermaid() {
    insta::assert_snapshot!("mermaid", parse(FAN).drawing().mermaid());
    insta::assert_snapshot!("mermaid_names", parse(NAMES).drawing().mermaid());
}

#[test]
fn json_for_programs() {
    insta::assert_json_snapshot!("json", parse(FAN).drawing());
}

#[test]
fn steps_stand_behind_what_they_wait_for() {
    for (name, edges, expected) in [
        ("no edges", vec![("b", ""), ("a", "")], "ba"),
        ("a chain, backwards", vec![("c", "b"), ("b", "a"), ("a", "")], "abc"),
        // `z` stands above in the file, but its level is a later one.
        ("levels", vec![("z", "y"), ("y", ""), ("x", "y"), ("w", "")], "ywzx"),
        ("the longest way counts", vec![("d", "ac"), ("c", "b"), ("b", "a"), ("a", "")], "abcd"),
    ] {
        let steps = edges.iter().map(|(step, waits_for)| {
            let waits_for: Vec<_> = waits_for.chars().map(String::from).collect();
            format!("- {{name: {step:?}, image: x, dependsOn: {waits_for:?}}}\n")
        });
        let text = text(&format!("steps:\n{}", steps.collect::<String>()));
        let order: String =
            text.lines().filter_map(|line| line.chars().next()).filter(|c| *c != ' ').collect();
        assert_eq!(order, expected, "{name}");
    }
}

#[test]
fn a_long_chain_is_drawn_in_its_order() {
    let steps = (0..5000_usize).rev().map(|number| {
        let waits_for = number.checked_sub(1).map(|before| format!(", dependsOn: s{before}"));
        format!("- {{name: s{number}, image: x{}}}\n", waits_for.unwrap_or_default())
    });
    let text = text(&format!("steps:\n{}", steps.collect::<String>()));
    let mut names = text.lines().filter(|line| line.starts_with('s'));
    assert!((0..5000).all(|number| names.next().unwrap().starts_with(&format!("s{number} "))));
}

#[test]
fn a_graph_that_no_file_could_hold_is_drawn_whole() {
    let mut file = parse("steps:\n- {name: a, image: x}\n- {name: b, image: x, dependsOn: a}\n");
    let mut edge = file.steps[1].dependencies[0].clone();
    edge.step = "b".to_owned();
    file.steps[0].dependencies.push(edge.clone());
    edge.step = "gone".to_owned();
    file.steps[0].dependencies.push(edge);
    let drawing = file.drawing();
    assert_eq!(drawing.text().to_string().lines().count(), 5);
    assert!(drawing.dot().to_string().contains("\"gone\" -> \"a\""));
    assert!(drawing.mermaid().to_string().contains("s2 --> s1\n  s1 --> s2\n"));
}

#[test]
fn kinds_and_conditions_are_short() {
    for (name, step, expected) in [
        ("script", "image: x, input: [y]", "script"),
        ("script in a file", "image: x, inputFile: y.sh", "script"),
        ("command", "image: x, command: y", "command"),
        ("image", "image: x", "image"),
        ("approval", "type: approval", "approval"),
        ("template", "image: x, when: '${ parameters.p }'", "image, when parameters.p"),
        (
            "tags",
            "image: x, when: [!Fn.equals [!Parameter p, 'y z'], !Fn.notEquals [!Secret s, 1]]",
            "image, when parameters.p == 'y z' and secrets.s != 1",
        ),
        (
            "other calls",
            "image: x, when: !Fn.equals [!Fn.concat [!Connection [k, n m], '${now()}'], [true]]",
            "image, when concat(connections.k.'n m', now()) == [true]",
        ),
        ("keywords", "image: x, when: !Fn.coalesce {a: 1}", "image, when coalesce({…})"),
        ("a constant", "image: x, when: false", "image, when false"),
        (
            "several templates in one text",
            "image: x, when: '${parameters.p}${parameters.p}'",
            "image, when ${parameters.p}${parameters.p}",
        ),
        (
            "lines and what steers terminals",
            r#"image: x, when: "${parameters.p\n  == '\e[31m'}""#,
            "image, when parameters.p == '\u{fffd}[31m'",
        ),
        (
            "length",
            "image: x, when: \"${parameters.p == 'äääääääääääääääääääääääääääääääääääääääääää'}\"",
            "image, when parameters.p == 'ääääääääääääääääääääääääääääääääääääääääää…",
        ),
    ] {
        let parameter = "parameters: {p: {default: x}}";
        let text = text(&format!("{parameter}\nsteps:\n- {{name: a, {step}}}\n"));
        assert_eq!(text, format!("a  {expected}\n"), "{name}");
    }
}
