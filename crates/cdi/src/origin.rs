//! Where a spec came from: a line in its file by which its maker can tell later whether it still holds.
//!
//! CDI has no place for this that old engines read: annotations need version 0.6.0. So YAML carries it as a comment, which no
//! engine sees, and JSON as an annotation, but only where the spec is of that version anyway.

use crate::spec::Spec;
use crate::write::Format;
use serde::{Deserialize, Serialize};

/// What stands before the origin in a comment.
const MARK: &str = "# corten: ";
/// The annotation's name in JSON.
const ANNOTATION: &str = "corten/origin";
/// What the people who open the file read first.
const FOR_PEOPLE: &str = "# Made by `nvidia-ctk cdi generate` of Corten. The next line tells whether it still fits the machine; edit what you like.";

/// How a spec came about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// Version of the program that made it.
    pub maker: String,
    /// Digest of the machine that it was made for.
    pub machine: String,
    /// [`Spec::digest`] of what was made: a spec that somebody has edited since has another one.
    pub content: String,
    /// What it takes to make it again; its form is the maker's.
    pub how: serde_json::Value,
}

impl Origin {
    /// What the text of a spec says of its origin, if anything.
    pub(crate) fn of_text(text: &[u8]) -> Option<Origin> {
        let lines = text.split(|byte| *byte == b'\n').skip_while(|line| *line == b"---");
        let mut comments = lines.take_while(|line| line.starts_with(b"#"));
        let json = comments.find_map(|line| line.strip_prefix(MARK.as_bytes()))?;
        serde_json::from_slice(json).ok()
    }

    /// Takes the annotation out of a spec, as it says nothing about the spec's devices.
    pub(crate) fn take_from(spec: &mut Spec) -> Option<Origin> {
        serde_json::from_str(&spec.annotations.remove(ANNOTATION)?).ok()
    }

    /// It is of this very spec, which nobody has edited since.
    pub fn is_of(&self, spec: &Spec) -> bool {
        self.content == spec.digest()
    }
}

impl Spec {
    /// A short name for all that the spec says. Two specs of one digest are alike, whatever their format.
    pub fn digest(&self) -> String {
        format!("{:016x}", oci::digest(self.to_text(Format::Json).as_bytes()))
    }

    /// As [`Spec::to_text`], with the origin where the format has room for it.
    pub fn to_text_from(&self, origin: &Origin, format: Format) -> String {
        // Plain structures have no way to fail, and JSON on one line has no line breaks.
        let json = serde_json::to_string(origin).unwrap_or_default();
        match format {
            Format::Yaml => {
                let text = self.to_text(format);
                let body = text.strip_prefix("---\n").unwrap_or(&text);
                format!("---\n{FOR_PEOPLE}\n{MARK}{json}\n{body}")
            }
            // All released versions have numbers of one digit, so that their order is that of their texts.
            Format::Json if self.cdi_version.as_str() >= "0.6.0" => {
                let mut spec = self.clone();
                spec.annotations.insert(ANNOTATION.to_owned(), json);
                spec.to_text(format)
            }
            Format::Json => self.to_text(format),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(version: &str) -> Spec {
        let text = format!(
            r#"{{"cdiVersion":"{version}","kind":"a.b/c","devices":[{{"name":"x","containerEdits":{{"env":["A=1"]}}}}],"containerEdits":{{}}}}"#
        );
        Spec::parse(text.as_bytes()).unwrap()
    }

    fn origin(spec: &Spec) -> Origin {
        let how = serde_json::json!({"mode": "nvml", "text": "two\nlines # and more"});
        Origin { maker: "0.1.0".into(), machine: "m".into(), content: spec.digest(), how }
    }

    fn read_back(text: &str) -> (Spec, Option<Origin>) {
        Spec::parse_with_origin(text.as_bytes()).unwrap()
    }

    #[test]
    fn comes_back_from_where_there_is_room() {
        for (format, version, room) in [
            (Format::Yaml, "0.3.0", true),
            (Format::Yaml, "0.7.0", true),
            (Format::Json, "0.7.0", true),
            (Format::Json, "0.5.0", false),
        ] {
            let spec = spec(version);
            let origin = origin(&spec);
            let text = spec.to_text_from(&origin, format);
            let (again, found) = read_back(&text);
            assert_eq!(again, spec, "{text}");
            assert_eq!(found, room.then_some(origin), "{text}");
            assert!(found.is_none_or(|found| found.is_of(&again)));
            assert!(again.validate().is_ok());
        }
    }

    #[test]
    fn what_engines_read_is_the_same_without_it() {
        let spec = spec("0.3.0");
        let text = spec.to_text_from(&origin(&spec), Format::Yaml);
        let bare: String = text.lines().filter(|line| !line.starts_with('#')).map(|line| format!("{line}\n")).collect();
        assert_eq!(bare, spec.to_text(Format::Yaml));
    }

    #[test]
    fn an_edited_spec_has_another_origin() {
        let spec = spec("0.3.0");
        let text = spec.to_text_from(&origin(&spec), Format::Yaml).replace("A=1", "A=2");
        let (edited, found) = read_back(&text);
        assert!(!found.unwrap().is_of(&edited));
    }

    #[test]
    fn what_is_no_origin_is_none() {
        let body = spec("0.3.0").to_text(Format::Yaml);
        let body = body.strip_prefix("---\n").unwrap();
        for head in ["# corten: {", "# corten: {}", "# corten: []", "#corten: x", "# other", "\n# corten: null"] {
            assert_eq!(read_back(&format!("---\n{head}\n{body}")).1, None, "{head}");
        }
        let mut spec = spec("0.6.0");
        spec.annotations.insert(ANNOTATION.into(), "nonsense".into());
        let (again, found) = read_back(&spec.to_text(Format::Json));
        assert_eq!((again.annotations.len(), found), (0, None));
    }
}
