//! Words that a test and its children share, outside of any heap.
//!
//! What always holds: a word that a child stored is there after the child was killed.

use std::sync::atomic::{AtomicU64, Ordering};

/// Some shared words, all zero at first.
#[derive(Debug, Clone)]
pub(crate) struct Page {
    words: &'static [AtomicU64],
}

impl Page {
    /// Maps `count` words. They stay mapped until the process ends.
    pub(crate) fn new(count: usize) -> Self {
        let flags = libc::MAP_SHARED | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: no address is asked for, so no other mapping is replaced.
        let base = unsafe { libc::mmap(std::ptr::null_mut(), count * 8, protection, flags, -1, 0) };
        assert!(base != libc::MAP_FAILED, "{}", std::io::Error::last_os_error());
        // SAFETY: `count` aligned words from `base` are mapped, zero, and never unmapped.
        let words = unsafe { std::slice::from_raw_parts(base.cast::<AtomicU64>(), count) };
        Self { words }
    }

    /// How many words there are.
    pub(crate) fn len(&self) -> usize {
        self.words.len()
    }

    /// A word's value.
    pub(crate) fn get(&self, index: usize) -> u64 {
        self.words[index].load(Ordering::SeqCst)
    }

    /// Stores a word.
    pub(crate) fn set(&self, index: usize, value: u64) {
        self.words[index].store(value, Ordering::SeqCst);
    }

    /// Adds to a word and answers what it was.
    pub(crate) fn add(&self, index: usize, more: u64) -> u64 {
        self.words[index].fetch_add(more, Ordering::SeqCst)
    }

    /// Stores a word and answers what it was.
    pub(crate) fn swap(&self, index: usize, value: u64) -> u64 {
        self.words[index].swap(value, Ordering::SeqCst)
    }

    /// Stores a word if it is as expected, and answers what it was.
    pub(crate) fn replace(&self, index: usize, expected: u64, value: u64) -> u64 {
        let order = Ordering::SeqCst;
        self.words[index].compare_exchange(expected, value, order, order).unwrap_or_else(|it| it)
    }

    /// Sets bits of a word.
    pub(crate) fn or(&self, index: usize, bits: u64) {
        self.words[index].fetch_or(bits, Ordering::SeqCst);
    }

    /// Writes a short text, cut to what fits, into the words from `index` on.
    pub(crate) fn set_text(&self, index: usize, text: &str) {
        self.set_text_within(index, self.words.len() - index, text);
    }

    /// As [`set_text`](Self::set_text), in `count` words at most.
    pub(crate) fn set_text_within(&self, index: usize, count: usize, text: &str) {
        let room = (count - 1) * 8;
        let bytes = &text.as_bytes()[..text.len().min(room)];
        for (number, chunk) in bytes.chunks(8).enumerate() {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.set(index + 1 + number, u64::from_le_bytes(word));
        }
        self.set(index, bytes.len() as u64);
    }

    /// The text that `set_text` wrote.
    pub(crate) fn text(&self, index: usize) -> String {
        let words = (index + 1..self.words.len()).flat_map(|word| self.get(word).to_le_bytes());
        let bytes: Vec<u8> = words.take(self.get(index) as usize).collect();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// All words zero again.
    pub(crate) fn clear(&self) {
        for word in self.words {
            word.store(0, Ordering::SeqCst);
        }
    }
}
