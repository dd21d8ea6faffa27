//! A mutex that its holder may acquire again.
//!
//! What always holds: it is built, acquired and released as a mutex. Its callers use `lock_again` and
//! `leave` of the [`Mutex`], which count.
//!
//! Not here: its operations (`mutex`).

use crate::allocator::Room;
use crate::error::Result;
use crate::journal::{Change, Context};
use crate::memory::layout::Object;
use crate::objects::header::Handle;
use crate::objects::kinds::{self, mutex};
use crate::objects::mutex::Mutex;
use crate::objects::value::Value;

pub(crate) use crate::objects::value::Shape;

/// A handle to a lock that its holder may acquire again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecursiveMutex {
    pub(in crate::objects) handle: Handle,
}

impl RecursiveMutex {
    /// Returns the mutex, which has all operations.
    #[inline]
    pub fn mutex(&self) -> Mutex {
        Mutex { handle: self.handle }
    }
}

impl Value {
    /// Returns the lock beside the value. Reading and writing the value ignores the lock.
    pub fn lock_beside(&self) -> RecursiveMutex {
        RecursiveMutex { handle: self.handle }
    }
}

/// A recursive mutex, made as this mutex would be.
#[derive(Debug, Clone, Copy, Default)]
pub struct Recipe<'a>(pub mutex::Recipe<'a>);

impl kinds::Recipe for Recipe<'_> {
    type Object = RecursiveMutex;

    fn value(&self) -> Option<&[u8]> {
        self.0.value()
    }

    fn prepare(&self, context: &Context, rooms: &mut Vec<Room>) -> Result<()> {
        self.0.prepare(context, rooms)
    }

    fn fill(&self, change: &mut Change<'_>, object: &Object) -> Result<()> {
        self.0.fill(change, object)
    }
}
