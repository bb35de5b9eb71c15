//! `corten plan`. To come.

use crate::{
    codes::Code,
    fault::{Fault, Result},
};

pub fn run(_: lexopt::Parser) -> Result<String> {
    Err(Fault::new(Code::NotYet, "corten plan is not in this version yet"))
}
