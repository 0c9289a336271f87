//! Each kind of finding as a person sees it.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use relay_model::workflow_file::{Code, Style, WorkflowFile, render};

/// What only a run can find.
const OF_RUNS: &[Code] = &[
    Code::MissingParameter,
    Code::MissingSecret,
    Code::MissingConnection,
    Code::UnknownApproval,
    Code::InputFile,
    Code::NoProgram,
    Code::UnusedImage,
];

pub(crate) const CASES: &[(&str, &str)] = &[
    ("no YAML", "steps:\n- name: a\n  image: [x\n"),
    ("an alias without anchor", "steps:\n- name: a\n  image: *img\n  dependsOn: [*b, c]\n"),
    ("a key that is there twice", "name: a\nsummary: b\nname: c\n"),
    ("two documents", "name: a\n---\nname: b\n"),
    ("another version", "apiVersion: v2\n"),
    ("another kind", "kind: Step\n"),
    (
        "types",
        "homepage: relay.sh\ntags: one\nparameters: {p: 5}\nsteps:\n- name: a\n  image: 5\n  \
         env: {LIST: [1, 2], N: 5}\n  input:\n  - echo a\n  - echo result: ok\n  spec: !Fn.merge [{}]\n",
    ),
    (
        "keys that are missing",
        "steps:\n- name: a\n- image: x\n- {name: '', image: x}\ntriggers:\n- name: t\n- name: u\n  \
         source: {type: schedule}\n",
    ),
    (
        "values that are not allowed",
        "steps:\n- name: a\n  type: aproval\ntriggers:\n- name: t\n  source: {type: webhok}\n",
    ),
    (
        "a name that is none",
        "steps:\n- {name: ../a, image: x}\n- {name: b, image: x, dependsOn: ../a}\n",
    ),
    (
        "a name twice",
        "steps:\n- {name: a, image: x}\n- {name: a, image: y}\ntriggers:\n- {name: t, source: {type: \
         push}}\n- {name: t, source: {type: push}}\n",
    ),
    (
        "keys that are not known",
        "step: []\nsteps:\n- name: a\n  imgae: x\n  retries: 3\n  dependson: b\n",
    ),
    (
        "steps that do not exist",
        "steps:\n- {name: compile, image: x}\n- name: publish\n  image: x\n  dependsOn: complie\n  spec:\n    \
         a: ${outputs.b.c}\n    b: !Output [compil, c]\n",
    ),
    (
        "parameters that are not declared",
        "parameters: {who: {}, count: {}}\nsteps:\n- name: a\n  image: x\n  spec:\n    a: !Parameter \
         whom\n    b: ${parameters.count-1}\n    c: ${parameters.other}\n",
    ),
    (
        "a cycle",
        "steps:\n- {name: a, image: x, dependsOn: b}\n- name: b\n  image: x\n  spec:\n    y: \
         ${outputs.c.z}\n- name: c\n  image: x\n  when: ${steps.a.succeeded}\n",
    ),
    ("its own output", "steps:\n- name: a\n  image: x\n  spec: {x: !Output [a, b]}\n"),
    (
        "what is not available",
        "parameters: {p: {default: !Secret x}, q: {}}\nsteps:\n- name: a\n  image: x\n  spec: {x: \
         !Data y, q: !Parameter q, e: '${event.x}', s: '${steps.a.suceeded}', n: '${param.x}'}\n\
         triggers:\n- name: hook\n  source: {type: webhook, image: x, spec: {x: !Parameter p}}\n  \
         binding: {key: !Secret s, parameters: {q: \"${parameters.p}\"}}\n- name: nightly\n  source: \
         {type: schedule, schedule: '@daily'}\n  binding: {parameters: {q: \"${event.x}\"}}\n",
    ),
    (
        "an expression that does not parse",
        "parameters: {p: {}}\nsteps:\n- name: a\n  image: x\n  spec:\n    x: ${parameters.p +}\n",
    ),
    (
        "a tag that does not exist",
        "steps:\n- name: a\n  image: x\n  spec: {x: !Paramter y, y: !Fn.}\n",
    ),
    (
        "arguments of tags",
        "steps:\n- name: a\n  image: x\n  spec: {x: !Output y, z: {$type: Secret}}\n",
    ),
    (
        "functions",
        "steps:\n- name: a\n  image: x\n  spec: {x: !Fn.conct [y], y: !Fn.merge {a: 1}}\n  when: \
         !Fn.equals [a]\n",
    ),
    (
        "conditions that are none",
        "parameters: {x: {}}\nsteps:\n- name: a\n  image: x\n  when:\n  - \"true\"\n  - ${1 + 1}\n  - \
         ${parameters.x} == 1\n  - {a: b}\n  - [true]\n  - true\n  - !Fn.concat [a, b]\n",
    ),
    (
        "outputs of no step",
        "steps:\n- name: a\n  image: x\n  spec: {x: \"${outputs['b' + 'c'].d}\", y: '${$}'}\n",
    ),
    (
        "keys without effect",
        "steps:\n- name: a\n  type: approval\n  image: x\n- name: b\n  image: x\n  input: [x]\n  \
         command: x\ntriggers:\n- {name: t, source: {type: push, schema: {}}}\n",
    ),
    (
        "triggers and parameters",
        "parameters: {must: {}, may: {default: 1}}\nsteps:\n- {name: a, image: x}\ntriggers:\n- name: \
         t\n  source: {type: push}\n  binding: {parameters: {mya: 1}}\n",
    ),
    (
        "schedules",
        "triggers:\n- {name: a, source: {type: schedule, schedule: '0 3 * * 7'}}\n- {name: b, source: \
         {type: schedule, schedule: '0 0 31 FEB *'}}\n- {name: c, source: {type: schedule, schedule: \
         '@reboot'}}\n- {name: d, source: {type: schedule, schedule: 'TZ=Europe/Berlln 0 0 * * *'}}\n",
    ),
    (
        "through an alias",
        "locals:\n  common: &common\n    url: ${parameters.url}\n    tag: !Paramter x\nsteps:\n- name: \
         a\n  image: x\n  spec: *common\n- name: b\n  image: x\n  spec:\n    <<: *common\n    b: 1\n",
    ),
];

#[test]
fn each_code_as_it_is_shown() {
    let mut shown = String::new();
    let mut seen: BTreeSet<Code> = OF_RUNS.iter().copied().collect();
    for (name, text) in CASES {
        let findings = WorkflowFile::parse(text, "demo").findings;
        assert!(!findings.is_empty(), "{name}");
        seen.extend(findings.iter().map(|finding| finding.code));
        let rendered = render("demo.yaml", text, &findings, Style::Plain);
        write!(shown, "# {name}\n\n{rendered}\n").unwrap();
    }
    insta::assert_snapshot!(shown);
    let missing: Vec<_> = Code::ALL.iter().filter(|code| !seen.contains(code)).collect();
    assert!(missing.is_empty(), "no case shows {missing:?}");
}

#[test]
fn colours_are_for_terminals() {
    let text = "steps:\n- name: a\n";
    let findings = WorkflowFile::parse(text, "demo").findings;
    let plain = render("demo.yaml", text, &findings, Style::Plain).to_string();
    let coloured = render("demo.yaml", text, &findings, Style::Colours).to_string();
    assert!(!plain.contains('\u{1b}') && coloured.contains("\u{1b}["), "{coloured:?}");
    assert_eq!(plain.lines().next(), coloured.lines().next(), "the line is for programs too");
}
