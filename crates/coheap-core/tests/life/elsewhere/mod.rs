//! Members that cannot see each other as usual: in another namespace, or through a second copy of
//! the engine in one process.
//!
//! What always holds: nobody takes the other for dead because of it.
//!
//! Not here: other programs in the place of a member (`replaced`).

mod engines;
mod namespaces;
