//! What needs Python: this process becomes the interpreter beside it, which runs the package.
//!
//! A wheel puts this program into the folder of the interpreter that it belongs to; elsewhere the
//! first `python3` on the path is taken.
//!
//! What always holds: what Python gets has been looked at here, and says the same as what this
//! program got; signals and the exit status are Python's own, for there is no process between.
//! Not here: what Python does (`python/coheap/_demo`).

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Command;

use coheap_core::system;

use crate::args::Request;
use crate::failure::Failure;

/// Runs `demo` in Python. Comes back only when there is none.
pub(crate) fn run(request: &Request) -> Failure {
    let python = interpreter();
    let mut command = Command::new(&python);
    // -P: what lies about in the current folder is not taken for a module.
    command.args(["-P", "-m", "coheap", "demo"]).args(arguments(request));
    let error = system::become_program(&mut command);
    Failure::Failed(format!(
        "cannot run {}: {error}; --python needs Python 3.11 or later with the package coheap",
        python.display()
    ))
}

/// The Python beside this program, or whichever is on the path.
fn interpreter() -> PathBuf {
    let beside = std::env::current_exe().ok().and_then(|program| {
        let python = program.parent()?.join("python3");
        python.is_file().then_some(python)
    });
    beside.unwrap_or_else(|| PathBuf::from("python3"))
}

/// The request once more, as words.
fn arguments(request: &Request) -> Vec<OsString> {
    let mut words = vec![format!("--kills-per-second={}", request.kills_per_second).into()];
    if let Some(workers) = request.workers {
        words.push(format!("--workers={workers}").into());
    }
    if let Some(method) = &request.start_method {
        words.push(format!("--start-method={method}").into());
    }
    if request.compare {
        words.push("--compare".into());
    }
    if let Some(json) = &request.json {
        let mut word = OsString::from("--json=");
        word.push(json);
        words.push(word);
    }
    words.push("--".into());
    words.extend(request.paths.iter().map(OsString::from));
    words
}
