//! Questions of the API server and their answers.

use relay_reconcile::admission::{NotAReview, Outcome, PodPolicy, Reviewed, review};
use serde_json::{Value, json};

/// A question as an API server asks it.
fn question(changes: &Value) -> Value {
    let mut question = json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "request": {
            "uid": "705ab4f5-6393-11e8-b7cc-42010a800002",
            "kind": {"group": "", "version": "v1", "kind": "Pod"},
            "resource": {"group": "", "version": "v1", "resource": "pods"},
            "requestKind": {"group": "", "version": "v1", "kind": "Pod"},
            "requestResource": {"group": "", "version": "v1", "resource": "pods"},
            "name": "step", "namespace": "team-a", "operation": "CREATE",
            "userInfo": {"username": "admin", "groups": ["system:masters"]},
            "object": {
                "apiVersion": "v1", "kind": "Pod",
                "metadata": {"name": "step", "namespace": "team-a"},
                "spec": {"containers": [{"name": "step", "image": "i"}]},
            },
            "oldObject": null, "dryRun": false,
            "options": {"kind": "CreateOptions", "apiVersion": "meta.k8s.io/v1"},
        },
    });
    json_patch::merge(&mut question, changes);
    question
}

fn ask(changes: &Value) -> Result<Reviewed, NotAReview> {
    review(question(changes).to_string().as_bytes(), &PodPolicy::default())
}

fn answer(reviewed: &Reviewed) -> Value {
    serde_json::to_value(&reviewed.answer).unwrap()
}

#[test]
fn what_is_asked_decides_what_is_answered() {
    let request = |changes: Value| json!({ "request": changes });
    let privileged = json!({"name": "c", "securityContext": {"privileged": true}});
    for (name, changes, outcome, code) in [
        ("a pod", json!({}), Outcome::Patched, 200),
        ("an update", request(json!({"operation": "UPDATE"})), Outcome::Untouched, 200),
        ("a deletion", request(json!({"operation": "DELETE"})), Outcome::Untouched, 200),
        ("a connection", request(json!({"operation": "CONNECT"})), Outcome::Untouched, 200),
        ("one to come", request(json!({"operation": "RENAME"})), Outcome::Untouched, 200),
        ("a binding", request(json!({"subResource": "binding"})), Outcome::Untouched, 200),
        (
            "another kind",
            request(json!({"resource": {"group": "apps", "resource": "deployments"}})),
            Outcome::Untouched,
            200,
        ),
        (
            "an update that is no pod",
            request(json!({"operation": "UPDATE", "object": 1})),
            Outcome::Untouched,
            200,
        ),
        ("no object", request(json!({"object": null})), Outcome::Undecodable, 400),
        ("no pod", request(json!({"object": "pod"})), Outcome::Undecodable, 400),
        (
            "a list in the place of a map",
            request(json!({"object": {"spec": {"nodeSelector": []}}})),
            Outcome::Undecodable,
            400,
        ),
        (
            "a word in the place of a truth",
            request(json!({"object": {"spec": {"hostNetwork": "no"}}})),
            Outcome::Undecodable,
            400,
        ),
        (
            "a privileged container",
            request(json!({"object": {"spec": {"containers": [privileged]}}})),
            Outcome::Refused,
            403,
        ),
        (
            "no containers, which the API server refuses by itself",
            request(json!({"object": {"spec": {"containers": null}}})),
            Outcome::Patched,
            200,
        ),
    ] {
        let reviewed = ask(&changes).expect(name);
        let answer = answer(&reviewed);
        let response = &answer["response"];
        assert_eq!(reviewed.outcome, outcome, "{name}: {answer}");
        assert_eq!(response["status"]["code"], code, "{name}");
        assert_eq!(response["allowed"], code == 200, "{name}");
        assert_eq!(response["uid"], "705ab4f5-6393-11e8-b7cc-42010a800002", "{name}");
        let is_patched = outcome == Outcome::Patched;
        assert_eq!(response.get("patch").is_some(), is_patched, "{name}: {answer}");
        assert_eq!(response["patchType"] == "JSONPatch", is_patched, "{name}");
        assert_eq!(reviewed.denied.is_some(), code != 200, "{name}");
    }
}

#[test]
fn the_answer_is_of_the_version_of_the_question() {
    for version in ["admission.k8s.io/v1", "admission.k8s.io/v1beta1"] {
        let answer = answer(&ask(&json!({ "apiVersion": version })).unwrap());
        assert_eq!(answer["apiVersion"], version);
        assert_eq!(answer["kind"], "AdmissionReview");
        assert_eq!(answer.get("request"), None, "the question is not sent back");
    }
}

#[test]
fn a_denial_says_why() {
    let object = json!({"spec": {"hostNetwork": true, "hostPID": true, "containers": []}});
    let refused = ask(&json!({"request": {"object": object}})).unwrap();
    let message = answer(&refused)["response"]["status"]["message"].as_str().unwrap().to_owned();
    assert_eq!(message, "a pod in the namespace of a tenant may not have hostNetwork, hostPID");
    assert_eq!(refused.denied.as_deref(), Some(message.as_str()));
    assert_eq!(refused.pod, "team-a/step");
}

#[test]
fn what_is_no_question_is_not_answered() {
    for (name, text) in [
        ("nothing", String::new()),
        ("no JSON", "pod".to_owned()),
        ("another kind", question(&json!({"kind": "Pod"})).to_string()),
        ("a version to come", question(&json!({"apiVersion": "admission.k8s.io/v2"})).to_string()),
        ("no request", question(&json!({"request": null})).to_string()),
        ("no uid", question(&json!({"request": {"uid": null}})).to_string()),
        ("a deep one", "[".repeat(100_000)),
    ] {
        assert!(review(text.as_bytes(), &PodPolicy::default()).is_err(), "{name}");
    }
}

#[test]
fn a_pod_that_nests_without_end_is_denied() {
    let deep = format!("{}1{}", r#"{"a":"#.repeat(100_000), "}".repeat(100_000));
    let text = question(&json!({"request": {"object": "HERE"}})).to_string();
    let text = text.replace("\"HERE\"", &format!(r#"{{"spec": {{"nodeSelector": {deep}}}}}"#));
    let reviewed = review(text.as_bytes(), &PodPolicy::default()).unwrap();
    assert_eq!(reviewed.outcome, Outcome::Undecodable);
}
