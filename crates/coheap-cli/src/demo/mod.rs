//! The main job: many processes count the words of real text in one map while some of them are
//! being killed, and the answer is exactly right.
//!
//! ```text
//! corpus -> items -> [ queue -> workers -> map ] -> compared with one process -> table, JSON
//!                              ^ killed and replaced by the crew
//! ```
//!
//! | file         | what it knows                                        |
//! |--------------|------------------------------------------------------|
//! | `random`     | which worker dies, and when                          |
//! | `words`      | what a word is, and how to count                     |
//! | `items`      | how a text is cut into pieces for workers            |
//! | `corpus`     | which files are text                                 |
//! | `worker`     | one process that counts                              |
//! | `crew`       | all of them: started, killed, replaced, gone         |
//! | `execution`  | the run itself: when to kill, when all is done       |
//! | `report`     | the table and the JSON                               |
//! | `compare/`   | the same job over LMDB                               |

mod random;
mod words;
mod items;
mod corpus;
pub(crate) mod worker;
mod crew;
mod execution;
mod report;
pub(crate) mod compare;

use std::time::Instant;

use crate::args::Request;
use crate::failure::Failure;
use crate::signals::Signals;

use corpus::Corpus;
use report::{Report, Target};
use words::Totals;

/// Does the job, prints how it went, and fails unless every count is right.
pub(crate) fn run(request: &Request) -> Result<(), Failure> {
    if request.compare {
        compare::check_available()?;
    }
    let signals = Signals::listen()?;
    let corpus = Corpus::collect(&request.paths, &signals)?;
    let target = request.json.as_deref().map(Target::open).transpose()?;

    let outcome = execution::execute(request, &corpus, &signals)?;
    let peer = if request.compare {
        Some(compare::execute(&corpus, request.workers(), &signals)?)
    } else {
        None
    };

    let started = Instant::now();
    let plain = corpus.count(&signals)?;
    let plain_seconds = started.elapsed().as_secs_f64();

    let report = Report { corpus: &corpus, outcome: &outcome, peer: peer.as_ref(), plain_seconds };
    report.print(&plain)?;
    if let Some(target) = target {
        target.write(&report.json())?;
    }
    verify(&corpus, &plain, &outcome.counts, "the shared map")?;
    if let Some(peer) = &peer {
        verify(&corpus, &plain, &peer.counts, "LMDB")?;
    }
    Ok(())
}

/// Every count is equal, or an error that shows the first differences.
fn verify(
    corpus: &Corpus,
    plain: &Totals,
    counts: &Totals,
    whose: &'static str,
) -> Result<(), Failure> {
    let differences = words::differences(plain, counts);
    if differences.is_empty() {
        return Ok(());
    }
    let mut text = format!("{} counts of {whose} are wrong:", differences.len());
    for (word, expected, found) in differences.iter().take(10) {
        let word: String = word.chars().take(60).collect();
        text.push_str(&format!("\n  {word}: {found}, but a single process counts {expected}"));
    }
    let changed = corpus.changed();
    if !changed.is_empty() {
        text.push_str("\nthese files were changed while their words were counted:");
        for path in changed.iter().take(10) {
            text.push_str(&format!("\n  {}", path.display()));
        }
    }
    Err(Failure::Failed(text))
}
