//! How temporary heaps end, and what is left of processes that died: nothing, once the next one
//! comes.
//!
//! Real processes: members leave at once, are killed, exit, fork; others open and create meanwhile.

mod support;

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::time::{Duration, Instant};

use coheap_core::error::Error;
use coheap_core::heap::floors::ContextFloors as _;
use coheap_core::heap::{Heap, Options};
use coheap_core::memory::layout::DIRECTORY_TURN;
use coheap_core::objects::Directory;
use coheap_core::os::life;
use coheap_core::sync::life::{State, StateWord};
use support::child::{Child, End, alarm, die, exit_now, fork, signal};
use support::objects::map;
use support::page::Page;
use support::privilege::{Folder, is_root, skipped};
use support::{alone, in_milliseconds, until};

fn options(folder: &Folder, name: &str) -> Options {
    let mut options = Options::new(name);
    options.folder = Some(folder.path().to_owned());
    options.max_bytes = Some(1 << 20);
    options
}

fn temporary(folder: &Folder, name: &str) -> Options {
    Options { temporary: true, ..options(folder, name) }
}

/// The names in a folder, sorted.
fn listing(folder: &Folder) -> Vec<String> {
    let entries = fs::read_dir(folder.path()).expect("a listing");
    let name = |entry: std::io::Result<fs::DirEntry>| entry.expect("an entry").file_name();
    let mut names: Vec<_> =
        entries.map(|entry| name(entry).into_string().expect("a plain name")).collect();
    names.sort();
    names
}

fn names(heap: &Heap) -> Vec<String> {
    let names = heap.with(|context| Directory.names(context)).expect("the names");
    names.into_iter().map(|(name, _)| name).collect()
}

/// A process that has the heap open, with an object "old" in it, and then does `end`.
fn member(options: &Options, end: impl FnOnce(&Heap) -> i32) -> Child {
    let page = Page::new(1);
    let child = fork(|| {
        alarm(60);
        let heap = Heap::open(options).expect("a heap");
        map(&heap, "old");
        page.set(0, 1);
        end(&heap)
    });
    until("the heap is open", || page.get(0) == 1);
    child
}

fn wait_for_ever(_: &Heap) -> i32 {
    loop {
        std::thread::park();
    }
}

/// Goal: of members that leave at once, the last one knows that it is the last.
/// Method: two or three processes close the same heap at the same moment, many times.
#[test]
fn members_that_leave_at_once_leave_nothing() {
    let _alone = alone();
    let folder = Folder::new("leave");
    for round in 0..200 {
        let (page, count) = (Page::new(1), 2 + round % 2);
        let leave = || {
            alarm(60);
            let heap = Heap::open(&temporary(&folder, "heap")).expect("a heap");
            page.add(0, 1);
            // No sleep: they leave within microseconds.
            while page.get(0) < count {
                std::thread::yield_now();
            }
            heap.close().expect("closed");
            0
        };
        let children: Vec<Child> = (0..count).map(|_| fork(leave)).collect();
        children.into_iter().for_each(|mut child| child.must_succeed());
        assert_eq!(listing(&folder), [""; 0], "round {round}");
    }
}

/// Goal: who has closed the heap does not count, however long its threads take.
/// Method: a member closes it while a thread of it still uses its context; the other one leaves.
#[test]
fn a_member_that_is_leaving_keeps_nothing() {
    let _alone = alone();
    let folder = Folder::new("slow");
    let page = Page::new(1);
    let mut slow = member(&temporary(&folder, "heap"), |heap| {
        let context = heap.context().expect("a context");
        until("another member", || page.get(0) == 1);
        heap.close().expect("closed");
        page.set(0, 2);
        let slot = context.region().slot(context.member().slot());
        assert_ne!(StateWord(slot.state.get()).state(), State::Free);
        wait_for_ever(heap)
    });
    let heap = Heap::open(&temporary(&folder, "heap")).expect("a heap");
    page.set(0, 1);
    until("the first has closed it", || page.get(0) == 2);
    heap.close().expect("closed");
    assert_eq!(listing(&folder), [""; 0]);
    slow.kill();
}

/// A way to end a member.
type Way = fn(&Heap) -> i32;

/// Goal: a temporary heap whose last member did not leave is not found again, however it ended.
/// Method: end a member in each way; open the heap, with and without leave to make one.
#[test]
fn a_temporary_heap_of_the_dead_is_fresh_at_the_next_open() {
    let _alone = alone();
    let ends: [(&str, Way); 4] = [
        ("SIGKILL", |_| die()),
        ("_exit", |_| exit_now(0)),
        ("SIGTERM", |_| {
            signal(std::process::id() as i32, libc::SIGTERM);
            1
        }),
        // The parent leaves in peace, its child does not.
        ("a child", |heap| {
            let mut child = fork(|| {
                heap.with(|_| Ok(())).expect("a member");
                exit_now(0)
            });
            child.must_succeed();
            die()
        }),
    ];
    let folder = Folder::new("fresh");
    for (how, end) in ends {
        member(&temporary(&folder, "heap"), end).wait();
        let only = Options { create: false, ..temporary(&folder, "heap") };
        let found = Heap::open(&only);
        assert!(matches!(found, Err(Error::NoSuchName)), "{how}: {found:?}");
        assert_eq!(listing(&folder), [""; 0], "{how}");
        member(&temporary(&folder, "heap"), end).wait();
        let heap = Heap::open(&temporary(&folder, "heap")).expect("a heap");
        assert_eq!(names(&heap), [""; 0], "{how}: what the dead had stored");
        assert_eq!(listing(&folder).len(), 3, "{how}");
        heap.close().expect("closed");
        assert_eq!(listing(&folder), [""; 0], "{how}");
    }
}

/// Goal: those who open an ended heap at the same time agree on the new one.
/// Method: a member dies; four processes open the heap at once and count in it.
#[test]
fn openers_of_an_ended_heap_agree_on_its_successor() {
    const OPENERS: u64 = 4;
    let _alone = alone();
    let folder = Folder::new("race");
    for round in 0..60 {
        member(&temporary(&folder, "heap"), |_| die()).wait();
        let page = Page::new(3);
        let open = || {
            alarm(60);
            page.add(0, 1);
            until("all are ready", || page.get(0) == OPENERS);
            let heap = Heap::open(&temporary(&folder, "heap")).expect("a heap");
            let new = map(&heap, "new");
            let sum = heap.with(|context| new.add(context, b"openers", 1)).expect("a sum");
            page.add(1, 1);
            until("all are in", || page.get(1) == OPENERS);
            assert_eq!(names(&heap), ["new"]);
            i32::from(sum as u64 == OPENERS)
        };
        let children: Vec<Child> = (0..OPENERS).map(|_| fork(open)).collect();
        let ends: Vec<End> = children.into_iter().map(|mut child| child.wait()).collect();
        let last = ends.iter().filter(|end| **end == End::Exit(1)).count();
        assert!(ends.iter().all(|end| matches!(end, End::Exit(0 | 1))), "round {round}: {ends:?}");
        assert_eq!(last, 1, "round {round}: {ends:?}");
    }
}

/// Goal: a temporary heap ends with its last member, also if that is a forked child.
/// Method: the opener forks and dies; the heap is found while the child lives, and not afterwards,
/// whether the child has used it or not.
#[test]
fn a_temporary_heap_lives_as_long_as_a_forked_child() {
    let _alone = alone();
    let folder = Folder::new("child");
    for uses in [true, false] {
        let page = Page::new(2);
        let mut parent = member(&temporary(&folder, "heap"), |heap| {
            let child = fork(|| {
                alarm(60);
                if uses {
                    heap.with(|_| Ok(())).expect("a member");
                }
                page.set(1, u64::from(std::process::id()));
                wait_for_ever(heap)
            });
            until("the child runs", || page.get(1) != 0);
            std::mem::forget(child);
            exit_now(0)
        });
        parent.must_succeed();
        let heap = Heap::open(&temporary(&folder, "heap")).expect("a heap");
        assert_eq!(names(&heap), ["old"], "uses: {uses}");
        heap.close().expect("closed");
        assert_eq!(listing(&folder).len(), 3, "the child keeps the heap");
        let pid = page.get(1) as i32;
        signal(pid, libc::SIGKILL);
        until("the child is dead", || matches!(support::child::state_of(pid), 'Z' | '-'));
        let heap = Heap::open(&temporary(&folder, "heap")).expect("a heap");
        assert_eq!(names(&heap), [""; 0], "uses: {uses}");
    }
}

/// Goal: a creation removes what the dead have left in the folder, and nothing else.
/// Method: leave all kinds of files there, dead and alive; create a heap; look what is there.
#[test]
fn a_creation_removes_what_the_dead_have_left() {
    let _alone = alone();
    let folder = Folder::new("sweep");
    let at = |name: &str| folder.path().join(name);
    // Kept: heaps that are not temporary; temporary ones whose member lives or is stopped; what
    // others have made; what only looks like ours.
    for name in ["lasting", "replaced"] {
        member(&options(&folder, name), |_| exit_now(0)).wait();
    }
    let living = member(&temporary(&folder, "living"), wait_for_ever);
    let stopped = member(&temporary(&folder, "stopped"), wait_for_ever);
    stopped.signal(libc::SIGSTOP);
    until("it has stopped", || stopped.state() == 'T');
    let others = format!(".coheap.others.{:032x}.life", 9);
    let lookalikes = [
        format!(".coheap.upper.{}.life", "A".repeat(32)),
        format!(".coheap.short.{:031x}.life", 1),
        format!(".coheap.plus.+{:031x}.life", 1),
        format!(".coheap.nothing.{:032x}.death", 1),
        format!(".coheap.{:032x}.life", 1),
        "coheap.junk".to_owned(),
    ];
    for name in lookalikes.iter().chain([&others]) {
        fs::write(at(name), "").expect("written");
        make_private(&at(name));
    }
    if is_root() {
        chown(at(&others), Some(4711), None).expect("given away");
    } else {
        fs::remove_file(at(&others)).expect("removed");
        skipped("a_creation_removes_what_the_dead_have_left", "files of others need the superuser");
    }
    let kept = listing(&folder);
    // Dead: a temporary heap; a heap whose data file is gone; one whose name another heap has now;
    // what a creator leaves that is killed before the heap has a name.
    leave_dead(&folder, "dead", 3, temporary);
    leave_dead(&folder, "gone", 2, options);
    leave_dead(&folder, "replaced", 2, options);
    for name in [".coheap.half.made", ".coheap.."] {
        let path = at(&format!("{name}.{:032x}.life", 7));
        fs::write(&path, "").expect("written");
        make_private(&path);
    }
    assert_eq!(listing(&folder).len(), kept.len() + 3 + 2 + 2 + 2);
    let heap = Heap::open(&options(&folder, "new")).expect("a heap");
    let own = names_of(&heap, "new");
    let mut after = listing(&folder);
    after.retain(|name| !own.contains(name));
    assert_eq!(after, kept);
    for name in ["lasting", "replaced", "living", "stopped"] {
        let only = Options { create: false, ..options(&folder, name) };
        let found = Heap::open(&only).expect("the heap");
        assert_eq!(names(&found), ["old"], "{name}");
    }
    drop((living, stopped));
}

/// Leaves the first `count` files of a heap in a folder whose only member was killed: its life file,
/// its birth file, its data file.
fn leave_dead(
    folder: &Folder,
    name: &str,
    count: usize,
    options: impl FnOnce(&Folder, &str) -> Options,
) {
    // Each creation sweeps its folder, so the heap is made in another one.
    let morgue = Folder::new("morgue");
    member(&options(&morgue, name), |_| die()).wait();
    let mut files = listing(&morgue);
    assert_eq!(files.len(), 3, "{files:?}");
    files.sort_by_key(|file| (!file.ends_with("life"), !file.ends_with("birth")));
    for file in &files[..count] {
        fs::rename(morgue.path().join(file), folder.path().join(file)).expect("moved");
    }
}

fn make_private(path: &Path) {
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).expect("private");
}

/// The names of the three files of a heap, as docs/format.md has them.
fn names_of(heap: &Heap, name: &str) -> [String; 3] {
    let [first, second] = heap.uuid();
    let beside = |what: &str| format!(".coheap.{name}.{first:016x}{second:016x}.{what}");
    [format!("coheap.{name}"), beside("life"), beside("birth")]
}

/// Goal: looking whether other heaps have ended harms no heap that this process has open.
/// Method: one process has heaps open, named and passed on, and creates others in their folder;
/// another process looks whether it is still a member.
#[test]
fn a_creation_keeps_the_life_bytes_of_its_own_process() {
    let _alone = alone();
    let folder = Folder::new("bytes");
    let page = Page::new(1);
    let mut child = member(&temporary(&folder, "first"), |first| {
        let closed = Heap::open(&temporary(&folder, "closed")).expect("a heap");
        closed.close().expect("closed");
        for name in ["second", "third"] {
            let heap = Heap::open(&temporary(&folder, name)).expect("a heap");
            map(&heap, "old");
            std::mem::forget(heap);
        }
        let slot = first.context().expect("a context").member().slot();
        assert!(life::is_held(first.files()[1], u64::from(slot)).expect("a look"));
        page.set(0, 1);
        wait_for_ever(first)
    });
    until("all are made", || page.get(0) == 1);
    for name in ["first", "second", "third"] {
        let heap = Heap::open(&temporary(&folder, name)).expect("a heap");
        assert_eq!(names(&heap), ["old"], "{name}");
    }
    child.kill();
}

/// Goal: processes that are killed at any moment while they open, make and leave temporary heaps
/// leave nothing behind after the next creation, and disturb nobody.
/// Method: three processes over a few names, one or two of them killed at a random moment; the seed
/// is printed. At the end one heap is made.
#[test]
fn killed_creators_leave_nothing() {
    let _alone = alone();
    let folder = Folder::new("storm");
    let mut random = support::random::Random::for_run("killed_creators_leave_nothing");
    for round in 0..300 {
        let name = format!("heap{}", round % 20);
        let work = || {
            alarm(60);
            for _ in 0..3 {
                let Ok(heap) = Heap::open(&temporary(&folder, &name)) else { return 2 };
                map(&heap, "map");
                if heap.close().is_err() {
                    return 3;
                }
            }
            0
        };
        let mut children = [fork(work), fork(work), fork(work)];
        std::thread::sleep(std::time::Duration::from_micros(100 + random.below(3000)));
        for child in &mut children[..1 + round % 2] {
            child.kill();
        }
        for child in &mut children {
            let end = child.wait();
            assert!(matches!(end, End::Exit(0) | End::Signal(libc::SIGKILL)), "{round}: {end:?}");
        }
    }
    let heap = Heap::open(&temporary(&folder, "last")).expect("a heap");
    let mut expected = names_of(&heap, "last");
    expected.sort();
    assert_eq!(listing(&folder), expected);
    heap.close().expect("closed");
    assert_eq!(listing(&folder), [""; 0]);
}

/// Goal: the last member of a temporary heap may die in the middle of a change of its directory: the
/// next creation in the folder removes its files all the same.
#[test]
fn a_member_that_died_in_the_directory_leaves_nothing() {
    let _alone = alone();
    let folder = Folder::new("directory");
    let died = member(&temporary(&folder, "heap"), |heap| {
        let context = heap.context().expect("a context");
        let _held = context.hold(DIRECTORY_TURN).expect("nobody else is there");
        die()
    })
    .wait();
    assert_eq!(died, End::Signal(libc::SIGKILL));
    let heap = Heap::open(&temporary(&folder, "last")).expect("a heap");
    let mut expected = names_of(&heap, "last");
    expected.sort();
    assert_eq!(listing(&folder), expected);
    heap.close().expect("closed");
}

/// Goal: a member that is stopped in the directory keeps nobody from leaving or from making other
/// heaps, and who opens this one waits as long as he said.
/// Method: a process is stopped with the turn of the directory. Another member closes the heap, which
/// may take a second; a stranger waits 50 ms for it, and makes a heap of another name. Once the
/// stopped one has gone on and left, nothing is there.
#[test]
fn a_member_that_is_stopped_keeps_nobody() {
    let _alone = alone();
    let folder = Folder::new("stopped");
    let pages = Page::new(2);
    let mut other = fork(|| {
        alarm(60);
        let heap = Heap::open(&temporary(&folder, "heap")).expect("a heap");
        pages.set(0, 1);
        until("somebody is stopped", || pages.get(1) == 1);
        let started = Instant::now();
        i32::from(heap.close().is_err() || started.elapsed() > Duration::from_secs(1))
    });
    until("the heap is open", || pages.get(0) == 1);
    let mut stopped = member(&temporary(&folder, "heap"), |heap| {
        let held = heap.with(|context| {
            let _held = context.hold(DIRECTORY_TURN)?;
            signal(std::process::id() as i32, libc::SIGSTOP);
            Ok(())
        });
        i32::from(held.is_err() || heap.close().is_err())
    });
    until("it is stopped", || stopped.state() == 'T');
    pages.set(1, 1);
    other.must_succeed();
    let mut stranger = fork(|| {
        alarm(60);
        let refused = Heap::open_until(&temporary(&folder, "heap"), in_milliseconds(50));
        assert!(matches!(refused, Err(Error::Busy { .. })), "{refused:?}");
        let made = Heap::open(&temporary(&folder, "another")).expect("a heap of another name");
        i32::from(made.close().is_err())
    });
    stranger.must_succeed();
    stopped.signal(libc::SIGCONT);
    stopped.must_succeed();
    assert_eq!(listing(&folder), Vec::<String>::new());
}
