//! Time as a calendar shows it (proleptic Gregorian, no leap seconds, as POSIX counts).

const MINUTE: u64 = 60_000;
const DAY: u64 = 24 * 60 * MINUTE;

/// Milliseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time(pub u64);

impl Time {
    /// What clock and calendar show in UTC.
    #[must_use]
    #[inline(always)]
    pub const fn utc(self) -> Civil {
        self.at(0)
    }

    /// What clock and calendar show this many minutes east of Greenwich; negative: west.
    #[must_use]
    #[inline(always)]
    pub const fn at(self, minutes_east: i32) -> Civil {
        let local = self.0.saturating_add_signed(minutes_east as i64 * MINUTE as i64);
        let days = local / DAY;
        let minute = (local % DAY / MINUTE) as u32;
        // Years that begin in March end with the leap day; 719,468 days lie between 0000-03-01 and 1970-01-01.
        let since = days + 719_468;
        let (era, of_era) = (since / 146_097, since % 146_097);
        let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let march_month = (5 * of_year + 2) / 153;
        let day = (of_year - (153 * march_month + 2) / 5 + 1) as u32;
        let month = if march_month < 10 { march_month + 3 } else { march_month - 9 } as u32;
        let year = (year_of_era + era * 400) as u32 + if month <= 2 { 1 } else { 0 };
        Civil { year, month, day, weekday: Weekday::after_thursday(days), hour: minute / 60, minute: minute % 60 }
    }
}

/// What clock and calendar show.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Civil {
    pub year: u32,
    /// From 1.
    pub month: u32,
    /// From 1.
    pub day: u32,
    pub hour: u32,
    pub minute: u32,
    pub weekday: Weekday,
}

/// Days of the week.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Weekday {
    Monday,
    Tuesday,
    Wednesday,
    Thursday,
    Friday,
    Saturday,
    Sunday,
}

impl Weekday {
    /// 1970-01-01 was a Thursday.
    #[inline(always)]
    const fn after_thursday(days: u64) -> Self {
        match days % 7 {
            0 => Self::Thursday,
            1 => Self::Friday,
            2 => Self::Saturday,
            3 => Self::Sunday,
            4 => Self::Monday,
            5 => Self::Tuesday,
            _ => Self::Wednesday,
        }
    }

    /// Whether it is Saturday or Sunday.
    #[must_use]
    #[inline(always)]
    pub const fn is_weekend(self) -> bool {
        matches!(self, Self::Saturday | Self::Sunday)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(seconds: u64) -> (u32, u32, u32, u32, u32, Weekday) {
        let civil = Time(seconds * 1000).utc();
        (civil.year, civil.month, civil.day, civil.hour, civil.minute, civil.weekday)
    }

    #[test]
    fn the_calendar_is_that_of_everyone() {
        // As `date -u -d @N` shows them.
        assert_eq!(shown(0), (1970, 1, 1, 0, 0, Weekday::Thursday));
        assert_eq!(shown(951_782_399), (2000, 2, 28, 23, 59, Weekday::Monday));
        assert_eq!(shown(951_782_400), (2000, 2, 29, 0, 0, Weekday::Tuesday));
        assert_eq!(shown(1_785_542_400), (2026, 8, 1, 0, 0, Weekday::Saturday));
        assert_eq!(shown(4_107_542_399), (2100, 2, 28, 23, 59, Weekday::Sunday));
        assert_eq!(shown(4_107_542_400), (2100, 3, 1, 0, 0, Weekday::Monday));
    }

    #[test]
    fn an_offset_moves_the_day() {
        let new_year = Time(1_798_758_000_000); // 2026-12-31T23:00:00Z
        assert_eq!((new_year.utc().year, new_year.utc().hour), (2026, 23));
        assert_eq!((new_year.at(60).year, new_year.at(60).day, new_year.at(60).hour), (2027, 1, 0));
        assert_eq!(new_year.at(-5 * 60 - 30).minute, 30);
    }
}
