//! A mutex that its holder may take again.
//!
//! What always holds: it is a mutex in all but its number: whoever uses it calls `lock_again` and
//! `leave` of [`Mutex`](crate::objects::Mutex), which count.
//!
//! Not here: how it is made, which `mutex::Recipe` says of both.

pub(crate) use crate::objects::value::Shape;
