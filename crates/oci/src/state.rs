//! The state that a runtime writes to the standard input of a hook (runtime-spec, `runtime.md`, "State").

use crate::tree::Members;
use serde::de::DeserializeOwned;
use std::io::{self, Read};

/// Annotations are part of a state, so it may be large; without a limit a hook could be fed for ever.
pub const STATE_LIMIT: u64 = 16 << 20;

/// A container's state. Members that are absent or `null` are `None`; unknown ones are passed over.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// `ociVersion`.
    pub oci_version: Option<String>,
    /// `id`: the container's name.
    pub id: Option<String>,
    /// `pid`: the container's process; 0 where there is none yet.
    pub pid: Option<i64>,
    /// `bundle`, or `bundlePath` of runtimes before 1.0 where that is absent or empty.
    pub bundle: Option<String>,
    /// `root`, which crun adds: the container's root file system on the host.
    pub root: Option<String>,
}

/// Why a state cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// Standard input cannot be read.
    #[error("cannot read the container's state: {0}")]
    Unreadable(#[source] io::Error),
    /// Larger than [`STATE_LIMIT`].
    #[error("the container's state is larger than {} MiB", STATE_LIMIT >> 20)]
    TooLarge,
    /// Nothing at all: the hook was not started by a runtime.
    #[error("the container's state is empty; a container runtime gives it to a hook on standard input")]
    Empty,
    /// Not a JSON object.
    #[error("the container's state is not a JSON object: {0}")]
    NotAnObject(#[source] serde_json::Error),
    /// A member of the wrong type.
    #[error("{member} of the container's state is not {expected}")]
    WrongType {
        /// The member.
        member: &'static str,
        /// What the specification asks for.
        expected: &'static str,
    },
}

impl State {
    /// Reads a state to the end of `input`.
    ///
    /// # Errors
    /// All of [`StateError`].
    pub fn read(input: impl Read) -> Result<Self, StateError> {
        let mut bytes = Vec::new();
        input.take(STATE_LIMIT + 1).read_to_end(&mut bytes).map_err(StateError::Unreadable)?;
        match bytes.len() as u64 > STATE_LIMIT {
            true => Err(StateError::TooLarge),
            false => Self::parse(&bytes),
        }
    }

    /// Takes the text of a state. What follows the object is ignored.
    ///
    /// # Errors
    /// [`StateError::Empty`], [`StateError::NotAnObject`] and [`StateError::WrongType`].
    pub fn parse(bytes: &[u8]) -> Result<Self, StateError> {
        let mut values = serde_json::Deserializer::from_slice(bytes).into_iter::<Members<'_>>();
        let members = values.next().ok_or(StateError::Empty)?.map_err(StateError::NotAnObject)?;
        let bundle = text(&members, "bundle")?.filter(|path| !path.is_empty());
        Ok(State {
            oci_version: text(&members, "ociVersion")?,
            id: text(&members, "id")?,
            pid: get(&members, "pid", "an integer")?,
            bundle: match bundle {
                Some(bundle) => Some(bundle),
                None => text(&members, "bundlePath")?,
            },
            root: text(&members, "root")?,
        })
    }
}

fn text(members: &Members<'_>, member: &'static str) -> Result<Option<String>, StateError> {
    get(members, member, "a string")
}

fn get<T: DeserializeOwned>(
    members: &Members<'_>,
    member: &'static str,
    expected: &'static str,
) -> Result<Option<T>, StateError> {
    let Some(text) = members.get(member).filter(|text| *text != "null") else { return Ok(None) };
    serde_json::from_str(text).map(Some).map_err(|_| StateError::WrongType { member, expected })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_states_of_runtimes() {
        let runc = br#"{"ociVersion":"1.0.2","id":"c","status":"created","pid":42,"bundle":"/b","annotations":{}}"#;
        let state = State::read(&runc[..]).unwrap();
        assert_eq!((state.pid, state.bundle.as_deref(), state.root), (Some(42), Some("/b"), None));
        let crun = State::parse(br#"{"id":"c","pid":1,"root":"/b/rootfs","bundle":"/b"}"#).unwrap();
        assert_eq!(crun.root.as_deref(), Some("/b/rootfs"));
        let old = State::parse(br#"{"bundle":"","bundlePath":"/old","pid":null} rest"#).unwrap();
        assert_eq!((old.bundle.as_deref(), old.pid), (Some("/old"), None));
    }

    #[test]
    fn errors_say_what_is_wrong() {
        let table: [(&[u8], &str); 4] = [
            (b"", "the container's state is empty; a container runtime gives it to a hook on standard input"),
            (
                b"[]",
                "the container's state is not a JSON object: invalid type: sequence, expected an object at line 1 column 0",
            ),
            (br#"{"pid":"1"}"#, "pid of the container's state is not an integer"),
            (br#"{"bundle":7}"#, "bundle of the container's state is not a string"),
        ];
        for (bytes, want) in table {
            assert_eq!(State::parse(bytes).unwrap_err().to_string(), want);
        }
        assert!(matches!(State::read(io::repeat(b' ')), Err(StateError::TooLarge)));
    }
}
