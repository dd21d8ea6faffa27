//! Counts in an LMDB database that many processes share, for comparison.
//!
//! LMDB at its fastest: no sync of any kind, written through the mapping, one short write
//! transaction for many additions, fixed-size values.
//!
//! What always holds: additions are made with `get` and `put` in key order of the caller; a key
//! longer than LMDB allows is stored under its begin and a hash of all of it.
//! Not here: who adds what, and the files, which the caller removes.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::Path;

use heed::types::{Bytes, I64};
use heed::{Database, Env, EnvFlags, EnvOpenOptions, byteorder::NativeEndian};

pub use heed::{Error, Result};

/// Longest key that is stored as it is.
const MAX_KEY: usize = 511;
/// Bytes of a longer key that are kept before its hash.
const KEPT: usize = 480;

/// Counts by word.
pub struct Counts {
    env: Env,
    database: Database<Bytes, I64<NativeEndian>>,
}

impl Counts {
    /// Opens or makes the database in `folder`, with room for `max_bytes`.
    ///
    /// # Errors
    ///
    /// What LMDB says.
    pub fn open(folder: &Path, max_bytes: usize) -> Result<Self> {
        let mut options = EnvOpenOptions::new();
        options.map_size(max_bytes).max_readers(128);
        let fast = EnvFlags::NO_SYNC
            | EnvFlags::NO_META_SYNC
            | EnvFlags::WRITE_MAP
            | EnvFlags::MAP_ASYNC
            | EnvFlags::NO_MEM_INIT
            | EnvFlags::NO_READ_AHEAD;
        // SAFETY: these flags give up durability; the file lives in memory and is never used again.
        unsafe { options.flags(fast) };
        // SAFETY: each process opens the folder once, and nothing else writes to its files.
        let env = unsafe { options.open(folder)? };
        let mut transaction = env.write_txn()?;
        let database = env.create_database(&mut transaction, None)?;
        transaction.commit()?;
        Ok(Self { env, database })
    }

    /// Adds to many counts in one transaction.
    ///
    /// # Errors
    ///
    /// What LMDB says; nothing was changed.
    pub fn add_many<'a>(&self, additions: impl IntoIterator<Item = (&'a str, i64)>) -> Result<()> {
        let mut transaction = self.env.write_txn()?;
        for (word, more) in additions {
            let long;
            let key = if word.len() <= MAX_KEY {
                word.as_bytes()
            } else {
                long = shortened(word);
                &long
            };
            let before = self.database.get(&transaction, key)?.unwrap_or(0);
            self.database.put(&mut transaction, key, &(before + more))?;
        }
        transaction.commit()
    }

    /// All counts, by the key each is stored under (see [`stored_as`]).
    ///
    /// # Errors
    ///
    /// What LMDB says.
    pub fn all(&self) -> Result<Vec<(Vec<u8>, i64)>> {
        let transaction = self.env.read_txn()?;
        self.database
            .iter(&transaction)?
            .map(|pair| pair.map(|(key, n)| (key.to_vec(), n)))
            .collect()
    }
}

/// The key that a word is stored under.
pub fn stored_as(word: &str) -> Vec<u8> {
    if word.len() <= MAX_KEY { word.as_bytes().to_vec() } else { shortened(word) }
}

fn shortened(word: &str) -> Vec<u8> {
    let mut hasher = DefaultHasher::new();
    word.hash(&mut hasher);
    let mut key = word.as_bytes()[..KEPT].to_vec();
    key.push(b' ');
    key.extend_from_slice(format!("{:016x}", hasher.finish()).as_bytes());
    key
}
