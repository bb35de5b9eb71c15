//! `--explain`: each part of a specification with the reason for it.

use crate::{fault::Result, stdout};
use cdi::Hook;
use plan::{Because, Reason, SpecEdits, spec::Draft};

/// A row of the table: for which device (by its first name), what kind of part, what, from where on the host (`=`: from
/// the same path), by which rule, asked by whom.
type Row = [String; 6];

const TITLE: [&str; 6] = ["DEVICE", "PART", "WHAT", "FROM", "WHY", "ASKED BY"];

/// Prints the table.
pub fn print(draft: &Draft) -> Result<()> {
    stdout::print(table(draft))
}

/// First what is done for every device, then what for each; in columns.
fn table(draft: &Draft) -> String {
    let mut rows = vec![TITLE.map(str::to_owned)];
    rows.extend(edits("every", &draft.common));
    for device in &draft.devices {
        rows.extend(edits(device.names.first().map_or("", String::as_str), &device.edits));
    }
    columns(&rows)
}

fn edits(device: &str, edits: &SpecEdits) -> Vec<Row> {
    let mut rows = Vec::new();
    let mut add = |part: &str, what: &str, from: &str, reason: &Reason| {
        let from = if from == what { "=" } else { from };
        rows.push([device, part, what, from, &reason.rule, &reason.request].map(str::to_owned));
    };
    for Because { what, reason } in &edits.env {
        add("env", what, "", reason);
    }
    for Because { what, reason } in &edits.devices {
        add("node", &what.path, what.host_path.as_deref().unwrap_or(&what.path), reason);
    }
    for Because { what, reason } in &edits.gids {
        add("group", &what.to_string(), "", reason);
    }
    for Because { what, reason } in &edits.hooks {
        add("hook", &summary(what), &what.path, reason);
    }
    let mut mounts: Vec<_> = edits.mounts.iter().collect();
    mounts.sort_by(|a, b| a.what.container_path.cmp(&b.what.container_path));
    for Because { what, reason } in mounts {
        add("mount", &what.container_path, &what.host_path, reason);
    }
    rows
}

/// A hook by its name; of links it can have dozens, so they are counted.
fn summary(hook: &Hook) -> String {
    let (mut shown, mut links) = (Vec::new(), 0);
    let mut words = hook.args.iter().skip(1).map(String::as_str).filter(|word| *word != "hook");
    while let Some(word) = words.next() {
        if word == "--link" {
            words.next();
            links += 1;
        } else {
            shown.push(word);
        }
    }
    let shown = shown.join(" ");
    if links == 0 { shown } else { format!("{shown} ({links} links)") }
}

/// Every column as wide as its widest cell, the last one excepted.
fn columns(rows: &[Row]) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<_> = (0..TITLE.len()).map(width).collect();
    let line = |row: &Row| {
        let cells = row.iter().zip(&widths).map(|(cell, &width)| format!("{cell:width$}"));
        format!("{}\n", cells.collect::<Vec<_>>().join("  ").trim_end())
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_whatever_is_in_them() {
        let row = |cells: [&str; 6]| cells.map(str::to_owned);
        let rows =
            [row(TITLE), row(["every", "env", "A=ä", "", "why", "x"]), row(["0 GPU-1", "node", "/n", "/n", "", ""])];
        expect_test::expect![[r"
            DEVICE   PART  WHAT  FROM  WHY  ASKED BY
            every    env   A=ä         why  x
            0 GPU-1  node  /n    /n
        "]]
        .assert_eq(&columns(&rows));
    }

    #[test]
    fn hooks_are_named_and_their_links_counted() {
        let hook = |args: &[&str]| Hook { args: args.iter().map(|&arg| arg.to_owned()).collect(), ..Hook::default() };
        for (args, want) in [
            (
                &["nvidia-ctk", "hook", "create-symlinks", "--link", "a::b", "--link", "c::d"][..],
                "create-symlinks (2 links)",
            ),
            (&["nvidia-cdi-hook", "update-ldcache", "--folder", "/usr/lib64"], "update-ldcache --folder /usr/lib64"),
            (
                &["nvidia-cdi-hook", "jobs", "create-symlinks", "--link", "a::b", "chmod", "--mode", "755"],
                "jobs create-symlinks chmod --mode 755 (1 links)",
            ),
        ] {
            assert_eq!(summary(&hook(args)), want);
        }
    }
}
