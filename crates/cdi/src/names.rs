//! Names of devices: `vendor/class=name` (runtime-and-hook.md 4.6, cdi-and-ctk.md 3.3).
//!
//! A vendor or class of a single letter is a name like any other; the original crashes on it (Q5).

use std::fmt;

/// `vendor/class`, such as `nvidia.com/gpu`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Kind {
    vendor: String,
    class: String,
}

/// Why something is no kind or no name of a device.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// A part that must be there is not.
    #[error("{what} is missing in {text:?}, which should read vendor/class{}", if *.of_device { "=name" } else { "" })]
    Missing {
        /// Which part.
        what: &'static str,
        /// The whole text.
        text: String,
        /// Whether a device is named, or a kind only.
        of_device: bool,
    },
    /// A part has a character where it may not have it.
    #[error("{what} {name:?} {rule}")]
    Malformed {
        /// Which part.
        what: &'static str,
        /// The part.
        name: String,
        /// The rule that it breaks, as the end of a sentence.
        rule: &'static str,
    },
}

impl Kind {
    /// Takes a kind apart at the first `/`.
    ///
    /// # Errors
    /// [`NameError`] if a part is missing or malformed.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let (vendor, class) = parts_of_kind(text, text, false)?;
        Kind::of(vendor, class)
    }

    fn of(vendor: &str, class: &str) -> Result<Self, NameError> {
        check_label("vendor", vendor)?;
        check_label("class", class)?;
        Ok(Kind { vendor: vendor.to_owned(), class: class.to_owned() })
    }

    /// Who makes the devices, such as `nvidia.com`.
    pub fn vendor(&self) -> &str {
        &self.vendor
    }

    /// What they are, such as `gpu`.
    pub fn class(&self) -> &str {
        &self.class
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.vendor, self.class)
    }
}

/// `vendor/class=name`: a device as a container asks for it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct QualifiedName {
    kind: Kind,
    device: String,
}

impl QualifiedName {
    /// Takes a name apart: at the first `=`, and what stands before that at the first `/`.
    ///
    /// # Errors
    /// [`NameError`] if it is not qualified, or a part is malformed.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let missing = |what| NameError::Missing { what, text: text.to_owned(), of_device: true };
        let (kind, device) = text.split_once('=').ok_or_else(|| missing("the kind"))?;
        let (vendor, class) = parts_of_kind(kind, text, true)?;
        if device.is_empty() {
            return Err(missing("the name"));
        }
        let kind = Kind::of(vendor, class)?;
        check_device_name(device)?;
        Ok(QualifiedName { kind, device: device.to_owned() })
    }

    /// The kind.
    pub fn kind(&self) -> &Kind {
        &self.kind
    }

    /// The name among the devices of that kind.
    pub fn device(&self) -> &str {
        &self.device
    }
}

impl fmt::Display for QualifiedName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.kind, self.device)
    }
}

/// Whether a request names a device in full. Anything else is the name of a device of the default kind.
pub fn is_qualified(text: &str) -> bool {
    QualifiedName::parse(text).is_ok()
}

fn parts_of_kind<'a>(kind: &'a str, text: &str, of_device: bool) -> Result<(&'a str, &'a str), NameError> {
    let missing = |what| NameError::Missing { what, text: text.to_owned(), of_device };
    let (vendor, class) = kind.split_once('/').ok_or_else(|| missing("the vendor"))?;
    match (vendor.is_empty(), class.is_empty()) {
        (true, _) => Err(missing("the vendor")),
        (_, true) => Err(missing("the class")),
        _ => Ok((vendor, class)),
    }
}

/// The rule for vendors and classes.
fn check_label(what: &'static str, name: &str) -> Result<(), NameError> {
    let rule = if !name.starts_with(|c: char| c.is_ascii_alphabetic()) {
        "does not begin with a letter"
    } else if !name.ends_with(|c: char| c.is_ascii_alphanumeric()) {
        "does not end with a letter or digit"
    } else if !name.chars().all(|c| c.is_ascii_alphanumeric() || "_-.".contains(c)) {
        "has a character other than letters, digits and _ - ."
    } else {
        return Ok(());
    };
    Err(NameError::Malformed { what, name: name.to_owned(), rule })
}

/// The rule for names of devices.
///
/// # Errors
/// [`NameError::Malformed`].
pub(crate) fn check_device_name(name: &str) -> Result<(), NameError> {
    let rule = if !name.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        "does not begin with a letter or digit"
    } else if !name.ends_with(|c: char| c.is_ascii_alphanumeric()) {
        "does not end with a letter or digit"
    } else if !name.chars().all(|c| c.is_ascii_alphanumeric() || "_-.:".contains(c)) {
        "has a character other than letters, digits and _ - . :"
    } else {
        return Ok(());
    };
    Err(NameError::Malformed { what: "device name", name: name.to_owned(), rule })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_are_taken_apart() {
        let table = [
            ("nvidia.com/gpu=0", "nvidia.com", "gpu", "0"),
            ("nvidia.com/gpu=0:1", "nvidia.com", "gpu", "0:1"),
            ("runtime.nvidia.com/gpu=all", "runtime.nvidia.com", "gpu", "all"),
            ("a/b=c", "a", "b", "c"),
            ("v-1/c_d.e=a_b-c.d:e", "v-1", "c_d.e", "a_b-c.d:e"),
        ];
        for (text, vendor, class, device) in table {
            let name = QualifiedName::parse(text).unwrap();
            assert_eq!((name.kind().vendor(), name.kind().class(), name.device()), (vendor, class, device));
            assert_eq!(name.to_string(), text);
        }
    }

    #[test]
    fn what_is_no_name_says_why() {
        let table = [
            ("", r#"the kind is missing in "", which should read vendor/class=name"#),
            ("0", r#"the kind is missing in "0", which should read vendor/class=name"#),
            ("gpu=0", r#"the vendor is missing in "gpu=0", which should read vendor/class=name"#),
            ("/gpu=0", r#"the vendor is missing in "/gpu=0", which should read vendor/class=name"#),
            ("a/=0", r#"the class is missing in "a/=0", which should read vendor/class=name"#),
            ("a/b=", r#"the name is missing in "a/b=", which should read vendor/class=name"#),
            ("1a/b=c", r#"vendor "1a" does not begin with a letter"#),
            ("a/b-=c", r#"class "b-" does not end with a letter or digit"#),
            ("a/b/c=d", r#"class "b/c" has a character other than letters, digits and _ - ."#),
            ("a/b=c=d", r#"device name "c=d" has a character other than letters, digits and _ - . :"#),
            ("a/b=:", r#"device name ":" does not begin with a letter or digit"#),
            ("a/b=é", r#"device name "é" does not begin with a letter or digit"#),
            ("é/b=c", r#"vendor "é" does not begin with a letter"#),
        ];
        for (text, want) in table {
            assert_eq!(QualifiedName::parse(text).unwrap_err().to_string(), want);
            assert!(!is_qualified(text));
        }
        let error = Kind::parse("gpu").unwrap_err();
        assert_eq!(error.to_string(), r#"the vendor is missing in "gpu", which should read vendor/class"#);
    }

    proptest! {
        #[test]
        fn names_print_as_they_were_read(text in "[a-c1]{0,2}/?[a-c._-]{0,3}=?[a-c:é/=]{0,3}") {
            if let Ok(name) = QualifiedName::parse(&text) {
                prop_assert_eq!(name.to_string(), text);
            }
        }

        #[test]
        fn arbitrary_text_never_panics(text: String) {
            let _ = QualifiedName::parse(&text);
            let _ = Kind::parse(&text);
        }
    }
}
