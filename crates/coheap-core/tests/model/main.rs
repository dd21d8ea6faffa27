//! Random operations against std's collections and plain variables: no object must ever be told
//! from what it is compared with.
//!
//! One process; what concurrency and death add is tested elsewhere. A failing case prints its
//! operations; `PROPTEST_CASES` makes the runs longer.
//!
//! What always holds: a kind that is registered in the engine and has no row here does not compile.

#[path = "../support/mod.rs"]
mod support;
mod map;
mod mutex;
mod queue;
mod value;

use std::fmt::Debug;

use coheap_core::Kind;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

/// A test for each kind: its name, and who runs it.
macro_rules! one_row_for_each_kind {
    ($($kind:ident: $test:ident => $holds:expr;)*) => {
        $(
            #[test]
            fn $test() {
                $holds();
            }
        )*

        const _: fn(Kind) = |kind| match kind {
            $(Kind::$kind => {})*
        };
    };
}

one_row_for_each_kind! {
    Value: a_value_cannot_be_told_from_a_variable => value::holds;
    Map: a_map_cannot_be_told_from_a_dict => map::holds;
    Queue: a_queue_cannot_be_told_from_a_deque => queue::holds;
    Mutex: a_mutex_cannot_be_told_from_a_variable_that_names_its_holder => mutex::holds;
    RecursiveMutex: a_recursive_mutex_cannot_be_told_from_a_counter => mutex::holds_again;
}

/// Runs `play` with many inputs; panics with the smallest that fails.
fn hold<S: Strategy>(inputs: &S, play: impl Fn(S::Value))
where
    S::Value: Debug,
{
    let cases = std::env::var("PROPTEST_CASES").map_or(64, |text| text.parse().expect("a number"));
    let config = ProptestConfig { cases, failure_persistence: None, ..Default::default() };
    let outcome = TestRunner::new(config).run(inputs, |input| {
        play(input);
        Ok(())
    });
    outcome.unwrap_or_else(|error| panic!("{error}"));
}
