//! Standard output: a reader that has gone away (`corten errors | head`) has what it wanted, and is no failure.

use crate::{
    codes::Code,
    fault::{Fault, Result},
};
use std::io::{self, ErrorKind, Write};

/// Writes a text.
pub fn print(text: impl AsRef<[u8]>) -> Result<()> {
    write(text).map_err(|error| {
        Fault::from_error(Code::OutputNotWritten, &error)
            .within("cannot write to standard output")
            .next("Check where the output goes")
    })
}

/// The same for whoever has words of his own for a failure.
pub fn write(text: impl AsRef<[u8]>) -> io::Result<()> {
    match io::stdout().write_all(text.as_ref()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error),
        _ => Ok(()),
    }
}
