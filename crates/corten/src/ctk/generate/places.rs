//! Where `nvidia-ctk cdi generate` looks.

use super::{Values, usage};
use crate::{fault::Result, machine, runtime::settings::Location};
use host::Roots;
use oci::HostPath;
use plan::Config;

/// `config.toml`, which may name the driver root.
pub fn config(values: &Values) -> Result<Config> {
    let named = values.text("config");
    let location = match named.as_str() {
        "" => Location::find(|name| std::env::var(name).ok()),
        path => Location { path: path.into(), named: true },
    };
    location.load()
}

/// Where to look. Folders may be relative to the caller's; links on the way to a root are the host's.
pub fn roots(values: &Values, config: &Config) -> Result<Roots> {
    let mut config = config.clone();
    if let Some(root) = driver_root(values)? {
        config.cli.root = root.to_string();
    }
    let mut roots = machine::roots(&config)?;
    if values.is_given("dev-root") {
        roots.dev = folder("dev-root", &values.text("dev-root"))?;
    }
    roots.library_search = folders("library-search-path", values)?;
    roots.config_search = folders("config-search-path", values)?;
    Ok(roots)
}

/// The driver root, if it is given.
pub fn driver_root(values: &Values) -> Result<Option<HostPath>> {
    let given = values.is_given("driver-root").then(|| folder("driver-root", &values.text("driver-root")));
    given.transpose()
}

/// Entries are lists themselves, with colons.
fn folders(flag: &str, values: &Values) -> Result<Vec<HostPath>> {
    let entries = values.list(flag);
    let paths = entries.iter().flat_map(|entry| entry.split(':')).filter(|path| !path.is_empty());
    paths.map(|path| folder(flag, path)).collect()
}

/// An empty folder is the root.
fn folder(flag: &str, path: &str) -> Result<HostPath> {
    let bad = |error: String| usage(format!("--{flag}: {error}"), "Give the path of a folder");
    let path = if path.is_empty() { "/" } else { path };
    let absolute = std::path::absolute(path).map_err(|error| bad(error.to_string()))?;
    HostPath::new(absolute.to_string_lossy()).map_err(|error| bad(error.to_string()))
}
