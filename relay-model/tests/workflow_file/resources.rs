//! Files in the form of custom resources.

use relay_model::workflow_file::{Parsed, TriggerSource, WorkflowFile};

const WORKFLOW: &str = "\
apiVersion: relay.sh/v1beta1
kind: Workflow
metadata: {name: w}
spec:
  tenantRef: {name: t}
  parameters: [{name: p}]
  steps: [{name: a, image: x, spec: {p: \"${parameters.p}\"}}]
";
const SECRET: &str = "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {a: \"${\"}\n";
const HOOK: &str = "\
apiVersion: relay.sh/v1beta1
kind: WebhookTrigger
metadata:
  name: h
  annotations:
    relay.sh/workflow: w
    relay.sh/when: '\"${event.ref == 1}\"'
    relay.sh/binding: '{\"parameters\": {\"p\": {\"$type\": \"Data\", \"query\": \"x\"}}}'
spec:
  tenantRef: {name: t}
  image: x
";
const SCHEDULE: &str = "\
apiVersion: triggers.relay.sh/v1alpha1
kind: ScheduleTrigger
metadata: {name: s}
spec:
  workflowRef: {name: w}
  schedule: 0 3 * * *
  timeZone: Europe/Berlin
  binding: {parameters: {p: 1}}
";
const PUSH: &str = "\
apiVersion: triggers.relay.sh/v1alpha1
kind: PushTrigger
metadata: {name: p}
spec:
  workflowRef: {name: w}
  binding: {key: \"${event.id}\", parameters: {p: \"${event.x}\"}}
";

fn parse(text: &str) -> (Parsed, Vec<String>) {
    let parsed = WorkflowFile::parse(text, "f");
    let findings = parsed.findings.iter();
    let lines = findings.map(|finding| finding.in_file("f").to_string()).collect();
    (parsed, lines)
}

#[test]
fn any_document_of_the_group_makes_the_form() {
    let note = "f:1:1: note[kind]: the Secret \"s\" of \"v1\" is left alone";
    for (name, documents, expected) in [
        ("a workflow", vec![WORKFLOW], vec![]),
        ("behind a secret", vec![SECRET, WORKFLOW], vec![note]),
        ("triggers alone", vec![HOOK, SCHEDULE, PUSH], vec![]),
        ("all together", vec![SECRET, HOOK, WORKFLOW, SCHEDULE, PUSH], vec![note]),
        ("an empty document", vec!["", WORKFLOW, "\n"], vec![]),
    ] {
        let (parsed, found) = parse(&documents.join("---\n"));
        assert_eq!(found, expected, "{name}");
        assert!(parsed.file.is_some_and(|file| file.holds_resources), "{name}");
    }
    let (_, found) = parse(SECRET);
    assert!(
        found.iter().any(|line| line.contains("error[kind]")),
        "no resource of ours: {found:?}"
    );
}

#[test]
fn a_list_holds_objects() {
    let text = "{\"apiVersion\": \"v1\", \"kind\": \"List\", \"items\": [\
        {\"apiVersion\": \"relay.sh/v1beta1\", \"kind\": \"Workflow\", \"metadata\": {\"name\": \"w\"}, \
         \"spec\": {\"tenantRef\": {\"name\": \"t\"}, \"steps\": [{\"name\": \"a\", \"image\": \"x\"}]}}]}";
    let (parsed, found) = parse(text);
    assert_eq!(found, Vec::<String>::new());
    assert_eq!(parsed.file.unwrap().steps[0].name, "a");
}

#[test]
fn triggers_are_read() {
    let (parsed, _) = parse(&[WORKFLOW, HOOK, SCHEDULE, PUSH].join("---\n"));
    let triggers = parsed.file.unwrap().triggers;
    let names: Vec<_> = triggers.iter().map(|trigger| trigger.name.as_str()).collect();
    assert_eq!(names, ["h", "s", "p"]);
    assert_eq!(
        triggers[1].source,
        TriggerSource::Schedule("TZ=Europe/Berlin 0 3 * * *".to_owned())
    );
    assert_eq!(triggers[0].parameters["p"].to_json(), r#"{"$type":"Data","query":"x"}"#);
    assert!(triggers[0].when.is_some());
}

#[test]
fn what_is_wrong_with_resources() {
    let all = [WORKFLOW, HOOK, SCHEDULE, PUSH].join("---\n");
    for (name, from, to, expected) in [
        (
            "a kind",
            "kind: WebhookTrigger",
            "kind: WebhookTriger",
            "f:10:7: error[kind]: there is no kind",
        ),
        ("an unknown kind", "kind: WebhookTrigger", "kind: Nothing", "f:10:7: warning[kind]"),
        (
            "a version",
            "relay.sh/v1beta1\nkind: Web",
            "relay.sh/v1\nkind: Web",
            "f:9:13: error[api-version]",
        ),
        (
            "a group",
            "triggers.relay.sh/v1alpha1\nkind: P",
            "trigers.relay.sh/v1alpha1\nkind: P",
            "error[api-version]: there is no group \"trigers.relay.sh\"; did you mean \"triggers.relay.sh\"?",
        ),
        (
            "a name",
            "{name: w}\nspec",
            "{nmae: w}\nspec",
            "f:3:1: error[required]: \"metadata\" of the Workflow needs \"name\"",
        ),
        ("no image", "  image: x\n", "", "error[required]: WebhookTrigger \"h\" needs \"image\""),
        (
            "a key",
            "  timeZone:",
            "  timezone:",
            "error[unknown-key]: key \"timezone\" of \"spec\" of ScheduleTrigger",
        ),
        ("a schedule", "0 3 * * *", "0 3 * * 7", "error[schedule]"),
        ("a zone", "Europe/Berlin", "Europe/Berlln", "error[schedule]: the schedule"),
        (
            "an event of the clock",
            "{p: 1}",
            "{p: \"${event.x}\"}",
            "error[scope]: \"binding\" of ScheduleTrigger \"s\"",
        ),
        (
            "a parameter in a webhook",
            "  image: x\n",
            "  image: x\n  spec: {a: \"${parameters.p}\"}\n",
            "error[scope]",
        ),
        (
            "an annotation",
            "'\"${event.ref == 1}\"'",
            "'${event.ref}'",
            "error[type]: annotation \"relay.sh/when\" of WebhookTrigger \"h\" is no JSON",
        ),
        ("a condition", "'\"${event.ref == 1}\"'", "'\"yes\"'", "f:15:20: error[condition-type]"),
        ("a binding", "{\"p\":", "{\"q\":", "f:16:23: warning[binding-unknown-parameter]"),
        ("an unbound parameter", "{p: 1}", "{}", "a run without it has null"),
        (
            "a workflow file",
            "apiVersion: relay.sh/v1beta1\nkind: Workflow",
            "apiVersion: v1\nkind: Workflow",
            "f:1:1: error[documents]",
        ),
        (
            "two workflows",
            HOOK,
            WORKFLOW,
            "error[duplicate-name]: there is a Workflow already, at line 1",
        ),
        (
            "parameters",
            "[{name: p}]",
            "[{name: p}, {name: p}]",
            "error[duplicate-name]: there is a parameter \"p\" already",
        ),
        (
            "no specification",
            "spec:\n  workflowRef: {name: w}\n  binding",
            "spek:\n  workflowRef: {name: w}\n  binding",
            "error[unknown-key]: key \"spek\"",
        ),
        (
            "a type",
            "workflowRef: {name: w}",
            "workflowRef: w",
            "error[type]: the ScheduleTrigger is not valid",
        ),
    ] {
        let text = all.replacen(from, to, 1);
        assert_ne!(text, all, "{name}");
        let (_, found) = parse(&text);
        if name == "an unbound parameter" {
            // In this form a parameter without default is null.
            assert_eq!(found, Vec::<String>::new(), "{name}");
            continue;
        }
        assert!(found.iter().any(|line| line.contains(expected)), "{name}: {found:#?}");
    }
}

#[test]
fn the_parameters_of_another_workflow_are_not_known() {
    let other = SCHEDULE.replace("{name: w}", "{name: other}").replace("{p: 1}", "{q: 1}");
    let (_, found) = parse(&format!("{WORKFLOW}---\n{other}"));
    assert_eq!(found, Vec::<String>::new());
}
