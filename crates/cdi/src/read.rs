//! Reading spec files, JSON and YAML alike, as the original does (crates.md 1.5): scalars by YAML 1.1, numbers where a text is
//! wanted become texts, names of members in any case, and anything unknown is an error.
//!
//! A file may be anybody's, so size, depth, and what anchors multiply are bounded.

mod shape;
mod yaml;

use crate::origin::Origin;
use crate::place::Place;
use crate::spec::Spec;
use crate::tree::Node;
use crate::validate::InvalidSpec;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// No spec is larger than this, in bytes: that of a machine with eight GPUs has 48 thousand.
pub const SPEC_LIMIT: usize = 4 << 20;

/// Why a file is no spec.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The system does not give it.
    #[error("cannot be read: {0}")]
    Io(#[from] io::Error),
    /// A folder, FIFO, socket or device.
    #[error("is not a regular file")]
    NotRegular,
    /// Larger than [`SPEC_LIMIT`].
    #[error("has more than {SPEC_LIMIT} bytes")]
    TooLarge,
    /// Neither JSON nor YAML.
    #[error("is not UTF-8 at byte {at}")]
    NotUtf8 {
        /// Offset of the first wrong byte.
        at: usize,
    },
    /// The parser's words, which have line and column.
    #[error("is neither JSON nor YAML: {text}")]
    Syntax {
        /// The words.
        text: String,
        /// Line, counted from 1.
        line: usize,
    },
    /// A member twice in one map.
    #[error("has {name:?} twice in the map that ends at line {line}")]
    DuplicateKey {
        /// The member.
        name: String,
        /// Line, counted from 1.
        line: usize,
    },
    /// Maps and lists in each other, without end.
    #[error("is nested deeper than {0} levels")]
    TooDeep(usize),
    /// Anchors that multiply each other.
    #[error("grows beyond {0} values when its aliases are put in")]
    TooMany(usize),
    /// An alias of nothing, or of what contains it.
    #[error("has an alias at line {line} whose anchor is not complete there")]
    BadAlias {
        /// Line, counted from 1.
        line: usize,
    },
    /// A tag that says something else than the value, or that nobody knows.
    #[error("has the tag {tag:?} at line {line}, which its value does not fit")]
    BadTag {
        /// The tag.
        tag: String,
        /// Line, counted from 1.
        line: usize,
    },
    /// A list or map as the name of a member.
    #[error("has {found} as the name of a member at line {line}, where a string belongs")]
    BadName {
        /// What is there.
        found: &'static str,
        /// Line, counted from 1.
        line: usize,
    },
    /// `<<` with something that has no members.
    #[error("has {found} as the value of << in the map that ends at line {line}, where a map belongs")]
    BadMerge {
        /// What is there.
        found: &'static str,
        /// Line, counted from 1.
        line: usize,
    },
    /// There is nothing in it.
    #[error("is empty")]
    Empty,
    /// A member that CDI does not have. A newer version of it may.
    #[error("has the unknown field {name:?} in {at}")]
    UnknownField {
        /// The member.
        name: String,
        /// Where it stands.
        at: Place,
    },
    /// A member that is another one's field, spelled in another case.
    #[error("has the field {field:?} more than once in {at}, in different case")]
    SameField {
        /// The field.
        field: &'static str,
        /// Where it stands.
        at: Place,
    },
    /// A value of another type.
    #[error("has {found} as {at}, where {expected} belongs")]
    WrongType {
        /// Where it stands.
        at: Place,
        /// What belongs there.
        expected: &'static str,
        /// What is there.
        found: &'static str,
    },
    /// What the structures refuse although it has the form of a spec; the table of fields and they would then disagree.
    #[error("does not have the form of a spec: {0}")]
    Form(#[from] serde_json::Error),
    /// It breaks a rule of CDI.
    #[error("is an invalid CDI Spec: {0}")]
    Invalid(#[from] InvalidSpec),
}

impl Spec {
    /// Reads the text of a spec, without judging it: [`Spec::validate`] does.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn parse(bytes: &[u8]) -> Result<Spec, ReadError> {
        Self::parse_with_origin(bytes).map(|(spec, _)| spec)
    }

    /// As [`Spec::parse`], with what the text says of the spec's origin. The caller is to ask [`Origin::is_of`].
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn parse_with_origin(bytes: &[u8]) -> Result<(Spec, Option<Origin>), ReadError> {
        // There is at least one problem where there is no spec.
        let first = |problems: Vec<ReadError>| problems.into_iter().next().unwrap_or(ReadError::Empty);
        let mut spec = Spec::parse_strictly(bytes).map_err(first)?;
        let annotated = Origin::take_from(&mut spec);
        Ok((spec, Origin::of_text(bytes).or(annotated)))
    }

    /// The spec as it is written, or every field that does not fit.
    pub(crate) fn parse_strictly(bytes: &[u8]) -> Result<Spec, Vec<ReadError>> {
        let value = shape::spec(parse_text(bytes).map_err(|error| vec![error])?)?;
        serde_json::from_value(value).map_err(|error| vec![error.into()])
    }

    /// Reads a file and checks that it is a valid spec. A link is followed: spec folders belong to the administrator.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn read_file(path: &Path) -> Result<Spec, ReadError> {
        Self::read_file_with_origin(path).map(|(spec, _)| spec)
    }

    /// As [`Spec::read_file`], with the origin as [`Spec::parse_with_origin`] gives it.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn read_file_with_origin(path: &Path) -> Result<(Spec, Option<Origin>), ReadError> {
        let (spec, origin) = Spec::parse_with_origin(&read_regular(path)?)?;
        spec.validate()?;
        Ok((spec, origin))
    }
}

fn parse_text(bytes: &[u8]) -> Result<Node, ReadError> {
    if bytes.len() > SPEC_LIMIT {
        return Err(ReadError::TooLarge);
    }
    let text = std::str::from_utf8(bytes).map_err(|error| ReadError::NotUtf8 { at: error.valid_up_to() })?;
    parse_tree(text)
}

/// The bytes of a spec file: of a regular one that is not too large; nothing is read of any other.
///
/// A FIFO would make an opener wait for ever, so that it is looked at first; who can swap it in between owns the folder.
pub(crate) fn read_regular(path: &Path) -> Result<Vec<u8>, ReadError> {
    let found = path.metadata()?;
    if !found.is_file() {
        return Err(ReadError::NotRegular);
    }
    if found.len() > SPEC_LIMIT as u64 {
        return Err(ReadError::TooLarge);
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(SPEC_LIMIT as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// JSON is nearly always YAML too, but reading it as JSON is several times faster. What fails is left to the YAML parser,
/// which may accept it (a comment, a last comma) and whose errors name lines in any case.
fn parse_tree(text: &str) -> Result<Node, ReadError> {
    if text.trim_start().starts_with('{')
        && let Ok(node) = serde_json::from_str(text)
    {
        return Ok(node);
    }
    yaml::parse(text)
}

#[cfg(test)]
mod hostile_tests;
#[cfg(test)]
mod tests;
