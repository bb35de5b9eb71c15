//! Driver versions: in the kernel's words, in file names, and which of several is meant.

use std::cmp::Ordering;

/// The version of the loaded kernel module, from the text of `/proc/driver/nvidia/version`. Both modules write it after
/// their name: `… Kernel Module  550.54.14  Thu …` and `… Open Kernel Module for x86_64  550.54.14  Release Build …`.
pub fn of_kernel(text: &str) -> Option<&str> {
    let line = text.lines().find(|line| line.starts_with("NVRM version:"))?;
    line.split_ascii_whitespace().find(|word| is_driver(word))
}

/// Has the form of a driver version, `550.54.14` or `550.90`. Two-digit series ended before there were containers, and
/// `1.1` is what WSL and Tegra call their `libcuda.so.1.1`, which is no version.
pub(crate) fn is_driver(text: &str) -> bool {
    // First what refuses most of the names in a library folder.
    let two_digits = text.as_bytes().first_chunk::<2>().is_some_and(|start| start.iter().all(u8::is_ascii_digit));
    two_digits && is_numeric(text) && (2..=4).contains(&text.split('.').count())
}

/// Numbers separated by single dots.
pub(crate) fn is_numeric(text: &str) -> bool {
    text.split('.').all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Compares number by number: 550.9 is older than 550.54, and 550 than 550.0.
pub(crate) fn compare(a: &str, b: &str) -> Ordering {
    let number = |part: &str| part.trim_start_matches('0').to_owned();
    let key = |text: &str| text.split('.').map(number).map(|part| (part.len(), part)).collect::<Vec<_>>();
    key(a).cmp(&key(b))
}

/// The version to use: the loaded module's if files of it are installed, else the newest with a libcuda, else the
/// newest with a libnvidia-ml.
pub(crate) fn choose<'a>(kernel: Option<&str>, cuda: &[&'a str], nvml: &[&'a str]) -> Option<&'a str> {
    let newest = |list: &[&'a str]| list.iter().copied().max_by(|a, b| compare(a, b));
    let loaded = cuda.iter().chain(nvml).copied().find(|version| Some(*version) == kernel);
    loaded.or_else(|| newest(cuda)).or_else(|| newest(nvml))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_the_kernels_words() {
        for (text, want) in [
            (
                "NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.14  Thu Feb 22 01:44:30 UTC 2024\nGCC version:  gcc version 12.2.0\n",
                Some("550.54.14"),
            ),
            (
                "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.105.08  Release Build  (dvs-builder@U22)  Wed\n",
                Some("580.105.08"),
            ),
            ("NVRM version: NVIDIA UNIX Open Kernel Module for aarch64  535.161  Release\n", Some("535.161")),
            ("NVRM version: nothing here\n", None),
            ("GCC version:  gcc version 12.2.0\n", None),
            ("", None),
        ] {
            assert_eq!(of_kernel(text), want, "{text}");
        }
    }

    #[test]
    fn compares_by_number() {
        for (a, b) in [("550.9", "550.54"), ("550.54.14", "550.90.07"), ("99.1", "550.1"), ("550.54", "550.54.1")] {
            assert_eq!(compare(a, b), Ordering::Less, "{a} {b}");
        }
        assert_eq!(compare("580.05", "580.5"), Ordering::Equal);
    }

    #[test]
    fn the_loaded_version_wins_then_the_newest() {
        let (cuda, nvml) = (["550.9", "550.54.14"], ["535.1", "550.9"]);
        assert_eq!(choose(Some("550.9"), &cuda, &nvml), Some("550.9"));
        assert_eq!(choose(Some("535.1"), &cuda, &nvml), Some("535.1"));
        assert_eq!(choose(Some("999.1"), &cuda, &nvml), Some("550.54.14"));
        assert_eq!(choose(None, &[], &nvml), Some("550.9"));
        assert_eq!(choose(Some("550.9"), &[], &[]), None);
    }

    proptest! {
        #[test]
        fn never_panics(text in ".{0,200}", other in ".{0,40}") {
            let _ = (of_kernel(&text), compare(&text, &other), is_driver(&text));
        }
    }
}
