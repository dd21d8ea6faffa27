//! What goes to standard output.
//!
//! What always holds: nobody is told that the reader of a pipe has left; everything else that goes
//! wrong is a failure.
//! Not here: messages for people, which go to standard error (`failure`).

use std::io::{ErrorKind, Write as _};

use crate::failure::Failure;

/// Prints bytes.
pub(crate) fn print(bytes: &[u8]) -> Result<(), Failure> {
    let mut output = std::io::stdout().lock();
    match output.write_all(bytes).and_then(|()| output.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Failure::Failed(format!("cannot print: {error}")))
        }
        _ => Ok(()),
    }
}
