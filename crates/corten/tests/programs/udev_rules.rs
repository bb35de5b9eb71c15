//! The udev rules, read by a small reader of our own (udev(7)), since udev's is not everywhere, and tried on events.

use std::{collections::BTreeMap, fs, path::Path};

/// `KEY{attribute}` or `KEY`, operator, value.
type Term = (String, String, String);

fn rules() -> Vec<Vec<Term>> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../packaging/udev/99-nvidia-cdi-refresh.rules");
    let text = fs::read_to_string(file).unwrap();
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(|line| line.split("\", ").map(term).collect()).collect()
}

fn term(text: &str) -> Term {
    let (left, value) = text.trim_end_matches('"').split_once('"').expect(text);
    let operator = ["==", "!=", "+=", "="].into_iter().find(|operator| left.ends_with(operator)).expect(text);
    let key = left.trim_end_matches(operator).to_owned();
    let known =
        ["ACTION", "SUBSYSTEM", "KERNEL", "DRIVERS", "TEST", "GOTO", "LABEL", "RUN", "ATTR{vendor}", "ATTR{class}"];
    assert!(known.contains(&key.as_str()) && !value.contains('"'), "{text}");
    (key, operator.to_owned(), value.to_owned())
}

/// The alternatives of a pattern, in each of which `*` stands for anything and `[0-9]` for a digit.
fn fits(pattern: &str, text: &str) -> bool {
    fn one(pattern: &[u8], text: &[u8]) -> bool {
        match pattern {
            [] => text.is_empty(),
            [b'*', rest @ ..] => (0..=text.len()).any(|skipped| one(rest, &text[skipped..])),
            [b'[', b'0', b'-', b'9', b']', rest @ ..] => {
                text.first().is_some_and(u8::is_ascii_digit) && one(rest, &text[1..])
            }
            [letter, rest @ ..] => text.first() == Some(letter) && one(rest, &text[1..]),
        }
    }
    pattern.split('|').any(|pattern| one(pattern.as_bytes(), text.as_bytes()))
}

/// The programs that an event runs.
fn runs(event: &[(&str, &str)]) -> Vec<String> {
    let event: BTreeMap<_, _> = event.iter().copied().collect();
    let mut programs = Vec::new();
    let mut skipping_to: Option<String> = None;
    for rule in rules() {
        if let Some(label) = &skipping_to {
            if !rule.iter().any(|(key, _, value)| key == "LABEL" && value == label) {
                continue;
            }
            skipping_to = None;
        }
        let met = rule.iter().all(|(key, operator, value)| {
            let found = event.get(key.as_str()).copied().unwrap_or_default();
            match operator.as_str() {
                "==" => fits(value, found),
                "!=" => !fits(value, found),
                _ => true,
            }
        });
        for (key, operator, value) in rule.iter().filter(|_| met) {
            match (key.as_str(), operator.as_str()) {
                ("GOTO", "=") => skipping_to = Some(value.clone()),
                ("RUN", "+=") => programs.push(value.clone()),
                _ => {}
            }
        }
    }
    assert_eq!(skipping_to, None, "a label is missing");
    programs
}

#[test]
fn what_concerns_the_driver_starts_a_refresh_and_nothing_else_does() {
    let systemd = ("TEST", "/run/systemd/system");
    let gpu = [("SUBSYSTEM", "pci"), ("KERNEL", "0000:07:00.0"), ("ATTR{vendor}", "0x10de"), systemd];
    let with = |own: &[(&'static str, &'static str)], common: &[(&'static str, &'static str)]| [own, common].concat();
    for (event, want) in [
        (vec![("ACTION", "add"), ("SUBSYSTEM", "module"), ("KERNEL", "nvidia"), systemd], true),
        (vec![("ACTION", "add"), ("SUBSYSTEM", "module"), ("KERNEL", "nvidia_current"), systemd], true),
        (vec![("ACTION", "add"), ("SUBSYSTEM", "module"), ("KERNEL", "nvidia_uvm"), systemd], true),
        (vec![("ACTION", "remove"), ("SUBSYSTEM", "module"), ("KERNEL", "nvidia"), systemd], true),
        (vec![("ACTION", "add"), ("SUBSYSTEM", "module"), ("KERNEL", "nvidia")], false),
        (vec![("ACTION", "add"), ("SUBSYSTEM", "module"), ("KERNEL", "ext4"), systemd], false),
        (vec![("ACTION", "change"), ("SUBSYSTEM", "module"), ("KERNEL", "nvidia"), systemd], false),
        (with(&[("ACTION", "bind"), ("ATTR{class}", "0x030200")], &gpu), true),
        (with(&[("ACTION", "unbind"), ("ATTR{class}", "0x030000")], &gpu), true),
        (with(&[("ACTION", "add"), ("ATTR{class}", "0x030000")], &gpu), false),
        (with(&[("ACTION", "bind"), ("ATTR{class}", "0x040300")], &gpu), false),
        (
            vec![
                ("ACTION", "bind"),
                ("SUBSYSTEM", "pci"),
                ("ATTR{vendor}", "0x8086"),
                ("ATTR{class}", "0x030000"),
                systemd,
            ],
            false,
        ),
        (vec![("ACTION", "add"), ("SUBSYSTEM", "drm"), ("KERNEL", "renderD129"), ("DRIVERS", "nvidia"), systemd], true),
        (vec![("ACTION", "add"), ("SUBSYSTEM", "drm"), ("KERNEL", "card0"), ("DRIVERS", "i915"), systemd], false),
        (
            vec![("ACTION", "add"), ("SUBSYSTEM", "drm"), ("KERNEL", "card0-HDMI-A-1"), ("DRIVERS", "i915"), systemd],
            false,
        ),
    ] {
        let run = "/usr/bin/systemctl --no-block restart nvidia-cdi-refresh.service";
        assert_eq!(runs(&event), if want { vec![run] } else { vec![] }, "{event:?}");
    }
}
