//! Transactions against a plain copy: what commits is what the copy says, what aborts is nothing.
//!
//! One process; death in the middle is the business of the crash sweep and of torture.

mod limits;

use coheap_core::ReturnReason;
use coheap_core::check::check;
use coheap_core::error::{Error, Result};
use coheap_core::heap::Heap;
use coheap_core::objects::{Directory, Map, Queue, Value};
use coheap_core::objects::{Recipe, map, queue, value};
use coheap_core::transaction::Transaction;
use coheap_core::wire::{canonical, put_formed};
use proptest::prelude::*;

type Pairs = Vec<(Vec<u8>, Vec<u8>)>;

struct World {
    heap: Heap,
    maps: [Map; 2],
    value: Value,
    queue: Queue,
}

fn make<R: Recipe>(heap: &Heap, name: &str, recipe: &R) -> R::Object {
    heap.with(|context| Directory.get_or_create(context, name, recipe)).expect("an object")
}

impl World {
    fn new() -> Self {
        let heap = Heap::anonymous(64 << 20).expect("an anonymous heap");
        let maps = ["first", "second"].map(|name| make(&heap, name, &map::Recipe));
        let value = make(&heap, "value", &value::Recipe::of(&int(0)));
        let queue = make(&heap, "queue", &queue::Recipe { limit: 40, max_attempts: 3 });
        Self { heap, maps, value, queue }
    }

    fn begin(&self) -> Transaction {
        let context = self.heap.context().expect("a context");
        Transaction::begin(context, None).expect("no other transaction")
    }
}

fn int(value: i64) -> Vec<u8> {
    let mut bytes = vec![3];
    bytes.extend_from_slice(&value.to_le_bytes());
    bytes
}

#[derive(Debug, Clone)]
enum Op {
    Set(usize, u8, usize),
    Remove(usize, u8),
    Add(usize, u8, i64),
    AddMany(usize, Vec<u8>),
    AddValue(i64),
    PopFirst(usize),
    PopLast(usize),
    Clear(usize),
    Savepoint,
    RollBack,
}

/// Keys below 40 take any value, those from 40 on integers only; `few`: the same keys over and over.
fn op(few: u8) -> impl Strategy<Value = Op> {
    let numbers = 40..40 + 50 / few;
    let any = prop_oneof![0..40 / few, numbers.clone()];
    prop_oneof![
        6 => (0usize..2, 0..40 / few, prop_oneof![4 => 1usize..16, 4 => 20usize..300, 1 => 8000usize..20_000])
            .prop_map(|(map, key, len)| Op::Set(map, key, len)),
        4 => (0usize..2, any.clone()).prop_map(|(map, key)| Op::Remove(map, key)),
        3 => (0usize..2, any, -5i64..5).prop_map(|(map, key, more)| Op::Add(map, key, more)),
        2 => (0usize..2, prop::collection::vec(numbers, 1..30))
            .prop_map(|(map, keys)| Op::AddMany(map, keys)),
        1 => (-9i64..9).prop_map(Op::AddValue),
        2 => (0usize..2).prop_map(Op::PopFirst),
        2 => (0usize..2).prop_map(Op::PopLast),
        1 => (0usize..2).prop_map(Op::Clear),
        2 => Just(Op::Savepoint),
        1 => Just(Op::RollBack),
    ]
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Plain {
    maps: [Pairs; 2],
    value: i64,
}

impl Plain {
    fn set(&mut self, map: usize, key: &[u8], value: Vec<u8>) {
        match self.maps[map].iter_mut().find(|pair| canonical(&pair.0) == canonical(key)) {
            Some(pair) => pair.1 = value,
            None => self.maps[map].push((key.to_vec(), value)),
        }
    }

    fn get(&self, map: usize, key: &[u8]) -> Option<&Vec<u8>> {
        self.maps[map].iter().find(|pair| canonical(&pair.0) == canonical(key)).map(|pair| &pair.1)
    }
}

fn long_key(key: u8) -> Vec<u8> {
    match key {
        40.. => vec![key; 3],
        _ if key.is_multiple_of(4) => vec![key; 30],
        _ => vec![key + 1],
    }
}

/// The key in one of three forms.
fn formed(key: u8, form: u64) -> Vec<u8> {
    let (canonical, mut formed) = (long_key(key), Vec::new());
    match form % 3 {
        0 => return canonical,
        1 => put_formed(&mut formed, &canonical, b"a"),
        _ => put_formed(&mut formed, &canonical, &[b'b'; 40]),
    }
    formed
}

fn run(world: &World, plain: &mut Plain, ops: &[Op]) -> Result<()> {
    let mut transaction = world.begin();
    let mut savepoints = Vec::new();
    let mut out = Vec::new();
    for op in ops {
        match op {
            Op::Set(map, key, len) => {
                // Another one for each key and length, and no integer.
                let (key, value) =
                    (formed(*key, *len as u64), vec![0x80 | *key ^ *len as u8; *len]);
                transaction.on(&world.maps[*map]).set(&key, &value)?;
                plain.set(*map, &key, value);
            }
            Op::Remove(map, key) => {
                let key = formed(*key, u64::from(*key));
                let expected = plain.get(*map, &key).cloned();
                let is_there = transaction.on(&world.maps[*map]).first_form(&key, &mut out)?;
                let first =
                    plain.maps[*map].iter().find(|pair| canonical(&pair.0) == canonical(&key));
                assert_eq!(is_there.then_some(&out), first.map(|pair| &pair.0));
                let found = transaction.on(&world.maps[*map]).remove(&key, &mut out)?;
                assert_eq!(found.then(|| out.clone()), expected);
                plain.maps[*map].retain(|pair| canonical(&pair.0) != canonical(&key));
            }
            Op::Add(map, key, more) => {
                let key = formed(*key, more.unsigned_abs());
                let old = plain.get(*map, &key).cloned().unwrap_or_else(|| int(0));
                let sum = transaction.on(&world.maps[*map]).add(&key, *more);
                if old[0] == 3 && old.len() == 9 {
                    let before = i64::from_le_bytes(old[1..].try_into().expect("eight bytes"));
                    assert_eq!(sum, Ok(before + more));
                    plain.set(*map, &key, int(before + more));
                } else {
                    assert_eq!(sum, Err(Error::NotAnInteger));
                }
            }
            Op::AddMany(map, keys) => {
                // These keys hold integers or nothing.
                let keys: Vec<Vec<u8>> = keys.iter().map(|key| vec![*key; 3]).collect();
                let additions = keys.iter().map(|key| (key, 1));
                transaction.on(&world.maps[*map]).add_many(additions)?;
                for key in &keys {
                    let old = plain.get(*map, key).cloned().unwrap_or_else(|| int(0));
                    let before = i64::from_le_bytes(old[1..].try_into().expect("eight bytes"));
                    plain.set(*map, key, int(before + 1));
                }
                continue;
            }
            Op::AddValue(more) => {
                plain.value += more;
                assert_eq!(transaction.on(&world.value).add(*more)?, plain.value);
            }
            Op::PopFirst(map) => {
                let expected = plain.maps[*map].first().cloned();
                let mut key = Vec::new();
                let popped = transaction.on(&world.maps[*map]).pop_first(&mut key, &mut out)?;
                assert_eq!(popped.then(|| (key, out.clone())), expected);
                plain.maps[*map].drain(..usize::from(popped));
            }
            Op::PopLast(map) => {
                let expected = plain.maps[*map].pop();
                let mut key = Vec::new();
                let popped = transaction.on(&world.maps[*map]).pop_last(&mut key, &mut out)?;
                assert_eq!(popped.then(|| (key, out.clone())), expected);
            }
            Op::Clear(map) => {
                transaction.on(&world.maps[*map]).clear()?;
                plain.maps[*map].clear();
            }
            Op::Savepoint => savepoints.push((transaction.savepoint(), plain.clone())),
            Op::RollBack => {
                if let Some((savepoint, before)) = savepoints.pop() {
                    transaction.roll_back_to(savepoint)?;
                    *plain = before;
                }
            }
        }
        for (map, pairs) in world.maps.iter().zip(&plain.maps) {
            assert_eq!(transaction.on(map).len()?, pairs.len() as u64);
            assert_eq!(&transaction.on(map).snapshot()?, pairs);
            look_at_order(&mut transaction, map, pairs)?;
        }
    }
    transaction.commit()
}

/// Both ends, and the entries from both ends in parts, are those of the copy.
fn look_at_order(transaction: &mut Transaction, map: &Map, pairs: &Pairs) -> Result<()> {
    let (mut key, mut value) = (Vec::new(), Vec::new());
    let first = transaction.on(map).first(&mut key, &mut value)?;
    assert_eq!(first.then(|| (key.clone(), value.clone())).as_ref(), pairs.first());
    let last = transaction.on(map).last(&mut key, &mut value)?;
    assert_eq!(last.then(|| (key.clone(), value.clone())).as_ref(), pairs.last());
    let part = 1 + pairs.len() as u64 % 5;
    let (mut forwards, mut next) = (Vec::new(), Some(0));
    while let Some(from) = next {
        let batch = transaction.on(map).scan(from, part)?;
        assert!(batch.entries.len() as u64 <= part);
        forwards.extend(batch.entries.to_vec());
        next = batch.next;
    }
    assert_eq!(&forwards, pairs);
    let (mut backwards, mut next) = (Vec::new(), Some(u64::MAX));
    while let Some(before) = next {
        let batch = transaction.on(map).scan_back(before, part)?;
        assert!(batch.entries.len() as u64 <= part);
        backwards.extend(batch.entries.to_vec());
        next = batch.next;
    }
    backwards.reverse();
    assert_eq!(&backwards, pairs);
    Ok(())
}

fn observe(world: &World) -> Plain {
    let mut out = Vec::new();
    world
        .heap
        .with(|context| {
            check(context)?;
            world.value.get(context, &mut out)?;
            let [first, second] = world.maps;
            let maps = [first.snapshot(context)?.to_vec(), second.snapshot(context)?.to_vec()];
            let value = i64::from_le_bytes(out[1..].try_into().expect("eight bytes"));
            Ok(Plain { maps, value })
        })
        .expect("a whole heap")
}

/// `PROPTEST_CASES` asks for more.
fn cases() -> u32 {
    std::env::var("PROPTEST_CASES").map_or(96, |text| text.parse().expect("a number"))
}

/// Each block is a transaction; after each, the heap is what the copy says.
fn commit_all(blocks: &[Vec<Op>]) {
    let world = World::new();
    let mut plain = observe(&world);
    for ops in blocks {
        run(&world, &mut plain, ops).expect("the commit succeeds");
        assert_eq!(observe(&world), plain);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_commits_is_what_the_copy_says(
        blocks in prop::collection::vec(prop::collection::vec(op(1), 1..60), 1..8),
    ) {
        commit_all(&blocks);
    }

    /// The same with few keys, each written, removed and added to many times in one transaction.
    #[test]
    fn what_commits_is_what_the_copy_says_of_few_keys(
        blocks in prop::collection::vec(prop::collection::vec(op(5), 20..150), 1..4),
    ) {
        commit_all(&blocks);
    }
}

/// Goal: what was added unseen is found however often it is looked at in between, at no great cost.
#[test]
fn additions_and_looks_may_alternate() {
    let world = World::new();
    let map = &world.maps[0];
    let mut transaction = world.begin();
    let mut out = Vec::new();
    for number in 0..200u64 {
        let key = number.to_le_bytes();
        transaction.on(map).add_many([(key, 1)]).expect("an addition");
        assert_eq!(transaction.on(map).get(&key, &mut out), Ok(true));
        assert_eq!(out, int(1));
    }
    transaction.commit().expect("a commit");
    assert_eq!(observe(&world).maps[0].len(), 200);
}

/// Goal: a key that goes and comes back, many times, among many others, is what it was made last.
/// Method: long values, so that a block freed twice is found by the check.
#[test]
fn a_key_may_go_and_come_back() {
    let world = World::new();
    let map = &world.maps[0];
    world.heap.with(|context| map.set(context, b"key", &[1; 100])).expect("room");
    for others in [3u64, 17, 63, 64, 200] {
        let mut out = Vec::new();
        let mut transaction = world.begin();
        for other in 0..others / 2 {
            transaction.on(map).set(&other.to_le_bytes(), &[2; 50]).expect("a write");
        }
        for round in 0..5u8 {
            assert_eq!(transaction.on(map).remove(b"key", &mut out), Ok(true), "round {round}");
            assert_eq!(transaction.on(map).get(b"key", &mut out), Ok(false), "round {round}");
            transaction.on(map).set(b"key", &[round; 100]).expect("a write");
        }
        for other in others / 2..others {
            transaction.on(map).set(&other.to_le_bytes(), &[2; 50]).expect("a write");
        }
        assert_eq!(transaction.on(map).remove(b"key", &mut out), Ok(true));
        transaction.on(map).set(b"key", &[9; 100]).expect("a write");
        assert_eq!(transaction.on(map).len(), Ok(others + 1));
        transaction.commit().expect("a commit");
        let pairs = observe(&world).maps[0].clone();
        assert_eq!(pairs.last(), Some(&(b"key".to_vec(), vec![9; 100])));
        assert_eq!(pairs.len() as u64, others + 1);
    }
}

/// Goal: an addition that cannot be made is not forgotten with its error, nor are those after it.
#[test]
fn an_error_about_one_addition_loses_no_other() {
    let world = World::new();
    let map = &world.maps[0];
    world.heap.with(|context| map.set(context, b"text", b"no number")).expect("room");
    let before = observe(&world);
    let mut transaction = world.begin();
    transaction.on(map).add_many([(&b"text"[..], 1), (&b"count"[..], 1)]).expect("unseen");
    assert_eq!(transaction.on(map).len(), Err(Error::NotAnInteger));
    assert_eq!(transaction.commit(), Err(Error::NotAnInteger));
    assert_eq!(observe(&world), before);
}

/// Goal: a wait that is refused inside a transaction dooms it, also where its error is swallowed.
#[test]
fn a_refused_wait_dooms_the_transaction() {
    let world = World::new();
    let before = observe(&world);
    let mut transaction = world.begin();
    transaction.on(&world.maps[0]).set(b"key", b"value").expect("a write");
    let mut out = Vec::new();
    let got = world.heap.with(|context| world.queue.get_wait(context, None, &mut out));
    assert_eq!(got, Err(Error::WouldBlock));
    let doomed = Err(Error::Doomed(Box::new(Error::WouldBlock)));
    assert_eq!(transaction.on(&world.maps[0]).set(b"key", b"other"), doomed);
    assert_eq!(transaction.commit(), doomed);
    assert_eq!(observe(&world), before);
    world.begin().commit().expect("the next one is not doomed");
}

#[test]
fn an_abort_leaves_nothing_behind() {
    let world = World::new();
    let before = observe(&world);
    let mut transaction = world.begin();
    transaction.on(&world.maps[0]).set(b"key", b"value").expect("a write");
    transaction.on(&world.value).set(&int(7)).expect("a write");
    transaction.on(&world.queue).put(b"item").expect("a put");
    transaction.abort();
    assert_eq!(observe(&world), before);
    world.heap.with(|context| world.maps[0].set(context, b"key", b"other")).expect("not locked");
    assert_eq!(world.heap.with(|context| world.queue.len(context)), Ok(0));
}

#[test]
fn a_queue_gives_and_takes_with_the_commit() {
    let world = World::new();
    let queue = &world.queue;
    let mut out = Vec::new();
    world.heap.with(|context| queue.put(context, b"first")).expect("a put");
    let mut transaction = world.begin();
    transaction.on(queue).get(&mut out).expect("an item");
    assert_eq!(out, b"first");
    transaction.on(queue).put(b"second").expect("a put");
    assert_eq!(transaction.on(queue).get(&mut out), Err(Error::Empty));
    transaction.abort();
    let lease = world.heap.with(|context| queue.lease(context, &mut out)).expect("it came back");
    assert_eq!((out.as_slice(), lease.attempt), (b"first".as_slice(), 1));

    let mut transaction = world.begin();
    transaction.on(queue).ack(&lease).expect("held");
    assert_eq!(transaction.on(queue).ack(&lease), Err(Error::LeaseLost));
    transaction.on(queue).put(&[5; 100]).expect("a put");
    transaction.commit().expect("a commit");
    world
        .heap
        .with(|context| {
            assert_eq!(queue.leased(context)?, 0);
            queue.get(context, &mut out)?;
            assert_eq!(out, [5; 100]);
            assert_eq!(queue.get(context, &mut out), Err(Error::Empty));
            check(context).map(|_| ())
        })
        .expect("a whole heap");
}

#[test]
fn a_lost_lease_aborts_everything() {
    let world = World::new();
    let mut out = Vec::new();
    let lease = world
        .heap
        .with(|context| {
            world.queue.put(context, b"job")?;
            world.queue.lease(context, &mut out)
        })
        .expect("a lease");
    let before = observe(&world);
    let mut transaction = world.begin();
    transaction.on(&world.maps[0]).set(b"done", b"job").expect("a write");
    transaction.on(&world.queue).ack(&lease).expect("held so far");
    world.heap.with(|context| world.queue.ack(context, &lease)).expect("acked elsewhere");
    assert_eq!(transaction.commit(), Err(Error::LeaseLost));
    assert_eq!(observe(&world), before);
}

/// Goal: two transactions that lock the same objects in opposite order do not wait for ever.
/// Method: two threads meet at a barrier between their first and second lock; exactly one is told
/// `Deadlock`, everything it held is free, and the other commits.
#[test]
fn a_deadlock_dooms_exactly_one() {
    let world = World::new();
    let barrier = std::sync::Barrier::new(2);
    let results: Vec<Result<()>> = std::thread::scope(|scope| {
        let run = |first: usize| {
            let (world, barrier) = (&world, &barrier);
            scope.spawn(move || {
                let mut transaction = world.begin();
                transaction.on(&world.maps[first]).set(b"key", b"value")?;
                barrier.wait();
                let second = transaction.on(&world.maps[1 - first]).set(b"key", b"value");
                if second == Err(Error::Deadlock) {
                    let doomed = Err(Error::Doomed(Box::new(Error::Deadlock)));
                    assert_eq!(transaction.on(&world.maps[first]).set(b"a", b"b"), doomed);
                    assert_eq!(transaction.commit(), doomed);
                    // The next attempt is as old as this one.
                    let context = world.heap.context()?;
                    let age = Transaction::last_age(&context).expect("it waited");
                    assert_eq!(Transaction::begin(context, Some(age))?.age(), age);
                    return Err(Error::Deadlock);
                }
                second?;
                transaction.commit()
            })
        };
        let threads = [run(0), run(1)];
        threads.map(|thread| thread.join().expect("no panic")).into()
    });
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1, "{results:?}");
    assert!(results.contains(&Err(Error::Deadlock)));
}

#[test]
fn a_single_operation_on_a_locked_object_of_ones_own_is_refused() {
    let world = World::new();
    let mut transaction = world.begin();
    transaction.on(&world.maps[0]).set(b"key", b"value").expect("a write");
    let single = world.heap.with(|context| world.maps[0].set(context, b"key", b"other"));
    assert_eq!(single, Err(Error::InTransaction));
    let read = world.heap.with(|context| world.maps[0].contains(context, b"key"));
    assert_eq!(read, Ok(false), "readers do not wait and see nothing uncommitted");
    transaction.commit().expect("a commit");
}

/// Goal: an abort leaves the queue as it was: in its order, those that were returned before among them.
#[test]
fn an_abort_keeps_the_order_of_a_queue() {
    for returned in 0..4 {
        let world = World::new();
        let queue = &world.queue;
        let context = world.heap.context().expect("a context");
        let mut out = Vec::new();
        for item in 1..=6u8 {
            queue.put(&context, &[item]).expect("room");
        }
        let leases: Vec<_> =
            (0..returned).map(|_| queue.lease(&context, &mut out).expect("an item")).collect();
        for lease in &leases {
            queue.nack(&context, lease, Some(ReturnReason::Nacked)).expect("a lease");
        }
        for taken in 0..6 {
            let mut transaction = world.begin();
            for _ in 0..taken {
                transaction.on(queue).get(&mut out).expect("an item");
            }
            transaction.abort();
        }
        let mut seen = Vec::new();
        while queue.get(&context, &mut out).is_ok() {
            seen.push(out[0]);
        }
        assert_eq!(seen, [1, 2, 3, 4, 5, 6], "{returned} returned");
    }
}
