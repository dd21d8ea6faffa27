//! Objects with names and objects without: made by whoever comes, removed by whoever wants.
//!
//! What always holds: an object is removed only where the class of its kind is on. The objects named
//! `any` are of any kind, so whoever asks for one may hear of another kind.

use coheap_core::kind::Kind;
use coheap_core::objects::kinds::OfHandle as _;
use coheap_core::objects::{AnyObject, Directory, Mutex, Recipe, Typed};
use coheap_core::objects::{ledger, map, mutex, queue, recursive_mutex, value};

use crate::answers;
use crate::hand::{Hand, Referred, Subject, any_of};
use crate::item::{self, Home};
use crate::settings::Class;

pub(super) const MAPS: &[&str] = &["map 0", "map 1", "map 2"];
pub(super) const QUEUES: &[&str] = &["queue 0", "queue 1", "queue 2"];
pub(super) const VALUES: &[&str] = &["value 0", "value 1"];
pub(super) const MUTEXES: &[&str] = &["lock 0", "lock 1", "lock 2"];
pub(super) const RECURSIVE: &[&str] = &["own lock 0", "own lock 1"];

/// Most references of a thread.
const REFERENCES: usize = 6;

/// The class that allows the removal of an object.
fn removal(kind: Kind) -> Class {
    match kind {
        Kind::Map => Class::RemoveMap,
        Kind::Queue => Class::RemoveQueue,
        Kind::Value => Class::RemoveValue,
        Kind::Mutex | Kind::RecursiveMutex => Class::RemoveLock,
    }
}

impl Hand<'_> {
    /// The object with this name, made if there is none.
    pub(crate) fn named<R: Recipe>(&mut self, name: &str, recipe: &R) -> Option<R::Object> {
        let wrong = if name == "any" { answers::WRONG_KIND } else { answers::NONE };
        let on = Subject { object: (), home: Home::default(), is_kept: true };
        self.run("get or create", &on, wrong, |context, ()| {
            Directory.get_or_create(context, name, recipe)
        })
        .ok()
    }

    /// Removes an object by its name, or releases one without a name.
    pub(super) fn remove_something(&mut self) {
        let kinds = [
            (Kind::Map, MAPS),
            (Kind::Queue, QUEUES),
            (Kind::Value, VALUES),
            (Kind::Mutex, MUTEXES),
            (Kind::Mutex, MUTEXES),
            (Kind::RecursiveMutex, RECURSIVE),
        ];
        let Some((kind, names)) = any_of(&mut self.dice, &kinds) else { return };
        if !self.has(removal(kind)) {
            return;
        }
        let is_all = Kind::ALL.iter().all(|kind| self.has(removal(*kind)));
        let name = match any_of(&mut self.dice, names) {
            _ if is_all && self.dice.one_in(10) => "any",
            Some(name) => name,
            None => return,
        };
        let on = Subject { object: (), home: Home::default(), is_kept: false };
        let _ = self
            .run("remove", &on, answers::NO_NAME, |context, ()| Directory.remove(context, name));
        if self.dice.one_in(2) {
            // What has the memory of the removed object next.
            self.make_named(kind, name);
        }
    }

    fn make_named(&mut self, last: Kind, name: &str) {
        match last {
            _ if name == "any" => self.make_any(),
            Kind::Map => drop(self.pick_map()),
            Kind::Queue => drop(self.pick_queue()),
            Kind::Value => drop(self.pick_value()),
            Kind::Mutex | Kind::RecursiveMutex => match self.dice.below(3) {
                0 => drop(self.pick_map()),
                1 => drop(self.pick_queue()),
                _ => drop(self.pick_lock()),
            },
        }
    }

    /// The object named `any` gets another kind.
    fn make_any(&mut self) {
        match self.dice.below(4) {
            0 => drop(self.named("any", &map::Recipe)),
            1 => drop(self.named("any", &queue::Recipe { limit: 2, max_attempts: 0 })),
            2 => drop(self.named("any", &value::Recipe::of(&born(40)))),
            _ => drop(self.named("any", &mutex::Recipe::default())),
        }
    }

    /// A mutex of either kind, or the lock beside a value.
    pub(super) fn pick_lock(&mut self) -> Option<Subject<Mutex>> {
        let born = born(1 + self.dice.below(40) as usize);
        match self.dice.below(5) {
            0..3 => self.pick(MUTEXES, &mutex::Recipe::around(&born)),
            3 => {
                let recipe = recursive_mutex::Recipe(mutex::Recipe::around(&born));
                Some(as_lock(&self.pick(RECURSIVE, &recipe)?))
            }
            _ => Some(as_lock(&self.pick_value()?)),
        }
    }

    /// Makes, uses up or lets go of objects without a name.
    pub(super) fn use_reference(&mut self) {
        let is_over = self.references.len() >= REFERENCES;
        if is_over || (!self.references.is_empty() && self.dice.one_in(3)) {
            let number = self.dice.below(self.references.len() as u64) as usize;
            let referred = self.references.swap_remove(number);
            let on = Subject {
                object: referred.reference,
                home: Home::of(referred.object.handle()),
                is_kept: true,
            };
            let _ = self.run("release", &on, answers::NONE, |context, reference| {
                ledger::release(context, &reference)
            });
            return;
        }
        let born = born(1 + self.dice.below(600) as usize);
        let limit = self.dice.below(4);
        match self.dice.below(5) {
            0 => self.create(&map::Recipe),
            1 => self.create(&queue::Recipe { limit, max_attempts: 0 }),
            2 => self.create(&value::Recipe::of(&born)),
            3 => self.create(&mutex::Recipe::around(&born)),
            _ => self.create(&recursive_mutex::Recipe(mutex::Recipe::around(&born))),
        }
    }

    fn create<R: Recipe>(&mut self, recipe: &R) {
        let on = Subject { object: (), home: Home::default(), is_kept: true };
        let made =
            self.run("create", &on, answers::NONE, |context, ()| ledger::create(context, recipe));
        if let Ok((object, reference)) = made {
            let object: AnyObject = object.into();
            self.references.push(Referred { object, reference, is_inherited: false });
        }
    }

    /// Takes a reference to what a value referred to.
    pub(super) fn claim(&mut self, target: (u64, u64), is_kept: bool) {
        if self.references.len() >= REFERENCES {
            return;
        }
        let on = Subject { object: target, home: Home(target.0, target.1), is_kept };
        let claimed = self.run("claim", &on, answers::NONE, |context, (at, generation)| {
            ledger::claim(context, at, generation)
        });
        if let Ok((object, reference)) = claimed {
            self.references.push(Referred { object, reference, is_inherited: false });
        }
    }

    pub(super) fn pick_map(&mut self) -> Option<Subject<coheap_core::objects::Map>> {
        self.pick(MAPS, &map::Recipe)
    }

    pub(super) fn pick_queue(&mut self) -> Option<Subject<coheap_core::objects::Queue>> {
        let (limit, max_attempts) = (self.dice.below(9), self.dice.below(4));
        self.pick(QUEUES, &queue::Recipe { limit, max_attempts })
    }

    pub(super) fn pick_value(&mut self) -> Option<Subject<coheap_core::objects::Value>> {
        let born = born(1 + self.dice.below(40) as usize);
        self.pick(VALUES, &value::Recipe::of(&born))
    }
}

/// The first value of a new object.
fn born(len: usize) -> Vec<u8> {
    item::write(Home::BORN, 0, len)
}

/// The lock of an object that has one.
fn as_lock<T: Typed>(found: &Subject<T>) -> Subject<Mutex> {
    let object = Mutex::of(found.object.handle());
    Subject { object, home: found.home, is_kept: found.is_kept }
}
