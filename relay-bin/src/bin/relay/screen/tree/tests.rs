use relay_local::{Outcome, Stream};

use super::*;

const PLAIN: Paint = Paint { colours: false };
const WIDE: Size = Size { rows: 24, columns: 80 };

fn at(milliseconds: i64) -> Timestamp {
    Timestamp::from_millisecond(milliseconds).unwrap()
}

fn event(milliseconds: i64, kind: EventKind) -> Event {
    Event::new(at(milliseconds), "r-1", kind)
}

fn started(step: &str) -> EventKind {
    EventKind::Started { step: step.into() }
}

fn waiting(step: &str) -> EventKind {
    EventKind::Waiting { step: step.into() }
}

fn succeeded(step: &str) -> EventKind {
    EventKind::Succeeded { step: step.into() }
}

fn failed(step: &str, reason: &str, message: &str) -> EventKind {
    let (reason, message) = (reason.to_owned(), message.to_owned());
    EventKind::Failed { step: step.into(), exit_code: None, reason, message }
}

fn skipped(step: &str, reason: &str, message: &str) -> EventKind {
    let (reason, message) = (reason.to_owned(), message.to_owned());
    EventKind::Skipped { step: step.into(), reason, message }
}

/// A tree of steps written as `name: dependency dependency`.
fn tree(steps: &[&str], events: impl IntoIterator<Item = (i64, EventKind)>) -> Tree {
    let steps: Vec<(&str, Vec<String>)> = steps
        .iter()
        .map(|step| {
            let (name, rest) = step.split_once(':').unwrap();
            (name, rest.split_whitespace().map(str::to_owned).collect())
        })
        .collect();
    let mut tree = Tree::new(steps.iter().map(|(name, waits_for)| (*name, &**waits_for)));
    for (time, kind) in events {
        tree.see(&event(time, kind));
    }
    tree
}

const STEPS: &[&str] = &["plan:", "lint: plan", "unit: plan", "ask: plan", "report: lint unit ask"];

#[test]
fn each_state_has_its_line() {
    let output =
        EventKind::Output { step: "lint".into(), stream: Stream::Stdout, text: "x".into() };
    let tree = tree(
        STEPS,
        [
            (0, started("plan")),
            (1_250, succeeded("plan")),
            (1_300, started("lint")),
            (1_300, started("unit")),
            (1_310, output),
            (1_400, waiting("ask")),
            (2_400, failed("unit", "Failed", "exit code 3")),
        ],
    );
    assert_eq!(
        tree.lines(at(65_300), WIDE, PLAIN),
        [
            "✓ plan    1.25s",
            "⠋ lint    running 1m 4s",
            "✗ unit    exit code 3 1.10s",
            "? ask     waits for an answer 1m 3s",
            "· report  waits for lint, ask",
            "2 of 5 steps done, 1 failed, 1 running, 1 asking, 1 waiting, 1m 5s",
        ]
    );
}

#[test]
fn what_a_step_waits_for_and_why_it_is_left_out() {
    for (name, steps, events, step, expected) in [
        ("nothing to wait for", &["a:"][..], vec![], 0, "· a  waits for its turn"),
        (
            "many",
            &["a:", "b:", "c:", "d:", "e: a b c d"],
            vec![],
            4,
            "· e  waits for a, b, c and 1 more",
        ),
        (
            "those that have ended are not named",
            &["a:", "b:", "c: a b"],
            vec![(0, started("a")), (1, succeeded("a"))],
            2,
            "· c  waits for b",
        ),
        (
            "all have ended",
            &["a:", "b: a"],
            vec![(0, started("a")), (1, succeeded("a"))],
            1,
            "· b  waits for its turn",
        ),
        (
            "a sentence",
            &["a:"],
            vec![(0, skipped("a", "ConditionFalse", "the condition is not met"))],
            0,
            "- a  skipped: the condition is not met",
        ),
        ("a word", &["a:"], vec![(0, skipped("a", "Expired", ""))], 0, "- a  skipped: Expired"),
        (
            "failed without having run",
            &["a:"],
            vec![(0, failed("a", "CouldNotStart", "no such\nprogram"))],
            0,
            "✗ a  no such program",
        ),
        (
            "a step that is not in the file",
            &["a:"],
            vec![(0, started("b"))],
            0,
            "· a  waits for its turn",
        ),
        (
            "the end of the run",
            &["a:"],
            vec![
                (0, started("a")),
                (5, succeeded("a")),
                (9, EventKind::Finished { outcome: Outcome::Succeeded, message: String::new() }),
            ],
            0,
            "✓ a  0.01s",
        ),
    ] {
        let lines = tree(steps, events).lines(at(10), WIDE, PLAIN);
        assert_eq!(lines[step], expected, "{name}");
    }
}

/// 40 steps: 10 done, one failed, 5 running, one asking, the others waiting.
fn many() -> Tree {
    let steps: Vec<String> = (0..40).map(|at| format!("step-{at}:")).collect();
    let steps: Vec<&str> = steps.iter().map(String::as_str).collect();
    let mut events: Vec<_> = (0..17).map(|at| (0, started(&format!("step-{at}")))).collect();
    events.extend((0..10).map(|at| (10, succeeded(&format!("step-{at}")))));
    events.push((10, failed("step-10", "Failed", "exit code 1")));
    events.push((10, waiting("step-30")));
    tree(&steps, events)
}

#[test]
fn there_are_never_more_lines_or_columns_than_there_is_room_for() {
    let tree = many();
    for rows in 0..60 {
        for columns in [1, 2, 10, 40, 200] {
            let size = Size { rows, columns };
            let lines = tree.lines(at(0), size, PLAIN);
            assert!(lines.len() <= rows.max(1), "{size:?}: {}", lines.len());
            // The log has to be seen as well.
            assert!(rows < 6 || lines.len() <= rows - 2, "{size:?}: {}", lines.len());
            for line in lines {
                assert!(measure_text_width(&line) <= columns, "{size:?}: {line}");
            }
        }
    }
    assert_eq!(tree.lines(at(0), Size { rows: 80, columns: 80 }, PLAIN).len(), 41);
}

#[test]
fn where_room_is_short_what_happens_is_shown() {
    let tree = many();
    let short = |rows| tree.lines(at(100), Size { rows, columns: 120 }, PLAIN);
    assert_eq!(
        short(13),
        [
            "✗ step-10  exit code 1 0.01s",
            "⠙ step-11  running 0.10s",
            "⠙ step-12  running 0.10s",
            "⠙ step-13  running 0.10s",
            "⠙ step-14  running 0.10s",
            "⠙ step-15  running 0.10s",
            "⠙ step-16  running 0.10s",
            "? step-30  waits for an answer 0.09s",
            "11 of 40 steps done, 1 failed, 6 running, 1 asking, 22 waiting, 32 not shown, 0.10s",
        ]
    );
    assert_eq!(short(3)[0], "? step-30  waits for an answer 0.09s");
    assert!(short(1)[0].starts_with("11 of 40 steps done"), "{:?}", short(1));
}

#[test]
fn names_are_aligned_by_what_is_seen_of_them() {
    let long = format!("{}:", "x".repeat(50));
    let lines = tree(&["名前:", "ab:"], []).lines(at(0), WIDE, PLAIN);
    assert_eq!(lines[..2], ["· 名前  waits for its turn", "· ab    waits for its turn"]);
    let lines = tree(&[&long], []).lines(at(0), WIDE, PLAIN);
    assert_eq!(lines[0], format!("· {}…  waits for its turn", "x".repeat(31)));
}

#[test]
fn colours_do_not_count_as_width() {
    let mut tree = many();
    tree.cancel();
    let size = Size { rows: 30, columns: 30 };
    let coloured = tree.lines(at(7), size, Paint { colours: true });
    let plain: Vec<_> =
        coloured.iter().map(|line| console::strip_ansi_codes(line).into_owned()).collect();
    assert_eq!(plain, tree.lines(at(7), size, PLAIN));
    assert!(plain.last().unwrap().starts_with("cancelling"), "{plain:?}");
}
