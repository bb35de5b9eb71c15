//! [`Place`]: where in a spec something stands, for errors: `devices[2].containerEdits.mounts[0].hostPath`.

use std::borrow::Cow;
use std::fmt;

/// A path through maps and lists. The empty one is the spec itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    steps: Vec<Step>,
}

/// One step of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// To a member of a map.
    Field(Cow<'static, str>),
    /// To an item of a list, counted from 0.
    Item(usize),
}

impl Place {
    /// A field of the spec itself.
    pub(crate) fn field(name: &'static str) -> Place {
        Place::default().then(name)
    }

    /// A field of what is here.
    pub(crate) fn then(mut self, name: &'static str) -> Place {
        self.steps.push(Step::Field(Cow::Borrowed(name)));
        self
    }

    /// An item of the list that is here.
    pub(crate) fn item(mut self, index: usize) -> Place {
        self.steps.push(Step::Item(index));
        self
    }

    /// This place, seen from what is at `base`.
    pub(crate) fn below(mut self, base: &Place) -> Place {
        self.steps.splice(0..0, base.steps.iter().cloned());
        self
    }

    pub(crate) fn push(&mut self, step: Step) {
        self.steps.push(step);
    }

    pub(crate) fn pop(&mut self) {
        self.steps.pop();
    }

    pub(crate) fn steps(&self) -> &[Step] {
        &self.steps
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.steps.is_empty() {
            return f.write_str("the spec itself");
        }
        for (index, step) in self.steps.iter().enumerate() {
            match step {
                Step::Field(name) => write!(f, "{}{}", if index > 0 { "." } else { "" }, name.escape_debug())?,
                Step::Item(item) => write!(f, "[{item}]")?,
            }
        }
        Ok(())
    }
}
