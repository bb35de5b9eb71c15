//! Contestants that take turns, and the medians of their times.

use std::{
    fmt,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

/// Something done before each run and not counted.
type Preparation<'a> = Box<dyn Fn() -> Result<(), String> + 'a>;

/// One way to do the thing that is measured: commands run one after another, timed together.
pub struct Contestant<'a> {
    steps: Vec<Command>,
    before: Option<Preparation<'a>>,
}

impl<'a> Contestant<'a> {
    /// One command with these arguments.
    pub fn new(mut program: Command, arguments: &[&str]) -> Self {
        program.args(arguments);
        Self::steps(vec![program])
    }

    /// Commands that are run one after another.
    pub fn steps(mut steps: Vec<Command>) -> Self {
        for step in &mut steps {
            step.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        }
        Contestant { steps, before: None }
    }

    /// A shim with the configuration file given.
    pub fn shim(program: &Path, configuration: &Path, arguments: &[&str]) -> Self {
        Self::new(with_configuration(program, Some(configuration)), arguments)
    }

    /// What an engine does: create, start, delete by force.
    pub fn engine(program: &Path, configuration: Option<&Path>, bundle: &str) -> Self {
        let calls: [&[&str]; 3] = [
            &["create", "--bundle", bundle, "corten-bench"],
            &["start", "corten-bench"],
            &["delete", "--force", "corten-bench"],
        ];
        let steps = calls.iter().flat_map(|call| Self::new(with_configuration(program, configuration), call).steps);
        Contestant { steps: steps.collect(), before: None }
    }

    /// With `preparation` before each run.
    pub fn before(mut self, preparation: impl Fn() -> Result<(), String> + 'a) -> Self {
        self.before = Some(Box::new(preparation));
        self
    }

    fn once(&mut self) -> Result<Duration, String> {
        if let Some(before) = &self.before {
            before()?;
        }
        let begin = Instant::now();
        for step in &mut self.steps {
            let status = step.status().map_err(|why| format!("could not start {step:?}: {why}"))?;
            if !status.success() {
                return Err(format!("{step:?} ended with {status}"));
            }
        }
        Ok(begin.elapsed())
    }
}

fn with_configuration(program: &Path, configuration: Option<&Path>) -> Command {
    let mut command = Command::new(program);
    if let Some(path) = configuration {
        command.env("NVIDIA_CTK_CONFIG_FILE_PATH", path);
    }
    command
}

/// Contestants in the order bare, ours, theirs.
pub struct Contest<'a>(Vec<Contestant<'a>>);

impl<'a> Contest<'a> {
    /// The bare low-level runtime, which the others are compared with.
    pub fn of(bare: Contestant<'a>) -> Self {
        Contest(vec![bare])
    }

    /// And this one.
    pub fn against(mut self, other: Contestant<'a>) -> Self {
        self.0.push(other);
        self
    }

    /// And this one, if there is one.
    pub fn against_some(self, other: Option<Contestant<'a>>) -> Self {
        match other {
            Some(other) => self.against(other),
            None => self,
        }
    }

    /// Lets them take turns, `runs` counted times after three that are not.
    pub fn run(mut self, runs: u32) -> Result<Row, String> {
        let mut times = vec![Vec::new(); self.0.len()];
        for turn in 0..runs + 3 {
            for (contestant, times) in self.0.iter_mut().zip(&mut times) {
                let time = contestant.once()?;
                if turn >= 3 {
                    times.push(time);
                }
            }
        }
        Ok(Row { what: String::new(), medians: times.into_iter().map(median).collect() })
    }
}

/// A line of the table.
pub struct Row {
    what: String,
    medians: Vec<f64>,
}

impl Row {
    /// With its first column.
    pub fn named(mut self, what: &str) -> Self {
        self.what = what.to_owned();
        self
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let column = |position: usize| self.medians.get(position).map_or("–".to_owned(), |time| format!("{time:.2}"));
        let addition = |position: usize| Some(self.medians.get(position)? - self.medians.first()?);
        let added = |position: usize| addition(position).map_or("–".to_owned(), |time| format!("+{time:.2}"));
        let times = match (addition(1), addition(2)) {
            (Some(ours), Some(theirs)) if ours > 0.0 => format!("{:.0} times", theirs / ours),
            _ => "–".to_owned(),
        };
        let (bare, ours, theirs) = (column(0), column(1), column(2));
        write!(f, "| {} | {bare} | {ours} | {} | {theirs} | {} | {times} |", self.what, added(1), added(2))
    }
}

/// The middle of the times, in milliseconds.
fn median(mut times: Vec<Duration>) -> f64 {
    times.sort();
    times.get(times.len() / 2).map_or(0.0, |time| time.as_secs_f64() * 1000.0)
}
