//! `create` and `run`: what the container asks for, put into its `config.json` and its root. To come.

use super::arguments::Create;
use crate::{
    codes::Code,
    fault::{Fault, Result},
};
use plan::Config;

/// Refuses, so that no container starts without the GPUs that it may ask for.
pub fn modify(create: &Create, _: &Config) -> Result<()> {
    let bundle = create.bundle().map_err(|error| Fault::from_error(Code::BundleArgument, &error))?;
    let file = bundle.join(create.file());
    Err(Fault::new(Code::NotYet, format!("{}: creating containers is not in this version yet", file.display())))
}
