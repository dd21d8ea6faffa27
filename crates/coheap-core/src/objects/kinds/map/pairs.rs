//! Entries in one piece of memory: keys and values, in order, one after the other.
//!
//! What always holds: the ends only grow, and the last one is the end of the bytes.

use crate::error::{Error, Result};
use crate::journal::Context;
use crate::memory::reserve_private;
use crate::objects::cell::{Cell, Later};

/// Bytes more than expected that need no other memory.
const SPARE: usize = 4096;

/// A key and its value.
pub(crate) type Pair = (Vec<u8>, Vec<u8>);

/// What a copy takes of each entry.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Take {
    /// Its key and its value.
    #[default]
    Both,
    /// Its key; the value has no bytes.
    Keys,
    /// Its value; the key has no bytes.
    Values,
}

/// Keys and their values, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pairs {
    bytes: Vec<u8>,
    /// Where each key and each value ends.
    ends: Vec<(usize, usize)>,
}

/// An entry whose key or value is long, and is to be copied.
#[derive(Debug)]
pub(super) struct LongEntry<'a> {
    number: usize,
    key: Later<'a>,
    value: Later<'a>,
}

impl Pairs {
    /// Returns how many there are.
    #[inline]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Returns whether there are none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Returns the key and the value of one of them, counted from 0.
    #[inline]
    pub fn get(&self, number: usize) -> Option<(&[u8], &[u8])> {
        (number < self.len()).then(|| self.at(number))
    }

    /// Returns the key and the value of one that is there.
    #[inline]
    pub(super) fn at(&self, number: usize) -> (&[u8], &[u8]) {
        let (middle, end) = self.ends[number];
        let start = number.checked_sub(1).map_or(0, |before| self.ends[before].1);
        (&self.bytes[start..middle], &self.bytes[middle..end])
    }

    /// Some of them, in order.
    ///
    /// # Panics
    ///
    /// Where they are not all there.
    pub fn part(&self, numbers: std::ops::Range<usize>) -> Self {
        numbers.map(|number| self.at(number)).collect()
    }

    /// Adds the entry that these two write. Where one of them fails, nothing is added.
    ///
    /// # Errors
    ///
    /// Those of the two.
    #[inline]
    pub fn push_with<E>(
        &mut self,
        write_key: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
        write_value: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
    ) -> Result<(), E> {
        let start = self.bytes.len();
        let key = write_key(&mut self.bytes);
        let middle = self.bytes.len();
        match key.and_then(|()| write_value(&mut self.bytes)) {
            Ok(()) if start <= middle && middle <= self.bytes.len() => {
                self.ends.push((middle, self.bytes.len()));
                Ok(())
            }
            answer => {
                self.bytes.truncate(start);
                answer
            }
        }
    }

    /// Adds an entry.
    #[inline]
    pub(super) fn push(&mut self, key: &[u8], value: &[u8]) {
        self.bytes.extend_from_slice(key);
        let middle = self.bytes.len();
        self.bytes.extend_from_slice(value);
        self.ends.push((middle, self.bytes.len()));
    }

    /// Replaces an entry by one of the same lengths. Returns `false` if this is none.
    pub(super) fn put(&mut self, number: usize, key: &[u8], value: &[u8]) -> bool {
        let (old_key, old_value) = self.at(number);
        if (old_key.len(), old_value.len()) != (key.len(), value.len()) {
            return false;
        }
        let (middle, end) = self.ends[number];
        self.bytes[middle - key.len()..middle].copy_from_slice(key);
        self.bytes[middle..end].copy_from_slice(value);
        true
    }

    /// Forgets all but the first `count`.
    pub fn truncate(&mut self, count: usize) {
        self.ends.truncate(count);
        self.bytes.truncate(self.ends.last().map_or(0, |end| end.1));
    }

    /// Returns all of them.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&[u8], &[u8])> {
        let mut start = 0;
        self.ends.iter().map(move |(middle, end)| {
            let pair = (&self.bytes[start..*middle], &self.bytes[*middle..*end]);
            start = *end;
            pair
        })
    }

    /// Returns all of them, each in memory of its own.
    pub fn to_vec(&self) -> Vec<Pair> {
        self.iter().map(|(key, value)| (key.to_vec(), value.to_vec())).collect()
    }

    /// Adds what is taken of the entry with these cells. What is long in it has no bytes yet, and goes to
    /// `long`.
    #[inline]
    pub(super) fn load<'a>(
        &mut self,
        context: &'a Context,
        take: Take,
        [key, value]: [Cell; 2],
        long: &mut Vec<LongEntry<'a>>,
    ) -> Result<()> {
        let (late_key, middle) = match take {
            Take::Values => (None, self.bytes.len()),
            Take::Both | Take::Keys => self.append(context, key)?,
        };
        let (late_value, _) = match take {
            Take::Keys => (None, middle),
            Take::Both | Take::Values => self.append(context, value)?,
        };
        reserve_private(&mut self.ends, 1)?;
        if late_key.is_some() || late_value.is_some() {
            reserve_private(long, 1)?;
            long.push(LongEntry { number: self.ends.len(), key: late_key, value: late_value });
        }
        self.ends.push((middle, self.bytes.len()));
        Ok(())
    }

    /// Adds the bytes of a cell, unless it is long. Returns what is to be copied later, and the end.
    #[inline]
    fn append<'a>(&mut self, context: &'a Context, cell: Cell) -> Result<(Later<'a>, usize)> {
        let late = cell.late(context)?;
        if late.is_none() {
            cell.append_to(context.region(), &mut self.bytes)?;
        }
        Ok((late, self.bytes.len()))
    }

    /// Adds the bytes of what is long.
    #[inline]
    pub(super) fn fill_in(&mut self, long: &[LongEntry<'_>]) -> Result<()> {
        if long.is_empty() { Ok(()) } else { self.fill_in_some(long) }
    }

    #[cold]
    fn fill_in_some(&mut self, long: &[LongEntry<'_>]) -> Result<()> {
        let more = |late: &Later<'_>| late.as_ref().map_or(0, |late| late.bytes()) as usize;
        let all: usize = long.iter().map(|entry| more(&entry.key) + more(&entry.value)).sum();
        let mut filled = Self::with_room(self.len(), self.bytes.len() + all)
            .map_err(|_| Error::NoMemory { wanted: all as u64 })?;
        let mut long = long.iter().peekable();
        for (number, (key, value)) in self.iter().enumerate() {
            let entry = long.next_if(|entry| entry.number == number);
            let bytes = &mut filled.bytes;
            match entry.and_then(|entry| entry.key.as_ref()) {
                Some(late) => late.append_to(bytes)?,
                None => bytes.extend_from_slice(key),
            }
            let middle = bytes.len();
            match entry.and_then(|entry| entry.value.as_ref()) {
                Some(late) => late.append_to(bytes)?,
                None => bytes.extend_from_slice(value),
            }
            filled.ends.push((middle, bytes.len()));
        }
        *self = filled;
        Ok(())
    }

    /// No entries, with memory for these and `more`.
    pub(super) fn for_entries_of(&self, more: usize) -> Result<Self> {
        Self::with_room(self.len() + more, self.bytes.len())
    }

    fn with_room(entries: usize, bytes: usize) -> Result<Self> {
        let mut pairs = Self::default();
        reserve_private(&mut pairs.ends, entries)?;
        reserve_private(&mut pairs.bytes, bytes)?;
        Ok(pairs)
    }

    /// Bytes of memory it has.
    pub fn memory_bytes(&self) -> usize {
        self.bytes.capacity() + self.ends.capacity() * size_of::<(usize, usize)>()
    }

    /// Asks for memory for all entries of which these are the first, without copying them again and again. It
    /// is a guess: nothing follows from it but time.
    pub(super) fn expect(&mut self, all: u64) {
        let (all, count) = (all as usize, self.len());
        if count > 0 && all > count {
            let bytes = (self.bytes.len() as f64 / count as f64 * all as f64) as usize;
            let _ = self.ends.try_reserve_exact(all - count);
            let _ = self.bytes.try_reserve_exact(bytes.saturating_sub(self.bytes.len()) + SPARE);
        }
    }

    /// Asks for memory for so many short ones.
    pub fn reserve(&mut self, count: usize) {
        self.ends.reserve(count);
        self.bytes.reserve(count * 16);
    }
}

impl<K: AsRef<[u8]>, V: AsRef<[u8]>> FromIterator<(K, V)> for Pairs {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(pairs: I) -> Self {
        let mut all = Self::default();
        all.extend(pairs);
        all
    }
}

impl<K: AsRef<[u8]>, V: AsRef<[u8]>> Extend<(K, V)> for Pairs {
    fn extend<I: IntoIterator<Item = (K, V)>>(&mut self, pairs: I) {
        for (key, value) in pairs {
            self.push(key.as_ref(), value.as_ref());
        }
    }
}

impl PartialEq<Vec<Pair>> for Pairs {
    fn eq(&self, other: &Vec<Pair>) -> bool {
        self.len() == other.len()
            && self.iter().zip(other).all(|(own, (key, value))| own == (key, value))
    }
}
