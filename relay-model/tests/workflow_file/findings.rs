use relay_model::workflow_file::WorkflowFile;

/// The findings of a text, as a person sees them.
fn findings(text: &str) -> Vec<String> {
    let parsed = WorkflowFile::parse(text, "f");
    parsed.findings.iter().map(|finding| finding.in_file("f").to_string()).collect()
}

#[test]
fn wrong_files_say_where_and_what() {
    let mut missing = Vec::new();
    let step = "steps:\n- name: a\n  image: x\n";
    for (name, text, expected) in [
        ("no YAML", "steps: [", "f:2:1: error[yaml-syntax]:"),
        ("tab", "steps:\n\t- name: a\n", "f:2:2: error[yaml-syntax]:"),
        ("alias", "steps: *nowhere", "f:1:8: error[yaml-alias]:"),
        (
            "duplicate key",
            "name: a\nname: b\n",
            "f:2:1: error[duplicate-key]: the key \"name\" is there already, at line 1",
        ),
        ("two documents", "name: a\n---\nname: b\n", "f:3:1: error[documents]:"),
        ("api version", "apiVersion: v2\n", "f:1:13: error[api-version]:"),
        ("kind", "kind: Step\n", "f:1:7: error[kind]:"),
        ("top-level type", "- a\n", "f:1:1: error[type]: the workflow has to be a map, not a list"),
        ("steps type", "steps: {}\n", "f:1:8: error[type]: \"steps\" has to be a list, not a map"),
        (
            "unquoted colon",
            "steps:\n- name: a\n  image: x\n  input:\n  - echo a\n  - echo result: ok\n",
            "f:6:5: error[type]: item 2 of \"input\" of step \"a\" has to be a string, not a map; \
             text with \": \" in it needs quotes",
        ),
        (
            "number as argument",
            "steps:\n- name: a\n  image: x\n  args: [1]\n",
            "f:4:10: error[type]: item 1 of \"args\" of step \"a\" has to be a string, not a \
             number; put it in quotes",
        ),
        (
            "missing image",
            "steps:\n- name: a\n",
            "f:2:3: error[required]: step \"a\" needs \"image\"",
        ),
        ("missing name", "steps:\n- image: x\n", "f:2:3: error[required]: step 1 needs \"name\""),
        (
            "name",
            "steps:\n- name: ../a\n  image: x\n",
            "f:2:9: error[name]: the step name \"../a\" must not hold",
        ),
        (
            "step type",
            "steps:\n- name: a\n  type: aproval\n",
            "f:3:9: error[enum]: the type of step \"a\" has to be \"container\" or \"approval\", \
             not \"aproval\"; did you mean \"approval\"?",
        ),
        (
            "duplicate name",
            &format!("{step}- name: a\n  image: y\n"),
            "f:4:9: error[duplicate-name]: there is a step \"a\" already, at line 2; names are \
             unique",
        ),
        (
            "slip of the pen",
            &format!("{step}  dependson: [b]\n"),
            "f:4:3: error[unknown-key]: key \"dependson\" of step \"a\" is not known; did you \
             mean \"dependsOn\"?",
        ),
        (
            "other key",
            &format!("{step}  retries: 3\n"),
            "f:4:3: warning[unknown-key]: key \"retries\" of step \"a\" is not known and has no \
             effect",
        ),
        (
            "unknown step",
            &format!("{step}  dependsOn: complie\n- name: compile\n  image: x\n"),
            "f:4:14: error[unknown-step]: step \"a\" depends on \"complie\", which does not \
             exist; did you mean \"compile\"?",
        ),
        (
            "unknown step in a template",
            &format!("{step}  spec: {{x: \"${{outputs.b.c}}\"}}\n"),
            "f:4:13: error[unknown-step]: \"spec\" of step \"a\" uses step \"b\", which does not \
             exist",
        ),
        (
            "unknown parameter",
            &format!("parameters: {{who: {{}}}}\n{step}  spec: {{x: !Parameter whom}}\n"),
            "f:5:13: error[unknown-parameter]: \"spec\" of step \"a\" uses parameter \"whom\", \
             which is not declared; did you mean \"who\"?",
        ),
        (
            "dash",
            &format!("parameters: {{n: {{}}}}\n{step}  spec: {{x: \"${{parameters.n-1}}\"}}\n"),
            "f:5:13: error[unknown-parameter]: \"spec\" of step \"a\" uses parameter \"n-1\", \
             which is not declared; a dash belongs to a name, so subtracting is written `n - 1`",
        ),
        (
            "syntax",
            &format!("{step}  spec: {{x: \"${{1 +}}\"}}\n"),
            "f:4:13: error[expression-syntax]: \"spec\" of step \"a\": template: expected a \
             value, found `}` (at byte 5)",
        ),
        (
            "unknown tag",
            &format!("{step}  spec: {{x: !Paramter y}}\n"),
            "f:4:13: error[unknown-tag]: there is no tag `!Paramter`; did you mean `!Parameter`?",
        ),
        (
            "tag arguments",
            &format!("{step}  spec: {{x: !Output y}}\n"),
            "f:4:13: error[tag-arguments]: write `!Output [from, name]` or `!Output {from: …, \
             name: …}`",
        ),
        (
            "unknown function",
            &format!("{step}  spec: {{x: !Fn.conct [y]}}\n"),
            "f:4:13: error[unknown-function]: \"spec\" of step \"a\": there is no function \
             \"conct\"; did you mean \"concat\"?",
        ),
        (
            "number of arguments",
            &format!("{step}  when: !Fn.equals [a]\n"),
            "f:4:9: error[function-arguments]: \"when\" of step \"a\": \"equals\" takes 2 \
             arguments, but 1 given",
        ),
        (
            "keywords",
            &format!("{step}  spec: {{x: !Fn.merge {{a: 1}}}}\n"),
            "f:4:13: warning[function-keywords]: \"spec\" of step \"a\": \"merge\" has no \
             argument \"a\"",
        ),
        (
            "constant condition",
            &format!("{step}  when: \"true\"\n"),
            "f:4:9: error[condition-type]:",
        ),
        (
            "unknown name",
            &format!("{step}  spec: {{x: \"${{param.y}}\"}}\n"),
            "f:4:13: error[scope]: \"spec\" of step \"a\": there is nothing called \"param\" here",
        ),
        (
            "data in a step",
            &format!("{step}  spec: {{x: !Data y}}\n"),
            "f:4:13: error[scope]: \"spec\" of step \"a\": `!Data` is not available here",
        ),
        (
            "dynamic output",
            &format!("{step}  spec: {{x: \"${{outputs['b' + 'c'].d + outputs[$.e].f}}\"}}\n"),
            "f:4:13: warning[dynamic-output]: \"spec\" of step \"a\": the step is only known at \
             run time, so nothing waits for it; list the steps in dependsOn",
        ),
        (
            "cycle",
            "steps:\n- {name: a, image: x, dependsOn: b}\n- name: b\n  image: x\n  spec:\n    y: \
             ${outputs.a.z}\n",
            "f:2:34: error[cycle]: steps wait for each other: \"a\" waits for \"b\" (dependsOn, \
             line 2), \"b\" waits for \"a\" (an output, line 6)",
        ),
        (
            "own output",
            &format!("{step}  spec: {{x: !Output [a, b]}}\n"),
            "f:4:13: error[cycle]: steps wait for each other: \"a\" waits for \"a\" (an output, \
             line 4)",
        ),
        (
            "approval with an image",
            "steps:\n- name: a\n  type: approval\n  image: x\n",
            "f:4:3: warning[ignored-key]: \"image\" has no effect: step \"a\" is an approval",
        ),
        (
            "unused parameter",
            &format!("parameters: {{x: {{}}}}\n{step}"),
            "f:1:14: warning[unused-parameter]: nothing refers to parameter \"x\"",
        ),
        (
            "through an alias",
            &format!("l: &l {{x: \"${{parameters.y}}\"}}\n{step}  spec: *l\n"),
            "f:5:9: error[unknown-parameter]: \"spec\" of step \"a\" uses parameter \"y\", which \
             is not declared (defined at line 1)",
        ),
        (
            "trigger source",
            "triggers:\n- name: t\n  source: {type: webhok}\n",
            "f:3:18: error[enum]: the type of \"source\" of trigger \"t\" has to be \"schedule\", \
             \"webhook\" or \"push\", not \"webhok\"; did you mean \"webhook\"?",
        ),
        (
            "unbound parameter",
            "parameters: {p: {}}\ntriggers:\n- name: t\n  source: {type: push}\n",
            "f:3:3: warning[unbound-parameter]:",
        ),
        (
            "parameter in a trigger",
            "parameters: {p: {}}\ntriggers:\n- name: t\n  source: {type: push}\n  binding:\n    \
             parameters: {p: !Parameter p}\n",
            "f:6:21: error[scope]:",
        ),
    ] {
        let found = findings(text);
        if !found.iter().any(|line| line.starts_with(expected)) {
            missing.push(format!("{name}: expected\n  {expected}\nfound {found:#?}"));
        }
    }
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}

/// The places and codes of the findings of a text.
fn codes(text: &str) -> Vec<String> {
    let parsed = WorkflowFile::parse(text, "f");
    let findings = parsed.findings.iter();
    findings.map(|f| format!("{}:{} {}[{}]", f.line, f.column, f.level, f.code)).collect()
}

#[test]
fn a_mistake_is_one_finding() {
    for (name, text, expected) in [
        (
            "a cycle through a step that does not exist is none",
            "steps:\n- {name: a, image: x, dependsOn: b}\n- {name: c, image: x, dependsOn: a}\n",
            &["2:34 error[unknown-step]"][..],
        ),
        (
            "a template that does not parse uses any parameter",
            "parameters: {p: {}}\nsteps:\n- name: a\n  image: x\n  spec: {x: \"${parameters.p +}\"}\n",
            &["5:13 error[expression-syntax]"],
        ),
        (
            "so does a tag that does not exist",
            "parameters: {p: {}}\nsteps:\n- name: a\n  image: x\n  spec: {x: !Foo [!Parameter p]}\n",
            &["5:13 error[unknown-tag]"],
        ),
        (
            "a parameter that was meant is used",
            "parameters: {target: {}}\nsteps: [{name: a, image: x, spec: {x: !Parameter tarjet}}]\n",
            &["2:39 error[unknown-parameter]"],
        ),
        (
            "a parameter that was meant is bound",
            "parameters: {target: {}}\nsteps: [{name: a, image: x, spec: {x: !Parameter \
             target}}]\ntriggers: [{name: t, source: {type: push}, binding: {parameters: {targte: \
             1}}}]\n",
            &["3:67 warning[binding-unknown-parameter]"],
        ),
        (
            "a key that was meant is there",
            "parameters: {p: {}}\nsteps:\n- nmae: a\n  imgae: x\n  sepc: {x: !Parameter p}\n- name: b\n  \
             image: x\n  dependsOn: a\n",
            &["3:3 error[unknown-key]", "4:3 error[unknown-key]", "5:3 error[unknown-key]"],
        ),
        (
            "an alias that leads nowhere leaves nothing out",
            "steps:\n- name: a\n  image: *x\n  dependsOn: *y\n  input: [*z]\n- name: b\n",
            &[
                "3:10 error[yaml-alias]",
                "4:14 error[yaml-alias]",
                "5:11 error[yaml-alias]",
                "6:3 error[required]",
            ],
        ),
        (
            "a step with a wrong name is there",
            "steps:\n- {name: ../a, image: x}\n- {name: b, image: x, dependsOn: ../a}\n",
            &["2:10 error[name]"],
        ),
        (
            "a name that is a number is a name to others",
            "steps:\n- {name: 5, image: x}\n- {name: b, image: x, dependsOn: '5'}\n",
            &["2:10 error[type]"],
        ),
        (
            "a key that is there twice may use any parameter",
            "parameters: {p: {}}\nsteps:\n- {name: a, image: x, spec: {}, spec: {x: !Parameter p}}\n",
            &["3:33 error[duplicate-key]"],
        ),
        (
            "a step of an unknown type may need anything",
            "steps:\n- {name: a, type: aproval, dependsOn: c}\n",
            &["2:19 error[enum]", "2:39 error[unknown-step]"],
        ),
        (
            "a condition that does not parse has no type",
            "steps:\n- {name: a, image: x, when: \"x ${1 +}\"}\n",
            &["2:29 error[expression-syntax]"],
        ),
        (
            "a binding that cannot be read may bind anything",
            "parameters: {p: {}}\nsteps: [{name: a, image: x, spec: !Parameter p}]\ntriggers: [{name: \
             t, source: {type: push}, binding: 5}]\n",
            &["2:35 error[type]", "3:53 error[type]"],
        ),
        (
            "cycles stand beside other errors, each once",
            "steps:\n- {name: a, image: x, dependsOn: [b]}\n- {name: b, image: 5, dependsOn: [a]}\n\
             - {name: c, image: x, dependsOn: [c]}\n",
            &["2:35 error[cycle]", "3:20 error[type]", "4:35 error[cycle]"],
        ),
    ] {
        assert_eq!(codes(text), expected, "{name}");
    }
}

#[test]
fn what_an_alias_leads_to_is_found_at_both_places() {
    let text = "\
base:
  aws: &aws
    key: !Parameter key
  step: &step
    image: x
    when: ${outputs.b.c}
    spec:
      aws: *aws
      n: ${parameters.n}
steps:
- <<: *step
  name: a
- name: b
  image: x
  spec: *aws
";
    assert_eq!(
        findings(text).split_off(1),
        [
            "f:11:7: error[unknown-parameter]: \"spec\" of step \"a\" uses parameter \"key\", which is \
             not declared (defined at line 3)",
            "f:11:7: error[unknown-parameter]: \"spec\" of step \"a\" uses parameter \"n\", which is \
             not declared (defined at line 9)",
            "f:15:9: error[unknown-parameter]: \"spec\" of step \"b\" uses parameter \"key\", which is \
             not declared (defined at line 3)",
        ]
    );
}

#[test]
fn good_files_have_no_findings() {
    for (name, text) in [
        ("empty", ""),
        ("only a version", "apiVersion: v1\n"),
        ("no steps", "steps:\n"),
        (
            "parameter without body",
            "parameters: {a: }\nsteps: [{name: s, image: i, spec: {x: !Parameter a}}]\n",
        ),
        (
            "event",
            "triggers:\n- name: t\n  source: {type: push}\n  when: ${event.x == 1}\n  binding: {key: !Data k}\n",
        ),
        ("merge", "locals: &l {a: 1}\nsteps: [{name: s, image: i, spec: {<<: *l, b: 2}}]\n"),
        ("own status", "steps: [{name: s, image: i, spec: {x: \"${steps.s.failed}\"}}]\n"),
        ("a byte order mark", "\u{feff}apiVersion: v1\n"),
        ("a last marker", "apiVersion: v1\n---\n"),
        (
            "keys without values",
            "name:\nsummary:\ntags:\nlocals:\nparameters:\nsteps:\n- {name: a, image: x, spec: , env: , \
             when: , input: , args: , dependsOn: , command: , type: , description: }\ntriggers:\n",
        ),
        (
            "names with hyphens",
            "steps:\n- {name: a-1, image: x}\n- {name: b, image: x, spec: {x: \"${outputs.a-1.b}\", y: \"${connections.slack.my-ws}\"}}\n",
        ),
        (
            "what belongs to the shell",
            "steps:\n- {name: \"${n}\", image: \"${i}\", input: [\"${x +}\"]}\n",
        ),
        (
            "fields are names",
            "steps: [{name: a, image: x, spec: {x: !Secret \"${x}\", y: {$type: Secret, name: \"${y}\"}}}]\n",
        ),
        (
            "data that looks like a reference",
            "steps: [{name: a, image: x, spec: {x: {$type: Other, y: \"${z}\"}}}]\n",
        ),
        ("a lone line", "steps: [{name: a, image: x, input: echo}]\n"),
        (
            "conditions",
            "parameters: {p: {}}\nsteps: [{name: a, image: x, when: [true, \"${parameters.p}\", !Fn.equals [1, 2], !Parameter p, \"${1 == 2}\"]}]\n",
        ),
        ("no conditions", "steps: [{name: a, image: x, when: []}]\n"),
        (
            "a null default",
            "parameters: {p: {default: null, type: string}}\nsteps: [{name: a, image: x, spec: {x: !Parameter p}}]\n",
        ),
        (
            "anchors below other keys",
            "locals: {a: &a {x: !Nothing y, z: \"${\"}}\nsteps: [{name: a, image: x}]\n",
        ),
        ("hello", include_str!("../../../examples/hello.yaml")),
        ("parameters", include_str!("../../../examples/parameters-and-outputs.yaml")),
        ("triggers", include_str!("../../../examples/triggers.yaml")),
        ("fan out", include_str!("../../../examples/fan-out-fan-in.yaml")),
    ] {
        assert_eq!(findings(text), Vec::<String>::new(), "{name}");
    }
}

#[test]
fn wrong_resources_say_where_and_what() {
    let good = include_str!("../../../examples/resources.yaml");
    assert_eq!(findings(good), Vec::<String>::new());
    for (name, from, to, expected) in [
        ("unknown step", "dependsOn: [pack]", "dependsOn: [pakc]", "error[unknown-step]"),
        ("unknown parameter", "parameters.copies", "parameters.copy", "error[unknown-parameter]"),
        ("a slip of the pen", "dependsOn: [ask]", "dependson: [ask]", "error[unknown-key]"),
        (
            "another workflow",
            "workflowRef: {name: release}",
            "workflowRef: {name: x}",
            "f:44:1: error[required]",
        ),
        (
            "no workflow",
            "kind: Workflow",
            "kind: Workflo",
            "error[kind]: there is no kind \"Workflo\"",
        ),
        (
            "wrong type",
            "tenantRef: {name: demo}",
            "tenantRef: demo",
            "f:9:1: error[type]: the Workflow is not valid",
        ),
        ("version", "kind: Run", "kind: Run\napiVersion: relay.sh/v2", "error[duplicate-key]"),
        ("cycle", "    args: [-c", "    dependsOn: [undo]\n    args: [-c", "error[cycle]"),
    ] {
        let found = findings(&good.replacen(from, to, 1));
        assert!(found.iter().any(|line| line.contains(expected)), "{name}: {found:#?}");
    }
}

#[test]
fn all_findings_come_at_once_in_file_order() {
    let found = findings(
        "parameters: {p: {default: 1}}\nsteps:\n- name: a\n  image: 5\n  dependsOn: [x]\n- name: b\n",
    );
    let codes: Vec<_> = found
        .iter()
        .map(|line| line.split('[').nth(1).and_then(|rest| rest.split(']').next()).unwrap())
        .collect();
    assert_eq!(codes, ["unused-parameter", "type", "unknown-step", "required"]);
}

#[test]
fn nested_aliases_do_not_grow_without_bound() {
    let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..20 {
        let items = vec![format!("*a{}", level - 1); 10].join(", ");
        text.push_str(&format!("a{level}: &a{level} [{items}]\n"));
    }
    assert!(findings(&text).iter().any(|line| line.contains("once aliases are expanded")));
}
