//! Where `config.toml` is and what it says.

use crate::{
    codes::Code,
    fault::{Fault, Result},
};
use plan::Config;
use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

/// Larger than any configuration; a file that is larger is some other file.
const LARGEST: u64 = 1 << 20;

/// Where the file is (reference: runtime-and-hook.md 1.1).
#[derive(Debug, PartialEq, Eq)]
pub struct Location {
    /// The file.
    pub path: PathBuf,
    /// The caller named this very file, so that it should exist.
    pub named: bool,
}

impl Location {
    /// Where to look; `variable` looks an environment variable up. Empty variables do not count.
    pub fn find(variable: impl Fn(&str) -> Option<String>) -> Location {
        let set = |name| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        if let Some(path) = set("NVIDIA_CTK_CONFIG_FILE_PATH") {
            return Location { path, named: true };
        }
        let folder = set("XDG_CONFIG_HOME").unwrap_or_else(|| "/etc".into());
        Location { path: folder.join("nvidia-container-runtime/config.toml"), named: false }
    }

    /// The same for the prestart hook, whose command line may name a file.
    pub fn of_hook(flag: &str, variable: impl Fn(&str) -> Option<String>) -> Location {
        match flag {
            "" => Location::find(variable),
            path => Location { path: path.into(), named: true },
        }
    }

    /// The settings; the defaults where there is no file. Oddities go to the log.
    pub fn load(&self) -> Result<Config> {
        self.parse(self.text(read(&self.path))).map_err(|fault| fault.within("error loading config"))
    }

    /// The same for a caller without a log, who insists on a file that was named, as the original's hook does.
    pub fn load_required(&self) -> Result<Config> {
        let required = |fault: Fault| match self.named {
            true => fault.within("couldn't open required configuration file"),
            false => fault,
        };
        let text = match read(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && self.named => {
                let message = format!("file does not exist: {}", self.path.display());
                Err(Fault::new(Code::ConfigUnreadable, message).next("Make the file, or name another"))
            }
            read => self.text(read),
        };
        self.parse(text).map_err(required)
    }

    fn parse(&self, text: Result<String>) -> Result<Config> {
        let (config, warnings) = Config::parse(&text?).map_err(|error| {
            Fault::from_error(Code::ConfigInvalid, &error).within(&self.stage("failed to load specified config file"))
        })?;
        for warning in warnings {
            log::warn!("{}: {warning}", self.path.display());
        }
        Ok(config)
    }

    /// What reading the file gave; none is as good as an empty one.
    fn text(&self, read: io::Result<String>) -> Result<String> {
        match read {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if self.named {
                    log::warn!(
                        "{} does not exist, though NVIDIA_CTK_CONFIG_FILE_PATH names it; using the defaults",
                        self.path.display()
                    );
                }
                Ok(String::new())
            }
            Err(error) => Err(Fault::from_error(Code::ConfigUnreadable, &error)
                .within(&format!("read {}", self.path.display()))
                .within("failed to load specified config file")),
            Ok(text) => Ok(text),
        }
    }

    fn stage(&self, stage: &str) -> String {
        format!("{stage}: {}", self.path.display())
    }
}

fn read(path: &Path) -> io::Result<String> {
    // Larger than most, so that it is read at once.
    let mut text = String::with_capacity(8192);
    File::open(path)?.take(LARGEST + 1).read_to_string(&mut text)?;
    if text.len() as u64 > LARGEST {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(set: &[(&str, &str)]) -> Location {
        Location::find(|name| set.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn the_most_particular_variable_wins() {
        for (set, path, named) in [
            (&[][..], "/etc/nvidia-container-runtime/config.toml", false),
            (&[("XDG_CONFIG_HOME", "/x")][..], "/x/nvidia-container-runtime/config.toml", false),
            (&[("XDG_CONFIG_HOME", "/x"), ("NVIDIA_CTK_CONFIG_FILE_PATH", "/f")][..], "/f", true),
            (
                &[("XDG_CONFIG_HOME", ""), ("NVIDIA_CTK_CONFIG_FILE_PATH", "")][..],
                "/etc/nvidia-container-runtime/config.toml",
                false,
            ),
        ] {
            assert_eq!(find(set), Location { path: path.into(), named });
        }
    }

    #[test]
    fn a_missing_file_means_the_defaults_and_a_bad_one_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| Location { path: dir.path().join(name), named: true };
        assert_eq!(at("nope").load().unwrap(), Config::default());
        std::fs::write(dir.path().join("bad"), "disable-require = 'yes'").unwrap();
        std::fs::write(dir.path().join("long"), " ".repeat(1 << 21)).unwrap();
        for (name, code) in
            [("bad", Code::ConfigInvalid), ("long", Code::ConfigUnreadable), (".", Code::ConfigUnreadable)]
        {
            let fault = at(name).load().unwrap_err();
            assert_eq!(fault.code(), code, "{fault}");
            assert!(fault.to_string().starts_with("error loading config: failed to load specified config file: "));
        }
    }
}
