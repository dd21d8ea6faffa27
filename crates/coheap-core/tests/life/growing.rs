//! A heap that grows while somebody attaches to it.
//!
//! Who attaches reads several numbers, one after the other, and takes numbers that do not fit for
//! damage. However much the heap grows in between, by whom and up to which store, they must fit.

use coheap_core::check::check;
use coheap_core::heap::Heap;
use coheap_core::heap::floors::HeapFloors as _;
use coheap_core::objects::Queue;
use coheap_core::sync::life::{State, StateWord};

use crate::support::alone;
use crate::support::child::{Child, fork};
use crate::support::objects::{heap, queue, settle_and_check};
use crate::support::privilege::skipped;

/// An item with a run of spans of its own.
static LARGE: [u8; 20_000] = [7; 20_000];
/// Exit status of a process that may not be traced.
const REFUSED: i32 = 77;

/// Attaches to the files of `heap` as a process that did not inherit it, and walks all of it.
fn attach(heap: &Heap) -> Heap {
    let files = heap.files().map(|file| file.reopened().expect("the same file once more"));
    let heap = Heap::from_files(files).expect("a heap to attach to");
    heap.with(check).expect("a whole heap");
    heap
}

/// Makes the heap grow once.
fn grow(heap: &Heap, jobs: &Queue) {
    let before = heap.region().committed_spans();
    while heap.region().committed_spans() == before {
        heap.with(|context| jobs.put(context, &LARGE)).expect("a put");
    }
}

/// Waits until a traced child stops. `false`: it has ended.
fn stops(child: &Child) -> bool {
    let (kind, flags) = (libc::P_PID, libc::WSTOPPED | libc::WEXITED | libc::WNOWAIT);
    // SAFETY: plain numbers; all zero is a valid value.
    let mut news: libc::siginfo_t = unsafe { std::mem::zeroed() };
    // SAFETY: the answer outlives the call.
    let answer = unsafe { libc::waitid(kind, child.pid() as u32, &raw mut news, flags) };
    assert!(answer == 0, "waitid: {}", std::io::Error::last_os_error());
    matches!(news.si_code, libc::CLD_TRAPPED | libc::CLD_STOPPED)
}

fn trace(request: libc::c_uint, child: &Child) {
    let none = std::ptr::null_mut::<libc::c_void>();
    // SAFETY: these requests take no pointer.
    let answer = unsafe { libc::ptrace(request, child.pid(), none, none) };
    assert!(answer == 0, "ptrace: {}", std::io::Error::last_os_error());
}

fn is_member(heap: &Heap, pid: i32) -> bool {
    (0..heap.region().real_slots()).map(|index| heap.region().slot(index)).any(|slot| {
        StateWord(slot.state.get()).state() == State::Live && slot.pid.get() == pid as u64
    })
}

/// Goal: a heap may grow at any moment of an attachment.
/// Method: stop a process that attaches at its first system call, let the heap grow, let go; then
/// another one at its second, and so on until it is a member before it gets there.
#[test]
fn a_heap_may_grow_while_somebody_attaches() {
    let _alone = alone();
    for calls in 1..1_000 {
        let heap = heap(8);
        let jobs = queue(&heap, "jobs");
        let mut newcomer = fork(|| {
            // SAFETY: takes no pointer.
            if unsafe { libc::ptrace(libc::PTRACE_TRACEME, 0, 0, 0) } != 0 {
                return REFUSED;
            }
            crate::support::child::signal(std::process::id() as i32, libc::SIGSTOP);
            drop(attach(&heap));
            0
        });
        if !stops(&newcomer) {
            let name = "a_heap_may_grow_while_somebody_attaches";
            return skipped(name, "processes cannot be traced here");
        }
        for _ in 0..calls {
            trace(libc::PTRACE_SYSCALL, &newcomer);
            assert!(stops(&newcomer), "it ended before it was a member");
        }
        // A member may hold what growth needs, and it is stopped.
        let has_attached = is_member(&heap, newcomer.pid());
        if !has_attached {
            grow(&heap, &jobs);
        }
        trace(libc::PTRACE_DETACH, &newcomer);
        newcomer.must_succeed();
        settle_and_check(&heap);
        if has_attached {
            assert!(calls > 10, "it was a member after {calls} stops");
            return;
        }
    }
    panic!("it never became a member");
}

/// Goal: a death in the midst of growth leaves a heap that others can attach to.
/// Method: the one who lets it grow dies before each of its stores until some time after the
/// growth; at once another attaches.
#[cfg(feature = "failpoints")]
#[test]
fn a_heap_whose_growth_was_cut_off_can_be_attached_to() {
    use crate::support::child::End;
    use coheap_core::os::failpoint;
    const STORES_AFTER: u64 = 20;
    let _alone = alone();
    let mut after = 0;
    for store in 0..500 {
        let heap = heap(8);
        let jobs = queue(&heap, "jobs");
        let spans = &heap.region().header().spans;
        while spans.frontier.get() + 2 <= spans.committed.get() {
            heap.with(|context| jobs.put(context, &LARGE)).expect("a put");
        }
        let before = heap.region().committed_spans();
        let mut grower = fork(|| {
            heap.context().expect("a context");
            failpoint::arm(store);
            heap.with(|context| jobs.put(context, &LARGE)).expect("a put");
            failpoint::disarm();
            0
        });
        assert_eq!(grower.wait(), End::Signal(libc::SIGKILL), "store {store}: it got through");
        fork(|| {
            drop(attach(&heap));
            0
        })
        .must_succeed();
        settle_and_check(&heap);
        after += u64::from(heap.region().committed_spans() > before);
        if after == STORES_AFTER {
            return;
        }
    }
    panic!("the heap never grew");
}
