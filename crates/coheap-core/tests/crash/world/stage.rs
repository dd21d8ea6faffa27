//! A heap with some objects, and the means to put it back.
//!
//! | name    | what it is                                         |
//! |---------|----------------------------------------------------|
//! | `value` | the integer 5                                      |
//! | `text`  | a value of 40 bytes, so in a block                 |
//! | `map`   | a map, empty unless the start state fills it       |
//! | `other` | a second map, with one entry                       |
//! | `queue` | a queue without limits                             |
//! | `work`  | a queue of at most 4 items, 2 attempts at each     |
//! | `mutex` | a lock, free                                       |
//!
//! Objects of other kinds are made by the start states that need them (`make`).
//!
//! What always holds: the parent is attached all along, in slot 0.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::atomic::Ordering;

use coheap_core::AnyObject;
use coheap_core::error::{Error, Result};
use coheap_core::heap::Heap;
use coheap_core::heap::floors::HeapFloors as _;
use coheap_core::journal::Context;
use coheap_core::memory::Region;
use coheap_core::objects::parcel::Parcel;
use coheap_core::objects::{
    Directory, Handle, Lease, Map, Mutex, Queue, Recipe, Reference, Value, map, mutex, queue, value,
};
use coheap_core::os;
use coheap_core::transaction::Transaction;

use super::child::{End, Fate, Shared, die};
use super::picture::{Camera, Picture};

/// Forks that are tried until one comes within the time in which no sweep is due.
const MOST_FORKS: u32 = 100;

/// An integer as the engine writes it.
pub(crate) fn int(value: i64) -> Vec<u8> {
    let mut bytes = vec![3];
    bytes.extend_from_slice(&value.to_le_bytes());
    bytes
}

/// Everything that an operation may need.
pub(crate) struct Stage {
    pub(crate) heap: Heap,
    pub(crate) value: Value,
    pub(crate) text: Value,
    pub(crate) map: Map,
    pub(crate) other: Map,
    pub(crate) queue: Queue,
    pub(crate) work: Queue,
    pub(crate) mutex: Mutex,
    /// All of these and those that a start state made, by name.
    objects: RefCell<BTreeMap<&'static str, AnyObject>>,
    /// What a driver's `prepare` leaves to its `run`.
    pub(crate) leases: RefCell<Vec<Lease>>,
    /// Objects without a name: the parent's come first.
    pub(crate) references: RefCell<Vec<Reference>>,
    pub(crate) parcels: RefCell<Vec<(Parcel, Vec<u8>)>>,
    pub(crate) transaction: RefCell<Option<Transaction>>,
    /// Room is so short that a snapshot may not ask for any.
    pub(crate) is_full: Cell<bool>,
    pub(crate) shared: Shared,
    camera: Camera,
}

impl Stage {
    pub(crate) fn new(max_bytes: u64) -> Self {
        let heap = Heap::anonymous(max_bytes).expect("a heap");
        let context = heap.context().expect("a context");
        let stage = Self {
            value: make(&context, "value", &value::Recipe::of(&int(5))),
            text: make(&context, "text", &value::Recipe::of(&[b't'; 40])),
            map: make(&context, "map", &map::Recipe),
            other: make(&context, "other", &map::Recipe),
            queue: make(&context, "queue", &queue::Recipe { limit: 0, max_attempts: 0 }),
            work: make(&context, "work", &queue::Recipe { limit: 4, max_attempts: 2 }),
            mutex: make(&context, "mutex", &mutex::Recipe::around(&int(1))),
            objects: RefCell::default(),
            leases: RefCell::default(),
            references: RefCell::default(),
            parcels: RefCell::default(),
            transaction: RefCell::default(),
            is_full: Cell::new(false),
            shared: Shared::new(),
            camera: Camera::new(&heap),
            heap,
        };
        let objects: [(&str, AnyObject); 7] = [
            ("value", stage.value.into()),
            ("text", stage.text.into()),
            ("map", stage.map.into()),
            ("other", stage.other.into()),
            ("queue", stage.queue.into()),
            ("work", stage.work.into()),
            ("mutex", stage.mutex.into()),
        ];
        stage.objects.borrow_mut().extend(objects);
        stage.other.set(&context, b"there", b"already").expect("an entry");
        stage
    }

    pub(crate) fn context(&self) -> Rc<Context> {
        self.heap.context().expect("the calling process can attach")
    }

    /// Makes an object, for a start state.
    pub(crate) fn make<R: Recipe>(&self, name: &'static str, recipe: &R) -> R::Object {
        let object = make(&self.context(), name, recipe);
        self.objects.borrow_mut().insert(name, object.into());
        object
    }

    /// An object that the stage has, or that the start state made.
    pub(crate) fn object(&self, name: &str) -> AnyObject {
        let known = self.objects.borrow().get(name).copied();
        known.unwrap_or_else(|| panic!("neither the stage nor a start state made {name:?}"))
    }

    /// All objects that the stage has, and those that the start state made.
    pub(crate) fn handles(&self) -> impl Iterator<Item = Handle> {
        let handles: Vec<Handle> = self.objects.borrow().values().map(AnyObject::handle).collect();
        handles.into_iter()
    }

    pub(crate) fn region(&self) -> &Region {
        self.heap.region()
    }

    pub(crate) fn picture(&self) -> Picture {
        self.camera.take(self.region())
    }

    pub(crate) fn restore(&self, picture: &Picture) {
        self.camera.restore(self.region(), picture);
    }

    /// Puts the picture back and forks a child that does `work`, and finds the dead unsettled: a
    /// fork settles what the dead left, unless somebody did a moment ago. For the child, nobody
    /// ever did.
    pub(crate) fn run_from(&self, picture: &Picture, work: impl Fn() -> Result<(), String>) -> End {
        let swept = &self.region().header().swept;
        for _ in 0..MOST_FORKS {
            self.restore(picture);
            let now = os::now();
            Region::store(swept, now);
            let end = self.shared.run(|| {
                if swept.get() != now {
                    self.shared.number(3).store(1, Ordering::Release);
                    die();
                }
                Region::store(swept, 0);
                work()
            });
            if self.shared.number(3).load(Ordering::Acquire) == 0 {
                return end;
            }
        }
        panic!("no fork in {MOST_FORKS} came within 20 ms: this machine is too slow to tell");
    }

    /// A child does `work` and dies; nobody recovers it.
    pub(crate) fn leave_dead(&self, work: impl FnOnce(&Context) -> Result<()>) {
        let end = self.shared.run(|| {
            work(&self.context()).map_err(|error| format!("{error:?}"))?;
            die()
        });
        assert_eq!(end.fate, Fate::Killed, "the start state needs a dead process");
    }

    /// Puts values of ever smaller sizes into a map of its own until there is no room for any.
    pub(crate) fn fill_up(&self) {
        let context = self.context();
        let filler = make(&context, "filler", &map::Recipe);
        let mut number = 0u32;
        for size in [200_000, 16_384, 8_000, 2_000, 500, 240, 120, 60, 30, 16] {
            for _ in 0..10_000 {
                number += 1;
                match filler.set(&context, &number.to_le_bytes(), &vec![b'f'; size]) {
                    Ok(_) => {}
                    Err(Error::HeapFull { .. }) => break,
                    Err(other) => panic!("filling the heap answers {other:?}"),
                }
            }
        }
        coheap_core::allocator::reclaim(&context).expect("what is pending goes back");
        self.is_full.set(true);
    }
}

fn make<R: Recipe>(context: &Context, name: &str, recipe: &R) -> R::Object {
    Directory.get_or_create(context, name, recipe).expect("an object")
}

impl Drop for Stage {
    fn drop(&mut self) {
        // A thread remembers its heaps until they are closed. What is left of this one may be
        // half an experiment, so an error is no news.
        let _ = self.heap.close();
    }
}
