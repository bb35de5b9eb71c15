//! `nvidia-ctk cdi validate`: whether anybody's CDI specs are valid, and whether they are any good on this machine.
//!
//! What is found is data and goes to standard output, one line each; errors make the command fail, and with `--strict`
//! warnings do too.

mod files;

use super::flags::{Flag, Values};
use crate::{
    claims::ThisMachine,
    codes::Code,
    fault::{Fault, Result, one_line},
    machine, stdout,
};
use cdi::{Finding, Severity};
use files::Checked;
use host::Roots;
use serde::Serialize;
use std::{fmt::Write as _, path::PathBuf};

pub const FLAGS: &[Flag] = &[
    Flag::list("spec-dir", "NVIDIA_CTK_CDI_SPEC_DIRS", "folders to check where no file or folder is named")
        .by_default("/etc/cdi,/var/run/cdi"),
    Flag::switch("json", "", "print JSON: the files, and what was found"),
    Flag::switch("strict", "", "fail for warnings too"),
];

pub fn run(values: &Values) -> Result<()> {
    let host = ThisMachine { driver: host::loaded_version(&Roots::default()).ok().flatten() };
    let checked = match values.operands.as_slice() {
        [] => files::check_folders(&folders(values)?, &host),
        named => files::check_named(named.iter().map(PathBuf::from), &host),
    };
    let text = match values.is_set("json") {
        true => machine::to_json(&Listing::of(&checked)),
        false => lines(&checked),
    };
    stdout::print(text)?;
    verdict(&checked, values.is_set("strict"))
}

fn folders(values: &Values) -> Result<Vec<PathBuf>> {
    let folders: Vec<_> = values.list("spec-dir").into_iter().filter(|folder| !folder.is_empty()).collect();
    match folders.is_empty() {
        true => Err(Fault::new(Code::Usage, "at least one CDI specification directory must be specified")
            .next("Name a file or folder, or leave --spec-dir out for /etc/cdi and /var/run/cdi")),
        false => Ok(folders.into_iter().map(PathBuf::from).collect()),
    }
}

fn verdict(checked: &Checked, strict: bool) -> Result<()> {
    let count = |severity| checked.findings().filter(|(_, finding)| finding.severity == severity).count();
    let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
    let summary = format!(
        "{}, {} in {}",
        counted(errors, "error"),
        counted(warnings, "warning"),
        counted(checked.files.len(), "CDI spec file")
    );
    if errors == 0 && (warnings == 0 || !strict) {
        log::info!("{summary}");
        return Ok(());
    }
    Err(Fault::new(Code::CdiSpecInvalid, summary)
        .next("Correct what the lines on standard output name, or write the spec anew"))
}

fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

const fn word(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    }
}

/// Columns further right than this are not waited for.
const WIDEST: usize = 60;

/// `FILE:LINE: error: text [name]`, with what follows the file in columns.
fn lines(checked: &Checked) -> String {
    let place = |path: &PathBuf, finding: &Finding| match finding.line {
        Some(line) => one_line(&format!("{}:{line}:", path.display())),
        None => one_line(&format!("{}:", path.display())),
    };
    let places: Vec<String> = checked.findings().map(|(path, finding)| place(path, finding)).collect();
    let widths = places.iter().map(|place| place.chars().count()).filter(|width| *width <= WIDEST);
    let width = widths.max().unwrap_or_default();
    let mut text = String::new();
    for ((_, finding), place) in checked.findings().zip(&places) {
        let severity = format!("{}:", word(finding.severity));
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{place:width$} {severity:8} {} [{}]", one_line(&finding.text), finding.name);
    }
    text
}

/// What `--json` prints.
#[derive(Serialize)]
struct Listing<'a> {
    files: Vec<String>,
    findings: Vec<Told<'a>>,
}

#[derive(Serialize)]
struct Told<'a> {
    file: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    place: Option<String>,
    severity: &'static str,
    name: &'static str,
    text: &'a str,
}

impl<'a> Listing<'a> {
    fn of(checked: &'a Checked) -> Listing<'a> {
        let told = |(path, finding): (&PathBuf, &'a Finding)| Told {
            file: path.display().to_string(),
            line: finding.line,
            place: finding.place.as_ref().map(ToString::to_string),
            severity: word(finding.severity),
            name: finding.name,
            text: &finding.text,
        };
        let files = checked.files.iter().map(|(path, _)| path.display().to_string()).collect();
        Listing { files, findings: checked.findings().map(told).collect() }
    }
}
