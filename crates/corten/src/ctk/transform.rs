//! `nvidia-ctk cdi transform root`: replaces the root of a specification's paths (reference: cdi-and-ctk.md 1.4).

use super::{
    flags::{Flag, Values},
    output,
};
use crate::{
    codes::Code,
    fault::{Fault, Result},
};
use cdi::{Format, ReadError, RelativeTo, SPEC_LIMIT, Spec};
use std::{
    fs::File,
    io::{self, Read},
};

pub const FLAGS: &[Flag] = &[
    Flag::text("from", "", "root to be replaced; empty is /"),
    Flag::text("to", "", "root to put in its place; empty is /"),
    Flag::text("input", "", "file to read; - is standard input").by_default("-"),
    Flag::text("output", "", "file to write, instead of standard output"),
    Flag::text("relative-to", "", "whose paths: host or container").by_default("host"),
];

pub fn run(values: &Values) -> Result<()> {
    let side = side(&values.text("relative-to"))?;
    let mut spec = read(&values.text("input"))?;
    spec.transform_root(&values.text("from"), &values.text("to"), side);
    raise_version(&mut spec);
    match output::file(&values.text("output"), Format::Yaml, false) {
        Some((file, format)) => output::write(&spec, None, Some(&file), format),
        None => output::write(&spec, None, None, Format::Yaml),
    }
}

fn side(name: &str) -> Result<RelativeTo> {
    match name {
        "host" => Ok(RelativeTo::Host),
        "container" => Ok(RelativeTo::Container),
        _ => Err(Fault::new(Code::Usage, format!("invalid value for --relative-to: {name:?}"))
            .next("Give host or container")),
    }
}

/// A node that names its host path for the first time needs a newer version than the specification may have had.
fn raise_version(spec: &mut Spec) {
    let needed = spec.minimum_version();
    // All released versions have numbers of one digit, so that their order is that of their texts.
    if spec.cdi_version.trim_start_matches('v') < needed {
        log::debug!("the specification needs version {needed} now");
        spec.cdi_version = needed.to_owned();
    }
}

fn read(name: &str) -> Result<Spec> {
    let bytes = match name {
        "-" | "" => bytes(io::stdin().lock()),
        path => File::open(path).and_then(bytes),
    };
    let shown = if matches!(name, "-" | "") { "standard input" } else { name };
    let failed = |code, error: &dyn std::error::Error| {
        Fault::from_error(code, error).within(shown).within("failed to load CDI specification")
    };
    let bytes = bytes.map_err(|error| failed(Code::InputUnreadable, &error))?;
    let invalid = |error: ReadError| failed(Code::CdiSpecInvalid, &error);
    Spec::parse(&bytes).map_err(invalid)
}

/// One byte more than a specification may have shows one that is too large.
fn bytes(from: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.take(SPEC_LIMIT as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(line: &str) -> Values {
        Values::of_line(line, FLAGS)
    }

    #[test]
    fn roots_are_replaced_and_the_version_follows() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
        let (old, new) = (at("old.json"), at("new.json"));
        let spec = r#"{"cdiVersion":"0.3.0","kind":"a.b/c","devices":[{"name":"x","containerEdits":{"deviceNodes":[{"path":"/r/dev/y"}]}}]}"#;
        std::fs::write(&old, spec).unwrap();
        run(&values(&format!("--from /r --to /s --input {old} --output {new}"))).unwrap();
        let spec = Spec::read_file(new.as_ref()).unwrap();
        let node = &spec.devices[0].container_edits.device_nodes[0];
        assert_eq!((node.path.as_str(), node.host_path.as_deref()), ("/r/dev/y", Some("/s/dev/y")));
        assert_eq!(spec.cdi_version, "0.5.0");
    }

    #[test]
    fn what_is_no_specification_writes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
        let (old, new) = (at("old.json"), at("new.json"));
        for text in ["", "{", "{\"unknown\":1}", "\u{0}"] {
            std::fs::write(&old, text).unwrap();
            let fault = run(&values(&format!("--from /r --to /s --input {old} --output {new}"))).unwrap_err();
            assert_eq!(fault.code(), Code::CdiSpecInvalid, "{fault}");
        }
        let fault = run(&values(&format!("--input {} --output {new}", at("nope")))).unwrap_err();
        assert_eq!(fault.code(), Code::InputUnreadable, "{fault}");
        assert!(!std::path::Path::new(&new).exists());
    }
}
