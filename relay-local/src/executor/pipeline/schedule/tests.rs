use std::collections::BTreeMap;

use relay_model::tekton::{PipelineSpec, PipelineTask, TaskSpec, WhenExpression};

use super::*;

/// `name < parent parent ? task.result=value !` where `?` begins a condition, `!=` in it is
/// `notin`, and a last `!` ignores the failure.
fn task(line: &str) -> PipelineTask {
    let (line, ignores) = match line.strip_suffix(" !") {
        Some(line) => (line, true),
        None => (line, false),
    };
    let (head, when) = line.split_once(" ? ").unwrap_or((line, ""));
    let (name, parents) = head.split_once(" < ").unwrap_or((head, ""));
    let when = when.split_whitespace().map(|text| {
        let (input, values) = text.split_once('=').unwrap();
        let (input, operator) = match input.strip_suffix('!') {
            Some(input) => (input, "notin"),
            None => (input, "in"),
        };
        let (task, result) = input.split_once('.').unwrap();
        WhenExpression {
            input: format!("$(tasks.{task}.results.{result})"),
            operator: operator.to_owned(),
            values: values.split(',').map(str::to_owned).collect(),
        }
    });
    PipelineTask {
        name: name.to_owned(),
        task_spec: Some(TaskSpec::default()),
        run_after: parents.split_whitespace().map(str::to_owned).collect(),
        when: when.collect(),
        on_error: ignores.then(|| "continue".to_owned()),
        ..PipelineTask::default()
    }
}

/// Plays a pipeline in which each task ends as `fates` says (`ok` if it does not; `result=value`
/// succeeds with a result; `hang` never ends), one wave after the other. Answers with what was
/// started in each wave and what was skipped.
fn play(lines: &[&str], fates: &[(&str, &str)]) -> (Schedule, String, BTreeMap<String, Skip>) {
    let tasks = lines.iter().map(|line| task(line)).collect();
    let mut schedule =
        Schedule::new(Graph::new(&PipelineSpec { tasks, ..PipelineSpec::default() }).unwrap());
    let mut waves = Vec::new();
    loop {
        let wave = schedule.choose();
        if wave.is_empty() {
            break;
        }
        let mut names = Vec::new();
        for index in &wave {
            assert!(schedule.started(*index, ChildReference::default()));
            assert!(!schedule.started(*index, ChildReference::default()));
            names.push(schedule.graph().node(*index).unwrap().name.clone());
        }
        for (index, name) in wave.into_iter().zip(&names) {
            let fate = fates.iter().find(|(task, _)| task == name).map_or("ok", |(_, fate)| fate);
            let (verdict, results) = match fate {
                "hang" => continue,
                "ok" => (Verdict::Succeeded, vec![]),
                "fail" => (Verdict::Failed, vec![]),
                "cancel" => (Verdict::Cancelled, vec![]),
                other => {
                    let (name, value) = other.split_once('=').unwrap();
                    let result = RunResult { name: name.to_owned(), value: value.to_owned() };
                    (Verdict::Succeeded, vec![result])
                }
            };
            let outcome = Outcome { verdict, results };
            assert!(schedule.ended(index, ChildReference::default(), outcome.clone()));
            assert!(!schedule.ended(index, ChildReference::default(), outcome));
        }
        waves.push(names.join(" "));
    }
    let skipped = schedule
        .states()
        .filter_map(|(name, state)| match state {
            TaskState::Skipped(why) => Some((name.to_owned(), *why)),
            _ => None,
        })
        .collect();
    (schedule, waves.join(" | "), skipped)
}

#[test]
fn waves_and_skips() {
    type Case<'a> =
        (&'a str, &'a [&'a str], &'a [(&'a str, &'a str)], &'a str, &'a [(&'a str, Skip)]);
    let cases: &[Case<'_>] = &[
        ("nothing", &[], &[], "", &[]),
        ("a chain, written backwards", &["c < b", "b < a", "a"], &[], "a | b | c", &[]),
        ("a diamond", &["a", "b < a", "c < a", "d < b c"], &[], "a | b c | d", &[]),
        (
            "a condition holds",
            &["gate", "a < gate ? gate.decision=run"],
            &[("gate", "decision=run")],
            "gate | a",
            &[],
        ),
        (
            "a result alone is an edge, and what only runs after a skipped task runs",
            &["gate", "a ? gate.decision=run", "next < a"],
            &[("gate", "decision=skip")],
            "gate | next",
            &[("a", Skip::When)],
        ),
        (
            "not in, and one of several",
            &["g", "a ? g.r!=x", "b ? g.r!=y", "c ? g.r=y,x"],
            &[("g", "r=x")],
            "g | b c",
            &[("a", Skip::When)],
        ),
        (
            "a result that was not given skips everything behind",
            &["g", "a ? g.other=x", "b < a", "c < b"],
            &[("g", "r=x")],
            "g",
            &[("a", Skip::MissingResults), ("b", Skip::Parents), ("c", Skip::Parents)],
        ),
        (
            "a skipped task has no results",
            &["g", "a ? g.r=y", "b ? a.r=x"],
            &[("g", "r=x")],
            "g",
            &[("a", Skip::When), ("b", Skip::MissingResults)],
        ),
        (
            "a failure stops what has not started",
            &["a", "b", "c < a", "d < c"],
            &[("a", "fail")],
            "a b",
            &[("c", Skip::Stopping), ("d", Skip::Stopping)],
        ),
        (
            "an ignored failure does not",
            &["a !", "b", "c < a", "d < c"],
            &[("a", "fail")],
            "a b | c | d",
            &[],
        ),
        (
            "a cancelled child stops even where failures are ignored",
            &["a !", "c < a"],
            &[("a", "cancel")],
            "a",
            &[("c", Skip::Stopping)],
        ),
    ];
    for (name, lines, fates, waves, skipped) in cases {
        let (schedule, played, skips) = play(lines, fates);
        assert_eq!(played, *waves, "{name}");
        let expected = skipped.iter().map(|(task, why)| ((*task).to_owned(), *why)).collect();
        assert_eq!(skips, expected, "{name}");
        assert!(schedule.is_over(), "{name}");
        assert_eq!(schedule.counts().open, 0, "{name}");
    }
}

#[test]
fn a_stopping_pipeline_waits_for_what_runs() {
    let (mut schedule, _, _) = play(&["a", "b", "c < b"], &[("a", "fail"), ("b", "hang")]);
    assert!(schedule.is_stopping() && !schedule.is_over());
    let expected = Counts { failed: 1, skipped: 1, open: 1, ..Counts::default() };
    assert_eq!(schedule.counts(), expected);
    schedule.ended(1, ChildReference::default(), Outcome::default());
    assert!(schedule.choose().is_empty());
    assert!(schedule.is_over());
}

#[test]
fn children_from_before_a_restart_are_taken_over() {
    let lines = ["a", "b < a", "c < b", "d < a"];
    let tasks = lines.iter().map(|line| task(line)).collect();
    let mut schedule =
        Schedule::new(Graph::new(&PipelineSpec { tasks, ..PipelineSpec::default() }).unwrap());
    // In the order of a list, which is that of names, not of time.
    assert!(schedule.started(1, ChildReference::default()));
    assert!(schedule.ended(0, ChildReference::default(), Outcome::default()));
    assert_eq!(schedule.choose(), [3]);
    assert!(schedule.ended(1, ChildReference::default(), Outcome::default()));
    assert_eq!(schedule.choose(), [2]);
}

#[test]
fn a_thousand_tasks_are_quick() {
    let lines: Vec<String> = (0..1000)
        .map(|index| match index {
            0 => "t0".to_owned(),
            _ => format!("t{index} < t{}", index - 1),
        })
        .collect();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let begun = std::time::Instant::now();
    let (schedule, _, _) = play(&lines, &[]);
    assert!(schedule.is_over());
    assert!(begun.elapsed() < std::time::Duration::from_secs(2), "{:?}", begun.elapsed());
}
