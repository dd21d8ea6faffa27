//! A value against a variable of bytes.
//!
//! Not here: the lock beside it (`mutex`), and what a transaction does to it.

use coheap_core::check::check;
use coheap_core::error::Error;
use coheap_core::objects::Directory;
use proptest::prelude::*;

use crate::hold;
use crate::support::objects::{heap, integer, number_in, value};

#[derive(Debug, Clone)]
enum Op {
    Set(Vec<u8>),
    Add(i64),
    /// Whether what is expected is what is there.
    CompareAndSet(bool, Vec<u8>),
    Get,
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let len = prop_oneof![1usize..16, 16usize..400, 5000usize..20_000];
    prop_oneof![
        2 => (len, any::<u8>()).prop_map(|(len, fill)| vec![fill; len]),
        1 => prop_oneof![-1000i64..1000, any::<i64>()].prop_map(|number| integer(number).to_vec()),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        3 => bytes().prop_map(Op::Set),
        3 => prop_oneof![9 => -1000i64..1000, 1 => any::<i64>()].prop_map(Op::Add),
        2 => (any::<bool>(), bytes()).prop_map(|(fits, new)| Op::CompareAndSet(fits, new)),
        2 => Just(Op::Get),
    ]
}

pub(crate) fn holds() {
    hold(&prop::collection::vec(op(), 1..300), |ops| play(&ops));
}

fn play(ops: &[Op]) {
    let heap = heap(16);
    let value = value(&heap, "value");
    let mut model = integer(0).to_vec();
    let mut out = Vec::new();
    heap.with(|context| {
        for op in ops {
            match op {
                Op::Set(new) => {
                    value.set(context, new)?;
                    model.clone_from(new);
                }
                Op::Add(more) => {
                    let sum = number_in(&model).ok_or(Error::NotAnInteger);
                    let sum = sum.and_then(|old| old.checked_add(*more).ok_or(Error::Overflow));
                    assert_eq!(value.add(context, *more), sum);
                    if let Ok(sum) = sum {
                        model = integer(sum).to_vec();
                    }
                }
                Op::CompareAndSet(fits, new) => {
                    let mut expected = model.clone();
                    expected[0] ^= u8::from(!fits);
                    assert_eq!(value.compare_and_set(context, &expected, new)?, *fits);
                    if *fits {
                        model.clone_from(new);
                    }
                }
                Op::Get => {
                    value.get(context, &mut out)?;
                    assert_eq!(out, model);
                }
            }
            assert_eq!(value.integer(context)?, number_in(&model));
        }
        value.get(context, &mut out)?;
        assert_eq!(out, model);
        check(context)?;
        Directory.remove(context, "value")?;
        assert_eq!(value.get(context, &mut out), Err(Error::ObjectGone));
        assert_eq!(check(context)?.objects, 0);
        Ok(())
    })
    .expect("no operation fails");
}
