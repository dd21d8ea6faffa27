//! The program `coheap`: everything it does is in the library beside it.
//!
//! The same program is also each of its own worker processes.
//! Not here: anything that a test would want to call.

use std::process::ExitCode;

fn main() -> ExitCode {
    coheap_cli::run()
}
