//! What a plain scalar means in YAML 1.1, as the original's parser takes it (crates.md 1.5).
//!
//! Reading needs it to tell numbers from text; writing needs it to know which texts must be quoted to stay texts.

/// A plain scalar's meaning.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Scalar {
    /// Nothing, `~` or `null`.
    Null,
    /// Also `yes`, `on`, `y` and their opposites.
    Bool(bool),
    /// Decimal, `0x`, `0o`, `0b`, or octal after a bare `0`, with `_` anywhere but in front.
    Integer(i128),
    /// Also an integer that has more than 64 bits.
    Float(f64),
    /// Text; also a date, which the original reads as text.
    Text,
}

/// The meaning of a scalar that is neither quoted nor tagged.
pub(crate) fn resolve(text: &str) -> Scalar {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Scalar::Null,
        "true" | "True" | "TRUE" | "y" | "Y" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" => return Scalar::Bool(true),
        "false" | "False" | "FALSE" | "n" | "N" | "no" | "No" | "NO" | "off" | "Off" | "OFF" => {
            return Scalar::Bool(false);
        }
        ".nan" | ".NaN" | ".NAN" => return Scalar::Float(f64::NAN),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => return Scalar::Float(f64::INFINITY),
        "-.inf" | "-.Inf" | "-.INF" => return Scalar::Float(f64::NEG_INFINITY),
        _ => {}
    }
    let is_number_like = text.starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c));
    if is_number_like && !is_timestamp(text) { number(text) } else { Scalar::Text }
}

/// Whether a text, written plain, is read as that text by readers of YAML 1.1 and 1.2 alike.
pub(crate) fn stays_text(text: &str) -> bool {
    resolve(text) == Scalar::Text && !is_timestamp(text) && !is_base_60(text) && !has_late_sign(text)
}

/// `0o-7` or `0b+1`, which the original's emitter takes for numbers.
fn has_late_sign(text: &str) -> bool {
    let (radix, signed) = match text.split_at_checked(2) {
        Some(("0o", signed)) => (8, signed),
        Some(("0b", signed)) => (2, signed),
        _ => return false,
    };
    signed.starts_with(['-', '+']) && i64::from_str_radix(&signed.replace('_', ""), radix).is_ok()
}

fn number(text: &str) -> Scalar {
    let bare = text.replace('_', "");
    // A number that begins with a point has no underscores.
    let floats = if text.starts_with('.') { text } else { &bare };
    if let Some(value) = integer(&bare) {
        return Scalar::Integer(value);
    }
    match is_float(floats).then(|| floats.parse()) {
        Some(Ok(value)) if f64::is_finite(value) => Scalar::Float(value),
        _ => Scalar::Text,
    }
}

/// An integer of at most 64 bits, in the range of `i64` or that of `u64`.
fn integer(text: &str) -> Option<i128> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let lower = digits.to_ascii_lowercase();
    let (radix, digits) = match lower.as_bytes() {
        [b'0', b'x', ..] => (16, &lower[2..]),
        [b'0', b'o', ..] => (8, &lower[2..]),
        [b'0', b'b', ..] => (2, &lower[2..]),
        [b'0', _, ..] => (8, &lower[1..]),
        _ => (10, lower.as_str()),
    };
    if !digits.starts_with(|c: char| c.is_digit(radix)) {
        return None;
    }
    let value = i128::from(u64::from_str_radix(digits, radix).ok()?);
    match negative {
        true => Some(-value).filter(|value| *value >= i128::from(i64::MIN)),
        false => Some(value),
    }
}

/// `[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?`
fn is_float(text: &str) -> bool {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (unsigned, None),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (mantissa, None),
    };
    let all_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let exponent_digits = exponent.map(|exponent| exponent.strip_prefix(['-', '+']).unwrap_or(exponent));
    let has_digits = !whole.is_empty() || fraction.is_some_and(|digits| !digits.is_empty());
    let is_exponent = |digits: &str| !digits.is_empty() && all_digits(digits);
    has_digits && all_digits(whole) && fraction.is_none_or(all_digits) && exponent_digits.is_none_or(is_exponent)
}

/// `[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?`, which YAML 1.1 reads as a number to the base 60.
fn is_base_60(text: &str) -> bool {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (places, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
    let mut places = places.split(':');
    let first = places.next().unwrap_or_default();
    let mut places = places.peekable();
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'_');
    let is_sixtieth = |place: &str| match place.as_bytes() {
        [ones] => ones.is_ascii_digit(),
        [tens, ones] => (b'0'..=b'5').contains(tens) && ones.is_ascii_digit(),
        _ => false,
    };
    first.starts_with(|c: char| c.is_ascii_digit())
        && digits(first)
        && digits(fraction)
        && places.peek().is_some()
        && places.all(is_sixtieth)
}

/// `2006-1-2`, alone or before a time after `t`, `T` or a blank. The original knows four forms of it.
fn is_timestamp(text: &str) -> bool {
    let (date, time) = match text.find(['t', 'T', ' ']) {
        Some(at) => (&text[..at], Some((&text[at..=at], &text[at + 1..]))),
        None => (text, None),
    };
    is_date(date)
        && match time {
            None => true,
            Some((" ", time)) => is_time(time),
            Some((_, time)) => split_zone(time).is_some_and(is_time),
        }
}

fn is_date(text: &str) -> bool {
    let mut parts = text.split('-');
    let (year, month, day) = (parts.next(), parts.next(), parts.next());
    let year = year.filter(|year| year.len() == 4).and_then(|year| whole(year, 4, 9999));
    let month = month.and_then(|month| whole(month, 2, 12)).filter(|month| *month > 0);
    let day = day.and_then(|day| whole(day, 2, 31)).filter(|day| *day > 0);
    let (Some(year), Some(month), Some(day), None) = (year, month, day, parts.next()) else { return false };
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    day <= match month {
        4 | 6 | 9 | 11 => 30,
        2 if is_leap => 29,
        2 => 28,
        _ => 31,
    }
}

/// `15:4:5`, with a fraction of a second or without.
fn is_time(text: &str) -> bool {
    let (clock, fraction) = match text.split_once('.') {
        Some((clock, fraction)) => (clock, Some(fraction)),
        None => (text, None),
    };
    let parts: Vec<&str> = clock.split(':').collect();
    let [hour, minute, second] = parts[..] else { return false };
    let is_fraction = |digits: &str| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    whole(hour, 2, 23).is_some()
        && whole(minute, 2, 59).is_some()
        && whole(second, 2, 59).is_some()
        && fraction.is_none_or(is_fraction)
}

/// What stands before `Z` or `+07:00`.
fn split_zone(text: &str) -> Option<&str> {
    if let Some(time) = text.strip_suffix('Z') {
        return Some(time);
    }
    let (time, zone) = text.split_at_checked(text.rfind(['+', '-'])?)?;
    let (hours, minutes) = zone[1..].split_once(':')?;
    (hours.len() == 2 && minutes.len() == 2 && whole(hours, 2, 24).is_some() && whole(minutes, 2, 60).is_some())
        .then_some(time)
}

/// A number of one to so many digits, and no larger than `most`.
fn whole(text: &str, digits: usize, most: u32) -> Option<u32> {
    let is_number = (1..=digits).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().ok()).flatten().filter(|value| *value <= most)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn scalars_mean_what_yaml_1_1_says() {
        let integers = [
            ("0666", 438),
            ("0o666", 438),
            ("0x1b6", 438),
            ("0b11", 3),
            ("-0b11", -3),
            ("1_000", 1000),
            ("+5", 5),
            ("0", 0),
            ("-9223372036854775808", i128::from(i64::MIN)),
            ("18446744073709551615", i128::from(u64::MAX)),
        ];
        for (text, value) in integers {
            assert_eq!(resolve(text), Scalar::Integer(value), "{text}");
        }
        let floats =
            [("08", 8.0), ("1e3", 1000.0), (".5", 0.5), ("1.", 1.0), ("18446744073709551616", 18446744073709551616.0)];
        for (text, value) in floats {
            assert_eq!(resolve(text), Scalar::Float(value), "{text}");
        }
        for text in ["yes", "on", "y", "True"] {
            assert_eq!(resolve(text), Scalar::Bool(true), "{text}");
        }
        for text in
            ["0.5.0", "2024-01-01", "0b12", "0x", "_1", "1:30", ".", "-", "+", "1e", "tRue", "nan", "--1", "+-1"]
        {
            assert_eq!(resolve(text), Scalar::Text, "{text}");
        }
        for text in ["", "~", "NULL"] {
            assert_eq!(resolve(text), Scalar::Null, "{text}");
        }
    }

    proptest! {
        #[test]
        fn arbitrary_text_never_panics(text in "\\PC{0,12}|[-+0-9.:eExob_tTZ ]{0,20}") {
            let _ = (resolve(&text), stays_text(&text));
        }
    }
}
