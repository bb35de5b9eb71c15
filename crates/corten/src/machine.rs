//! This machine, or one that a file describes: how the programs come by an inventory.

use crate::{
    codes::Code,
    fault::{Fault, Result},
};
use host::{Fingerprint, HostError, Inventory, Roots, Wanted};
use nvml::{Ask, CachePlace, Expected, NvmlError, Problem, User};
use oci::HostPath;
use plan::Config;
use serde::Serialize;
use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

/// Larger than the inventory of any machine.
const LARGEST: u64 = 16 << 20;

/// What this machine has of what is wanted.
pub fn examine(config: &Config, wanted: Wanted) -> Result<Inventory> {
    let inventory = host::discover(&roots(config)?, wanted).map_err(|error| {
        let code = match error {
            HostError::Root { .. } => Code::ConfigInvalid,
            HostError::Read { .. } => Code::HostUnreadable,
        };
        Fault::from_error(code, &error)
    })?;
    for remark in &inventory.remarks {
        log::debug!("{remark}");
    }
    Ok(inventory)
}

/// Adds what only NVML knows to an inventory. A machine that has not changed since the last answer is not asked again.
pub fn ask_nvml(inventory: &mut Inventory, config: &Config) -> Result<()> {
    let roots = roots(config)?;
    let fingerprint = Fingerprint::take(&roots).map_err(|error| Fault::from_error(Code::HostUnreadable, &error))?;
    let ask = Ask {
        wanted: "what NVML knows about this machine".to_owned(),
        helper: nvml::default_helper(),
        library: host::locate_nvml(&roots),
        fingerprint,
        user: user(&config.cli.user)?,
        expected: Expected {
            gpus: inventory.gpus.len(),
            mig_devices: inventory.gpus.iter().map(|gpu| gpu.mig.len()).sum(),
        },
        timeout: nvml::DEFAULT_TIMEOUT,
        cache: CachePlace::of_caller(std::env::var("XDG_RUNTIME_DIR").ok().as_deref()),
    };
    inventory.nvml = Some(nvml::facts(&ask).map_err(|error| nvml_fault(&error))?);
    Ok(())
}

/// Whom `nvidia-container-cli.user` means: `USER[:GROUP]`, by name or number. Names are looked up in the files only,
/// since a static program cannot load what else `nsswitch.conf` may name.
fn user(configured: &str) -> Result<Option<User>> {
    if configured.is_empty() {
        return Ok(None);
    }
    let (user, group) = configured.split_once(':').map_or((configured, None), |(user, group)| (user, Some(group)));
    let account = lookup("/etc/passwd", user);
    let uid = user.parse().ok().or_else(|| account.as_ref()?.get(2)?.parse().ok());
    let gid = match group {
        Some(group) => group.parse().ok().or_else(|| lookup("/etc/group", group)?.get(2)?.parse().ok()),
        None => account.as_ref().and_then(|account| account.get(3)?.parse().ok()),
    };
    match (uid, gid) {
        (Some(uid), Some(gid)) => Ok(Some(User { uid, gid })),
        _ => Err(Fault::new(
            Code::ConfigInvalid,
            format!("nvidia-container-cli.user: {configured:?} is nobody that /etc/passwd and /etc/group know"),
        )
        .next("Give USER or USER:GROUP by names of this machine, or UID:GID")),
    }
}

/// The fields of the line that begins with `name`.
fn lookup(file: &str, name: &str) -> Option<Vec<String>> {
    let text = std::fs::read_to_string(file).ok()?;
    let fields = |line: &str| line.split(':').map(str::to_owned).collect::<Vec<_>>();
    text.lines().map(fields).find(|fields| fields.first().is_some_and(|first| first == name))
}

fn nvml_fault(error: &NvmlError) -> Fault {
    let code = match error.problem {
        Problem::HelperMissing(_) | Problem::NotStarted { .. } | Problem::NotLoaded(_) => Code::NvmlAbsent,
        Problem::TimedOut { .. } => Code::NvmlHangs,
        Problem::Crashed { .. } => Code::NvmlCrashed,
        Problem::Refused { .. } | Problem::Garbage { .. } | Problem::Watch(_) => Code::NvmlFailed,
    };
    Fault::from_error(code, error)
}

/// Where this machine is looked at: `nvidia-container-cli.root` says where its driver is.
pub fn roots(config: &Config) -> Result<Roots> {
    match config.cli.root.as_str() {
        "" => Ok(Roots::default()),
        root => HostPath::new(root).map(Roots::new).map_err(|error| {
            Fault::new(Code::ConfigInvalid, format!("nvidia-container-cli.root: {error}"))
                .next("Give the absolute path of the folder that holds the driver")
        }),
    }
}

/// A machine from the file that `corten inventory --json` wrote.
pub fn load(path: &Path) -> Result<Inventory> {
    let failed = |error: &dyn std::error::Error| {
        Fault::new(Code::InventoryInvalid, format!("cannot read a machine from {}: {error}", path.display()))
    };
    let mut bytes = Vec::new();
    File::open(path).and_then(|file| file.take(LARGEST + 1).read_to_end(&mut bytes)).map_err(|error| failed(&error))?;
    if bytes.len() as u64 > LARGEST {
        return Err(failed(&io::Error::from(io::ErrorKind::FileTooLarge)));
    }
    serde_json::from_slice(&bytes).map_err(|error| failed(&error))
}

/// Indented, with a line break at the end.
pub fn to_json(value: &impl Serialize) -> String {
    // Our own types have string keys and no failing serialisers, the only things that serde_json refuses.
    serde_json::to_string_pretty(value).map_or_else(|error| error.to_string(), |text| text + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_go_by_name_or_number() {
        let ids = |text| user(text).map(|user| user.map(|user| (user.uid, user.gid))).map_err(|fault| fault.code());
        assert_eq!(ids(""), Ok(None));
        assert_eq!(ids("root"), Ok(Some((0, 0))));
        assert_eq!(ids("65534:root"), Ok(Some((65534, 0))));
        assert_eq!(ids("12:34"), Ok(Some((12, 34))));
        for bad in ["no-such-user", "root:no-such-group", "4711", ":", "root:"] {
            assert_eq!(ids(bad), Err(Code::ConfigInvalid), "{bad}");
        }
    }

    #[test]
    fn a_machine_file_must_be_an_inventory() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("machine.json");
        for text in ["", "[]", "{\"gpus\":3}", "\u{0}"] {
            std::fs::write(&file, text).unwrap();
            assert_eq!(load(&file).unwrap_err().code(), Code::InventoryInvalid, "{text}");
        }
        std::fs::write(&file, to_json(&Inventory::default())).unwrap();
        assert_eq!(load(&file).unwrap(), Inventory::default());
        assert!(load(&dir.path().join("nope")).is_err());
    }
}
