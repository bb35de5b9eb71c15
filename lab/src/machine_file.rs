//! Reading machines: TOML text, a file, and `--set` on top of it.

use crate::{Error, Result};
use machine::{Driver, Layout, Machine, Platform};
use std::{fs, path::Path};
use toml_edit::{DocumentMut, Item, Value};

/// Reads the machine in `path` and changes it by `settings`, each `KEY=VALUE` where KEY is a dotted path
/// (`driver.version`, `gpu.0.minor`) and VALUE is TOML, or a string without quotes.
///
/// # Errors
/// When the file cannot be read or is no machine, or a setting names nothing that can be set.
pub fn load(path: &Path, settings: &[String]) -> Result<Machine> {
    let text = fs::read_to_string(path).map_err(Error::file("read", path))?;
    parse(&text, settings, path)
}

/// Reads a machine from text.
///
/// # Errors
/// When it is not one.
pub fn from_text(text: &str) -> Result<Machine> {
    parse(text, &[], Path::new("the text"))
}

fn parse(text: &str, settings: &[String], path: &Path) -> Result<Machine> {
    let wrong = |reason: String| Error::Machine { path: path.into(), reason };
    let mut document: DocumentMut = text.parse().map_err(|error: toml_edit::TomlError| wrong(error.to_string()))?;
    for setting in settings {
        apply(&mut document, setting)?;
    }
    let machine: Machine = toml_edit::de::from_document(document).map_err(|error| wrong(error.to_string()))?;
    check(&machine).map_err(wrong)?;
    match machine.platform {
        Platform::Discrete | Platform::None => Ok(machine),
        Platform::Tegra => Err(Error::Unsupported { what: "a Jetson (platform \"tegra\")".into() }),
        Platform::Wsl => Err(Error::Unsupported { what: "Windows' subsystem (platform \"wsl\")".into() }),
    }
}

/// What the types do not say.
fn check(machine: &Machine) -> std::result::Result<(), String> {
    match (&machine.driver, machine.platform) {
        (None, Platform::Discrete) => return Err("platform \"discrete\" needs a [driver] table".into()),
        (Some(_), Platform::None) => return Err("platform \"none\" has no [driver] table".into()),
        (None, _) if !machine.gpus.is_empty() => return Err("GPUs need a [driver] table".into()),
        (Some(driver), _) => check_driver(driver)?,
        (None, _) => {}
    }
    machine.gpus.iter().try_for_each(|gpu| check_bus_id(&gpu.bus_id))
}

fn check_driver(driver: &Driver) -> std::result::Result<(), String> {
    if driver.version.is_empty() || driver.version.contains('/') {
        return Err(format!("driver.version {:?} cannot be a part of file names", driver.version));
    }
    if !driver.root.starts_with('/') {
        return Err(format!("driver.root must be absolute, not {:?}", driver.root));
    }
    if driver.layout == Layout::DebianAlternatives && driver.root != "/" {
        return Err("layout \"debian-alternatives\" has absolute links, so driver.root must be \"/\"".into());
    }
    if driver.layout == Layout::Plain && driver.root == "/" {
        return Err("layout \"plain\" has nothing but the driver, so driver.root must be a folder of its own".into());
    }
    Ok(())
}

fn check_bus_id(text: &str) -> std::result::Result<(), String> {
    let digits = |part: &str, count| part.len() == count && part.bytes().all(|byte| byte.is_ascii_hexdigit());
    let parts: Vec<&str> = text.split([':', '.']).collect();
    match parts[..] {
        [domain, bus, device, function]
            if digits(domain, 4) && digits(bus, 2) && digits(device, 2) && digits(function, 1) =>
        {
            Ok(())
        }
        _ => Err(format!("bus-id {text:?} is not of the form 0000:07:00.0")),
    }
}

fn apply(document: &mut DocumentMut, setting: &str) -> Result<()> {
    let wrong = |reason: &str| Error::Setting { setting: setting.into(), reason: reason.into() };
    let (key, value) = setting.split_once('=').ok_or_else(|| wrong("it has no \"=\"; write KEY=VALUE"))?;
    // No field is a fraction, so 12.4 is a version.
    let parsed = value.parse().ok().filter(|parsed: &Value| !parsed.is_float() && !parsed.is_datetime());
    let value = parsed.unwrap_or_else(|| Value::from(value));
    let mut item = document.as_item_mut();
    for part in key.split('.') {
        item = step(item, part).ok_or_else(|| wrong(&format!("there is no {part:?} to go into")))?;
    }
    *item = Item::Value(value);
    Ok(())
}

/// One step of a dotted path; a table gets what it does not have yet.
fn step<'a>(item: &'a mut Item, part: &str) -> Option<&'a mut Item> {
    match part.parse::<usize>() {
        Ok(number) if !item.is_table_like() => item.get_mut(number),
        _ if item.is_none() || item.is_table_like() => Some(&mut item[part]),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO: &str = include_str!("../machines/two-gpus.toml");

    fn with(settings: &[&str]) -> Result<Machine> {
        let settings: Vec<String> = settings.iter().map(|setting| (*setting).to_owned()).collect();
        parse(TWO, &settings, Path::new("two-gpus.toml"))
    }

    #[test]
    fn every_machine_that_ships_is_valid() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("machines");
        let mut count = 0;
        for entry in fs::read_dir(folder).unwrap() {
            load(&entry.unwrap().path(), &[]).unwrap();
            count += 1;
        }
        assert!(count >= 8, "{count}");
    }

    #[test]
    fn settings_change_tables_new_keys_and_gpus() {
        let machine = with(&[
            "driver.version=535.1",
            "gpu.1.minor=3",
            "gpu.0.compute-capability=9.0",
            "driver.drm=false",
            "nvml.init-error=999",
        ])
        .unwrap();
        let driver = machine.driver.unwrap();
        assert_eq!((driver.version.as_str(), driver.drm), ("535.1", false));
        assert_eq!(machine.nvml.init_error, Some(999));
        assert_eq!((machine.gpus[0].compute_capability.as_str(), machine.gpus[1].minor), ("9.0", 3));
    }

    #[test]
    fn mistakes_are_named() {
        for (setting, part) in [
            ("driver.version", "no \"=\""),
            ("driver.colour=red", "colour"),
            ("driver.root=etc", "absolute"),
            ("driver.version=../..", "file names"),
            ("platform=tegra", "Jetson"),
            ("platform=none", "has no [driver]"),
        ] {
            let error = with(&[setting]).unwrap_err().to_string();
            assert!(error.contains(part), "{setting}: {error}");
        }
    }

    #[test]
    fn bus_ids_have_one_form() {
        assert!(check_bus_id("0000:0A:00.0").is_ok());
        for wrong in ["", "07:00.0", "00000000:07:00.0", "0000:07:00", "../../etc/p.0"] {
            assert!(check_bus_id(wrong).is_err(), "{wrong}");
        }
    }
}
