//! Arguments that cannot be, and objects that are not there any more.
//!
//! Each is refused with an error of its own; afterwards the heap is whole and holds what it held.

use coheap_core::Kind;
use coheap_core::check::check;
use coheap_core::error::Error;
use coheap_core::heap::{Heap, Options};
use coheap_core::objects::Directory;
use coheap_core::objects::Map;
use coheap_core::objects::{map, value};
use coheap_core::transaction::Transaction;

use crate::support::objects::{heap, integer, map, mutex, queue, value};
use crate::support::privilege::Folder;

fn named(folder: &Folder, name: &str) -> Options {
    let mut options = Options::new(name);
    options.folder = Some(folder.path().to_owned());
    options.max_bytes = Some(1 << 20);
    options
}

/// Goal: a name that cannot be a file's is refused before anything is made.
/// Method: bad names, then a look into the folder; good but unusual ones, then another look.
#[test]
fn bad_names_of_heaps_are_refused() {
    let folder = Folder::new("names");
    let files = || std::fs::read_dir(folder.path()).expect("a listing").count();
    let long = "x".repeat(201);
    for name in ["", "a/b", "/etc/passwd", "../up", "nul\0nul", "\0", &long, "/", "a/"] {
        let refused = Heap::open(&named(&folder, name));
        assert!(matches!(refused, Err(Error::BadName(_))), "{name:?}: {refused:?}");
    }
    assert_eq!(files(), 0);
    for name in [".", "..", "-", " ", "ünïcödé", "a.b", &"x".repeat(200)] {
        let heap = Heap::open(&named(&folder, name));
        let heap = heap.unwrap_or_else(|error| panic!("{name:?}: {error}"));
        heap.unlink().expect("unlinked");
    }
    assert_eq!(files(), 0);
}

/// Goal: a folder that is not there, or is none, is an error of the system.
/// Method: open heaps in such places, with and without leave to make one.
#[test]
fn bad_folders_are_refused() {
    for place in ["/nowhere/at/all", "/proc/version", "/proc/self/fd"] {
        let mut options = Options::new("heap");
        options.folder = Some(place.into());
        options.max_bytes = Some(1 << 20);
        let refused = Heap::open(&options);
        assert!(matches!(refused, Err(Error::Os { .. })), "{place}: {refused:?}");
        options.create = false;
        let refused = Heap::open(&options);
        assert!(
            matches!(refused, Err(Error::Os { .. } | Error::NoSuchName)),
            "{place}: {refused:?}"
        );
    }
}

/// Goal: bad names of objects, empty keys and values, and wrong kinds are refused.
/// Method: each of them; then the heap is whole and holds what it held.
#[test]
fn bad_names_keys_and_kinds_of_objects_are_refused() {
    let heap = heap(8);
    let (books, jobs, total) = (map(&heap, "map"), queue(&heap, "queue"), value(&heap, "value"));
    let long = "x".repeat(256);
    let mut out = Vec::new();
    heap.with(|context| {
        for name in ["", "nul\0", &long] {
            let made = Directory.get_or_create(context, name, &map::Recipe);
            assert!(matches!(made, Err(Error::BadName(_))), "{name:?}: {made:?}");
            let found = Directory.get::<Map>(context, name);
            assert!(matches!(found, Err(Error::BadName(_))));
            assert!(matches!(Directory.remove(context, name), Err(Error::BadName(_))));
        }
        let other = Directory.get_or_create(context, "map", &value::Recipe::of(&[1]));
        assert!(
            matches!(other, Err(Error::WrongKind { found: Kind::Map, wanted: Kind::Value })),
            "{other:?}"
        );
        assert_eq!(Directory.remove(context, "nothing"), Err(Error::NoSuchName));
        let empty = Directory.get_or_create(context, "empty", &value::Recipe::of(&[]));
        assert!(matches!(empty, Err(Error::BadArgument(_))), "{empty:?}");
        assert!(matches!(books.set(context, b"", b"x"), Err(Error::BadArgument(_))));
        assert!(matches!(books.set(context, b"x", b""), Err(Error::BadArgument(_))));
        assert!(matches!(books.get(context, b"", &mut out), Err(Error::BadArgument(_))));
        assert!(matches!(jobs.put(context, b""), Err(Error::BadArgument(_))));
        assert!(matches!(jobs.put_many(context, &[b"x", b""]), Err(Error::BadArgument(_))));
        assert!(matches!(total.set(context, b""), Err(Error::BadArgument(_))));
        total.set(context, b"text")?;
        assert_eq!(total.add(context, 1), Err(Error::NotAnInteger));
        total.set(context, &integer(i64::MAX))?;
        assert_eq!(total.add(context, 1), Err(Error::Overflow));
        assert_eq!((books.len(context)?, jobs.len(context)?), (0, 0));
        assert_eq!(check(context)?.objects, 3);
        Ok(())
    })
    .expect("nothing else was refused");
}

/// Goal: objects of a closed heap answer an error, in every way one can reach them.
/// Method: close a heap, use everything again, also from a thread that was never attached.
#[test]
fn objects_of_a_closed_heap_answer_an_error() {
    let heap = heap(8);
    let (books, jobs, total) = (map(&heap, "map"), queue(&heap, "queue"), value(&heap, "value"));
    let lock = mutex(&heap, "lock");
    let copy = heap.clone();
    heap.close().expect("closed");
    for heap in [&heap, &copy] {
        let mut out = Vec::new();
        assert_eq!(heap.with(|context| books.set(context, b"key", b"x")), Err(Error::Closed));
        assert_eq!(heap.with(|context| books.get(context, b"key", &mut out)), Err(Error::Closed));
        assert_eq!(heap.with(|context| jobs.put(context, b"x")), Err(Error::Closed));
        assert_eq!(heap.with(|context| total.add(context, 1)), Err(Error::Closed));
        assert_eq!(heap.with(|context| lock.lock(context, None)), Err(Error::Closed));
        assert!(matches!(heap.context(), Err(Error::Closed)));
        let elsewhere = std::thread::scope(|scope| {
            let answer = scope.spawn(|| heap.with(|context| total.add(context, 1)));
            answer.join().expect("no panic")
        });
        assert_eq!(elsewhere, Err(Error::Closed));
        assert_eq!(heap.close(), Ok(()), "closing twice is no error");
    }
}

/// Goal: a transaction that is open while its heap is closed ends in an error, not a crash.
/// Method: close in the midst, go on, commit; another one is dropped.
#[test]
fn a_transaction_of_a_closed_heap_answers_an_error() {
    for commits in [true, false] {
        let heap = heap(8);
        let books = map(&heap, "map");
        let context = heap.context().expect("a context");
        let mut tx = Transaction::begin(context, None).expect("a transaction");
        tx.on(&books).add(b"key", 1).expect("a sum");
        let _ = heap.close();
        let went_on = tx.on(&books).add(b"key", 1);
        if commits {
            let ended = tx.commit();
            assert!(
                went_on.is_err() || ended.is_err(),
                "a heap was changed after it was closed: {went_on:?}, {ended:?}"
            );
        }
    }
}

/// Goal: a handle of an object that was removed is `ObjectGone`, also when the same header serves
/// another object by now.
/// Method: remove, make others, use the old handles.
#[test]
fn handles_of_removed_objects_do_not_reach_their_successors() {
    let heap = heap(8);
    let (books, jobs, total) = (map(&heap, "map"), queue(&heap, "queue"), value(&heap, "value"));
    let mut out = Vec::new();
    heap.with(|context| {
        for name in ["map", "queue", "value"] {
            Directory.remove(context, name)?;
        }
        for number in 0..200 {
            let name = format!("successor {number}");
            Directory.get_or_create(context, &name, &value::Recipe::of(&integer(number)))?;
        }
        assert_eq!(books.set(context, b"key", b"x"), Err(Error::ObjectGone));
        assert_eq!(books.get(context, b"key", &mut out), Err(Error::ObjectGone));
        assert_eq!(jobs.put(context, b"x"), Err(Error::ObjectGone));
        assert_eq!(jobs.get(context, &mut out), Err(Error::ObjectGone));
        assert_eq!(total.add(context, 1), Err(Error::ObjectGone));
        check(context)
    })
    .expect("the successors are whole");
}
