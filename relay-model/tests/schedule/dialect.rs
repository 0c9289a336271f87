use proptest::prelude::*;
use relay_model::schedule::Schedule;

#[test]
fn lines_of_the_dialect() {
    for line in [
        "* * * * *",
        "? ? ? ? ?",
        "  0   3 * * 1 ",
        "0\t3 * * 1",
        "00 03 01 01 00",
        "59 23 31 12 6",
        "0,15,30,45 * * * *",
        "*/5 */2 * * *",
        "?/5 * * * *",
        "10/20 * * * *",
        "10-20/5 * * * *",
        "0 9-17 * * mon-fri",
        "0 0 * Jan,jUL-DEC SUN",
        "0 0 * * SUN-SAT/2",
        "0 0 * feb/3 WED/2",
        "1-3,5,*/20 * * * *",
        "0 0 1/100 * *",
        "@yearly",
        "@annually",
        "@monthly",
        "@weekly",
        "@daily",
        "@midnight",
        "@hourly",
        "@every 1s",
        "@every 1h30m",
        "@every 1.5h",
        "@every 90m0s",
        "@every 1000ms",
        "@every 1500000us500ms",
        "TZ=Europe/Berlin 0 3 * * *",
        "CRON_TZ=America/New_York 0 3 * * *",
        "TZ=UTC @daily",
        "TZ= 0 3 * * *",
        "TZ=Asia/Kathmandu   @every 2h",
    ] {
        if let Err(error) = Schedule::parse(line) {
            panic!("{line}: {error}");
        }
    }
}

#[test]
fn what_is_no_schedule_says_why() {
    let mut wrong = Vec::new();
    for (line, expected) in [
        ("", "it has 0 fields, but needs five: minute, hour, day, month, weekday"),
        ("* * * *", "it has 4 fields"),
        (
            "0 0 3 * * *",
            "it has 6 fields, but needs five: minute, hour, day, month, weekday; there are no seconds",
        ),
        ("60 * * * *", "minute: 60 is above 59"),
        ("* 24 * * *", "hour: 24 is above 23"),
        ("* * 0 * *", "day: 0 is below 1"),
        ("* * 32 * *", "day: 32 is above 31"),
        ("* * * 0 *", "month: 0 is below 1"),
        ("* * * 13 *", "month: 13 is above 12"),
        ("* * * * 7", "weekday: 7 is above 6; Sunday is 0 or SUN"),
        ("* * * * 5-7", "weekday: 7 is above 6"),
        ("* * * * FRI-MON", "weekday: the range from 5 to 1 goes backwards"),
        ("30-10 * * * *", "minute: the range from 30 to 10 goes backwards"),
        ("*/0 * * * *", "minute: a step of 0 leads nowhere"),
        ("5/0 * * * *", "minute: a step of 0"),
        ("* * L * *", "day: \"L\" is not understood: there is no 'L'"),
        ("* * 15W * *", "day: \"15W\" is not understood: there is no 'W'"),
        ("* * * * 5L", "weekday: \"5L\" is not understood: there is no 'L'"),
        ("* * * * MON#2", "weekday: \"MON#2\" is not understood: there is no '#'"),
        ("* * * * MONDAY", "weekday: \"MONDAY\" is not understood"),
        ("* * * * FOO", "weekday: there is no \"FOO\"; the names are sun, mon"),
        ("JAN * * * *", "minute: \"JAN\" is no number"),
        ("* * * MON *", "month: there is no \"MON\""),
        ("1,,2 * * * *", "minute: \"1,,2\" has nothing beside a comma"),
        ("1, * * * *", "minute: \"1,\" has nothing"),
        ("-5 * * * *", "minute: \"-5\" is not understood"),
        ("1-2-3 * * * *", "minute: \"1-2-3\" is not understood"),
        ("1/2/3 * * * *", "minute: \"1/2/3\" is not understood"),
        ("*/x * * * *", "minute: \"*/x\" is not understood"),
        ("*-5 * * * *", "minute: \"*-5\" is not understood"),
        ("1.5 * * * *", "minute: \"1.5\" is not understood"),
        ("99999999999999999999 * * * *", "minute: 99999999999999999999 is above 59"),
        ("@reboot", "there is no \"@reboot\"; the words are"),
        ("@Daily", "there is no \"@Daily\""),
        ("@daily ", "there is no \"@daily \""),
        ("@every", "there is no \"@every\""),
        ("@every 0s", "@every: \"0s\" is no interval"),
        ("@every 500ms", "@every: \"500ms\" is no interval"),
        ("@every 1500ms", "@every: \"1500ms\" is no interval"),
        ("@every -1h", "@every: \"-1h\" is no interval"),
        ("@every 1d", "@every: \"1d\" is no interval"),
        ("@every 5", "@every: \"5\" is no interval"),
        ("@every 99999999h", "@every: \"99999999h\" is no interval"),
        ("@every 1h ", "@every: \"1h \" is no interval"),
        ("TZ=Nowhere/City 0 3 * * *", "there is no time zone \"Nowhere/City\""),
        ("TZ=../../etc/passwd 0 3 * * *", "there is no time zone"),
        ("TZ=UTC", "it has 0 fields"),
    ] {
        let found = Schedule::parse(line).map_or_else(|error| error.to_string(), |_| "ok".into());
        if !found.starts_with(expected) {
            wrong.push(format!("{line}: expected {expected:?}, found {found:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_is_left_of_a_line() {
    for (line, rest, zone) in [
        ("17 3 * * *", "17 3 * * *", "UTC"),
        ("TZ=Europe/Berlin  0 3 * * * ", "0 3 * * *", "Europe/Berlin"),
        ("CRON_TZ=UTC @daily", "@daily", "UTC"),
    ] {
        let schedule = Schedule::parse(line).unwrap();
        assert_eq!((schedule.line(), schedule.zone()), (rest, zone), "{line}");
    }
}

proptest! {
    #[test]
    fn no_text_is_too_strange(line in "(TZ=|CRON_TZ=|@every |@)?[-0-9*/,?a-zA-Z#. µ\t]{0,40}") {
        if let Ok(schedule) = Schedule::parse(&line) {
            let start = "2026-01-01T00:00:00Z".parse().unwrap();
            prop_assert_eq!(schedule.next_after(start).is_some(), schedule.fires(), "{}", line);
        }
    }

    #[test]
    fn any_text(line in any::<String>()) {
        let _ = Schedule::parse(&line);
    }
}
