//! How a TaskRun ended, from what Tekton says of it.

use relay_model::tekton::TaskRunStatus;
use relay_reconcile::run::TaskEnding;
use serde_json::json;

fn container(name: &str, exit_code: i32, message: &str) -> serde_json::Value {
    let message = (!message.is_empty()).then_some(message);
    json!({
        "name": name, "container": format!("step-{name}"),
        "terminated": {"exitCode": exit_code, "reason": "Error", "message": message},
    })
}

#[test]
fn the_container_of_the_step_tells() {
    let tools = container("tools", 0, "[]");
    for (name, containers, expected) in [
        ("killed", vec![tools.clone(), container("step", 137, "")], (Some(137), "exit code 137")),
        (
            "with a message",
            vec![tools.clone(), container("step", 3, "out of memory")],
            (Some(3), "out of memory"),
        ),
        ("never started", vec![tools], (Some(-1), "it failed")),
        ("only tools", vec![container("tools", 1, "no space")], (Some(-1), "it failed")),
    ] {
        let condition = json!({
            "type": "Succeeded", "status": "False", "reason": "Failed", "message": "it failed",
        });
        let status = json!({"podName": "p", "conditions": [condition], "steps": containers});
        let status: TaskRunStatus = serde_json::from_value(status).unwrap();
        let ending = TaskEnding::of(&status).unwrap();
        assert_eq!((ending.exit_code, ending.message.as_str()), expected, "{name}");
        assert!(!ending.succeeded, "{name}");
    }
}
