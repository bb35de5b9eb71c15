//! A Jetson's CSV files: total, in order, and entries read as they are written.

use host::tegra::csv::{Kind, parse};

/// The bytes of such a file.
pub fn csv(input: &[u8]) {
    let Ok(sheet) = parse(input) else { return };
    let lines = input.split(|byte| *byte == b'\n').count();
    assert!(sheet.entries.len() + sheet.skipped.len() <= lines);
    assert!(sheet.entries.is_sorted_by(|a, b| a.line < b.line) && sheet.skipped.is_sorted_by(|a, b| a.line < b.line));
    assert!(sheet.entries.iter().all(|entry| (1..=lines).contains(&entry.line)));
    assert_eq!(Kind::ALL.into_iter().map(|kind| sheet.count(kind)).sum::<usize>(), sheet.entries.len());
    let written: String = sheet.entries.iter().map(|entry| format!("{entry}\n")).collect();
    // A blank after the comma may be new, and the file too large for it.
    let Ok(again) = parse(written.as_bytes()) else { return };
    assert!(again.skipped.is_empty());
    assert!(
        again
            .entries
            .iter()
            .map(|entry| (entry.kind, &entry.path))
            .eq(sheet.entries.iter().map(|entry| (entry.kind, &entry.path)))
    );
}
