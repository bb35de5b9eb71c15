//! Stands in for `runc` and `crun` inside the machine, so that containers see the machine's procfs: a new procfs mount
//! shows the real kernel's `/proc/driver`, not what is mounted over it outside.
//!
//! For `create` and `run` it puts one hook, [`crate::hook`], in front of the container's other prestart hooks; then it
//! becomes the real runtime, with the arguments it was given.

use crate::{Error, Result, companions::own_program, hook};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::{
    convert::Infallible,
    ffi::OsString,
    fs,
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::{Path, PathBuf},
    process::Command,
};

/// Runtimes that are stood in for.
pub const RUNTIMES: [&str; 2] = ["runc", "crun"];

/// Options before the command word that take a value as a word of its own.
const WITH_VALUE: [&str; 7] =
    ["--root", "--log", "--log-format", "--log-level", "--criu", "--rootless", "--cgroup-manager"];

/// Where the real program is inside the machine.
pub fn real_path(name: &str) -> String {
    format!("/usr/libexec/corten-lab/{name}")
}

/// Does the wrapper's work as `name`, given the words after the program's name.
///
/// # Errors
/// When a bundle cannot be read or changed, or the real runtime is not there; on success it does not return.
pub fn run(name: &str, arguments: &[OsString]) -> Result<Infallible> {
    let words: Vec<String> = arguments.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    if let Some(bundle) = created_bundle(&words) {
        match add_hook_to(&Path::new(&bundle).join("config.json")) {
            // The real runtime finds the same fault, and says so in the words that its callers know.
            Ok(()) | Err(Error::Oci { .. } | Error::File { action: "read", .. }) => {}
            Err(error) => return Err(error),
        }
    }
    let real = real_path(name);
    let error = Command::new(&real).arg0(name).args(arguments).exec();
    Err(Error::file("run", real)(error))
}

/// The bundle that a command line creates a container from: `None` if it does something else.
fn created_bundle(words: &[String]) -> Option<String> {
    let mut rest = words.iter();
    let command = loop {
        let word = rest.next()?;
        if WITH_VALUE.contains(&word.as_str()) {
            rest.next()?;
        } else if !word.starts_with('-') {
            break word;
        }
    };
    if command != "create" && command != "run" {
        return None;
    }
    let mut bundle = ".".to_owned();
    while let Some(word) = rest.next() {
        if word == "--bundle" || word == "-b" {
            bundle = rest.next()?.clone();
        } else if let Some(value) = word.strip_prefix("--bundle=").or_else(|| word.strip_prefix("-b=")) {
            bundle = value.to_owned();
        }
    }
    Some(bundle)
}

fn add_hook_to(path: &Path) -> Result<()> {
    let text = fs::read_to_string(path).map_err(Error::file("read", path))?;
    let changed = with_hook(&text, &own_program()?)
        .map_err(|error| Error::Oci { what: path.display().to_string(), reason: error.to_string() })?;
    if changed == text {
        return Ok(());
    }
    let temporary = path.with_extension("json.corten-lab");
    let mode = fs::metadata(path).map_err(Error::file("look at", path))?.permissions().mode();
    fs::write(&temporary, changed).map_err(Error::file("write", &temporary))?;
    fs::set_permissions(&temporary, fs::Permissions::from_mode(mode)).map_err(Error::file("write", &temporary))?;
    fs::rename(&temporary, path).map_err(Error::file("replace", path))
}

/// Parts of `config.json` as the text they are written as, to be found again in the whole.
#[derive(Deserialize)]
struct Config<'a> {
    #[serde(borrow)]
    hooks: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Hooks<'a> {
    #[serde(borrow)]
    prestart: Option<&'a RawValue>,
}

/// The document with our hook as the first prestart hook; every other byte stays.
fn with_hook(text: &str, program: &Path) -> serde_json::Result<String> {
    let config: Config = serde_json::from_str(text)?;
    let entry = hook::entry(program);
    let hooks = config.hooks.map(RawValue::get);
    if hooks.is_some_and(|hooks| hooks.contains(hook::NAME)) {
        return Ok(text.to_owned());
    }
    let Some(hooks) = hooks.filter(|hooks| *hooks != "null") else {
        return Ok(insert_first(text, text, &format!("\"hooks\":{{\"prestart\":[{entry}]}}")));
    };
    match serde_json::from_str::<Hooks>(hooks)?.prestart.map(RawValue::get).filter(|list| *list != "null") {
        Some(list) => Ok(insert_first(text, list, &entry)),
        None => Ok(insert_first(text, hooks, &format!("\"prestart\":[{entry}]"))),
    }
}

/// Inserts `what` as the first member of `inside`, an object or array that is a part of `text`.
fn insert_first(text: &str, inside: &str, what: &str) -> String {
    let start = inside.as_ptr() as usize - text.as_ptr() as usize;
    let open = start + inside.find(['{', '[']).unwrap_or(0) + 1;
    let (before, after) = text.split_at(open);
    let comma = if after.trim_start().starts_with(['}', ']']) { "" } else { "," };
    format!("{before}{what}{comma}{after}")
}

/// Folder of the container's root file system, as `config.json` in `bundle` names it.
pub(crate) fn root_of(bundle: &Path) -> Result<PathBuf> {
    #[derive(Deserialize)]
    struct Config {
        root: Root,
    }
    #[derive(Deserialize)]
    struct Root {
        path: PathBuf,
    }
    let path = bundle.join("config.json");
    let text = fs::read_to_string(&path).map_err(Error::file("read", &path))?;
    let config: Config = serde_json::from_str(&text)
        .map_err(|error| Error::Oci { what: path.display().to_string(), reason: error.to_string() })?;
    Ok(bundle.join(config.root.path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn bundle(words: &[&str]) -> Option<String> {
        created_bundle(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn only_create_and_run_have_a_bundle() {
        for (words, expected) in [
            (&["create", "--bundle", "/b", "id"][..], Some("/b")),
            (&["--root", "create", "--log=x", "run", "-b", "/b", "id"], Some("/b")),
            (&["--systemd-cgroup", "run", "--bundle=/b", "id"], Some("/b")),
            (&["create", "id"], Some(".")),
            (&["state", "create"], None),
            (&["--root", "create"], None),
            (&["--version"], None),
            (&[], None),
        ] {
            assert_eq!(bundle(words).as_deref(), expected, "{words:?}");
        }
    }

    #[test]
    fn the_hook_comes_first_and_the_rest_stays() {
        for text in [
            "{}",
            "{\n  \"root\": {} }",
            r#"{"hooks": {}, "a": 1.50}"#,
            r#"{"hooks": {"poststop": [{"path": "/x"}]}}"#,
            r#"{"hooks": {"prestart": []}}"#,
            r#" {"hooks": {"prestart": [ {"path": "/x"} ]}}"#,
        ] {
            let changed = with_hook(text, Path::new("/lab")).unwrap();
            let value: Value = serde_json::from_str(&changed).unwrap();
            assert_eq!(value["hooks"]["prestart"][0]["args"][0], hook::NAME, "{changed}");
            let rest: String = text.chars().filter(|letter| !letter.is_whitespace()).collect();
            let parts = rest.trim_end_matches([']', '}']).split(['[', '{']).filter(|part| part.len() > 1);
            parts.for_each(|part| assert!(changed.replace(' ', "").contains(part), "{part:?} of {changed}"));
            assert_eq!(with_hook(&changed, Path::new("/lab")).unwrap(), changed);
        }
        let two = with_hook(r#"{"hooks": {"prestart": [ {"path": "/x"} ]}}"#, Path::new("/lab")).unwrap();
        let value: Value = serde_json::from_str(&two).unwrap();
        assert_eq!(value["hooks"]["prestart"][1]["path"], "/x");
    }

    #[test]
    fn what_is_no_document_is_an_error() {
        for text in ["", "[]", "{\"hooks\": 3}", "{\"hooks\": {\"prestart\": "] {
            assert!(with_hook(text, Path::new("/lab")).is_err(), "{text}");
        }
    }
}
