//! Names, bytes, numbers and times as text. Each has one spelling; readers reject every other one.

use base64ct::{Base64, Encoding};

/// For each byte, whether it is written as itself in a name.
const PLAIN: [bool; 256] = {
    let (mut plain, mut byte) = ([false; 256], 0);
    while byte < 256 {
        plain[byte] = matches!(byte as u8,
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' | b'@' | b'+');
        byte += 1;
    }
    plain
};

fn is_plain(name: &str) -> bool {
    name.bytes().all(|byte| PLAIN[usize::from(byte)])
}

/// Writes a name as one word: every byte except ASCII letters, digits and `-._~/@+` becomes `%XX`.
pub fn percent_encode(name: &str) -> String {
    if is_plain(name) {
        return name.to_owned();
    }
    let mut out = String::with_capacity(name.len());
    for byte in name.bytes() {
        if PLAIN[usize::from(byte)] {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// Reads what [`percent_encode`] wrote; `None` for another spelling, or if the name is not UTF-8.
pub fn percent_decode(word: &str) -> Option<String> {
    if is_plain(word) {
        return Some(word.to_owned());
    }
    let mut bytes = Vec::with_capacity(word.len());
    let mut rest = word.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        if first == b'%' {
            let (digits, tail) = tail.split_at_checked(2)?;
            bytes.push(u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?);
            rest = tail;
        } else {
            bytes.push(first);
            rest = tail;
        }
    }
    String::from_utf8(bytes).ok().filter(|name| percent_encode(name) == word)
}

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits.map(|digit| char::from(DIGITS[usize::from(digit)])).collect()
}

/// Reads `N` bytes in lower-case hexadecimal.
pub fn parse_hex<const N: usize>(word: &str) -> Option<[u8; N]> {
    if word.len() != 2 * N || !word.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
        return None;
    }
    let digit = |b: u8| if b.is_ascii_digit() { b - b'0' } else { b - b'a' + 10 };
    let mut out = [0; N];
    for (byte, pair) in out.iter_mut().zip(word.as_bytes().chunks_exact(2)) {
        *byte = digit(pair[0]) << 4 | digit(pair[1]);
    }
    Some(out)
}

/// Base64 with padding (RFC 4648, section 4).
pub fn base64_encode(bytes: &[u8]) -> String {
    Base64::encode_string(bytes)
}

/// Reads base64 with padding.
pub fn base64_decode(word: &str) -> Option<Vec<u8>> {
    Base64::decode_vec(word).ok()
}

/// Whether a text is one or more decimal digits and nothing else: no sign, no space.
pub fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Reads a decimal number without sign or leading zeros.
pub fn parse_number<T: std::str::FromStr>(word: &str) -> Option<T> {
    let canonical = is_digits(word) && (word == "0" || !word.starts_with('0'));
    word.parse().ok().filter(|_| canonical)
}

/// A time in seconds since 1970 UTC as `2026-11-22T12:00:00Z`. Years have at least four digits; those before year 0, which
/// is 1 BC, have a minus sign before them.
///
/// Days to civil date by the algorithm of Howard Hinnant, "chrono-Compatible Low-Level Date
/// Algorithms" (`civil_from_days`).
pub fn utc_text(seconds: i64) -> String {
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    let sign = if year < 0 { "-" } else { "" };
    let year = year.unsigned_abs();
    format!("{sign}{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_name_is_one_word_and_comes_back(name in any::<String>()) {
            let word = percent_encode(&name);
            prop_assert!(word.bytes().all(|b| b.is_ascii_graphic()));
            prop_assert_eq!(percent_decode(&word), Some(name));
        }

        #[test]
        fn any_word_is_read_or_refused(word in "[%a-f0-9A-F/ ]{0,12}") {
            if let Some(name) = percent_decode(&word) {
                prop_assert_eq!(percent_encode(&name), word);
            }
        }

        #[test]
        fn hexadecimal_comes_back(bytes in any::<[u8; 32]>()) {
            prop_assert_eq!(parse_hex(&hex(&bytes)), Some(bytes));
        }

        #[test]
        fn any_number_is_read_or_refused(number in any::<u64>(), word in "[-+0-9 ]{0,4}") {
            prop_assert_eq!(parse_number(&number.to_string()), Some(number));
            if let Some(number) = parse_number::<u64>(&word) {
                prop_assert_eq!(number.to_string(), word);
            }
        }
    }

    #[test]
    fn other_spellings_are_refused() {
        for word in ["%61", "%2f", "%", "%4", "a b", "%FF", "%+1"] {
            assert!(percent_decode(word).is_none(), "{word}");
        }
        assert!(parse_hex::<32>(&"A".repeat(64)).is_none());
        for word in ["", "01", "+1", "-1", "256"] {
            assert_eq!(parse_number::<u8>(word), None, "{word}");
        }
    }

    #[test]
    fn known_dates() {
        assert_eq!(utc_text(0), "1970-01-01T00:00:00Z");
        assert_eq!(utc_text(951_782_400), "2000-02-29T00:00:00Z");
        assert_eq!(utc_text(1_790_000_000), "2026-09-21T14:13:20Z");
        assert_eq!(utc_text(-1), "1969-12-31T23:59:59Z");
    }

    #[test]
    fn years_have_four_digits_or_more_and_those_before_year_0_a_sign() {
        for (seconds, text) in [
            (253_402_300_799, "9999-12-31T23:59:59Z"),
            (253_402_300_800, "10000-01-01T00:00:00Z"),
            (-62_135_596_800, "0001-01-01T00:00:00Z"),
            (-62_135_596_801, "0000-12-31T23:59:59Z"),
            (-62_167_219_200, "0000-01-01T00:00:00Z"),
            (-62_167_219_201, "-0001-12-31T23:59:59Z"),
            (-62_198_755_200, "-0001-01-01T00:00:00Z"),
            (-377_705_116_800, "-9999-01-01T00:00:00Z"),
            (-377_705_116_801, "-10000-12-31T23:59:59Z"),
            (i64::MIN, "-292277022657-01-27T08:29:52Z"),
            (i64::MAX, "292277026596-12-04T15:30:07Z"),
        ] {
            assert_eq!(utc_text(seconds), text);
        }
    }
}
