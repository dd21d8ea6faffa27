//! What a writer notes in the sidecar before it appends, so that others can judge what it left.
//!
//! A record names the file, its length before the call, and the planned bytes: those themselves
//! where they are few, otherwise a checksum of each chunk. No note says that the call is done: it
//! is, when all planned bytes are there.
//!
//! What always holds: a record that was itself cut off is no record. It is complete before the
//! first byte of its call is written, so without a record there is nothing unfinished.
//!
//! # The bytes
//!
//! | bytes    | what                                                       |
//! |----------|------------------------------------------------------------|
//! | 0..8     | `coheapA1`                                                 |
//! | 8..16    | checksum of all that follows                               |
//! | 16..24   | inode                                                      |
//! | 24..32   | base: length of the file before the call                   |
//! | 32..40   | planned: length of the call, in bytes                      |
//! | 40..48   | length of the proof, in bytes                              |
//! | 48..56   | length of the label, in bytes                              |
//! | 56..     | label: the encoding of the file; then the proof            |
//!
//! All numbers are little endian.

use std::fs::File;
use std::io;

use coheap_core::system::appending::read_file_at;
use xxhash_rust::xxh3::xxh3_64;

const MAGIC: &[u8; 8] = b"coheapA1";
const HEAD: usize = 56;
/// Bytes with one checksum; as many are noted as they are.
const CHUNK: usize = 4096;
/// The longest label.
const MAX_LABEL: usize = 64;

/// A call, as its writer planned it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Record {
    /// Number of the file in its file system.
    pub(crate) inode: u64,
    /// Length of the file before the call.
    pub(crate) base: u64,
    /// Length of the call, in bytes.
    pub(crate) planned: u64,
    /// The encoding of the file, as its writer calls it.
    pub(crate) label: String,
    proof: Vec<u8>,
}

/// What became of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// All of it is there, or nothing.
    Whole,
    /// A part of it is there, and nothing else behind `base`.
    Unfinished,
    /// What is there is not what was planned.
    Foreign,
}

impl Record {
    /// Writes the record of a call into `bytes`, which are replaced.
    pub(crate) fn note(bytes: &mut Vec<u8>, inode: u64, base: u64, payload: &[u8], label: &str) {
        let label = if label.len() <= MAX_LABEL { label } else { "" };
        bytes.clear();
        bytes.extend_from_slice(MAGIC);
        let planned = payload.len() as u64;
        for number in [0, inode, base, planned, proof_len(planned), label.len() as u64] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        bytes.extend_from_slice(label.as_bytes());
        if payload.len() <= CHUNK {
            bytes.extend_from_slice(payload);
        } else {
            bytes.extend(payload.chunks(CHUNK).flat_map(|chunk| xxh3_64(chunk).to_le_bytes()));
        }
        let checksum = xxh3_64(&bytes[16..]);
        bytes[8..16].copy_from_slice(&checksum.to_le_bytes());
    }

    /// Reads the record of a sidecar. `None`: there is none that is whole.
    pub(crate) fn read(sidecar: &File) -> io::Result<Option<Self>> {
        let mut bytes = vec![0; HEAD + MAX_LABEL + CHUNK];
        let there = read_file_at(sidecar, 0, &mut bytes)?;
        bytes.truncate(there);
        let Some(total) = total_len(&bytes) else { return Ok(None) };
        if total > bytes.len() as u64 {
            if total > sidecar.metadata()?.len() {
                return Ok(None);
            }
            let more = usize::try_from(total).unwrap_or(0).saturating_sub(there);
            let mut rest = vec![0; more];
            let count = read_file_at(sidecar, there as u64, &mut rest)?;
            bytes.extend_from_slice(&rest[..count]);
        }
        Ok(Self::parse(&bytes, total))
    }

    fn parse(bytes: &[u8], total: u64) -> Option<Self> {
        let bytes = bytes.get(..usize::try_from(total).ok()?)?;
        if xxh3_64(&bytes[16..]) != number_at(bytes, 8)? {
            return None;
        }
        let (label, proof) = bytes[HEAD..].split_at_checked(number_at(bytes, 48)? as usize)?;
        Some(Self {
            inode: number_at(bytes, 16)?,
            base: number_at(bytes, 24)?,
            planned: number_at(bytes, 32)?,
            label: String::from_utf8(label.to_vec()).ok()?,
            proof: proof.to_vec(),
        })
    }

    /// Where the call ends.
    pub(crate) fn end(&self) -> u64 {
        self.base.saturating_add(self.planned)
    }

    /// Judges what a file of `len` bytes holds of the call.
    ///
    /// A part of a chunk at the very end of an unfinished call is taken for the writer's own where
    /// the call was noted by checksums: they do not tell.
    pub(crate) fn outcome(&self, data: &File, len: u64) -> io::Result<Outcome> {
        if len <= self.base || len == self.end() {
            return Ok(Outcome::Whole);
        }
        let is_planned = self.is_there(data, len.min(self.end()))?;
        Ok(match (is_planned, len < self.end()) {
            (true, true) => Outcome::Unfinished,
            (true, false) => Outcome::Whole,
            (false, _) => Outcome::Foreign,
        })
    }

    /// Whether the file holds from `base` to `to` what was planned.
    fn is_there(&self, data: &File, to: u64) -> io::Result<bool> {
        let mut chunk = vec![0; CHUNK];
        let is_verbatim = self.planned <= CHUNK as u64;
        let mut at = self.base;
        let mut number = 0;
        while at < to {
            let wanted = usize::try_from(to - at).unwrap_or(CHUNK).min(CHUNK);
            if read_file_at(data, at, &mut chunk[..wanted])? < wanted {
                return Ok(false);
            }
            let is_equal = if is_verbatim {
                self.proof.get(..wanted) == Some(&chunk[..wanted])
            } else if wanted == CHUNK || at + wanted as u64 == self.end() {
                number_at(&self.proof, number * 8) == Some(xxh3_64(&chunk[..wanted]))
            } else {
                true
            };
            if !is_equal {
                return Ok(false);
            }
            at += wanted as u64;
            number += 1;
        }
        Ok(true)
    }
}

/// How long the proof of a call is.
fn proof_len(planned: u64) -> u64 {
    if planned <= CHUNK as u64 { planned } else { planned.div_ceil(CHUNK as u64) * 8 }
}

/// How long the record is that begins with these bytes, if one does.
fn total_len(bytes: &[u8]) -> Option<u64> {
    let (planned, proof) = (number_at(bytes, 32)?, number_at(bytes, 40)?);
    let label = number_at(bytes, 48)?;
    let is_ours = bytes.starts_with(MAGIC) && label <= MAX_LABEL as u64;
    (is_ours && proof == proof_len(planned)).then(|| (HEAD as u64 + label).saturating_add(proof))
}

fn number_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}
