//! The operations that two commits are compared by, one function each.
//!
//! What always holds: every operation has a heap of its own, leaves it as large as it was, and
//! finds what it asks for. Nobody else is there: nothing waits.

use std::hint::black_box;

use coheap::{Heap, Map, Result};

use crate::Gauge;

/// A name, the share of the iterations (one in so many), and what to repeat.
pub type Operation = (&'static str, u64, fn(&mut Gauge) -> Result<()>);

/// All of them; `nothing` is the loop itself.
pub const OPERATIONS: &[Operation] = &[
    ("nothing", 1, nothing),
    ("map get, int key", 1, get_int),
    ("map get, str key", 1, get_str),
    ("map get, missing key", 1, get_missing),
    ("map set, 8 bytes", 1, set_small),
    ("map set, 100 bytes", 1, set_large),
    ("map insert + remove", 1, insert_and_remove),
    ("map add", 1, map_add),
    ("value get", 1, value_get),
    ("value set", 1, value_set),
    ("value add", 1, value_add),
    ("mutex lock + unlock", 1, lock_pair),
    ("queue put + get", 1, queue_pair),
    ("work queue put + get + ack", 1, job),
    ("transaction of two updates", 1, transaction),
    ("heap create + close", 100, create_and_close),
];

const KEYS: u64 = 1_000;

fn heap() -> Result<Heap> {
    Heap::anonymous(16 << 20)
}

/// A map of a thousand numbers.
fn numbers(heap: &Heap, name: &str) -> Result<Map<u64, i64>> {
    let map = heap.map(name)?;
    (0..KEYS).try_for_each(|key| map.set(&key, &7).map(drop))?;
    Ok(map)
}

fn nothing(gauge: &mut Gauge) -> Result<()> {
    gauge.repeat(|number| {
        black_box(number % KEYS);
        Ok(())
    })
}

fn get_int(gauge: &mut Gauge) -> Result<()> {
    let map = numbers(&heap()?, "map")?;
    gauge.repeat(|number| {
        assert_eq!(map.get(&(number % KEYS))?, Some(7));
        Ok(())
    })
}

fn get_str(gauge: &mut Gauge) -> Result<()> {
    let map: Map<String, i64> = heap()?.map("map")?;
    let keys: Vec<String> = (0..KEYS).map(|key| format!("key {key}")).collect();
    keys.iter().try_for_each(|key| map.set(key, &7).map(drop))?;
    gauge.repeat(|number| {
        assert_eq!(map.get(&keys[(number % KEYS) as usize])?, Some(7));
        Ok(())
    })
}

fn get_missing(gauge: &mut Gauge) -> Result<()> {
    let map = numbers(&heap()?, "map")?;
    gauge.repeat(|number| {
        assert_eq!(map.get(&(KEYS + number % KEYS))?, None);
        Ok(())
    })
}

fn set_small(gauge: &mut Gauge) -> Result<()> {
    let map = numbers(&heap()?, "map")?;
    gauge.repeat(|number| map.set(&(number % KEYS), &(number as i64)).map(drop))
}

fn set_large(gauge: &mut Gauge) -> Result<()> {
    let map: Map<u64, String> = heap()?.map("map")?;
    // Two texts in turn, so that a set changes all of the hundred bytes.
    let texts = ["a".repeat(100), "b".repeat(100)];
    (0..KEYS).try_for_each(|key| map.set(&key, &texts[0]).map(drop))?;
    gauge.repeat(|number| map.set(&(number % KEYS), &texts[(number / KEYS % 2) as usize]).map(drop))
}

fn insert_and_remove(gauge: &mut Gauge) -> Result<()> {
    let map = numbers(&heap()?, "map")?;
    gauge.repeat(|number| {
        let key = KEYS + number % KEYS;
        map.set(&key, &7)?;
        assert_eq!(map.remove(&key)?, Some(7));
        Ok(())
    })
}

fn map_add(gauge: &mut Gauge) -> Result<()> {
    let map = numbers(&heap()?, "map")?;
    gauge.repeat(|number| map.add(&(number % KEYS), 1).map(drop))
}

fn value_get(gauge: &mut Gauge) -> Result<()> {
    let value = heap()?.value("value", &7i64)?;
    gauge.repeat(|_| {
        assert_eq!(value.get()?, 7);
        Ok(())
    })
}

fn value_set(gauge: &mut Gauge) -> Result<()> {
    let value = heap()?.value("value", &7i64)?;
    gauge.repeat(|number| value.set(&(number as i64)))
}

fn value_add(gauge: &mut Gauge) -> Result<()> {
    let value = heap()?.value("value", &7i64)?;
    gauge.repeat(|_| value.add(1).map(drop))
}

fn lock_pair(gauge: &mut Gauge) -> Result<()> {
    let mutex = heap()?.mutex("mutex", &0i64)?;
    gauge.repeat(|_| mutex.lock().map(drop))
}

fn queue_pair(gauge: &mut Gauge) -> Result<()> {
    let queue = heap()?.queue::<u64>("queue")?;
    gauge.repeat(|number| {
        queue.put(&number)?;
        assert_eq!(queue.get()?, number);
        Ok(())
    })
}

fn job(gauge: &mut Gauge) -> Result<()> {
    let jobs = heap()?.work_queue::<u64>("jobs")?;
    gauge.repeat(|number| {
        jobs.put(&number)?;
        let lease = jobs.get()?;
        assert_eq!(*lease.value(), number);
        lease.ack()
    })
}

fn transaction(gauge: &mut Gauge) -> Result<()> {
    let heap = heap()?;
    let (from, to) = (numbers(&heap, "from")?, numbers(&heap, "to")?);
    gauge.repeat(|number| {
        let key = number % KEYS;
        heap.transaction(|tx| {
            tx.add(&from, &key, -1)?;
            tx.add(&to, &key, 1)
        })
    })
}

fn create_and_close(gauge: &mut Gauge) -> Result<()> {
    gauge.repeat(|_| Heap::anonymous(1 << 20)?.close())
}
