//! Locks against a variable that says who has it and how often: a mutex, and a recursive one.
//!
//! Two threads do one operation after the other, so each answer is known beforehand. A thread that
//! takes a recursive lock does it as users of one do: again if it has it, else by trying.

use std::sync::mpsc::{Sender, channel};

use coheap_core::check::check;
use coheap_core::error::{Error, Result};
use coheap_core::heap::Heap;
use coheap_core::journal::Context;
use coheap_core::objects::mutex::Acquired;
use coheap_core::objects::{Directory, Mutex};
use coheap_core::os;
use proptest::prelude::*;

use crate::hold;
use crate::support::objects::{heap, mutex, recursive_mutex};

/// Told as the process id of a holder that died.
const DEAD: u32 = 4711;

#[derive(Debug, Clone, Copy)]
enum Op {
    Take,
    TakeInNoTime,
    /// Once if it is recursive, else all of it.
    LetGo,
    LetGoWhole,
    LetGoMarked,
    LetGoForAnother,
    NoteTime,
    Recover,
}

/// A lock as it should be.
#[derive(Debug, Default, Clone, Copy)]
struct Model {
    is_recursive: bool,
    /// Which thread, and how often it has the lock.
    held: Option<(usize, u64)>,
    is_marked: bool,
}

impl Model {
    fn depth(&self, thread: usize) -> u64 {
        self.held.filter(|held| held.0 == thread).map_or(0, |held| held.1)
    }

    /// What a thread is told that tries to take it. `None`: it does not get it.
    fn take(&mut self, thread: usize) -> Option<Acquired> {
        match &mut self.held {
            Some((holder, depth)) if self.is_recursive && *holder == thread => {
                *depth += 1;
                Some(Acquired::Clean)
            }
            Some(_) => None,
            None => {
                self.held = Some((thread, 1));
                let was_marked = std::mem::take(&mut self.is_marked);
                Some(if was_marked { Acquired::OwnerDied(DEAD) } else { Acquired::Clean })
            }
        }
    }

    /// What a thread is told that lets go of `levels` of what it has.
    fn let_go(&mut self, thread: usize, levels: u64) -> Result<()> {
        let depth = self.depth(thread);
        if depth == 0 {
            return Err(Error::NotOwner);
        }
        self.held = Some((thread, depth.saturating_sub(levels))).filter(|held| held.1 > 0);
        Ok(())
    }
}

/// A thread that does what it is told, and answers when it is done.
struct Thread(Sender<Work>);

type Work = Box<dyn FnOnce(&Context) + Send>;

impl Thread {
    fn ask<T: Send + 'static>(&self, work: impl FnOnce(&Context) -> T + Send + 'static) -> T {
        let (tell, told) = channel();
        let work = move |context: &Context| tell.send(work(context)).expect("somebody listens");
        self.0.send(Box::new(work)).expect("the thread lives");
        told.recv().expect("the thread has not panicked")
    }
}

pub(crate) fn holds() {
    play_many(false);
}

pub(crate) fn holds_again() {
    play_many(true);
}

fn play_many(is_recursive: bool) {
    let op = prop_oneof![
        4 => Just(Op::Take),
        2 => Just(Op::TakeInNoTime),
        4 => Just(Op::LetGo),
        1 => Just(Op::LetGoWhole),
        1 => Just(Op::LetGoMarked),
        1 => Just(Op::LetGoForAnother),
        1 => Just(Op::NoteTime),
        1 => Just(Op::Recover),
    ];
    let ops = prop::collection::vec((0usize..2, op), 1..200);
    hold(&ops, |ops| play(&ops, is_recursive));
}

fn play(ops: &[(usize, Op)], is_recursive: bool) {
    let heap = heap(1);
    let lock = match is_recursive {
        true => recursive_mutex(&heap, "lock").mutex(),
        false => mutex(&heap, "lock"),
    };
    let mut model = Model { is_recursive, ..Model::default() };
    std::thread::scope(|scope| {
        let start = |_| {
            let (tell, told) = channel::<Work>();
            let heap: &Heap = &heap;
            scope.spawn(move || {
                told.into_iter().for_each(|work| {
                    heap.with(|context| {
                        work(context);
                        Ok(())
                    })
                    .expect("attached");
                });
            });
            Thread(tell)
        };
        let threads = [0, 1].map(start);
        for (thread, op) in ops {
            run(*op, &lock, &threads, *thread, &mut model);
            for (number, thread) in threads.iter().enumerate() {
                let depth = thread.ask(move |context| lock.depth(context));
                assert_eq!(depth, Ok(model.depth(number)), "thread {number} after {op:?}");
            }
            let holder = threads[0].ask(move |context| lock.holder(context));
            assert_eq!(holder.map(|holder| holder.is_some()), Ok(model.held.is_some()));
        }
        threads[0].ask(move |context| {
            assert!(check(context).is_ok());
            Directory.remove(context, "lock").expect("it is there");
            assert_eq!(lock.try_lock(context), Err(Error::ObjectGone));
            assert_eq!(check(context).map(|report| report.objects), Ok(0));
        });
    });
}

fn run(op: Op, lock: &Mutex, threads: &[Thread; 2], number: usize, model: &mut Model) {
    let (lock, thread, is_recursive) = (*lock, &threads[number], model.is_recursive);
    match op {
        Op::Take => {
            let took =
                thread.ask(move |context| match is_recursive && lock.lock_again(context)? {
                    true => Ok(Some(Acquired::Clean)),
                    false => lock.try_lock(context),
                });
            assert_eq!(took, Ok(model.take(number)));
        }
        Op::TakeInNoTime => {
            let took =
                thread.ask(move |context| match is_recursive && lock.lock_again(context)? {
                    true => Ok(Acquired::Clean),
                    false => lock.lock(context, Some(os::now())),
                });
            assert_eq!(took, model.take(number).ok_or(Error::TimedOut));
        }
        Op::LetGo if is_recursive => {
            let gone = thread.ask(move |context| lock.leave(context));
            assert_eq!(gone, model.let_go(number, 1));
        }
        Op::LetGo | Op::LetGoWhole => {
            let gone = thread.ask(move |context| lock.unlock(context));
            assert_eq!(gone, model.let_go(number, u64::MAX));
        }
        Op::LetGoMarked => {
            let gone = thread.ask(move |context| lock.unlock_marked(context, DEAD));
            assert_eq!(gone, model.let_go(number, u64::MAX));
            model.is_marked |= gone.is_ok();
        }
        Op::LetGoForAnother => {
            let gone = thread.ask(move |context| lock.unlock_for_another(context));
            assert_eq!(gone, model.held.take().map(|_| ()).ok_or(Error::NotOwner));
        }
        // What is written down then is the holder's alone to write.
        Op::NoteTime if model.depth(number) == 0 => {}
        Op::NoteTime => assert_eq!(thread.ask(move |context| lock.note_time(context)), Ok(())),
        Op::Recover => {
            let recovered = thread.ask(move |context| lock.recover(context));
            assert_eq!(recovered, Ok(std::mem::take(&mut model.is_marked)));
        }
    }
}
