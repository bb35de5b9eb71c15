//! What a hook says on stderr. Low-level runtimes show it only when the hook fails.

use super::arguments::Verbosity;
use crate::runtime::logger::{print, print_warning};
use log::Level;
use root::Done;

impl Verbosity {
    /// Something odd that stops nobody.
    pub fn warn(self, text: &str) {
        if self != Verbosity::Quiet {
            print_warning(text);
        }
    }

    /// What was done and why.
    pub fn explain(self, text: &str) {
        if self == Verbosity::Debug {
            print(Level::Debug, text);
        }
    }

    /// What was changed in the root, and what was odd there.
    pub fn tell(self, done: &Done) {
        done.remarks.iter().for_each(|remark| self.warn(remark));
        done.changed.iter().for_each(|path| self.explain(&format!("changed {path} in the container's root")));
        if done.changed.is_empty() {
            self.explain("the container's root needed no change");
        }
    }
}
