//! Limits that the system sets: a small file system, file size, address space, descriptors.
//!
//! Each limit is set in a child, which may not end by a signal: neither SIGBUS nor SIGXFSZ.

use coheap_core::error::Error;
use coheap_core::heap::{Heap, Options};
use coheap_core::memory::layout::{self, SPAN_BYTES};
use coheap_core::objects::Map;
use coheap_core::transaction::Transaction;

use crate::support::alone;
use crate::support::child::{alarm, fork, limit, limit_memory};
use crate::support::objects::{heap, map, queue, settle_and_check, value};
use crate::support::privilege::{Folder, skipped};

const LARGE: usize = 50_000;

/// Sets large values until an error. Answers how many fitted, and the error.
fn fill(heap: &Heap, map: &Map) -> (u64, Error) {
    let bytes = vec![7; LARGE];
    let mut count = 0u64;
    loop {
        match heap.with(|context| map.set(context, &count.to_le_bytes(), &bytes)) {
            Ok(_) => count += 1,
            Err(error) => return (count, error),
        }
    }
}

fn empty(heap: &Heap, map: &Map, count: u64) {
    let mut out = Vec::new();
    heap.with(|context| {
        for number in 0..count {
            assert!(map.remove(context, &number.to_le_bytes(), &mut out)?);
            assert_eq!(out, vec![7; LARGE]);
        }
        Ok(())
    })
    .expect("a full heap can be emptied");
}

fn named(folder: &Folder, max_bytes: u64) -> Options {
    let mut options = Options::new("test");
    options.folder = Some(folder.path().to_owned());
    options.max_bytes = Some(max_bytes);
    options
}

/// Goal: a process without memory for a copy is told so, and nothing is lost or damaged by it.
/// Method: values, entries and items of 64 MiB; a child that may have 16 MiB more reads each of them
/// and takes the items, alone and in a transaction; the parent finds all of them afterwards.
#[test]
fn no_private_memory_is_an_error_of_its_own() {
    const LEN: usize = 64 << 20;
    let _alone = alone();
    let heap = heap(512);
    let (number, books, jobs) = (value(&heap, "number"), map(&heap, "books"), queue(&heap, "jobs"));
    let large = vec![7; LEN];
    heap.with(|context| {
        number.set(context, &large)?;
        books.set(context, b"key", &large)?;
        jobs.put(context, &large)
    })
    .expect("room");
    let mut child = fork(|| {
        alarm(60);
        let context = heap.context().expect("a member");
        limit_memory(16 << 20);
        let mut out = Vec::new();
        let refused = Err(Error::NoMemory { wanted: LEN as u64 });
        assert_eq!(number.get(&context, &mut out), refused);
        assert_eq!(books.get(&context, b"key", &mut out).map(drop), refused);
        assert_eq!(books.snapshot(&context).map(drop), refused);
        assert_eq!(books.remove(&context, b"key", &mut out).map(drop), refused);
        assert_eq!(books.pop_last(&context, &mut Vec::new(), &mut out).map(drop), refused);
        assert_eq!(jobs.get(&context, &mut out), refused);
        assert_eq!(jobs.lease(&context, &mut out).map(drop), refused);
        assert_eq!(jobs.lease_wait(&context, None, &mut out).map(drop), refused);
        let mut transaction = Transaction::begin(context, None).expect("a transaction");
        assert_eq!(transaction.on(&jobs).get(&mut out).map(drop), refused);
        assert_eq!(transaction.on(&books).get(b"key", &mut out).map(drop), refused);
        0
    });
    child.must_succeed();
    settle_and_check(&heap);
    let mut out = Vec::new();
    heap.with(|context| {
        jobs.get(context, &mut out)?;
        assert!(out == large, "the item is another one");
        assert!(books.get(context, b"key", &mut out)?);
        assert!(out == large, "the entry is another one");
        Ok(())
    })
    .expect("nothing is lost");
}

/// Goal: a file system without room is a full heap, and no store to it is ever a SIGBUS.
/// Method: a heap that may grow to 64 MiB on a file system of 1 MiB is filled, emptied, and filled
/// again; others attach while the file system is full: they work, or name the folder.
#[test]
fn a_tiny_file_system_is_a_full_heap() {
    let _alone = alone();
    for kibibytes in [600, 1024, 3072] {
        let Some(folder) = Folder::tiny("tiny", kibibytes << 10) else {
            return skipped("a_tiny_file_system_is_a_full_heap", "mounting is not allowed here");
        };
        let mut child = fork(|| {
            alarm(60);
            on_a_tiny_file_system(&folder);
            0
        });
        child.must_succeed();
    }
}

fn on_a_tiny_file_system(folder: &Folder) {
    let heap = Heap::open(&named(folder, 64 << 20)).expect("a heap fits");
    let map = map(&heap, "map");
    let (first, error) = fill(&heap, &map);
    assert!(matches!(error, Error::HeapFull { .. }), "{error:?}");
    // Whatever is left of the file system goes, too, so that not even a journal fits.
    let ballast = std::fs::write(folder.path().join("ballast"), vec![1; 8 << 20]);
    assert!(ballast.is_err(), "the file system is larger than it should be");
    for _ in 0..5 {
        let mut late = fork(|| {
            alarm(20);
            late_on_a_full_file_system(folder, &heap, &map, first);
            0
        });
        late.must_succeed();
    }
    settle_and_check(&heap);
    empty(&heap, &map, first);
    let (second, _) = fill(&heap, &map);
    assert!(second >= first * 9 / 10, "{first} values fitted at first, then {second}");
    empty(&heap, &map, second);
    settle_and_check(&heap);
}

/// Goal: a value that does not fit leaves the file system as it was: small values fit, and newcomers
/// are let in.
/// Method: 64 MiB into a heap on a file system of 16; then 4 MiB of another program.
#[test]
fn a_refused_value_leaves_no_pages() {
    let _alone = alone();
    let Some(folder) = Folder::tiny("refused", 16 << 20) else {
        return skipped("a_refused_value_leaves_no_pages", "mounting is not allowed here");
    };
    let heap = Heap::open(&named(&folder, 1 << 30)).expect("a heap fits");
    let number = value(&heap, "number");
    let before = heap.stats().expect("figures").allocated_bytes;
    for _ in 0..3 {
        let refused = heap.with(|context| number.set(context, &vec![7; 64 << 20]));
        assert!(matches!(refused, Err(Error::HeapFull { .. })), "{refused:?}");
        // A page of a table may have been touched.
        assert!(heap.stats().expect("figures").allocated_bytes <= before + 4096);
    }
    std::fs::write(folder.path().join("other"), vec![1; 4 << 20]).expect("room");
    let mut late = fork(|| {
        let heap = Heap::open(&named(&folder, 1 << 30)).expect("room for one more");
        heap.with(|context| number.set(context, &vec![8; 100_000])).map_or(1, |()| 0)
    });
    late.must_succeed();
    settle_and_check(&heap);
}

/// Goal: pages that lie free in the heap serve whatever needs some on a file system that is full.
/// Method: a heap fills a file system and is emptied; another program takes what is left. Then a
/// transaction saves more words than a journal holds, and needs an overflow chunk.
#[test]
fn free_spans_give_way_to_an_overflow_chunk() {
    let _alone = alone();
    let Some(folder) = Folder::tiny("chunk", 4 << 20) else {
        return skipped("free_spans_give_way_to_an_overflow_chunk", "mounting is not allowed here");
    };
    let heap = Heap::open(&named(&folder, 64 << 20)).expect("a heap fits");
    let (map, large) = (map(&heap, "map"), map(&heap, "large"));
    heap.with(|context| {
        (0..2000u64).try_for_each(|key| map.set(context, &key.to_le_bytes(), &[1; 8]).map(drop))
    })
    .expect("room");
    let (count, _) = fill(&heap, &large);
    empty(&heap, &large, count);
    let ballast = std::fs::write(folder.path().join("ballast"), vec![1; 8 << 20]);
    assert!(ballast.is_err(), "the file system is larger than it should be");
    let mut block = Transaction::begin(heap.context().expect("a member"), None).expect("one");
    for key in 0..2000u64 {
        block.on(&map).set(&key.to_le_bytes(), &[2; 8]).expect("an entry");
    }
    block.commit().expect("pages of free spans");
    settle_and_check(&heap);
}

fn listing(folder: &Folder) -> Vec<std::ffi::OsString> {
    let entries = std::fs::read_dir(folder.path()).expect("a listing");
    let mut names: Vec<_> = entries.map(|entry| entry.expect("an entry").file_name()).collect();
    names.sort();
    names
}

fn assert_names_the_folder(error: &Error, folder: &Folder) {
    assert!(matches!(error, Error::HeapFull { .. }), "{error:?}");
    let (said, path) = (error.to_string(), folder.path().display().to_string());
    assert!(said.contains(&path) && said.contains("--shm-size"), "{said}");
}

/// A process that comes when not a page is left: it works, or hears why not.
fn late_on_a_full_file_system(folder: &Folder, heap: &Heap, map: &Map, count: u64) {
    let before = listing(folder);
    let mut out = Vec::new();
    let read = heap.with(|context| map.get(context, &0u64.to_le_bytes(), &mut out));
    match read {
        Ok(found) => assert!(found == (count > 0)),
        Err(refused) => assert_names_the_folder(&refused, folder),
    }
    let newcomer = Heap::open(&named(folder, 64 << 20)).and_then(|heap| heap.with(|_| Ok(())));
    if let Err(refused) = newcomer {
        assert_names_the_folder(&refused, folder);
    }
    let second = Heap::open(&Options { name: "second".into(), ..named(folder, 1 << 20) });
    assert_names_the_folder(&second.expect_err("no room"), folder);
    assert_eq!(listing(folder), before, "what failed left a file");
}

/// What helps is a higher limit, and no room in any folder.
fn assert_tells_the_limit(error: &Error, bytes: u64) {
    assert!(matches!(error, Error::HeapFull { .. }), "{error:?}");
    let said = error.to_string();
    assert!(said.contains(&format!("may have {bytes} bytes")), "{said}");
    assert!(said.contains("ulimit -f") && !said.contains("folder"), "{said}");
}

/// Goal: a file size limit is a full heap for the process that has it, and no SIGXFSZ.
/// Method: a child sets the limit at several sizes and fills; its parent can still grow the heap.
#[test]
fn a_file_size_limit_is_a_full_heap() {
    let _alone = alone();
    // The file of a new heap is as long as its tables, and nearly all of that is a hole.
    let tables = layout::data_start((64 << 20) / SPAN_BYTES).div_ceil(1 << 20);
    for mebibytes in [1, tables, tables + 1, tables + 3] {
        let heap = heap(64);
        let map = map(&heap, "map");
        let mut child = fork(|| {
            limit(libc::RLIMIT_FSIZE, mebibytes << 20);
            match heap.context() {
                Ok(_) => {}
                Err(refused) => {
                    assert_tells_the_limit(&refused, mebibytes << 20);
                    return 0;
                }
            }
            let (count, error) = fill(&heap, &map);
            assert_tells_the_limit(&error, mebibytes << 20);
            empty(&heap, &map, count);
            let made = Heap::anonymous(64 << 20);
            if mebibytes < tables {
                assert_tells_the_limit(&made.expect_err("a limit"), mebibytes << 20);
            }
            0
        });
        child.must_succeed();
        let (count, _) = fill(&heap, &map);
        assert!(count > 1000, "the parent has no limit: {count}");
        settle_and_check(&heap);
    }
}

/// Goal: too little address space is an error when a heap is made or attached to.
/// Method: a child limits its address space to what it has and a bit more.
#[test]
fn an_address_space_limit_is_an_error() {
    let _alone = alone();
    let mut child = fork(|| {
        limit_memory(400 << 20);
        let refused = Heap::anonymous(4 << 30).expect_err("it does not fit");
        let wanted = 4 << 30;
        assert!(
            matches!(refused, Error::NoAddressSpace { len, max } if len > wanted && max == wanted),
            "{refused:?}"
        );
        let said = refused.to_string();
        for part in ["`max_bytes` of 4294967296", "ulimit -v", "smaller `max_bytes`"] {
            assert!(said.contains(part), "{said:?} does not say {part:?}");
        }
        let small = Heap::anonymous(32 << 20).expect("a small heap has its place");
        let map = map(&small, "map");
        let (count, error) = fill(&small, &map);
        assert!(matches!(error, Error::HeapFull { .. }), "{error:?}");
        empty(&small, &map, count);
        settle_and_check(&small);
        0
    });
    child.must_succeed();
}

/// Goal: a process with few descriptors can use a heap, and one with none hears why not.
/// Method: a child limits its descriptors to what is open and two, then to what is open.
#[test]
fn a_descriptor_limit_is_an_error() {
    let _alone = alone();
    let heap = heap(8);
    let books = map(&heap, "books");
    let mut child = fork(|| {
        limit(libc::RLIMIT_NOFILE, 3);
        let refused = Heap::anonymous(1 << 20);
        assert!(matches!(refused, Err(Error::Os { .. })), "{refused:?}");
        let sum = heap.with(|context| books.add(context, b"key", 1));
        assert_eq!(sum, Ok(1), "what is mapped already needs no new descriptor");
        let mut victim = fork(|| {
            let _ = heap.with(|context| books.add(context, b"key", 1));
            crate::support::child::die()
        });
        victim.wait();
        heap.with(|context| books.add(context, b"key", 1)).map_or(1, |_| 0)
    });
    child.must_succeed();
    settle_and_check(&heap);
}
