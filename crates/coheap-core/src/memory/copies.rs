//! Private memory for copies of what the heap holds, in the amount that the heap says.
//!
//! What always holds: where there is none, the answer is an error, and the process goes on. Who
//! takes something out of the heap has its copy first.

use crate::error::{Error, Result};

/// Makes private memory for `more` things, as many as the heap says there are.
///
/// # Errors
///
/// [`Error::NoMemory`], where the standard library would end the process.
#[inline]
pub fn reserve_private<T>(list: &mut Vec<T>, more: usize) -> Result<()> {
    let wanted = more.saturating_mul(size_of::<T>()) as u64;
    list.try_reserve(more).map_err(|_| Error::NoMemory { wanted })
}

/// Returns an empty list with private memory for so many things.
///
/// # Errors
///
/// As [`reserve_private`].
pub fn private_list<T>(len: u64) -> Result<Vec<T>> {
    let mut list = Vec::new();
    reserve_private(&mut list, len as usize)?;
    Ok(list)
}
