//! Where a spec came from: total, it comes back from where there is room, and an engine reads the same spec without it.

use cdi::{Format, Origin, SPEC_LIMIT, Spec};
use plan::spec::SpecOptions;

/// The text of a spec file with its comments.
pub fn origin(input: &[u8]) {
    let Ok((spec, found)) = Spec::parse_with_origin(input) else { return };
    if let Some(found) = &found {
        let _ = serde_json::from_value::<SpecOptions>(found.how["options"].clone());
        let _ = found.is_of(&spec);
    }
    let given = found.unwrap_or_else(|| Origin {
        maker: "0.1.0".to_owned(),
        machine: String::new(),
        content: spec.digest(),
        how: serde_json::json!({"text": String::from_utf8_lossy(input)}),
    });
    for format in [Format::Yaml, Format::Json] {
        let text = spec.to_text_from(&given, format);
        if text.len() > SPEC_LIMIT {
            continue;
        }
        let (again, origin) = match Spec::parse_with_origin(text.as_bytes()) {
            Ok(read) => read,
            Err(error) => panic!("what we write does not read: {error}\n{text}"),
        };
        assert_eq!(again.to_text(Format::Json), spec.to_text(Format::Json), "the origin changed the spec");
        if let (Some(origin), Format::Yaml) = (&origin, format) {
            assert_eq!(*origin, given, "another origin came back");
        }
        assert!(origin.is_some() || matches!(format, Format::Json), "the origin is lost");
    }
}
