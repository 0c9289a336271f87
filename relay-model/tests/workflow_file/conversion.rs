use proptest::prelude::*;
use relay_core::Value;
use relay_model::workflow_file::{Code, StepAction, WorkflowFile};

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

const EVERYTHING: &str = "\
apiVersion: v1
kind: Workflow
name: Nightly build
summary: Builds
description: |
  Builds everything.

  Twice.
homepage: https://relay.example/build
source: https://relay.example/build.yaml
tags: [build, \"a b\"]
locals: {common: &common {retries: 3, when: 2031-02-03}}
parameters:
  ref: {description: What to build, default: main}
  must:
  nothing: {default: null}
  many: {default: [1, {a: \"017\"}, 1.5, true]}
steps:
- name: pack
  image: alpine
  spec:
    <<: *common
    ref: !Parameter ref
    all: !Fn.concat [!Secret key, \"${outputs.pack-2.x}\"]
  env: {NOTHING: !Parameter nothing, MANY: \"${parameters.many}\"}
  input: [\"#!/bin/sh\\nset -e\\n  echo \\\"${x}\\\"\\n\", echo 017]
  when: [!Fn.equals [!Parameter must, 'yes']]
- {name: pack-2, image: alpine, command: /bin/true, args: [\"5\", --], description: Packs again}
- {name: ask, type: approval, description: Go on?, dependsOn: pack, when: \"${parameters.ref == 'main'}\"}
triggers:
- name: hook
  source: {type: webhook, image: alpine, spec: {a: !Secret b}, env: {X: 1}, input: [serve], command: ignored}
  when: [\"${event.ok}\"]
  binding: {key: !Data id, parameters: {must: \"${event.ref}\"}}
- name: clock
  source: {type: schedule, schedule: TZ=Europe/Berlin 0 3 * * MON}
  binding: {parameters: {must: x}}
- name: At noon
  source: {type: schedule, schedule: '0 12 * * *'}
  when: true
- name: push
  source: {type: push}
  binding: {parameters: {must: !Data x.y}}
";

#[test]
fn everything_has_its_place() {
    let parsed = WorkflowFile::parse(EVERYTHING, "demo");
    let resources = parsed.file.unwrap().convert(Some("acme"));
    let warnings: Vec<_> =
        resources.warnings.iter().map(|finding| finding.in_file("f").to_string()).collect();
    assert_eq!(
        warnings,
        [
            "f:16:3: warning[ignored-key]: parameter \"nothing\" has the default null, which a resource \
          cannot tell from no default: there it is null as well, and nobody is asked for it"
        ]
    );
    insta::assert_snapshot!(resources.to_yaml().unwrap());
}

#[test]
fn what_is_converted_reads_back() {
    for (name, text) in [
        ("everything", EVERYTHING),
        ("hello", include_str!("../../../examples/hello.yaml")),
        ("fan out", include_str!("../../../examples/fan-out-fan-in.yaml")),
        ("approval", include_str!("../../../examples/approval.yaml")),
        ("secrets", include_str!("../../../examples/secrets.yaml")),
        ("parameters", include_str!("../../../examples/parameters-and-outputs.yaml")),
        ("triggers", include_str!("../../../examples/triggers.yaml")),
        ("nothing", "apiVersion: v1\n"),
    ] {
        let file = WorkflowFile::parse(text, "demo").file.unwrap();
        let resources = file.convert(None);
        let yaml = resources.to_yaml().unwrap();
        let again = WorkflowFile::parse(text, "demo").file.unwrap().convert(None);
        assert_eq!(again.to_yaml().unwrap(), yaml, "{name}: byte for byte");
        for text in [&yaml, &resources.to_json().unwrap()] {
            let read = WorkflowFile::parse(text, "other");
            assert_eq!(read.findings, [], "{name}\n{text}");
            let read = read.file.unwrap();
            let set = read.resources.unwrap();
            // A date is text in a resource, and means the same in expressions.
            let json = |value| serde_json::to_value(value).unwrap();
            assert_eq!(json(&set.workflow), json(&resources.workflow), "{name}\n{text}");
            assert_eq!(read.triggers.len(), file.triggers.len(), "{name}");
            let descriptions = |steps: &[relay_model::workflow_file::Step]| {
                steps.iter().map(|step| step.description.clone()).collect::<Vec<_>>()
            };
            assert_eq!(descriptions(&read.steps), descriptions(&file.steps), "{name}");
        }
    }
}

#[test]
fn scripts_in_files_take_their_places() {
    let mut file = parse(
        "steps: [{name: a, image: x, inputFile: a.sh}]\ntriggers: [{name: t, source: {type: webhook, \
         image: x, inputFile: t.sh}}]\n",
    );
    let files: Vec<_> = file.input_files().map(|(step, file)| (step, &*file.path)).collect();
    assert_eq!(files, [("a", "a.sh")]);
    let files: Vec<_> =
        file.webhook_input_files().map(|(name, file)| (name, &*file.path)).collect();
    assert_eq!(files, [("t", "t.sh")]);
    file.set_input("a", "one\n".to_owned());
    file.set_webhook_input("t", "two\n".to_owned());
    let resources = file.convert(None);
    assert_eq!(resources.workflow.spec.steps[0].container.input, ["one\n"]);
    assert_eq!(resources.webhook_triggers[0].spec.container.input, ["two\n"]);
}

proptest! {
    /// Whatever text a file holds, it is the same after it was written down as YAML.
    #[test]
    fn text_survives(lines in prop::collection::vec(text(), 1..4), key in "[a-z:#&* '\"-]{1,8}") {
        let mut file = parse("steps: [{name: a, image: x}]");
        let Some(StepAction::Container(container)) =
            file.steps.first_mut().map(|step| &mut step.action) else { return Ok(()) };
        container.spec.insert(key, Value::list(lines.iter().map(|line| Value::from(line.as_str()))));
        container.input = lines;
        let resources = file.convert(None);
        let yaml = resources.to_yaml().unwrap();
        let tree = relay_core::yaml::read(&yaml);
        prop_assert!(tree.problems.is_empty(), "{:?}\n{}", tree.problems, yaml);
        let read = tree.documents[0].to_tree(&mut Vec::new());
        let written = serde_json::to_value(&resources.workflow).unwrap();
        prop_assert_eq!(serde_json::from_str::<serde_json::Value>(&read.to_json()).unwrap(), written);
    }
}

/// Text that YAML might take for something else, and any other.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[-0-9_.:+eExob]{0,8}",
        "[ \t\n#:'\"&*!|>%@`{}\\[\\],?-]{0,6}[a-z\n]{0,3}",
        "(yes|No|on|~|null|True|[.]inf|<<|---|\\.\\.\\.)\n?",
        // Text with U+0000 goes through JSON in an encoded form.
        any::<String>().prop_map(|text| text.replace('\0', "")),
    ]
}
