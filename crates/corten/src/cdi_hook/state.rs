//! What the hook is told by the low-level runtime. To come.

use crate::{
    codes::Code,
    fault::{Fault, Result},
};

pub fn hide_modify_device_files(_: Option<&str>) -> Result<()> {
    Err(Fault::new(Code::NotYet, "disable-device-node-modification is not in this version yet"))
}
