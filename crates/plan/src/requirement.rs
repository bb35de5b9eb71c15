//! What an image demands of a machine: `NVIDIA_REQUIRE_CUDA="cuda>=12.4 brand=tesla,driver>=470,driver<471"`.
//!
//! The original grades these expressions in two places by different rules (reference: runtime-and-hook.md 5.3,
//! libnvidia-container.md section 20). This is the one set of rules here, for every mode; it accepts what either accepted
//! where that is harmless:
//!
//! * White space separates alternatives, of which one must hold; commas separate the conditions of an alternative, which
//!   all must hold. Blank ones are skipped; an expression without any holds.
//! * A condition is a property, an operator and a value, without blanks. Operators are `=` `!=` `<` `<=` `>` `>=`.
//!   Anything else (`==`, `=>`, a lone `!`) is an error.
//! * Properties are `cuda`, `driver`, `arch` and `brand`, in any case. Another one is an error that names it: nobody can
//!   say that it holds.
//! * `brand` takes `=` and `!=`, and is compared without regard to case.
//! * The others are versions: numbers with dots, as many as one likes, a missing one counts as 0. A leading `v`, a
//!   pre-release (`-rc1`, lower than the release) and build metadata (`+x`, ignored) are understood.
//! * Everything is parsed before anything is judged: a mistake in a later alternative is an error, too.
//! * `arch` and `brand` are those of the first granted GPU, in the order of indices. Where no GPU is granted they hold.
//! * A property whose value on this machine is unknown makes an alternative undecided. If none holds and one is
//!   undecided, the error says what is unknown and why.

pub(crate) mod version;

pub(crate) use version::leading_version;

use crate::request::Requirement;
use host::{GpuFacts, Inventory};
use std::cmp::Ordering;
use std::fmt;
use version::Version;

/// Something an expression can be about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Property {
    /// CUDA version of the driver.
    Cuda,
    /// Driver version.
    Driver,
    /// Compute capability.
    Arch,
    /// Product line.
    Brand,
}

/// A parsed expression: alternatives of conditions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expression(Vec<Vec<Condition>>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Condition {
    property: Property,
    operator: Operator,
    value: Value,
    text: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    Equal,
    NotEqual,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Value {
    Version(Version),
    Word(String),
}

/// What is true of a machine. Each text is a value, or why there is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// `12.4`.
    pub cuda: Result<String, String>,
    /// `550.54.14`.
    pub driver: Result<String, String>,
    /// Of the first granted GPU: `9.0`; `None` when none is granted.
    pub arch: Option<Result<String, String>>,
    /// Likewise: `Tesla`.
    pub brand: Option<Result<String, String>>,
}

/// Requirements that do not hold, or cannot be judged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum RequirementError {
    /// Not an expression.
    #[error(
        "invalid expression in {variable}: invalid constraint: {condition}: {why}; correct the variable, or set \
         NVIDIA_DISABLE_REQUIRE=true"
    )]
    Syntax { variable: String, condition: String, why: &'static str },
    /// It depends on something that is not known about this machine.
    #[error(
        "cannot tell whether {condition} holds, which {variable} demands: the {property} is unknown: {why}; set \
         NVIDIA_DISABLE_REQUIRE=true to start the container regardless"
    )]
    Unknown { variable: String, condition: String, property: Property, why: String },
    /// It does not hold.
    #[error("unsatisfied condition: {condition} ({property}={found}), {}; {variable} demands it", advice(.condition))]
    Unsatisfied { variable: String, condition: String, property: &'static str, found: String },
}

fn advice(condition: &str) -> &'static str {
    match condition.to_ascii_lowercase().starts_with("cuda>=") {
        true => "please update your driver to a newer version, or use an earlier cuda container",
        false => "use another image, or set NVIDIA_DISABLE_REQUIRE=true to start it regardless",
    }
}

/// Parses all requirements, then judges them in order.
///
/// # Errors
/// The first [`RequirementError`].
pub fn check(requirements: &[Requirement], facts: &Facts) -> Result<(), RequirementError> {
    let parsed: Vec<_> = requirements.iter().map(|one| Ok((one, parse(one)?))).collect::<Result<_, _>>()?;
    parsed.iter().try_for_each(|(one, expression)| expression.judge(&one.variable, facts))
}

/// Parses one requirement.
///
/// # Errors
/// [`RequirementError::Syntax`].
pub fn parse(requirement: &Requirement) -> Result<Expression, RequirementError> {
    let conditions = |alternative: &str| -> Result<Vec<Condition>, RequirementError> {
        alternative
            .split(',')
            .filter(|text| !text.is_empty())
            .map(|text| {
                Condition::parse(text).map_err(|why| RequirementError::Syntax {
                    variable: requirement.variable.clone(),
                    condition: shown(text),
                    why,
                })
            })
            .collect()
    };
    let alternatives: Result<Vec<_>, _> = requirement.text.split_ascii_whitespace().map(conditions).collect();
    Ok(Expression(alternatives?.into_iter().filter(|conditions| !conditions.is_empty()).collect()))
}

/// A text as errors show it: images may write long ones.
fn shown(text: &str) -> String {
    if text.chars().count() > 80 { text.chars().take(79).chain(['…']).collect() } else { text.to_owned() }
}

impl Expression {
    /// The properties it is about.
    pub fn properties(&self) -> impl Iterator<Item = Property> {
        self.0.iter().flatten().map(|condition| condition.property)
    }

    fn judge(&self, variable: &str, facts: &Facts) -> Result<(), RequirementError> {
        let verdicts: Vec<_> = self.0.iter().map(|conditions| verdict(conditions, facts)).collect();
        if verdicts.iter().any(|verdict| matches!(verdict, Verdict::Holds)) {
            return Ok(());
        }
        let undecided = verdicts.iter().find(|verdict| matches!(verdict, Verdict::Undecided(..)));
        undecided.or(verdicts.first()).map_or(Ok(()), |verdict| verdict.result(variable))
    }
}

enum Verdict<'a> {
    Holds,
    Fails(&'a Condition, &'a str),
    Undecided(&'a Condition, &'a str),
}

impl Verdict<'_> {
    fn result(&self, variable: &str) -> Result<(), RequirementError> {
        let variable = variable.to_owned();
        match *self {
            Verdict::Holds => Ok(()),
            Verdict::Undecided(condition, why) => Err(RequirementError::Unknown {
                variable,
                condition: shown(&condition.text),
                property: condition.property,
                why: why.to_owned(),
            }),
            Verdict::Fails(condition, found) => Err(RequirementError::Unsatisfied {
                variable,
                condition: shown(&condition.text),
                property: condition.property.name(),
                found: found.to_owned(),
            }),
        }
    }
}

/// One alternative: fails where a condition fails, else undecided where one is, else holds.
fn verdict<'a>(conditions: &'a [Condition], facts: &'a Facts) -> Verdict<'a> {
    let mut undecided = None;
    for condition in conditions {
        match condition.verdict(facts) {
            Verdict::Holds => {}
            fails @ Verdict::Fails(..) => return fails,
            other => undecided = undecided.or(Some(other)),
        }
    }
    undecided.unwrap_or(Verdict::Holds)
}

impl Condition {
    fn parse(text: &str) -> Result<Condition, &'static str> {
        let signs = |c: char| "<>=!".contains(c);
        let at = text.find(signs).ok_or("it has no operator")?;
        let (name, rest) = text.split_at(at);
        let value = rest.trim_start_matches(signs);
        let operator = Operator::parse(&rest[..rest.len() - value.len()]).ok_or("there is no such operator")?;
        let property = Property::from_name(name).ok_or("there is no such property (cuda, driver, arch or brand)")?;
        let value = match (property, operator) {
            _ if value.is_empty() => return Err("it has no value"),
            (Property::Brand, Operator::Equal | Operator::NotEqual) => Value::Word(plain(value)),
            (Property::Brand, _) => return Err("brand can only be equal or not"),
            _ => Value::Version(Version::parse(value).ok_or("invalid version string: invalid semantic version")?),
        };
        Ok(Condition { property, operator, value, text: text.to_owned() })
    }

    fn verdict<'a>(&'a self, facts: &'a Facts) -> Verdict<'a> {
        let found = match facts.of(self.property) {
            None => return Verdict::Holds,
            Some(Err(why)) => return Verdict::Undecided(self, why),
            Some(Ok(found)) => found,
        };
        let order = match &self.value {
            Value::Word(word) => Some(plain(found).cmp(word)),
            Value::Version(wanted) => Version::parse(found).map(|found| found.cmp(wanted)),
        };
        match order {
            None => Verdict::Undecided(self, "what the machine reports is no version"),
            Some(order) if self.operator.accepts(order) => Verdict::Holds,
            Some(_) => Verdict::Fails(self, found),
        }
    }
}

/// A brand without what spellings of it differ in: `NVIDIA RTX` is `nvidiartx`.
fn plain(brand: &str) -> String {
    brand.chars().filter(|c| !" -_".contains(*c)).flat_map(char::to_lowercase).collect()
}

impl Operator {
    fn parse(text: &str) -> Option<Operator> {
        Some(match text {
            "=" => Operator::Equal,
            "!=" => Operator::NotEqual,
            "<" => Operator::Less,
            "<=" => Operator::LessEqual,
            ">" => Operator::Greater,
            ">=" => Operator::GreaterEqual,
            _ => return None,
        })
    }

    fn accepts(self, order: Ordering) -> bool {
        match self {
            Operator::Equal => order.is_eq(),
            Operator::NotEqual => order.is_ne(),
            Operator::Less => order.is_lt(),
            Operator::LessEqual => order.is_le(),
            Operator::Greater => order.is_gt(),
            Operator::GreaterEqual => order.is_ge(),
        }
    }
}

impl Property {
    const ALL: [Property; 4] = [Property::Cuda, Property::Driver, Property::Arch, Property::Brand];

    const fn name(self) -> &'static str {
        match self {
            Property::Cuda => "cuda",
            Property::Driver => "driver",
            Property::Arch => "arch",
            Property::Brand => "brand",
        }
    }

    fn from_name(name: &str) -> Option<Property> {
        Property::ALL.into_iter().find(|property| property.name().eq_ignore_ascii_case(name))
    }
}

impl fmt::Display for Property {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Property::Cuda => "CUDA version of the driver",
            Property::Driver => "driver's version",
            Property::Arch => "GPU's compute capability",
            Property::Brand => "GPU's brand",
        })
    }
}

impl Facts {
    /// What is known about a machine, and about one GPU of it by its UUID: the first granted one.
    pub fn of_machine(inventory: &Inventory, gpu: Option<&str>) -> Facts {
        let nvml = inventory.nvml.as_ref();
        let driver = inventory.driver.as_ref().map(|driver| driver.version.clone());
        let driver = driver.or_else(|| nvml.map(|facts| facts.driver_version.clone()));
        let of_gpu = |uuid: &str| nvml?.gpus.iter().find(|gpu| gpu.uuid.eq_ignore_ascii_case(uuid));
        let unsaid = || if nvml.is_some() { "NVML does not report it" } else { "NVML has not answered" }.to_owned();
        let about = |uuid, fact: fn(&GpuFacts) -> Option<String>| of_gpu(uuid).and_then(fact).ok_or_else(unsaid);
        Facts {
            cuda: nvml.and_then(|facts| facts.cuda_version).map(dotted).ok_or_else(unsaid),
            driver: driver.ok_or_else(|| "no driver was found".to_owned()),
            arch: gpu.map(|uuid| about(uuid, |gpu| gpu.compute_capability.map(dotted))),
            brand: gpu.map(|uuid| about(uuid, |gpu| Some(gpu.brand.clone()).filter(|brand| !brand.is_empty()))),
        }
    }

    fn of(&self, property: Property) -> Option<Result<&str, &str>> {
        let fact = match property {
            Property::Cuda => Some(&self.cuda),
            Property::Driver => Some(&self.driver),
            Property::Arch => self.arch.as_ref(),
            Property::Brand => self.brand.as_ref(),
        };
        fact.map(|fact| fact.as_deref().map_err(String::as_str))
    }
}

fn dotted((major, minor): (u32, u32)) -> String {
    format!("{major}.{minor}")
}

#[cfg(test)]
mod tests;
