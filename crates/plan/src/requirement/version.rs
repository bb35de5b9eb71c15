//! Versions as requirements compare them: `12`, `12.4`, `550.54.14`, `v12.4-rc1+x`.

use std::cmp::Ordering;

/// Longest version that is one.
const MAX: usize = 256;

/// A version. Two are equal when their numbers are, trailing zeros aside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Version {
    numbers: Vec<u64>,
    /// It is only on the way to these numbers. Machines do not report such versions, so which one does not matter.
    pre_release: bool,
}

impl Version {
    pub(crate) fn parse(text: &str) -> Option<Version> {
        if text.len() > MAX {
            return None;
        }
        let (text, build) = split(text.strip_prefix('v').unwrap_or(text), '+');
        let (numbers, pre_release) = split(text, '-');
        let well_formed = build.is_none_or(is_dotted) && pre_release.is_none_or(is_pre_release);
        let mut numbers = numbers.split('.').map(number).collect::<Option<Vec<_>>>().filter(|_| well_formed)?;
        while numbers.len() > 1 && numbers.ends_with(&[0]) {
            numbers.pop();
        }
        Some(Version { numbers, pre_release: pre_release.is_some() })
    }

    /// The first number: of a driver, its series.
    pub(crate) fn major(&self) -> u64 {
        self.numbers.first().copied().unwrap_or(0)
    }

    pub(crate) fn cmp(&self, other: &Version) -> Ordering {
        let len = self.numbers.len().max(other.numbers.len());
        let at = |version: &Version, i: usize| version.numbers.get(i).copied().unwrap_or(0);
        (0..len)
            .map(|i| at(self, i).cmp(&at(other, i)))
            .find(|order| order.is_ne())
            .unwrap_or_else(|| other.pre_release.cmp(&self.pre_release))
    }
}

fn split(text: &str, at: char) -> (&str, Option<&str>) {
    text.split_once(at).map_or((text, None), |(before, after)| (before, Some(after)))
}

fn number(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

fn is_dotted(text: &str) -> bool {
    text.split('.')
        .all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-'))
}

fn is_pre_release(text: &str) -> bool {
    let padded = |part: &str| part.len() > 1 && part.starts_with('0') && number(part).is_some();
    is_dotted(text) && !text.split('.').any(padded)
}

/// Major and minor of a `CUDA_VERSION`: `8.0.61` is 8.0, `12` is 12.0, `v9.1-foo+bar` is 9.1.
pub(crate) fn leading_version(text: &str) -> Option<(u64, u64)> {
    let version = Version::parse(text)?;
    Some((version.numbers[0], version.numbers.get(1).copied().unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order() {
        for (a, order, b) in [
            ("12.4", Ordering::Equal, "12.4.0"),
            ("550.54.14", Ordering::Greater, "550.54"),
            ("9", Ordering::Less, "10"),
            ("12.4", Ordering::Greater, "12.4-rc1"),
            ("12.4-rc1", Ordering::Greater, "12.3"),
            ("012.04", Ordering::Equal, "v12.4+x"),
            ("0", Ordering::Equal, "0.0.0"),
            ("1.2.3.4.5", Ordering::Less, "1.2.3.4.6"),
        ] {
            let version = |text| Version::parse(text).expect(text);
            assert_eq!(version(a).cmp(&version(b)), order, "{a} {b}");
        }
    }

    #[test]
    fn not_versions() {
        let long = format!("1{}", ".1".repeat(128));
        for text in
            ["", ".", "1.", ".1", "12.x", " 12", "12 ", "-1", "12-", "12+", "12-01", "12-a..b", "v", "vv1", &long]
        {
            assert_eq!(Version::parse(text), None, "{text}");
        }
    }

    #[test]
    fn cuda_versions() {
        for (text, want) in [
            ("8.0.61", Some((8, 0))),
            ("12", Some((12, 0))),
            ("v9.1-foo+bar", Some((9, 1))),
            ("09.02.1", Some((9, 2))),
            ("9.1.105.3", Some((9, 1))),
            ("abc", None),
        ] {
            assert_eq!(leading_version(text), want, "{text}");
        }
    }
}
