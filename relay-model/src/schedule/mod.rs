//! Schedules: cron lines of five fields and a few words for common ones (`workflow-file.md` §5).
//!
//! The dialect is that of robfig/cron v3: weekdays are 0 to 6, `?` means `*`, and where both day and
//! weekday are restricted either may match. What other dialects add (seconds, `L`, `W`, `#`, ranges
//! that go backwards) is an error.
//!
//! **Daylight saving time.** A schedule fires at each minute in which the clock of its zone shows a
//! matching time. A time that is skipped when clocks go forward does not fire on that day, and one
//! that comes twice when they go back fires twice.
//!
//! ```
//! use relay_model::schedule::Schedule;
//!
//! let schedule = Schedule::parse("TZ=Europe/Berlin 30 7 * * MON-FRI")?;
//! let saturday = "2026-11-21T12:00:00Z".parse()?;
//! let next = schedule.next_after(saturday).map(|time| time.to_string());
//! assert_eq!(next.as_deref(), Some("2026-11-23T06:30:00Z"));
//!
//! let error = Schedule::parse("0 3 * * 7").unwrap_err();
//! assert_eq!(error.to_string(), "weekday: 7 is above 6; Sunday is 0 or SUN");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod parse;

use jiff::civil::{Date, DateTime};
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{SignedDuration, Timestamp};

pub use parse::ScheduleError;

/// The longest time between two days that a line can name is eight years: 29 February around a year
/// like 2100.
const SEARCHED_DAYS: usize = 8 * 366 + 2;

/// When something is to be started, again and again.
#[derive(Clone, Debug, PartialEq)]
pub struct Schedule {
    /// The line without its zone.
    line: String,
    zone: TimeZone,
    rule: Rule,
}

#[derive(Clone, Debug, PartialEq)]
enum Rule {
    Fields(Box<Fields>),
    /// `@every`: whole seconds.
    Every(SignedDuration),
}

/// The values that match, a bit for each.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Fields {
    minutes: Set,
    hours: Set,
    days: Set,
    months: Set,
    weekdays: Set,
}

/// The values of one field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Set {
    bits: u64,
    /// Whether it is restricted: written as other than `*` or `?`.
    restricted: bool,
}

impl Set {
    fn has(self, value: i8) -> bool {
        u32::try_from(value).is_ok_and(|value| self.bits.checked_shr(value).unwrap_or(0) & 1 == 1)
    }
}

impl Schedule {
    /// Reads a line. A zone may stand before it, as `TZ=Europe/Berlin` or `CRON_TZ=…`; without one
    /// it is UTC.
    ///
    /// # Errors
    ///
    /// When the line is none of the dialect: which field, and what is wrong with it.
    pub fn parse(line: &str) -> Result<Self, ScheduleError> {
        parse::schedule(line)
    }

    /// The line without its zone.
    #[must_use]
    pub fn line(&self) -> &str {
        &self.line
    }

    /// The name of the zone whose clock counts.
    #[must_use]
    pub fn zone(&self) -> &str {
        self.zone.iana_name().unwrap_or("UTC")
    }

    /// The zone whose clock counts.
    #[must_use]
    pub fn time_zone(&self) -> &TimeZone {
        &self.zone
    }

    /// Whether it ever fires: 31 February does not.
    #[must_use]
    pub fn fires(&self) -> bool {
        let Rule::Fields(fields) = &self.rule else { return true };
        // Any year with a leap day has all dates that there are.
        (1..=12).any(|month| {
            let last = Date::new(2024, month, 1).map_or(0, Date::days_in_month);
            fields.months.has(month)
                && (fields.weekdays.restricted || (1..=last).any(|day| fields.days.has(day)))
        })
    }

    /// The first time after this one at which it fires. `None` when there is none that can be
    /// written down.
    #[must_use]
    pub fn next_after(&self, time: Timestamp) -> Option<Timestamp> {
        match &self.rule {
            Rule::Every(interval) => {
                let second = Timestamp::from_second(time.as_second()).ok()?;
                second.checked_add(*interval).ok()
            }
            Rule::Fields(_) if !self.fires() => None,
            Rule::Fields(fields) => self.next_match(fields, time),
        }
    }

    /// The times after this one at which it fires.
    pub fn times_after(&self, time: Timestamp) -> impl Iterator<Item = Timestamp> {
        std::iter::successors(self.next_after(time), |time| self.next_after(*time))
    }

    fn next_match(&self, fields: &Fields, time: Timestamp) -> Option<Timestamp> {
        // A day earlier: clocks that go back at midnight show a time of yesterday once more.
        let mut day = self.zone.to_datetime(time).date().yesterday().ok()?;
        for _ in 0..SEARCHED_DAYS {
            let tomorrow = day.tomorrow().ok();
            if let Some(first) = self.first_on(fields, day, time) {
                // For the same reason the day after may begin before this one has ended.
                let second = tomorrow.and_then(|day| self.first_on(fields, day, time));
                return Some(second.map_or(first, |second| first.min(second)));
            }
            day = tomorrow?;
        }
        None
    }

    /// The first matching minute on a day that comes after a time.
    fn first_on(&self, fields: &Fields, day: Date, after: Timestamp) -> Option<Timestamp> {
        if !fields.match_date(day) {
            return None;
        }
        let mut first: Option<Timestamp> = None;
        for hour in (0..24).filter(|hour| fields.hours.has(*hour)) {
            for minute in (0..60).filter(|minute| fields.minutes.has(*minute)) {
                let clock = day.at(hour, minute, 0, 0);
                let times = self.instants(clock).into_iter().flatten();
                let next = times.filter(|time| *time > after).min();
                first = match (first, next) {
                    (Some(first), Some(next)) => Some(first.min(next)),
                    (first, next) => first.or(next),
                };
            }
        }
        first
    }

    /// The moments at which the clock of the zone shows this: one as a rule, none or two when it is
    /// set.
    fn instants(&self, clock: DateTime) -> [Option<Timestamp>; 2] {
        match self.zone.to_ambiguous_timestamp(clock).offset() {
            AmbiguousOffset::Unambiguous { offset } => [offset.to_timestamp(clock).ok(), None],
            AmbiguousOffset::Gap { .. } => [None, None],
            AmbiguousOffset::Fold { before, after } => {
                [before.to_timestamp(clock).ok(), after.to_timestamp(clock).ok()]
            }
        }
    }
}

impl Fields {
    fn match_date(&self, date: Date) -> bool {
        let day = self.days.has(date.day());
        let weekday = self.weekdays.has(date.weekday().to_sunday_zero_offset());
        let either = if self.days.restricted && self.weekdays.restricted {
            day || weekday
        } else {
            day && weekday
        };
        either && self.months.has(date.month())
    }
}

impl std::str::FromStr for Schedule {
    type Err = ScheduleError;

    fn from_str(line: &str) -> Result<Self, Self::Err> {
        Self::parse(line)
    }
}
