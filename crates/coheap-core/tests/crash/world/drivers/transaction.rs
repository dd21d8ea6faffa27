//! Transactions: many objects in one change, and all the ways to end without one.
//!
//! A victim of `commit` has done everything else in `prepare`; other victims die anywhere from
//! `begin` on. An item that a transaction takes is leased at once, so a death counts an attempt.

use std::rc::Rc;

use coheap_core::error::{Error, Result};
use coheap_core::journal::Context;
use coheap_core::objects::Lockable;
use coheap_core::os;
use coheap_core::transaction::Transaction;

use crate::world::kinds::map::{LARGE_MAPS, MAPS, entry};
use crate::world::operation::Operation;
use crate::world::stage::Stage;
use crate::world::states::ALL;

const EVERYTHING: &[&str] = &["map", "other", "value", "text", "queue", "work"];

fn begin(stage: &Stage) -> Result<()> {
    stage.transaction.replace(Some(Transaction::begin(stage.context(), None)?));
    Ok(())
}

fn with(stage: &Stage, act: impl FnOnce(&mut Transaction) -> Result<()>) -> Result<()> {
    act(stage.transaction.borrow_mut().as_mut().expect("a transaction"))
}

fn commit(stage: &Stage) -> Result<()> {
    stage.transaction.take().expect("a transaction").commit()
}

/// Commits as a caller does that does not wait for turns.
fn commit_without_waiting(stage: &Stage) -> Result<()> {
    let mut transaction = stage.transaction.take().expect("a transaction");
    transaction.waiting_until(0, Transaction::try_commit)
}

/// Writes of every kind, without taking from a queue.
fn write(stage: &Stage, transaction: &mut Transaction) -> Result<()> {
    let (map, other) = (&stage.map, &stage.other);
    for number in [0, 2, 11] {
        transaction.on(map).set(&entry(number).0, &[b'T'; 50])?;
    }
    transaction.on(map).add(b"count", 5)?;
    transaction.on(map).remove(&entry(3).0, &mut Vec::new())?;
    transaction.on(other).set(b"first", b"new")?;
    transaction.on(other).remove(b"there", &mut Vec::new())?;
    transaction.on(&stage.value).add(100)?;
    transaction.on(&stage.text).set(&[b'X'; 300])?;
    transaction.on(&stage.queue).put(b"put")?;
    transaction.on(&stage.queue).put(&[b'P'; 60])
}

fn write_everything(stage: &Stage, context: &Rc<Context>) -> Result<()> {
    if let Ok(lease) = stage.work.lease(context, &mut Vec::new()) {
        stage.leases.replace(vec![lease]);
    }
    begin(stage)?;
    with(stage, |transaction| {
        write(stage, transaction)?;
        let _ = transaction.on(&stage.queue).get(&mut Vec::new());
        for lease in &*stage.leases.borrow() {
            transaction.on(&stage.work).ack(lease)?;
        }
        Ok(())
    })
}

fn add_unseen(stage: &Stage, _: &Rc<Context>) -> Result<()> {
    begin(stage)?;
    with(stage, |transaction| {
        let keys = (0..24).map(|number| (format!("c{}", number % 20), i64::from(number)));
        transaction.on(&stage.map).add_many(keys)?;
        transaction.on(&stage.map).add_many([(entry(0).0, 1000)])
    })
}

fn add_many(stage: &Stage, _: &Rc<Context>) -> Result<()> {
    begin(stage)?;
    with(stage, |transaction| {
        for number in 0..60u32 {
            let key = format!("t{number:04}");
            transaction.on(&stage.map).set(key.as_bytes(), &[b'T'; 20])?;
            transaction.on(&stage.other).set(key.as_bytes(), b"short")?;
        }
        transaction.on(&stage.map).add(b"count", 1).map(|_| ())
    })
}

/// Takes an item and gives it back, and one that was leased before.
fn give_back(stage: &Stage, context: &Rc<Context>) -> Result<()> {
    let before = stage.work.lease(context, &mut Vec::new());
    begin(stage)?;
    with(stage, |transaction| {
        assert!(transaction.holds_nothing());
        let now = os::now();
        let got = transaction.on(&stage.queue).get_until(now, now, &mut Vec::new());
        assert!(transaction.try_lock(Lockable::of(&stage.map))?);
        transaction.lock_until(Lockable::of(&stage.value), now, now)?;
        transaction.on(&stage.map).add(b"count", 1)?;
        if let Ok(lease) = got {
            transaction.on(&stage.queue).nack(&lease)?;
        }
        if let Ok(lease) = &before {
            transaction.on(&stage.work).nack(lease)?;
        }
        transaction.on(&stage.queue).put_until(now, now, b"put")
    })
}

/// Takes entries from both ends, and puts some of them back.
fn pop_from_both_ends(stage: &Stage, _: &Rc<Context>) -> Result<()> {
    begin(stage)?;
    with(stage, |transaction| {
        let map = &stage.map;
        let (mut key, mut value) = (Vec::new(), Vec::new());
        for _ in 0..3 {
            transaction.on(map).pop_first(&mut key, &mut value)?;
            if transaction.on(map).pop_last(&mut key, &mut value)? {
                transaction.on(map).set(&key, &value)?;
                transaction.on(map).pop_last(&mut key, &mut value)?;
            }
        }
        transaction.on(map).set(b"kept", b"new")
    })
}

/// Clears a map, and another one in which some entries are stored after that.
fn clear_and_insert(stage: &Stage, _: &Rc<Context>) -> Result<()> {
    begin(stage)?;
    with(stage, |transaction| {
        transaction.on(&stage.map).set(b"before", b"gone")?;
        transaction.on(&stage.map).clear()?;
        transaction.on(&stage.other).clear()?;
        for number in 0..12 {
            let (key, value) = entry(number);
            transaction.on(&stage.map).set(&key, &value)?;
        }
        transaction.on(&stage.map).remove(&entry(3).0, &mut Vec::new())?;
        transaction.on(&stage.map).add(b"count", 1).map(|_| ())
    })
}

fn clear(stage: &Stage, _: &Rc<Context>) -> Result<()> {
    begin(stage)?;
    with(stage, |transaction| transaction.on(&stage.map).clear())
}

pub(crate) const OPERATIONS: &[Operation] = &[
    Operation::new(
        &["Transaction::commit", "Transaction::map_clear"],
        "cleared",
        MAPS,
        EVERYTHING,
        |stage, _| commit(stage),
    )
    .prepared(clear),
    Operation::new(&["Transaction::commit"], "cleared and filled", MAPS, EVERYTHING, |stage, _| {
        commit(stage)
    })
    .prepared(clear_and_insert),
    Operation::new(
        &["Transaction::commit"],
        "large, cleared and filled",
        LARGE_MAPS,
        EVERYTHING,
        |stage, _| commit(stage),
    )
    .prepared(clear_and_insert),
    Operation::new(
        &["Transaction::commit", "Transaction::map_pop_first", "Transaction::map_pop_last"],
        "both ends",
        MAPS,
        EVERYTHING,
        |stage, _| commit(stage),
    )
    .prepared(pop_from_both_ends),
    Operation::new(
        &["Transaction::commit", "Transaction::queue_ack", "Transaction::queue_get"],
        "six objects",
        ALL,
        EVERYTHING,
        |stage, _| commit(stage),
    )
    .prepared(write_everything),
    Operation::new(&["Transaction::commit"], "120 new keys", ALL, EVERYTHING, |stage, _| {
        commit(stage)
    })
    .prepared(add_many),
    Operation::new(
        &["Transaction::commit", "Transaction::map_add_many", "Transaction::map_additions"],
        "20 sums",
        ALL,
        EVERYTHING,
        |stage, _| commit(stage),
    )
    .prepared(add_unseen),
    Operation::new(
        &["Transaction::try_commit", "Transaction::waiting_until"],
        "20 sums",
        ALL,
        EVERYTHING,
        |stage, _| commit_without_waiting(stage),
    )
    .prepared(add_unseen),
    Operation::new(&["Transaction::commit"], "growing", LARGE_MAPS, EVERYTHING, |stage, _| {
        commit(stage)
    })
    .prepared(add_many),
    Operation::new(
        &[
            "Transaction::begin",
            "Transaction::on",
            "Transaction::map_set",
            "Transaction::map_add",
            "Transaction::map_remove",
            "Transaction::value_set",
            "Transaction::value_add",
            "Transaction::queue_put",
        ],
        "from begin to commit",
        ALL,
        EVERYTHING,
        |stage, _| {
            begin(stage)?;
            with(stage, |transaction| write(stage, transaction))?;
            commit(stage)
        },
    ),
    Operation::new(&["Transaction::abort"], "six objects", ALL, EVERYTHING, |stage, _| {
        stage.transaction.take().expect("a transaction").abort();
        Ok(())
    })
    .prepared(|stage, _| {
        begin(stage)?;
        with(stage, |transaction| {
            write(stage, transaction)?;
            let _ = transaction.on(&stage.queue).get(&mut Vec::new());
            Ok(())
        })
    }),
    Operation::new(
        &[
            "Transaction::queue_nack",
            "Transaction::queue_get_until",
            "Transaction::queue_put_until",
            "Transaction::beside",
            "Transaction::holds_nothing",
            "Transaction::try_lock",
            "Transaction::lock_until",
        ],
        "given back",
        ALL,
        EVERYTHING,
        |stage, _| commit(stage),
    )
    .prepared(give_back),
    Operation::new(&["Transaction::give_up"], "six objects", ALL, EVERYTHING, |stage, _| {
        with(stage, |transaction| {
            transaction.give_up(Error::WouldBlock);
            Ok(())
        })?;
        stage.transaction.take().expect("a transaction").abort();
        Ok(())
    })
    .prepared(give_back),
    Operation::new(
        &["Transaction::savepoint", "Transaction::roll_back_to"],
        "and commit the rest",
        ALL,
        EVERYTHING,
        |stage, _| {
            begin(stage)?;
            with(stage, |transaction| {
                transaction.on(&stage.map).set(b"kept", b"new")?;
                let savepoint = transaction.savepoint();
                write(stage, transaction)?;
                transaction.roll_back_to(savepoint)
            })?;
            commit(stage)
        },
    ),
    Operation::new(
        &[
            "Transaction::map_get",
            "Transaction::map_len",
            "Transaction::map_snapshot",
            "Transaction::map_first",
            "Transaction::map_first_form",
            "Transaction::map_last",
            "Transaction::map_scan",
            "Transaction::map_scan_back",
            "Transaction::value_get",
            "Transaction::map_is_empty",
            "Transaction::map_lock",
            "Transaction::age",
            "Transaction::last_age",
            "Transaction::doom",
        ],
        "questions",
        ALL,
        EVERYTHING,
        |stage, context| {
            begin(stage)?;
            with(stage, |transaction| {
                assert!(Transaction::last_age(context).is_none_or(|age| age > 1));
                transaction.on(&stage.other).lock()?;
                transaction.on(&stage.map).get(&entry(0).0, &mut Vec::new())?;
                transaction.on(&stage.map).first_form(&entry(0).0, &mut Vec::new())?;
                assert!(
                    !transaction.on(&stage.map).is_empty()?
                        || transaction.on(&stage.map).len()? == 0
                );
                transaction.on(&stage.map).snapshot()?;
                let (mut key, mut value) = (Vec::new(), Vec::new());
                transaction.on(&stage.map).first(&mut key, &mut value)?;
                transaction.on(&stage.map).last(&mut key, &mut value)?;
                transaction.on(&stage.map).scan(0, 3)?;
                transaction.on(&stage.map).scan_back(u64::MAX, 3)?;
                transaction.on(&stage.value).get(&mut Vec::new())?;
                assert!(transaction.age() > 0 && transaction.doom().is_none());
                Ok(())
            })?;
            commit(stage)
        },
    ),
];
