//! What was found: a line for people as soon as it is known, and a document to be put into an issue. Neither tells who
//! the machine is: no host name, no whole UUID, none of our temporary paths.

use crate::machine::Machine;
use serde::Serialize;

/// What a check comes to: what it saw, or why it does not hold or was not made.
pub type Verdict<T = String> = Result<T, Bad>;

/// A check that does not hold, or was not made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Bad {
    /// It does not hold.
    Fail(String),
    /// It cannot be made here.
    Skip(String),
}

/// A check that does not hold.
pub fn fail<T>(why: impl Into<String>) -> Verdict<T> {
    Err(Bad::Fail(why.into()))
}

/// A check that cannot be made.
pub fn skip<T>(why: impl Into<String>) -> Verdict<T> {
    Err(Bad::Skip(why.into()))
}

#[derive(Serialize)]
struct Line {
    check: &'static str,
    outcome: &'static str,
    detail: String,
}

/// The report as it grows.
#[derive(Serialize)]
pub struct Report {
    corten: &'static str,
    simulated: bool,
    kernel: String,
    driver: Option<String>,
    driver_root: Option<String>,
    gpus: Vec<String>,
    checks: Vec<Line>,
    #[serde(skip)]
    aloud: bool,
    #[serde(skip)]
    host: String,
}

/// Longer than anything that helps.
const LONGEST: usize = 400;

impl Report {
    /// Begins it; `aloud` prints lines as they come.
    pub fn new(machine: &Machine, aloud: bool) -> Report {
        let report = Report {
            corten: env!("CARGO_PKG_VERSION"),
            simulated: machine.simulated,
            kernel: machine.kernel.clone(),
            driver: machine.version(),
            driver_root: machine.driver().map(|driver| driver.root.to_string()),
            gpus: machine.inventory.gpus.iter().map(|gpu| gpu.model.clone()).collect(),
            checks: Vec::new(),
            aloud,
            host: std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default().trim().to_owned(),
        };
        report.say(&format!("Corten hardware check {}, {}", report.corten, report.headline()));
        report.say("");
        report
    }

    fn headline(&self) -> String {
        let kind = if self.simulated { "on a SIMULATED machine, " } else { "" };
        let driver = self.driver.as_deref().map_or("no driver".to_owned(), |version| format!("driver {version}"));
        format!("{kind}kernel {}, {driver}, {}", self.kernel, counted(&self.gpus))
    }

    /// Adds a line.
    pub fn line(&mut self, check: &'static str, verdict: Verdict) {
        let (outcome, detail) = match verdict {
            Ok(detail) => ("pass", detail),
            Err(Bad::Fail(why)) => ("fail", why),
            Err(Bad::Skip(why)) => ("skip", why),
        };
        let detail = self.cleaned(&detail);
        self.say(&format!("{outcome}  {check:16}  {detail}"));
        self.checks.push(Line { check, outcome, detail });
    }

    /// Prints what it comes to.
    pub fn finish(&self) {
        let count = |outcome: &str| self.checks.iter().filter(|line| line.outcome == outcome).count();
        let simulated = if self.simulated { "; nothing of this ran on real hardware" } else { "" };
        self.say(&format!(
            "\n{} passed, {} failed, {} skipped{simulated}",
            count("pass"),
            count("fail"),
            count("skip")
        ));
    }

    /// Something does not hold.
    pub fn failed(&self) -> bool {
        self.checks.iter().any(|line| line.outcome == "fail")
    }

    /// The whole of it, with a line break at the end.
    pub fn to_json(&self) -> String {
        // Strings, lists and booleans only, which serde_json does not refuse.
        serde_json::to_string_pretty(self).map_or_else(|error| error.to_string(), |text| text + "\n")
    }

    fn say(&self, line: &str) {
        if self.aloud {
            println!("{line}");
        }
    }

    /// One line, without what tells who the machine is.
    fn cleaned(&self, text: &str) -> String {
        let words =
            text.split_whitespace().map(|word| if word == self.host { "HOST".to_owned() } else { shortened(word) });
        let line = words.collect::<Vec<_>>().join(" ");
        match line.char_indices().nth(LONGEST) {
            Some((end, _)) => format!("{}…", &line[..end]),
            None => line,
        }
    }
}

/// `2 × NVIDIA A100-SXM4-40GB`, equal ones together.
fn counted(models: &[String]) -> String {
    let mut kinds: Vec<(&str, usize)> = Vec::new();
    for model in models {
        match kinds.iter_mut().find(|(kind, _)| kind == model) {
            Some((_, count)) => *count += 1,
            None => kinds.push((model, 1)),
        }
    }
    let shown: Vec<_> = kinds.iter().map(|(kind, count)| format!("{count} × {kind}")).collect();
    if shown.is_empty() { "no GPU".to_owned() } else { shown.join(", ") }
}

/// A word in which of every UUID only the first eight digits are left.
fn shortened(word: &str) -> String {
    const GROUPS: [usize; 5] = [8, 4, 4, 4, 12];
    let is_uuid = |text: &str| {
        let groups: Vec<&str> = text.split('-').collect();
        groups.iter().map(|group| group.len()).eq(GROUPS)
            && groups.iter().all(|group| group.bytes().all(|byte| byte.is_ascii_hexdigit()))
    };
    let mut out = String::new();
    let mut rest = word;
    while let Some(first) = rest.chars().next() {
        match rest.get(..36).filter(|text| is_uuid(text)) {
            Some(uuid) => {
                out += &uuid[..8];
                out.push('…');
                rest = &rest[36..];
            }
            None => {
                out.push(first);
                rest = &rest[first.len_utf8()..];
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uuids_are_cut_wherever_they_stand() {
        for (word, want) in [
            ("GPU-4cf8db2d-06c0-7d70-1a51-e59b25b2c16c", "GPU-4cf8db2d…"),
            (
                "(MIG-4cf8db2d-06c0-7d70-1a51-e59b25b2c16c/4404041A-04cf-1ccf-9e70-f139a9b1e23c)",
                "(MIG-4cf8db2d…/4404041A…)",
            ),
            ("4cf8db2d-06c0-7d70-1a51-e59b25b2c16", "4cf8db2d-06c0-7d70-1a51-e59b25b2c16"),
            ("ä-ö", "ä-ö"),
        ] {
            assert_eq!(shortened(word), want);
        }
    }

    #[test]
    fn equal_models_are_counted_together() {
        let models = ["A", "B", "A"].map(str::to_owned);
        assert_eq!(counted(&models), "2 × A, 1 × B");
        assert_eq!(counted(&[]), "no GPU");
    }
}
