//! How soon somebody has what a killed process held.
//!
//! A long lock: one process holds it, eight wait for it. The holder is killed, one of the eight
//! has the lock and is the next victim, and a newcomer waits in its place; so most waiters have
//! slept through several rounds. A turn: a process that does nothing but store into a map is
//! stopped until it is caught holding the map's turn; eight processes then try to store and go to
//! sleep; the holder is killed.
//!
//! What always holds: nobody is killed before all eight sleep, and in every fourth round not
//! before they have slept 150 ms; the clock runs from just before the kill.

use std::io::{Read, Write, pipe};
use std::time::Duration;

use coheap_core::Typed as _;
use coheap_core::heap::floors::HeapFloors as _;

use super::{get, put, stay};
use crate::ours::{self, lock::OurLock, map::OurMap};
use crate::process::{Board, Child, now, until};
use crate::report::{Report, median};
use crate::workloads::Bench;

const WAITERS: usize = 8;
/// Words of the board: each seat's word comes first.
const SEAT: usize = 12;
const TIME: usize = 13;
const MILLISECOND: u64 = 1_000_000;

/// Rounds in which a victim is killed.
fn rounds(bench: &Bench<'_>) -> u32 {
    if bench.rounds >= 7 { 1_000 } else { 20 * bench.rounds }
}

/// How long everybody must have slept before the kill.
fn sleep_before(round: u32) -> u64 {
    if round % 4 == 3 { 150 * MILLISECOND } else { 5 * MILLISECOND }
}

/// Whether a process sleeps in the kernel.
fn is_asleep(child: &Child) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", child.pid())).unwrap_or_default();
    stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('S'))
}

fn pause() {
    std::thread::sleep(Duration::from_micros(100));
}

fn tell(report: &mut Report, what: &str, latencies: &[(u64, bool)], targets: bool) {
    let all: Vec<f64> = latencies.iter().map(|(time, _)| *time as f64 / 1e6).collect();
    let slept: Vec<f64> =
        latencies.iter().filter(|(_, long)| *long).map(|(time, _)| *time as f64 / 1e6).collect();
    let worst = |values: &[f64]| values.iter().copied().fold(0.0, f64::max);
    let limit = |most: f64| targets.then_some(most);
    report.figure(format!("{what}, median of {}", all.len()), median(&all), "ms", limit(5.0));
    report.figure(format!("{what}, worst"), worst(&all), "ms", limit(100.0));
    report.figure(
        format!("{what}, all asleep for 150 ms, median of {}", slept.len()),
        median(&slept),
        "ms",
        limit(5.0),
    );
    report.figure(
        format!("{what}, all asleep for 150 ms, worst"),
        worst(&slept),
        "ms",
        limit(100.0),
    );
}

/// A waiter for the lock: says since when it waits, then when it had it.
fn take_seat(board: &'static Board, lock: &OurLock, seat: usize) -> Child {
    put(board, seat, 0);
    Child::fork(|| {
        lock.holder();
        put(board, seat, now());
        lock.lock();
        put(board, TIME, now());
        put(board, SEAT, seat as u64 + 1);
        stay();
    })
}

/// Hand-over of a long lock.
pub fn lock(bench: &mut Bench<'_>) {
    let board = bench.board;
    let lock = OurLock::new(&ours::heap(), "lock");
    put(board, SEAT, 0);
    let mut seats = vec![take_seat(board, &lock, 0)];
    until("a first holder", || get(board, SEAT) == 1);
    seats.extend((1..=WAITERS).map(|seat| take_seat(board, &lock, seat)));
    let mut holder = 0;
    let mut latencies = Vec::new();
    for round in 0..rounds(bench) {
        let least = sleep_before(round);
        until("eight sleepers", || {
            pause();
            let rested = |seat: usize| {
                let since = get(board, seat);
                since != 0 && now() - since > least && is_asleep(&seats[seat])
            };
            (0..=WAITERS).all(|seat| seat == holder || rested(seat))
        });
        put(board, SEAT, 0);
        let killed_at = now();
        seats[holder].signal(libc::SIGKILL);
        until("the next holder", || {
            pause();
            get(board, SEAT) != 0
        });
        latencies.push((get(board, TIME).saturating_sub(killed_at), round % 4 == 3));
        let next = get(board, SEAT) as usize - 1;
        seats[holder].kill();
        seats[holder] = take_seat(board, &lock, holder);
        holder = next;
    }
    tell(bench.report, "hand-over of a lock after SIGKILL", &latencies, true);
}

/// A process that is stopped while it holds the map's turn.
fn caught_inside(map: &OurMap) -> Child {
    let turn = map.heap.region().turn(map.map.handle().turn);
    let mut victim = Child::fork(|| {
        let mut number = 0u64;
        loop {
            map.set(number % 64, &number.to_le_bytes());
            number += 1;
        }
    });
    for _ in 0..10_000 {
        std::thread::sleep(Duration::from_micros(300));
        victim.signal(libc::SIGSTOP);
        victim.wait_stopped();
        if turn.owner.get() != 0 {
            return victim;
        }
        victim.signal(libc::SIGCONT);
    }
    panic!("a process that only stores was never caught inside");
}

/// Hand-over of a turn.
pub fn turn(bench: &mut Bench<'_>) {
    let board = bench.board;
    let map = OurMap::new(&ours::heap(), "map");
    (0..64).for_each(|key| map.set(key, &[1; 8]));
    let mut waiters = Vec::new();
    let mut starts = Vec::new();
    for seat in 0..WAITERS {
        let (mut receive, send) = pipe().expect("a pipe");
        waiters.push(Child::fork(|| {
            map.get(0);
            while receive.read_exact(&mut [0]).is_ok() {
                put(board, seat, 1);
                map.set(seat as u64, &[2; 8]);
                put(board, seat, now());
            }
        }));
        starts.push(send);
    }
    let (mut firsts, mut lasts) = (Vec::new(), Vec::new());
    for round in 0..rounds(bench) {
        (0..WAITERS).for_each(|seat| put(board, seat, 0));
        let mut victim = caught_inside(&map);
        starts.iter_mut().for_each(|start| start.write_all(&[1]).expect("a waiter listens"));
        until("eight at the turn", || {
            pause();
            (0..WAITERS).all(|seat| get(board, seat) == 1)
        });
        let since = now();
        until("eight sleepers", || {
            pause();
            now() - since > sleep_before(round) && waiters.iter().all(is_asleep)
        });
        let killed_at = now();
        victim.signal(libc::SIGKILL);
        until("all have stored", || {
            pause();
            (0..WAITERS).all(|seat| get(board, seat) > 1)
        });
        victim.kill();
        let times: Vec<u64> =
            (0..WAITERS).map(|seat| get(board, seat).saturating_sub(killed_at)).collect();
        let long = round % 4 == 3;
        firsts.push((times.iter().copied().min().unwrap_or(0), long));
        lasts.push((times.iter().copied().max().unwrap_or(0), long));
    }
    tell(bench.report, "hand-over of a turn after SIGKILL, to the first", &firsts, true);
    tell(
        bench.report,
        "hand-over of a turn after SIGKILL, until all eight are through",
        &lasts,
        false,
    );
}
