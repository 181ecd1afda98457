//! Amounts as people read them.

use std::time::Duration;

/// Units of 1024.
const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];

/// The unit in which this many bytes have at most three digits.
fn unit_of(bytes: f64) -> usize {
    let mut value = bytes;
    let fits = |unit: &usize| {
        let fits = value < 999.5;
        if *unit + 1 < UNITS.len() && !fits {
            value /= 1024.0;
        }
        fits
    };
    (0..UNITS.len()).find(fits).unwrap_or(UNITS.len() - 1)
}

fn number(bytes: f64, unit: usize) -> String {
    let value = (0..unit).fold(bytes, |value, _| value / 1024.0);
    if unit == 0 || value >= 99.95 { format!("{value:.0}") } else { format!("{value:.1}") }
}

/// `38.8 KiB`.
pub(super) fn bytes(bytes: f64) -> String {
    let unit = unit_of(bytes);
    format!("{} {}", number(bytes, unit), UNITS[unit])
}

/// `1.2 of 4.0 GiB`, both in the unit of the whole.
pub(super) fn bytes_of(part: f64, whole: f64) -> String {
    let unit = unit_of(whole);
    format!("{} of {} {}", number(part, unit), number(whole, unit), UNITS[unit])
}

/// What `5M` or `1.5G` means in bytes, with units of 1024 in either case; without a unit, bytes.
pub(super) fn parse_bytes(text: &str) -> Option<u64> {
    let units = [('k', 1), ('m', 2), ('g', 3), ('t', 4)];
    let unit = units.into_iter().find(|(unit, _)| text.ends_with([*unit, unit.to_ascii_uppercase()]));
    let (number, power) = unit.map_or((text, 0), |(_, power)| (&text[..text.len() - 1], power));
    let is_number = number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let bytes = number.parse::<f64>().ok().filter(|_| is_number)? * 1024_f64.powi(power);
    (bytes < u64::MAX as f64).then_some(bytes as u64)
}

/// `42 s`, `3:05 min`, `2:10 h`.
pub(super) fn seconds(seconds: f64) -> String {
    let seconds = seconds.ceil() as u64;
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{}:{:02} min", seconds / 60, seconds % 60),
        _ => format!("{}:{:02} h", seconds / 3600, seconds % 3600 / 60),
    }
}

/// About how long: `90 s`, `5 min`, `3 h`, `12 days`, `56 years`.
pub(super) fn span(time: Duration) -> String {
    const UNITS: [(u64, &str); 4] = [(365 * 86400, "years"), (86400, "days"), (3600, "h"), (60, "min")];
    let seconds = time.as_secs();
    let unit = UNITS.iter().find(|(unit, _)| seconds >= 2 * unit);
    unit.map_or_else(|| format!("{seconds} s"), |(unit, name)| format!("{} {name}", seconds / unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_read_with_units_of_1024() {
        for (text, bytes) in
            [("0", 0), ("700", 700), ("10K", 10_240), ("5m", 5 << 20), ("1.5G", 3 << 29), ("2T", 2 << 40)]
        {
            assert_eq!(parse_bytes(text), Some(bytes), "{text}");
        }
        for text in [
            "",
            "K",
            "5MB",
            "5 M",
            "-1",
            "+1",
            "1e9",
            "inf",
            "NaN",
            "0x10",
            "1..2",
            ".",
            "9999999999999999T",
            "\u{fc}",
        ] {
            assert_eq!(parse_bytes(text), None, "{text}");
        }
    }

    #[test]
    fn sizes_have_three_digits_or_one_decimal() {
        let sizes = [
            (0.0, "0 B"),
            (999.0, "999 B"),
            (1000.0, "1.0 KiB"),
            (39_781.0, "38.8 KiB"),
            (102_348.0, "99.9 KiB"),
            (102_399.0, "100 KiB"),
            (1_048_575.0, "1.0 MiB"),
            (4.0 * 1024.0 * 1024.0 * 1024.0, "4.0 GiB"),
            (5000.0 * 1024f64.powi(4), "5000 TiB"),
        ];
        for (size, text) in sizes {
            assert_eq!(bytes(size), text);
        }
        assert_eq!(bytes_of(300.0 * 1024.0 * 1024.0, 4.0 * 1024f64.powi(3)), "0.3 of 4.0 GiB");
        assert_eq!(bytes_of(12.0, 500.0), "12 of 500 B");
    }

    #[test]
    fn a_span_has_one_unit() {
        let spans =
            [(61, "61 s"), (300, "5 min"), (119 * 60, "119 min"), (7200, "2 h"), (3 * 86400, "3 days")];
        for (seconds, text) in spans {
            assert_eq!(span(Duration::from_secs(seconds)), text);
        }
        assert_eq!(span(Duration::from_millis(1_790_000_000_000)), "56 years");
    }

    #[test]
    fn times_are_in_the_unit_that_counts() {
        assert_eq!(seconds(0.2), "1 s");
        assert_eq!(seconds(198.0), "3:18 min");
        assert_eq!(seconds(7801.0), "2:10 h");
    }
}
