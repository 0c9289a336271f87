use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _};
use proptest::prelude::*;
use relay_model::schedule::Schedule;

fn next(line: &str, after: &str, count: usize) -> Vec<String> {
    let schedule = Schedule::parse(line).unwrap();
    let times = schedule.times_after(after.parse().unwrap());
    times.take(count).map(|time| time.to_string()).collect()
}

#[test]
fn next_times() {
    for (name, line, after, expected) in [
        (
            "strictly after",
            "0 3 * * *",
            "2026-03-01T03:00:00Z",
            &["2026-03-02T03:00:00Z", "2026-03-03T03:00:00Z"][..],
        ),
        ("seconds before", "0 3 * * *", "2026-03-01T02:59:59.5Z", &["2026-03-01T03:00:00Z"]),
        (
            "weekdays",
            "30 9 * * MON-FRI",
            "2026-11-20T09:30:00Z",
            &["2026-11-23T09:30:00Z", "2026-11-24T09:30:00Z"],
        ),
        (
            "day or weekday",
            "0 0 13 * FRI",
            "2026-11-01T00:00:00Z",
            &["2026-11-06T00:00:00Z", "2026-11-13T00:00:00Z", "2026-11-20T00:00:00Z"],
        ),
        (
            "a step restricts",
            "0 0 */15 * MON",
            "2026-11-01T00:00:00Z",
            &["2026-11-02T00:00:00Z", "2026-11-09T00:00:00Z", "2026-11-16T00:00:00Z"],
        ),
        (
            "a question mark does not",
            "0 0 ? * MON",
            "2026-11-01T00:00:00Z",
            &["2026-11-02T00:00:00Z", "2026-11-09T00:00:00Z"],
        ),
        (
            "from a value on",
            "0 20/2 * * *",
            "2026-11-01T00:00:00Z",
            &["2026-11-01T20:00:00Z", "2026-11-01T22:00:00Z", "2026-11-02T20:00:00Z"],
        ),
        ("a leap day around 2100", "0 0 29 2 *", "2096-03-01T00:00:00Z", &["2104-02-29T00:00:00Z"]),
        ("31 April", "0 0 31 4 *", "2026-01-01T00:00:00Z", &[]),
        (
            "a short month",
            "0 0 31 * *",
            "2026-02-01T00:00:00Z",
            &["2026-03-31T00:00:00Z", "2026-05-31T00:00:00Z"],
        ),
        (
            "intervals are counted in whole seconds",
            "@every 1h30m",
            "2026-01-01T00:00:00.7Z",
            &["2026-01-01T01:30:00Z", "2026-01-01T03:00:00Z"],
        ),
        ("weekly is Sunday", "@weekly", "2026-11-23T00:00:00Z", &["2026-11-29T00:00:00Z"]),
        ("yearly", "@yearly", "2026-11-23T00:00:00Z", &["2027-01-01T00:00:00Z"]),
        (
            "a zone",
            "TZ=America/New_York 0 12 * * *",
            "2026-07-01T00:00:00Z",
            &["2026-07-01T16:00:00Z"],
        ),
        (
            "a time that clocks skip does not fire",
            "TZ=Europe/Berlin 30 2 * * *",
            "2026-03-27T12:00:00Z",
            &["2026-03-28T01:30:00Z", "2026-03-30T00:30:00Z"],
        ),
        (
            "a time that comes twice fires twice",
            "TZ=Europe/Berlin 30 2 * * *",
            "2026-10-24T12:00:00Z",
            &["2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z", "2026-10-26T01:30:00Z"],
        ),
        (
            "clocks that go back at midnight",
            "TZ=America/Havana 30 0 * * *",
            "2025-11-01T12:00:00Z",
            &["2025-11-02T04:30:00Z", "2025-11-02T05:30:00Z", "2025-11-03T05:30:00Z"],
        ),
        (
            "a day that was skipped",
            "TZ=Pacific/Apia 0 12 30 12 *",
            "2011-12-01T00:00:00Z",
            &["2012-12-29T22:00:00Z"],
        ),
    ] {
        assert_eq!(next(line, after, expected.len().max(1)), expected, "{name}");
    }
}

#[test]
fn a_date_that_never_comes() {
    for (line, fires) in [
        ("0 0 31 2 *", false),
        ("0 0 30 2 *", false),
        ("0 0 29 2 *", true),
        ("0 0 31 4,6,9,11 *", false),
        ("0 0 31 4,5 *", true),
        ("0 0 31 2 MON", true),
        ("@every 1h", true),
    ] {
        assert_eq!(Schedule::parse(line).unwrap().fires(), fires, "{line}");
    }
}

#[test]
fn the_end_of_time() {
    for line in ["* * * * *", "0 0 29 2 *", "@every 2562047h", "TZ=Europe/Berlin @hourly"] {
        let schedule = Schedule::parse(line).unwrap();
        for time in [Timestamp::MIN, Timestamp::MAX] {
            let _ = schedule.next_after(time);
        }
        assert_eq!(schedule.next_after(Timestamp::MAX), None, "{line}");
    }
}

/// A field: its text, the values that it holds, and whether it restricts.
type Field = (String, Vec<i8>, bool);

fn field(least: i8, most: i8) -> impl Strategy<Value = Field> {
    let one = least..=most;
    let item = prop_oneof![
        Just(("*".to_owned(), (least..=most).collect::<Vec<_>>())),
        one.clone().prop_map(|a| (a.to_string(), vec![a])),
        (one.clone(), one.clone()).prop_map(|(a, b)| {
            let (a, b) = (a.min(b), a.max(b));
            (format!("{a}-{b}"), (a..=b).collect())
        }),
        (2usize..20).prop_map(move |n| (format!("*/{n}"), (least..=most).step_by(n).collect())),
        (one.clone(), 1usize..20)
            .prop_map(move |(a, n)| (format!("{a}/{n}"), (a..=most).step_by(n).collect())),
        (one.clone(), one, 1usize..20).prop_map(|(a, b, n)| {
            let (a, b) = (a.min(b), a.max(b));
            (format!("{a}-{b}/{n}"), (a..=b).step_by(n).collect())
        }),
    ];
    prop::collection::vec(item, 1..4).prop_map(|items| {
        let restricts = items.iter().all(|(text, _)| text != "*");
        let text: Vec<_> = items.iter().map(|(text, _)| text.as_str()).collect();
        (text.join(","), items.iter().flat_map(|(_, v)| v.clone()).collect(), restricts)
    })
}

const ZONES: &[&str] =
    &["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu"];

proptest! {
    /// Against looking at each minute of some days.
    #[test]
    fn the_next_time_is_the_first_minute_that_matches(
        minute in field(0, 59),
        hour in field(0, 23),
        day in field(1, 31),
        month in field(1, 12),
        weekday in field(0, 6),
        zone in prop::sample::select(ZONES),
        // Days around which clocks are set.
        start in prop::sample::select(&["2026-03-28T20:00:00Z", "2026-10-24T20:00:00Z",
            "2026-10-31T20:00:00Z", "2026-04-04T12:00:00Z", "2027-12-31T10:00:00Z"][..]),
        offset in 0i64..600,
    ) {
        let line = format!("TZ={zone} {} {} {} {} {}", minute.0, hour.0, day.0, month.0, weekday.0);
        let schedule = Schedule::parse(&line).unwrap();
        let start: Timestamp = start.parse::<Timestamp>().unwrap() + offset.minutes();
        let zone = TimeZone::get(zone).unwrap();
        let days = 3;
        let mut expected = None;
        for minutes in 1..=(days * 24 * 60) {
            let time = start + i64::from(minutes).minutes();
            let clock = time.to_zoned(zone.clone());
            let on_day = day.1.contains(&clock.day());
            let on_weekday = weekday.1.contains(&clock.weekday().to_sunday_zero_offset());
            let date = if day.2 && weekday.2 { on_day || on_weekday } else { on_day && on_weekday };
            if date
                && month.1.contains(&clock.month())
                && hour.1.contains(&clock.hour())
                && minute.1.contains(&clock.minute())
            {
                expected = Some(time);
                break;
            }
        }
        let found = schedule.next_after(start);
        match expected {
            Some(expected) => prop_assert_eq!(found, Some(expected), "{}", line),
            None => {
                let end = start + i64::from(days * 24 * 60).minutes();
                prop_assert!(found.is_none_or(|found| found > end), "{} {:?}", line, found);
            }
        }
    }
}
