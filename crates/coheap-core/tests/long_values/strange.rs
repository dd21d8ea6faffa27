//! Values at the limits, and arguments that share their bytes.
//!
//! What always holds: what was refused left nothing behind.

use std::time::Instant;

use coheap_core::error::Error;
use coheap_core::objects::Directory;
use coheap_core::objects::map::Pairs;
use coheap_core::objects::value::Recipe;
use coheap_core::transaction::Transaction;

use crate::support::alone;
use crate::support::objects::{bounded_queue, heap, map, settle_and_check, value};
use crate::support::random::Random;

/// Goal: every length around a limit comes out as it went in.
#[test]
fn lengths_at_the_limits_are_kept() {
    let _alone = alone();
    let heap = heap(16);
    let (number, books) = (value(&heap, "number"), map(&heap, "books"));
    let mut out = Vec::new();
    heap.with(|context| {
        for len in [8191, 8192, 8193, 16_383, 16_384, 16_385, 32_767, 32_768, 32_769, 100_001] {
            // The room before held other bytes: none of them may show.
            number.set(context, &vec![0xff; len + 8])?;
            let bytes: Vec<u8> = (0..len).map(|at| (at % 250) as u8).collect();
            number.set(context, &bytes)?;
            number.get(context, &mut out)?;
            assert!(out == bytes, "{len} bytes");
            books.set(context, &bytes, &bytes)?;
            assert!(books.get(context, &bytes, &mut out)?);
            assert!(out == bytes, "{len} bytes");
            assert!(!books.get(context, &bytes[1..], &mut out)?);
            let (mut key, mut value) = (Vec::new(), Vec::new());
            assert!(books.last(context, &mut key, &mut value)?);
            assert!(key == bytes && value == bytes, "{len} bytes");
            assert!(books.pop_last(context, &mut key, &mut value)?);
            assert!(key == bytes && value == bytes, "{len} bytes");
        }
        Ok(())
    })
    .expect("room");
    settle_and_check(&heap);
}

/// Goal: a value longer than the heap is refused before anything is done for it.
#[test]
fn a_value_longer_than_the_heap_is_refused() {
    let _alone = alone();
    let heap = heap(4);
    let (number, books) = (value(&heap, "number"), map(&heap, "books"));
    let jobs = bounded_queue(&heap, "jobs", 2, 0);
    let large = vec![1; 5 << 20];
    let before = settle_and_check(&heap);
    heap.with(|context| {
        let full = |answer: Result<(), Error>| {
            assert!(matches!(answer, Err(Error::HeapFull { .. })), "{answer:?}");
        };
        full(number.set(context, &large));
        full(books.set(context, b"key", &large).map(drop));
        full(
            books
                .set_many(context, &[(b"a", &large[..]), (b"b", b"short")].into_iter().collect())
                .map(drop),
        );
        full(jobs.put(context, &large));
        full(Directory.get_or_create(context, "new", &Recipe::of(&large)).map(drop));
        assert_eq!(books.len(context), Ok(0));
        assert_eq!(Directory.names(context)?.len(), 3);
        Ok(())
    })
    .expect("refusals");
    let after = settle_and_check(&heap);
    assert_eq!((after.blocks, after.used_bytes), (before.blocks, before.used_bytes));
}

/// Goal: arguments that lie in each other's bytes are what they are.
#[test]
fn arguments_may_share_their_bytes() {
    let _alone = alone();
    let heap = heap(16);
    let (books, jobs) = (map(&heap, "books"), bounded_queue(&heap, "jobs", 9, 0));
    let bytes: Vec<u8> = (0..60_000).map(|at| (at % 247) as u8).collect();
    let mut out = Vec::new();
    heap.with(|context| {
        books.set(context, &bytes[..20_000], &bytes[..40_000])?;
        assert!(books.compare_and_set(
            context,
            &bytes[..20_000],
            Some(&bytes[..40_000]),
            Some(&bytes[10_000..]),
        )?);
        assert!(books.get(context, &bytes[..20_000], &mut out)?);
        assert!(out == bytes[10_000..], "another value");
        assert!(!books.set_default(context, &bytes[..20_000], &bytes, &mut out)?);
        assert!(out == bytes[10_000..], "another value");
        assert!(books.set_default(context, &bytes[..20_001], &bytes, &mut out)?);
        books.add(context, &bytes[..9_000], 5)?;
        books.add(context, &bytes[..9_000], 5)?;
        books.add_many(context, &[(&bytes[..9_000], 1), (&bytes[..9_001], 1)])?;
        let same = [&bytes[..], &bytes[..], &bytes[..30_000], b"short", &bytes[..]];
        assert_eq!(jobs.put_many(context, &same)?, 5);
        for item in same {
            jobs.get(context, &mut out)?;
            assert!(out == item, "another item");
        }
        Ok(())
    })
    .expect("room");
    settle_and_check(&heap);
}

/// Goal: a commit stores long values as others do, and an abort or a failed commit leaves none.
#[test]
fn a_transaction_stores_long_values_with_its_commit() {
    let _alone = alone();
    let heap = heap(16);
    let (number, books) = (value(&heap, "number"), map(&heap, "books"));
    let jobs = bounded_queue(&heap, "jobs", 9, 0);
    let bytes: Vec<u8> = (0..60_000).map(|at| (at % 241) as u8).collect();
    let mut out = Vec::new();
    let before = settle_and_check(&heap).used_bytes;
    for is_kept in [false, true] {
        let mut block = Transaction::begin(heap.context().expect("a member"), None).expect("one");
        block.on(&number).set(&bytes).expect("a value");
        block.on(&books).set(b"new", &bytes[1..]).expect("an entry");
        block.on(&books).set(&bytes[..9_000], &bytes[2..]).expect("an entry");
        block.on(&books).set(b"new", &bytes[3..]).expect("an entry again");
        block.on(&books).add(&bytes[..8_500], 3).expect("a number");
        block.on(&jobs).put(&bytes[4..]).expect("an item");
        block.on(&jobs).put(&bytes[4..]).expect("an item");
        if is_kept {
            block.commit().expect("a commit");
        } else {
            drop(block);
            assert_eq!(settle_and_check(&heap).used_bytes, before);
        }
    }
    heap.with(|context| {
        number.get(context, &mut out)?;
        assert!(out == bytes, "another value");
        assert!(books.get(context, b"new", &mut out)?);
        assert!(out == bytes[3..], "another value");
        assert!(books.get(context, &bytes[..9_000], &mut out)?);
        assert!(out == bytes[2..], "another value");
        jobs.get(context, &mut out)?;
        assert!(out == bytes[4..], "another item");
        Ok(())
    })
    .expect("what was committed");
    settle_and_check(&heap);
}

/// Goal: a commit that is prepared twice writes to the entries that it means, also when the first time
/// has moved them.
/// Method: transactions set a key that is there and one that is not, while keys come and go: the room
/// for the new one comes from packing. The map is compared with a list after each.
#[test]
fn a_commit_finds_entries_that_were_moved_for_it() {
    let _alone = alone();
    let heap = heap(16);
    let books = map(&heap, "books");
    let mut random = Random::for_run("a_commit_finds_entries_that_were_moved_for_it");
    let mut plain: [Option<Vec<u8>>; 4] = [const { None }; 4];
    let mut out = Vec::new();
    for round in 0..500u32 {
        let (gone, key) = (random.below(4) as usize, random.below(4) as usize);
        heap.with(|context| books.remove(context, &[gone as u8], &mut out)).expect("removed");
        plain[gone] = None;
        let mut block = Transaction::begin(heap.context().expect("a member"), None).expect("one");
        for key in [key, (key + 1) % 4] {
            let value = [&round.to_le_bytes()[..], &vec![key as u8; 9_000]].concat();
            block.on(&books).set(&[key as u8], &value).expect("an entry");
            plain[key] = Some(value);
        }
        block.commit().expect("a commit");
        for (key, value) in plain.iter().enumerate() {
            let found = heap.with(|context| books.get(context, &[key as u8], &mut out));
            assert_eq!(found, Ok(value.is_some()), "round {round}");
            assert!(value.as_ref().is_none_or(|value| *value == out), "round {round}: key {key}");
        }
    }
    settle_and_check(&heap);
}

/// Goal: a long value costs the same alone and among thousands, in one call and in one transaction.
/// Method: 3,000 values are set one by one, then at once. Each was compared with all before it, for
/// each run that was looked at: that took 300 times as long.
#[test]
fn very_many_long_values_in_one_change_cost_what_each_costs() {
    let _alone = alone();
    let heap = heap(128);
    let books = map(&heap, "books");
    let bytes: Vec<u8> = (0..12_000).map(|at| (at % 241) as u8).collect();
    let pairs: Vec<(Vec<u8>, &[u8])> = (0..3_000usize)
        .map(|number| (number.to_le_bytes().to_vec(), &bytes[number..number + 8_200]))
        .collect();
    let one_by_one = Instant::now();
    heap.with(|context| {
        pairs.iter().try_for_each(|(key, value)| books.set(context, key, value).map(drop))
    })
    .expect("room");
    let one_by_one = one_by_one.elapsed();
    let all: Pairs = pairs.iter().map(|(key, value)| (key, value)).collect();
    let at_once = Instant::now();
    heap.with(|context| books.set_many(context, &all)).expect("room");
    let at_once = at_once.elapsed();
    assert!(at_once < one_by_one * 10, "{at_once:?} at once, {one_by_one:?} one by one");
    let committed = Instant::now();
    let mut block = Transaction::begin(heap.context().expect("a member"), None).expect("one");
    for (key, value) in &pairs {
        block.on(&books).set(key, value).expect("an entry");
    }
    block.commit().expect("a commit");
    let committed = committed.elapsed();
    assert!(committed < one_by_one * 10, "{committed:?} committed, {one_by_one:?} one by one");
    let mut out = Vec::new();
    for (key, value) in &pairs {
        assert!(heap.with(|context| books.get(context, key, &mut out)).expect("a look"));
        assert!(out == *value, "another value");
    }
    settle_and_check(&heap);
}
