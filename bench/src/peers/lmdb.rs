//! LMDB through heed, in shared memory, with everything switched off that waits for a disk.
//!
//! `NOSYNC | NOMETASYNC | WRITEMAP | MAPASYNC`, the folder in /dev/shm. A read transaction for
//! each get, for a get must see what was written before it; heed's default keeps the thread's
//! reader slot between transactions, which is its fastest way to begin one. The library offers
//! no call to renew a transaction.
//!
//! What always holds: an environment is opened in the process that uses it, never before a fork.

use std::path::PathBuf;

use heed::types::{Bytes, U64};
use heed::{CommitOrAbort, Database, Env, EnvFlags, EnvOpenOptions, RoTxn, WithTls};

type Table = Database<'static, U64<heed::byteorder::BigEndian>, Bytes>;

/// A folder for an environment, gone when this is dropped.
pub struct Folder(PathBuf);

impl Folder {
    /// A new folder in shared memory.
    pub fn new(name: &str) -> Self {
        let path = PathBuf::from(format!("/dev/shm/coheap-bench-{}-{name}", std::process::id()));
        std::fs::create_dir(&path).expect("a folder in /dev/shm");
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// An open environment.
pub struct Lmdb {
    env: &'static Env,
    tables: Vec<Table>,
}

impl Lmdb {
    /// Opens the environment in a folder with one table, which needs no name and so costs least.
    pub fn open(folder: &Folder) -> Self {
        Self::with_tables(folder, &[None])
    }

    /// Opens the environment in a folder with two tables.
    pub fn open_two(folder: &Folder) -> Self {
        Self::with_tables(folder, &[Some("first"), Some("second")])
    }

    fn with_tables(folder: &Folder, names: &[Option<&str>]) -> Self {
        let flags =
            EnvFlags::NO_SYNC | EnvFlags::NO_META_SYNC | EnvFlags::WRITE_MAP | EnvFlags::MAP_ASYNC;
        let mut options = EnvOpenOptions::new();
        options.map_size(4 << 30).max_dbs(2);
        // SAFETY: the flags give up durability only; nobody changes the files behind its back.
        let env = unsafe {
            options.flags(flags);
            options.open(&folder.0)
        }
        .expect("an LMDB environment");
        // Tables borrow their environment, and this one lasts as long as its worker.
        let env: &'static Env = Box::leak(Box::new(env));
        let tables = names.iter().map(|name| table(env, *name)).collect();
        Self { env, tables }
    }

    /// Stores a value, in a transaction of its own.
    #[inline]
    pub fn set(&self, key: u64, value: &[u8]) {
        let mut write = self.env.write_txn().expect("a write transaction");
        self.tables[0].put(&mut write, &key, value).expect("stored");
        write.commit().expect("committed");
    }

    /// The value of a key that is there, in a transaction of its own.
    #[inline]
    pub fn get(&self, key: u64) -> Vec<u8> {
        self.get_in(&self.read(), key)
    }

    /// A read transaction, which sees nothing written since it began.
    pub fn read(&self) -> RoTxn<'_, WithTls> {
        self.env.read_txn().expect("a read transaction")
    }

    /// The value of a key that is there, in a transaction that is open.
    #[inline]
    pub fn get_in(&self, read: &RoTxn<'_, WithTls>, key: u64) -> Vec<u8> {
        self.tables[0].get(read, &key).expect("read").expect("is there").to_vec()
    }

    /// Stores `keys` with one value in both tables, in one transaction.
    pub fn fill(&self, keys: u64, value: &[u8]) {
        let mut write = self.env.write_txn().expect("a write transaction");
        for key in 0..keys {
            for table in &self.tables {
                table.put(&mut write, &key, value).expect("stored");
            }
        }
        write.commit().expect("committed");
    }

    /// Takes from a number in one table and adds to one in the other, in one transaction.
    #[inline]
    pub fn transfer(&self, from: u64, to: u64) {
        let mut write = self.env.write_txn().expect("a write transaction");
        for (table, key, more) in [(&self.tables[0], from, -1i64), (&self.tables[1], to, 1)] {
            let before = table.get(&write, &key).expect("read").expect("is there");
            let before = i64::from_le_bytes(before.try_into().expect("eight bytes"));
            table.put(&mut write, &key, &(before + more).to_le_bytes()).expect("stored");
        }
        write.commit().expect("committed");
    }
}

/// The table of this name, made if it is not there.
fn table(env: &'static Env, name: Option<&str>) -> Table {
    let write = env.write_txn().expect("a write transaction");
    env.create_databases_and_commit(write, |opener, write| {
        opener.create_database(write, name).map(CommitOrAbort::<_, ()>::Commit)
    })
    .expect("a table")
    .unwrap_commit()
}
