//! Both readers: total, and what is written of a spec reads as that spec.

use cdi::{Format, SPEC_LIMIT, Spec};

/// The reader of JSON. What does not begin like JSON would go straight to the other one.
pub fn read_json(input: &[u8]) {
    if input.trim_ascii_start().starts_with(b"{") {
        read(input);
    }
}

/// The reader of YAML, which also takes what looks like JSON and is none.
pub fn read_yaml(input: &[u8]) {
    read(input);
}

fn read(input: &[u8]) {
    let Ok(spec) = Spec::parse(input) else { return };
    let formats = [Format::Json, Format::Yaml];
    let texts = formats.map(|format| spec.to_text(format));
    // Aliases may have made more of it than a file may hold.
    if texts.iter().any(|text| text.len() > SPEC_LIMIT) {
        return;
    }
    let [json, yaml] = texts.each_ref().map(|text| reread(text));
    assert_eq!(json, yaml, "the formats disagree");
    assert_eq!(json.validate().is_ok(), spec.validate().is_ok(), "writing changed whether it is valid");
    assert_eq!(json.minimum_version(), spec.minimum_version());
    for (format, text) in formats.into_iter().zip(&texts) {
        assert_eq!(json.to_text(format), *text, "writing twice is not writing once");
    }
    // Writing leaves out what says nothing: numbers that are 0, texts that are empty. There is nothing else to lose.
    assert_eq!(json.devices.len(), spec.devices.len());
    for (read, given) in json.all_edits().zip(spec.all_edits()) {
        assert_eq!((&read.env, &read.hooks), (&given.env, &given.hooks));
        assert_eq!((&read.net_devices, &read.additional_gids), (&given.net_devices, &given.additional_gids));
        assert_eq!(read.intel_rdt, given.intel_rdt);
    }
}

fn reread(text: &str) -> Spec {
    match Spec::parse(text.as_bytes()) {
        Ok(spec) => spec,
        Err(error) => panic!("what we write does not read: {error}\n{text}"),
    }
}
