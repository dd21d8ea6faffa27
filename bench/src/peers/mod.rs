//! The peers, each set up as its own documentation says is fastest for the job.
//!
//! What always holds: nothing of a peer is opened before the fork that needs it, but for what its
//! documentation says may be inherited; nothing of it is left behind.

pub mod dash;
pub mod iceoryx;
pub mod lmdb;
pub mod pipes;
pub mod robust;
