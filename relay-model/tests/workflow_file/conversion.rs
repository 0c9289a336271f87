use relay_core::Value;
use relay_model::workflow_file::{Code, WorkflowFile};

fn parse(text: &str) -> WorkflowFile {
    let parsed = WorkflowFile::parse(text, "demo file");
    parsed.file.unwrap_or_else(|| panic!("{:#?}", parsed.findings))
}

#[test]
fn a_file_becomes_a_workflow() {
    let file = parse(include_str!("../../../examples/fan-out-fan-in.yaml"));
    let workflow = file.convert(None).workflow;
    insta::assert_yaml_snapshot!(workflow);
    assert_eq!(workflow, file.convert(None).workflow, "converting is deterministic");
}

#[test]
fn an_approval_becomes_a_step_without_image() {
    let file = parse(
        "steps:\n- {name: a, image: x}\n- name: ok\n  type: approval\n  dependsOn: a\n  when: !Fn.equals [1, 1]\n",
    );
    let step = &file.convert(None).workflow.spec.steps[1];
    assert!(step.is_approval());
    assert_eq!(step.depends_on, ["a"]);
    assert_eq!(
        step.when.as_ref().map(Value::to_json).unwrap(),
        r#"[{"$fn.equals":[{"$type":"Answer","askRef":"ok","name":"approval"},"approved"]},{"$fn.equals":[1,1]}]"#,
    );
}

#[test]
fn using_an_output_makes_a_dependency() {
    for (name, step, expected) in [
        ("tag", "spec: {x: !Output [a, o]}", vec!["a"]),
        ("JSON", "spec: {x: {$type: Output, from: a, name: o}}", vec!["a"]),
        ("template in env", "env: {X: \"-${outputs.a.o}\"}", vec!["a"]),
        ("quoted", "when: \"${outputs.'a'.o == 1}\"", vec!["a"]),
        ("bracketed", "when: \"${outputs['a'].o == 1}\"", vec!["a"]),
        ("all outputs of a step", "spec: {x: \"${outputs.a}\"}", vec!["a"]),
        (
            "explicit first",
            "dependsOn: b\n  spec: {x: !Output [a, o], y: !Output [b, o]}",
            vec!["b", "a"],
        ),
        ("a status is no success", "when: \"${steps.a.failed}\"", vec![]),
        ("shell text", "input: [\"echo ${outputs.a.o}\"]", vec![]),
        ("call", "spec: {x: !Fn.concat [!Output [a, o]]}", vec!["a"]),
    ] {
        let text = format!(
            "steps:\n- {{name: a, image: x}}\n- {{name: b, image: x}}\n- name: c\n  image: x\n  {step}\n"
        );
        let file = parse(&text);
        assert_eq!(file.convert(None).workflow.spec.steps[2].depends_on, expected, "{name}");
    }
}

#[test]
fn webhooks_keep_binding_and_condition() {
    let file = parse(
        "parameters: {ref: {default: main}}\nsteps: [{name: s, image: i, spec: {r: !Parameter ref}}]\n\
         triggers:\n- name: Hook\n  source: {type: webhook, image: w, spec: {a: 1}}\n  \
         when: ${event.ok}\n  binding: {key: !Data id, parameters: {ref: \"${event.ref}\"}}\n\
         - name: nightly\n  source: {type: schedule, schedule: '0 3 * * *'}\n",
    );
    let triggers = file.convert(Some("acme")).webhook_triggers;
    insta::assert_yaml_snapshot!(triggers);
}

#[test]
fn values_are_bound_by_their_defaults() {
    let file = parse(
        "parameters: {n: {default: 1}, b: {default: true}, t: {default: x}, must: {}}\nsteps: []\n",
    );
    let texts = |pairs: &[(&str, &str)]| {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect::<Vec<_>>()
    };
    let values =
        file.bind(&texts(&[("n", "2.5"), ("b", "false"), ("t", "5"), ("must", "")]), &[]).unwrap();
    assert_eq!(Value::map(values).to_json(), r#"{"b":false,"must":"","n":2.5,"t":"5"}"#);
    let values = file.bind(&texts(&[("b", "yes"), ("must", "=x=")]), &[]).unwrap();
    assert_eq!(Value::map(values).to_json(), r#"{"b":"yes","must":"=x="}"#);
    let values = file.bind(&texts(&[("b", "False"), ("n", "0x10"), ("must", "7")]), &[]).unwrap();
    assert_eq!(Value::map(values).to_json(), r#"{"b":false,"must":"7","n":16}"#);
    let list = Value::list([1.into()]);
    let values = file.bind(&texts(&[("must", "x")]), &[("t".to_owned(), list)]).unwrap();
    assert_eq!(Value::map(values).to_json(), r#"{"must":"x","t":[1]}"#);
    let findings = file.bind(&texts(&[("nn", "1")]), &[]).unwrap_err();
    let codes: Vec<_> = findings.iter().map(|finding| finding.code).collect();
    assert_eq!(codes, [Code::UnknownParameter, Code::MissingParameter]);
}
