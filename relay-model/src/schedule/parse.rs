//! Text to schedules.

use jiff::SignedDuration;
use jiff::tz::TimeZone;
use winnow::ascii::{digit0, digit1};
use winnow::combinator::{alt, opt, preceded, repeat};
use winnow::prelude::*;
use winnow::token::{literal, take_while};

use super::{Fields, Rule, Schedule, Set};

/// Why a line is no schedule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ScheduleError {
    /// Another number of fields than five.
    #[error(
        "it has {found} fields, but needs five: minute, hour, day, month, weekday{}",
        if *.found == 6 { "; there are no seconds" } else { "" }
    )]
    FieldCount {
        /// How many there are.
        found: usize,
    },
    /// A field that is wrong.
    #[error("{field}: {problem}")]
    Field {
        /// The name of the field.
        field: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// A word that does not exist.
    #[error(
        "there is no {0:?}; the words are @yearly, @annually, @monthly, @weekly, @daily, \
         @midnight, @hourly and @every DURATION"
    )]
    Word(String),
    /// An interval that is none.
    #[error("@every: {0:?} is no interval; write whole seconds, at least one, such as 1h30m")]
    Interval(String),
    /// A zone that does not exist.
    #[error("there is no time zone {0:?}; write a name such as Europe/Berlin")]
    Zone(String),
}

/// What a field may hold.
struct Bounds {
    field: &'static str,
    least: u8,
    most: u8,
    /// Names of values, from the least on.
    names: &'static [&'static str],
}

const MONTHS: &[&str] =
    &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const WEEKDAYS: &[&str] = &["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

const MINUTE: Bounds = Bounds { field: "minute", least: 0, most: 59, names: &[] };
const HOUR: Bounds = Bounds { field: "hour", least: 0, most: 23, names: &[] };
const DAY: Bounds = Bounds { field: "day", least: 1, most: 31, names: &[] };
const MONTH: Bounds = Bounds { field: "month", least: 1, most: 12, names: MONTHS };
const WEEKDAY: Bounds = Bounds { field: "weekday", least: 0, most: 6, names: WEEKDAYS };

pub(super) fn schedule(line: &str) -> Result<Schedule, ScheduleError> {
    let (zone, line) = zone(line)?;
    let rule = if line.starts_with('@') { word(line)? } else { fields(line)? };
    Ok(Schedule { line: line.to_owned(), zone, rule })
}

fn fields(line: &str) -> Result<Rule, ScheduleError> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let [minute, hour, day, month, weekday] = fields.as_slice() else {
        return Err(ScheduleError::FieldCount { found: fields.len() });
    };
    let fields = Fields {
        minutes: field(minute, &MINUTE)?,
        hours: field(hour, &HOUR)?,
        days: field(day, &DAY)?,
        months: field(month, &MONTH)?,
        weekdays: field(weekday, &WEEKDAY)?,
    };
    Ok(Rule::Fields(Box::new(fields)))
}

/// A zone in front, and the line behind it.
fn zone(line: &str) -> Result<(TimeZone, &str), ScheduleError> {
    let named = line.strip_prefix("TZ=").or_else(|| line.strip_prefix("CRON_TZ="));
    let Some(named) = named else { return Ok((TimeZone::UTC, line)) };
    let (name, line) = named.split_once(char::is_whitespace).unwrap_or((named, ""));
    let zone = match name {
        "" | "UTC" => TimeZone::UTC,
        _ => TimeZone::get(name).map_err(|_| ScheduleError::Zone(name.to_owned()))?,
    };
    Ok((zone, line.trim()))
}

fn word(line: &str) -> Result<Rule, ScheduleError> {
    let line = match line {
        "@yearly" | "@annually" => "0 0 1 1 *",
        "@monthly" => "0 0 1 * *",
        "@weekly" => "0 0 * * 0",
        "@daily" | "@midnight" => "0 0 * * *",
        "@hourly" => "0 * * * *",
        _ => {
            let Some(interval) = line.strip_prefix("@every ") else {
                return Err(ScheduleError::Word(line.to_owned()));
            };
            let wrong = || ScheduleError::Interval(interval.to_owned());
            let nanoseconds = duration.parse(interval).map_err(|_| wrong())?;
            let whole = nanoseconds % NANOSECONDS == 0 && nanoseconds >= NANOSECONDS;
            let seconds = i64::try_from(nanoseconds / NANOSECONDS).ok().filter(|_| whole);
            return Ok(Rule::Every(SignedDuration::from_secs(seconds.ok_or_else(wrong)?)));
        }
    };
    fields(line)
}

const NANOSECONDS: u128 = 1_000_000_000;

/// A duration as Go writes it, such as `1h30m` or `1.5h`, in nanoseconds.
fn duration(input: &mut &str) -> ModalResult<u128> {
    // What Go can hold: 63 bits of nanoseconds, about 292 years.
    const MOST: u128 = i64::MAX as u128;
    opt('+').parse_next(input)?;
    repeat(1.., part)
        .fold(|| 0u128, u128::saturating_add)
        .verify(|sum| *sum <= MOST)
        .parse_next(input)
}

fn part(input: &mut &str) -> ModalResult<u128> {
    let (whole, fraction) = (digit0, opt(preceded('.', digit0)))
        .verify(|(whole, fraction): &(&str, Option<&str>)| {
            !whole.is_empty() || fraction.is_some_and(|digits| !digits.is_empty())
        })
        .parse_next(input)?;
    let unit = alt((
        literal("ns").value(1),
        alt(("us", "µs", "μs")).value(1_000),
        literal("ms").value(1_000_000),
        literal("s").value(NANOSECONDS),
        literal("m").value(60 * NANOSECONDS),
        literal("h").value(3600 * NANOSECONDS),
    ))
    .parse_next(input)?;
    // More digits than this are either too many hours or less than a nanosecond.
    let whole: u128 = if whole.is_empty() { 0 } else { whole.parse().unwrap_or(u128::MAX) };
    let digits: String = fraction.unwrap_or_default().chars().take(15).collect();
    let places = u32::try_from(digits.len()).unwrap_or_default();
    let fraction: u128 = digits.parse().unwrap_or(0);
    let fraction = fraction.saturating_mul(unit) / 10u128.pow(places);
    Ok(whole.saturating_mul(unit).saturating_add(fraction))
}

/// A list of ranges.
fn field(text: &str, bounds: &Bounds) -> Result<Set, ScheduleError> {
    let mut set = Set { bits: 0, restricted: true };
    for item in text.split(',') {
        let wrong = |problem: String| ScheduleError::Field { field: bounds.field, problem };
        let item = range.parse(item).map_err(|_| wrong(not_understood(item, text)))?;
        let range = item.resolve(bounds).map_err(wrong)?;
        set.bits |= range.bits;
        set.restricted &= range.restricted;
    }
    Ok(set)
}

fn not_understood(item: &str, field: &str) -> String {
    let known = "write a number, a range such as 1-5, or a step such as */2";
    let other = match item.trim_matches(|c: char| c.is_ascii_digit()) {
        "L" | "l" | "LW" | "lw" => Some('L'),
        "W" | "w" => Some('W'),
        _ => item.chars().find(|c| *c == '#'),
    };
    match other {
        _ if item.is_empty() => format!("{field:?} has nothing beside a comma"),
        Some(other) => format!("{item:?} is not understood: there is no {other:?}; {known}"),
        None => format!("{item:?} is not understood; {known}"),
    }
}

/// `*`, `a`, `a-b`, each perhaps with `/step`.
struct Range<'t> {
    span: Span<'t>,
    step: Option<&'t str>,
}

enum Span<'t> {
    All,
    One(&'t str),
    FromTo(&'t str, &'t str),
}

fn range<'t>(input: &mut &'t str) -> ModalResult<Range<'t>> {
    let span = alt((alt(('*', '?')).value(None), (value, opt(preceded('-', value))).map(Some)))
        .parse_next(input)?;
    let span = match span {
        None => Span::All,
        Some((one, None)) => Span::One(one),
        Some((from, Some(to))) => Span::FromTo(from, to),
    };
    let step = opt(preceded('/', digit1)).parse_next(input)?;
    Ok(Range { span, step })
}

fn value<'t>(input: &mut &'t str) -> ModalResult<&'t str> {
    alt((digit1, take_while(3, |c: char| c.is_ascii_alphabetic()))).parse_next(input)
}

impl Range<'_> {
    fn resolve(&self, bounds: &Bounds) -> Result<Set, String> {
        let step = match self.step.map(str::parse::<u32>) {
            None => 1,
            Some(Ok(0)) => return Err("a step of 0 leads nowhere".to_owned()),
            Some(step) => step.unwrap_or(u32::MAX),
        };
        let (from, to) = match self.span {
            Span::All => (bounds.least, bounds.most),
            Span::One(one) => {
                let one = bounds.value(one)?;
                (one, if self.step.is_some() { bounds.most } else { one })
            }
            Span::FromTo(from, to) => {
                let (from, to) = (bounds.value(from)?, bounds.value(to)?);
                if from > to {
                    return Err(format!("the range from {from} to {to} goes backwards"));
                }
                (from, to)
            }
        };
        let step = usize::try_from(step).unwrap_or(usize::MAX);
        let bits = (from..=to).step_by(step).fold(0, |bits, value| bits | 1u64 << value);
        let all = matches!(self.span, Span::All) && step == 1;
        Ok(Set { bits, restricted: !all })
    }
}

impl Bounds {
    fn value(&self, text: &str) -> Result<u8, String> {
        let named = self.names.iter().position(|name| name.eq_ignore_ascii_case(text));
        if let Some(value) = named.and_then(|place| u8::try_from(place).ok()) {
            return Ok(self.least.saturating_add(value));
        }
        if !text.starts_with(|c: char| c.is_ascii_digit()) {
            return Err(match self.names {
                [] => format!("{text:?} is no number"),
                names => format!("there is no {text:?}; the names are {}", names.join(", ")),
            });
        }
        match text.parse::<u8>() {
            Ok(value) if value < self.least => Err(format!("{text} is below {}", self.least)),
            Ok(value) if value <= self.most => Ok(value),
            _ => {
                let sunday = if self.field == "weekday" && text == "7" {
                    "; Sunday is 0 or SUN"
                } else {
                    ""
                };
                Err(format!("{text} is above {}{sunday}", self.most))
            }
        }
    }
}
