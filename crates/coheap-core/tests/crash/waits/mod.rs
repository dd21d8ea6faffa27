//! Deaths beside those who wait: parked threads of living processes, and what rings or names them.
//!
//! Goal: whichever store of an operation a process dies before, whoever waits gets what it waits for
//! within a bounded time, or hears that the object is gone or closed; then the parking table is
//! clean. The same when the recoverer dies at any of its stores, and when others act between any two
//! stores of the victim.
//!
//! ```text
//! holder takes -> victim prepares -> waiters park and are stopped
//!   -> victim acts, halts for others if the scene says so, dies at store k
//!   -> a recoverer dies at its store j -> waiters go on -> the holder lets go -> all waiters end
//! ```
//!
//! What always holds: who is stopped was asleep on its bell and holds no turn. To the system it sleeps
//! no more, so a ring goes on to the next one; scenes whose waiters are awake show the other way.
//!
//! Not here: the states before and after an operation (`sweep`).

mod actor;
mod play;
mod scene;
mod scenes;
mod sweep;
mod table;

pub(crate) use scene::Scene;
pub(crate) use sweep::sweep;

/// All scenes, each with the operation that a process dies in.
pub(crate) fn all() -> Vec<Scene> {
    scenes::all()
}
