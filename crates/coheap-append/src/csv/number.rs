//! Numbers, dates and times as pandas and Python write them.
//!
//! What always holds: a float is written with the fewest digits that give it back; with an exponent
//! from 1e16 on and below 1e-4, of two digits or more.
//!
//! Not here: quotes (`rows`), and time zones, which the faces know.

use std::fmt::Write as _;

/// Writes a float.
pub fn write_f64(out: &mut String, value: f64) {
    if !value.is_finite() {
        return write_infinite(out, value);
    }
    let mut buffer = ryu::Buffer::new();
    let digits = buffer.format_finite(value);
    let size = value.abs();
    // Where ryu and Python agree.
    if (1e-4..1e16).contains(&size) || size == 0.0 {
        out.push_str(digits);
    } else {
        write_digits(out, digits);
    }
}

/// Writes a float of four bytes.
pub fn write_f32(out: &mut String, value: f32) {
    if !value.is_finite() {
        return write_infinite(out, f64::from(value));
    }
    write_digits(out, ryu::Buffer::new().format_finite(value));
}

fn write_infinite(out: &mut String, value: f64) {
    out.push_str(match value {
        f64::INFINITY => "inf",
        f64::NEG_INFINITY => "-inf",
        _ => "nan",
    });
}

/// Writes what ryu says, laid out as Python does.
fn write_digits(out: &mut String, said: &str) {
    let (mantissa, exponent) = said.split_once('e').unwrap_or((said, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let unsigned = mantissa.strip_prefix('-').unwrap_or(mantissa);
    if unsigned.len() < mantissa.len() {
        out.push('-');
    }
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
    let all: String = [whole, fraction].concat();
    let leading = all.len() - all.trim_start_matches('0').len();
    let digits = all.trim_matches('0');
    if digits.is_empty() {
        return out.push_str("0.0");
    }
    // Where the point is, counted from the first digit.
    let point = whole.len() as i32 + exponent - leading as i32;
    let count = digits.len() as i32;
    if !(-3..=16).contains(&point) {
        out.push_str(&digits[..1]);
        if count > 1 {
            out.push('.');
            out.push_str(&digits[1..]);
        }
        let power = point - 1;
        let sign = if power < 0 { '-' } else { '+' };
        let _ = write!(out, "e{sign}{:02}", power.abs());
    } else if point <= 0 {
        out.push_str("0.");
        out.extend(std::iter::repeat_n('0', point.unsigned_abs() as usize));
        out.push_str(digits);
    } else if point >= count {
        out.push_str(digits);
        out.extend(std::iter::repeat_n('0', (point - count) as usize));
        out.push_str(".0");
    } else {
        out.push_str(&digits[..point as usize]);
        out.push('.');
        out.push_str(&digits[point as usize..]);
    }
}

/// How much of the fractions of seconds is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Precision {
    /// The date only.
    Day,
    /// No fraction.
    Second,
    /// Three digits.
    Millisecond,
    /// Six digits.
    Microsecond,
    /// Nine digits.
    Nanosecond,
}

impl Precision {
    /// Returns what one moment needs: nanoseconds since 1970, as a second and what is beyond.
    pub fn of(second: i64, nanosecond: u32) -> Self {
        match nanosecond {
            0 if second.rem_euclid(86_400) == 0 => Self::Day,
            0 => Self::Second,
            more if more % 1_000_000 == 0 => Self::Millisecond,
            more if more % 1_000 == 0 => Self::Microsecond,
            _ => Self::Nanosecond,
        }
    }
}

/// Writes an integer.
#[inline]
pub fn write_integer<T: itoa::Integer>(out: &mut String, value: T) {
    out.push_str(itoa::Buffer::new().format(value));
}

/// Writes a number with this many digits at least.
#[inline]
fn write_padded(out: &mut String, value: u32, digits: usize) {
    let mut buffer = itoa::Buffer::new();
    let said = buffer.format(value);
    for _ in said.len()..digits {
        out.push('0');
    }
    out.push_str(said);
}

/// Writes a date, counted in days since 1970.
pub fn write_date(out: &mut String, days: i64) {
    let (year, month, day) = civil(days);
    write_integer(out, year);
    write_month_and_day(out, month, day);
}

/// Writes a year of four digits, a month and a day.
pub fn write_year_month_day(out: &mut String, [year, month, day]: [u32; 3]) {
    write_padded(out, year, 4);
    write_month_and_day(out, month, day);
}

fn write_month_and_day(out: &mut String, month: u32, day: u32) {
    out.push('-');
    write_padded(out, month, 2);
    out.push('-');
    write_padded(out, day, 2);
}

/// Writes a moment: seconds since 1970, and nanoseconds beyond.
pub fn write_moment(out: &mut String, second: i64, nanosecond: u32, precision: Precision) {
    write_date(out, second.div_euclid(86_400));
    if precision > Precision::Day {
        out.push(' ');
        write_time(out, second.rem_euclid(86_400), nanosecond, precision);
    }
}

/// Writes a time of day: seconds, and nanoseconds beyond.
pub fn write_time(out: &mut String, second: i64, nanosecond: u32, precision: Precision) {
    let second = u32::try_from(second).unwrap_or(0);
    write_padded(out, second / 3600, 2);
    out.push(':');
    write_padded(out, second / 60 % 60, 2);
    out.push(':');
    write_padded(out, second % 60, 2);
    let (fraction, digits) = match precision {
        Precision::Day | Precision::Second => return,
        Precision::Millisecond => (nanosecond / 1_000_000, 3),
        Precision::Microsecond => (nanosecond / 1_000, 6),
        Precision::Nanosecond => (nanosecond, 9),
    };
    out.push('.');
    write_padded(out, fraction, digits);
}

/// Returns year, month and day of a number of days since 1970, in the calendar of today.
fn civil(days: i64) -> (i64, u32, u32) {
    // Years that begin in March, in eras of 400.
    let shifted = days.saturating_add(719_468);
    let (era, day_of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let part = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * part + 2) / 5 + 1;
    let month = if part < 10 { part + 3 } else { part - 9 };
    (era * 400 + year_of_era + i64::from(month <= 2), month as u32, day as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl Fn(&mut String)) -> String {
        let mut out = String::new();
        write(&mut out);
        out
    }

    #[test]
    fn floats_are_laid_out_as_python_does() {
        for (value, said) in [
            (0.0, "0.0"),
            (-0.0, "-0.0"),
            (1.0, "1.0"),
            (0.1, "0.1"),
            (1e15, "1000000000000000.0"),
            (1e16, "1e+16"),
            (1.5e300, "1.5e+300"),
            (0.0001, "0.0001"),
            (0.000_012_34, "1.234e-05"),
            (-5e-324, "-5e-324"),
            (123_456.789, "123456.789"),
            (f64::INFINITY, "inf"),
        ] {
            assert_eq!(written(|out| write_f64(out, value)), said);
        }
        assert_eq!(written(|out| write_f32(out, 0.1)), "0.1");
        assert_eq!(written(|out| write_f32(out, 16_777_216.0)), "16777216.0");
        assert_eq!(written(|out| write_f32(out, 1e-5)), "1e-05");
        assert_eq!(written(|out| write_f32(out, 0.0)), "0.0");
    }

    #[test]
    fn days_are_those_of_the_calendar() {
        for (days, said) in
            [(0, "1970-01-01"), (-1, "1969-12-31"), (11_016, "2000-02-29"), (20_787, "2026-11-30")]
        {
            assert_eq!(written(|out| write_date(out, days)), said);
        }
        let moment = written(|out| write_moment(out, -1, 5_000, Precision::Nanosecond));
        assert_eq!(moment, "1969-12-31 23:59:59.000005000");
    }
}
