//! Names of devices: what is one is printed as it was read.

use cdi::{Kind, QualifiedName, is_qualified};

/// A text that may be the name of a device, or a kind.
pub fn names(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let name = QualifiedName::parse(text);
    assert_eq!(name.is_ok(), is_qualified(text));
    if let Ok(name) = &name {
        assert_eq!(name.to_string(), text);
        assert_eq!(format!("{}={}", name.kind(), name.device()), text);
        assert_eq!(Kind::parse(&name.kind().to_string()).as_ref(), Ok(name.kind()));
    }
    if let Ok(kind) = Kind::parse(text) {
        assert_eq!(kind.to_string(), text);
        assert!(is_qualified(&format!("{kind}=0")));
    }
    // An error is one line, whatever the name holds.
    if let Err(error) = name {
        assert!(!error.to_string().contains('\n'));
    }
}
