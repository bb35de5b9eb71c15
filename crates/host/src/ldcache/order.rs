//! The order of names in the cache, which the loader's binary search relies on.

use std::cmp::Ordering;
use std::ffi::c_char;

/// Compares two names as glibc does: runs of digits as numbers, everything else byte by byte, a digit after anything
/// that is not one. `libz.so.9` < `libz.so.10`. The file holds names in *descending* order.
///
/// Numbers are C `int`s that wrap and bytes are C `char`s, because they are for the loader. It subtracts numbers, and the
/// difference of two can wrap as well, so that of three numbers near the ends of the range each may be less than another. No
/// order can be made of that, and what sorts by it may panic; so numbers are compared here. A loader finds names with such
/// numbers or does not, in any order.
pub fn compare_names(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (a.as_bytes(), b.as_bytes());
    loop {
        match (first(a), first(b)) {
            (0, 0) => return Ordering::Equal,
            (x, y) if x.is_ascii_digit() && y.is_ascii_digit() => match number(&mut a).cmp(&number(&mut b)) {
                Ordering::Equal => {}
                order => return order,
            },
            (x, y) if x.is_ascii_digit() != y.is_ascii_digit() && x != 0 => {
                return x.is_ascii_digit().cmp(&y.is_ascii_digit());
            }
            (x, y) if x != y => return (x as c_char).cmp(&(y as c_char)),
            _ => (a, b) = (&a[1..], &b[1..]),
        }
    }
}

/// The first byte; 0 at the end, as in C.
fn first(text: &[u8]) -> u8 {
    text.first().copied().unwrap_or(0)
}

/// Takes the digits at the front of `text`.
fn number(text: &mut &[u8]) -> i32 {
    let mut value = 0i32;
    while let [digit @ b'0'..=b'9', rest @ ..] = *text {
        value = value.wrapping_mul(10).wrapping_add(i32::from(digit - b'0'));
        *text = rest;
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_numbers() {
        // Each is before the next.
        let ascending = [
            "",
            "lib",
            "liba",
            "libz",
            "libz.so",
            "libz.so.1",
            "libz.so.9",
            "libz.so.10",
            "libz.so.10.1",
            "libz.soa",
            "libzstd.so.1",
            "libz3.so",
            "libz3.so.4",
            "libz20",
        ];
        for (i, a) in ascending.iter().enumerate() {
            for (j, b) in ascending.iter().enumerate() {
                assert_eq!(compare_names(a, b), i.cmp(&j), "{a} {b}");
            }
        }
    }

    #[test]
    fn leading_zeros_do_not_count() {
        assert_eq!(compare_names("lib.so.01", "lib.so.1"), Ordering::Equal);
    }

    #[test]
    fn it_is_an_order_for_numbers_of_any_size() {
        let numbers = ["0", "1", "2147483647", "2147483648", "3000000000", "4294967295", "9999999999"];
        for a in numbers {
            for b in numbers {
                assert_eq!(compare_names(a, b), compare_names(b, a).reverse(), "{a} {b}");
                for c in numbers.into_iter().filter(|c| compare_names(b, c).is_lt()) {
                    assert!(compare_names(a, b).is_ge() || compare_names(a, c).is_lt(), "{a} < {b} < {c}");
                }
            }
        }
    }

    #[test]
    fn no_number_is_too_long() {
        let _ = compare_names(&format!("lib{}", "9".repeat(100)), &format!("lib{}", "8".repeat(99)));
    }
}
