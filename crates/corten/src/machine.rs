//! This machine, or one that a file describes: how the programs come by an inventory.

use crate::{
    codes::Code,
    fault::{Fault, Result},
    memory::Memory,
};
use host::{Described, DescriptionError, Discovery, Fingerprint, HostError, Inventory, Roots, Wanted};
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

/// What this machine has of what is wanted. A driver that has not changed since the last look is not searched for again.
pub fn examine(config: &Config, wanted: Wanted) -> Result<Inventory> {
    examine_at(&roots(config)?, wanted)
}

/// The same where the caller says where to look.
pub fn examine_at(roots: &Roots, wanted: Wanted) -> Result<Inventory> {
    let memory = Memory::of_caller(wanted);
    let discovery = host::discover_again(roots, wanted, memory.recall());
    let Discovery { inventory, learnt } = discovery.map_err(|error| {
        let code = match error {
            HostError::Root { .. } => Code::ConfigInvalid,
            HostError::Read { .. } => Code::HostUnreadable,
        };
        Fault::from_error(code, &error)
    })?;
    if let Some(learnt) = learnt {
        memory.keep(&learnt);
    }
    for remark in &inventory.remarks {
        log::debug!("{remark}");
    }
    Ok(inventory)
}

/// The same with the GPUs and MIG devices that NVML lists, under its names.
pub fn examine_as_nvml_does(roots: &Roots, wanted: Wanted, config: &Config) -> Result<Inventory> {
    let mut known = examine_at(roots, wanted)?;
    ask_nvml_at(roots, &mut known, config, true)?;
    let nvml = known.nvml.unwrap_or_default();
    host::discover_as_nvml_does(roots, wanted, &nvml).map_err(|error| Fault::from_error(Code::HostUnreadable, &error))
}

/// Adds what only NVML knows to an inventory. A machine that has not changed since the last answer is not asked again.
pub fn ask_nvml(inventory: &mut Inventory, config: &Config) -> Result<()> {
    ask_nvml_at(&roots(config)?, inventory, config, false)
}

/// The same where the caller says where to look. `anew`: what may have changed without a trace is asked for again.
pub fn ask_nvml_at(roots: &Roots, inventory: &mut Inventory, config: &Config, anew: bool) -> Result<()> {
    let unreadable = |error| Fault::from_error(Code::HostUnreadable, &error);
    let fingerprint = Fingerprint::take(roots, inventory).map_err(unreadable)?;
    let ask = Ask {
        wanted: "what NVML knows about this machine".to_owned(),
        helper: nvml::default_helper(),
        library: fingerprint.nvml.as_ref().map(|library| library.path.clone()),
        fingerprint,
        user: user(&config.cli.user)?,
        expected: Expected::on(inventory),
        anew,
        timeout: nvml::DEFAULT_TIMEOUT,
        cache: CachePlace::of_caller(std::env::var("XDG_RUNTIME_DIR").ok().as_deref()),
    };
    let facts = nvml::facts(&ask).map_err(|error| nvml_fault(&error))?;
    if inventory.has_unused_gpus() {
        host::look_again(roots, inventory).map_err(unreadable)?;
    }
    inventory.learn(facts);
    Ok(())
}

/// NVML, if it was asked, lists what the kernel lists. Otherwise one of them is behind, as while devices come and go,
/// and will soon say something else.
pub fn is_settled(inventory: &Inventory) -> bool {
    inventory.nvml.as_ref().is_none_or(|facts| Expected::on(inventory).is_just(facts))
}

/// Whom `nvidia-container-cli.user` means: `USER[:GROUP]`, by name or number. Names are looked up in the files only,
/// since a static program cannot load what else `nsswitch.conf` may name.
fn user(configured: &str) -> Result<Option<User>> {
    if configured.is_empty() {
        return Ok(user_of_distribution());
    }
    let (user, group) = configured.split_once(':').map_or((configured, None), |(user, group)| (user, Some(group)));
    let account = lookup("/etc/passwd", 0, user);
    let uid = user.parse().ok().or_else(|| account.as_ref()?.get(2)?.parse().ok());
    let gid = match group {
        Some(group) => group.parse().ok().or_else(|| lookup("/etc/group", 0, group)?.get(2)?.parse().ok()),
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

/// Whom an empty `nvidia-container-cli.user` means: on SUSE, whose device nodes are closed to others, `root:video`
/// (reference: runtime-and-hook.md 1.3); elsewhere nobody in particular.
fn user_of_distribution() -> Option<User> {
    let release = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
    let gid = lookup("/etc/group", 0, "video")?.get(2)?.parse().ok()?;
    is_suse(&release).then_some(User { uid: 0, gid })
}

/// `ID_LIKE` has the word `suse` or `opensuse`.
fn is_suse(release: &str) -> bool {
    let lists = release.lines().filter_map(|line| line.trim().strip_prefix("ID_LIKE="));
    lists
        .flat_map(|list| list.trim_matches(['"', '\'']).split_whitespace())
        .any(|word| matches!(word, "suse" | "opensuse"))
}

/// The fields of the first line of a file of accounts whose field number `key` is `name`.
pub fn lookup(file: &str, key: usize, name: &str) -> Option<Vec<String>> {
    let text = std::fs::read_to_string(file).ok()?;
    let fields = |line: &str| line.split(':').map(str::to_owned).collect::<Vec<_>>();
    text.lines().map(fields).find(|fields| fields.get(key).is_some_and(|field| field == name))
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

/// Where this machine is looked at: `nvidia-container-cli.root` says where its driver is, `nvidia-container-cli.ldcache`
/// which loader cache lists it. Programs are looked for in `$PATH` and then in the standard folders, configuration in
/// `$XDG_DATA_DIRS`, all below that root (reference: cdi-and-ctk.md 2.2).
pub fn roots(config: &Config) -> Result<Roots> {
    let path = |key: &str, value: &str, what: &'static str| {
        HostPath::new(value).map_err(|error| Fault::new(Code::ConfigInvalid, format!("{key}: {error}")).next(what))
    };
    let mut roots = match config.cli.root.as_str() {
        "" => Roots::default(),
        root => Roots::new(path(
            "nvidia-container-cli.root",
            root,
            "Give the absolute path of the folder that holds the driver",
        )?),
    };
    if !config.cli.ldcache.is_empty() {
        let next = "Give the absolute path of a loader cache, or remove the key";
        roots.ldcache = Some(path("nvidia-container-cli.ldcache", &config.cli.ldcache, next)?);
    }
    let variable = |name: &str| std::env::var(name).unwrap_or_default();
    roots.executable_dirs = executable_folders(&variable("PATH"), &roots.executable_dirs);
    roots.data_dirs = absolute(&variable("XDG_DATA_DIRS")).unwrap_or(roots.data_dirs);
    Ok(roots)
}

/// The folders of `$PATH`, then those standard ones that it lacks.
fn executable_folders(path: &str, standard: &[String]) -> Vec<String> {
    let mut folders = absolute(path).unwrap_or_default();
    let missing: Vec<_> = standard.iter().filter(|folder| !folders.contains(folder)).cloned().collect();
    folders.extend(missing);
    folders
}

/// The absolute folders of a list with colons, if there are any. What a relative one means would depend on where the
/// engine happens to stand.
fn absolute(list: &str) -> Option<Vec<String>> {
    let folders: Vec<_> = list.split(':').filter(|folder| folder.starts_with('/')).map(str::to_owned).collect();
    Some(folders).filter(|folders| !folders.is_empty())
}

/// A machine from a file: what `corten inventory --json` wrote, or what somebody wrote by hand (docs/machines.md).
pub fn load(path: &Path) -> Result<Inventory> {
    complete(described(path)?, path, None, Wanted::ALL)
}

/// The content of such a file.
pub fn described(path: &Path) -> Result<Described> {
    let failed = |error: &dyn std::error::Error| {
        Fault::new(Code::InventoryInvalid, format!("cannot read a machine from {}: {error}", path.display()))
    };
    let mut bytes = Vec::new();
    File::open(path).and_then(|file| file.take(LARGEST + 1).read_to_end(&mut bytes)).map_err(|error| failed(&error))?;
    if bytes.len() as u64 > LARGEST {
        return Err(failed(&io::Error::from(io::ErrorKind::FileTooLarge)));
    }
    // A list would be taken for the members of an object in their order.
    if bytes.trim_ascii_start().first() == Some(&b'[') {
        return Err(failed(&io::Error::new(io::ErrorKind::InvalidData, "it holds a list instead of an object")));
    }
    serde_json::from_slice(&bytes).map_err(|error| failed(&error))
}

/// The machine that was described in `path`, with the driver below `root` if that is given.
pub fn complete(described: Described, path: &Path, root: Option<&HostPath>, wanted: Wanted) -> Result<Inventory> {
    described.complete(root, wanted).map_err(|error| {
        let code = match error {
            DescriptionError::NoDriver { .. } => Code::DriverMissing,
            DescriptionError::Host(HostError::Read { .. }) => Code::HostUnreadable,
            DescriptionError::Host(HostError::Root { .. }) => Code::ConfigInvalid,
            _ => Code::InventoryInvalid,
        };
        Fault::from_error(code, &error).within(&format!("machine {}", path.display()))
    })
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
    fn suse_is_told_by_its_word() {
        for (release, want) in [
            ("ID=sles\nID_LIKE=\"suse\"\n", true),
            ("ID_LIKE='suse opensuse'", true),
            ("ID_LIKE=opensuse", true),
            ("ID=suse\n", false),
            ("ID_LIKE=\"rhel fedora\"", false),
            ("ID_LIKE=suselike", false),
            ("", false),
        ] {
            assert_eq!(is_suse(release), want, "{release}");
        }
    }

    #[test]
    fn folders_come_from_the_environment_and_then_the_standard() {
        let standard = ["/usr/bin", "/bin"].map(str::to_owned);
        for (path, want) in [
            ("", &["/usr/bin", "/bin"][..]),
            ("/opt/bin:/bin", &["/opt/bin", "/bin", "/usr/bin"]),
            ("relative::/x", &["/x", "/usr/bin", "/bin"]),
        ] {
            assert_eq!(executable_folders(path, &standard), want, "{path}");
        }
        assert_eq!(absolute("a::b"), None, "then the defaults stay");
    }

    #[test]
    fn a_machine_file_must_describe_a_machine() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("machine.json");
        for text in ["", "[]", "{\"gpus\":3}", "\u{0}", "{\"gpu\": []}", "{\"gpus\": [{\"uuid\": \"x\"}]}"] {
            std::fs::write(&file, text).unwrap();
            let fault = load(&file).unwrap_err();
            assert_eq!(fault.code(), Code::InventoryInvalid, "{text}");
            assert!(fault.to_string().contains(&file.display().to_string()), "{fault}");
        }
        let machine = Inventory { platform: host::Platform::Discrete, ..Inventory::default() };
        std::fs::write(&file, to_json(&machine)).unwrap();
        assert_eq!(load(&file).unwrap(), machine);
        assert!(load(&dir.path().join("nope")).is_err());
    }
}
