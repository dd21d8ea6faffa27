//! Maps: entries set, read, compared, removed; many at once, and all.
//!
//! What always holds: the value of a key belongs to this key of this map. Keys that begin with `n` have
//! integers, all others have bytes.

use coheap_core::objects::Map;
use coheap_core::objects::map::Pairs;

use crate::answers;
use crate::hand::{Hand, Subject};
use crate::item;

/// How many keys of a kind there are.
const KEYS: u64 = 48;

impl Hand<'_> {
    /// A key for bytes: a third of them do not fit beside their entry.
    fn key(&mut self) -> Vec<u8> {
        let number = self.dice.below(KEYS);
        let tail = if number.is_multiple_of(3) { " and more than fits in a cell" } else { "" };
        format!("k{number}{tail}").into_bytes()
    }

    pub(super) fn use_map(&mut self) {
        let Some(on) = self.pick_map() else { return };
        match self.dice.below(40) {
            0..14 => self.set_key(&on),
            14..24 => self.get_key(&on),
            24..28 => self.remove_key(&on),
            28..31 => {
                let key = format!("n{}", self.dice.below(KEYS)).into_bytes();
                let _ = self
                    .run("map add", &on, answers::NONE, |context, map| map.add(context, &key, 1));
            }
            31..33 => self.pop(&on),
            33..35 => self.set_many(&on),
            35..37 => self.compare_key(&on),
            37 => {
                let _ =
                    self.run("map clear", &on, answers::NONE, |context, map| map.clear(context));
            }
            38 => {
                let _ = self.run("map len", &on, answers::NONE, |context, map| map.len(context));
            }
            _ => self.read_all(&on),
        }
    }

    fn set_key(&mut self, on: &Subject<Map>) {
        let key = self.key();
        let (value, parcel) = self.stored(on, on.home.key(&key));
        let _ =
            self.run("map set", on, answers::NONE, |context, map| map.set(context, &key, &value));
        self.done_with(parcel);
    }

    fn get_key(&mut self, on: &Subject<Map>) {
        let (key, mut out) = (self.key(), Vec::new());
        let found =
            self.run("map get", on, answers::NONE, |context, map| map.get(context, &key, &mut out));
        if found == Ok(true) {
            if let Some(target) = self.read_entry("map get", on, &key, &out) {
                self.claim(target, false);
            }
        }
    }

    fn remove_key(&mut self, on: &Subject<Map>) {
        let (key, mut out) = (self.key(), Vec::new());
        let found = self.run("map remove", on, answers::NONE, |context, map| {
            map.remove(context, &key, &mut out)
        });
        if found == Ok(true) {
            self.read_entry("map remove", on, &key, &out);
        }
    }

    fn pop(&mut self, on: &Subject<Map>) {
        let (mut key, mut out) = (Vec::new(), Vec::new());
        let found = self.run("map pop", on, answers::NONE, |context, map| {
            map.pop_last(context, &mut key, &mut out)
        });
        if found == Ok(true) {
            self.read_entry("map pop", on, &key, &out);
        }
    }

    fn set_many(&mut self, on: &Subject<Map>) {
        let keys: Vec<Vec<u8>> = (0..self.dice.below(20)).map(|_| self.key()).collect();
        let entries: Pairs =
            keys.iter().map(|key| (key.clone(), self.value(on.home.key(key)))).collect();
        let _ = self.run("map set_many", on, answers::TOO_LARGE, |context, map| {
            map.set_many(context, &entries)
        });
    }

    fn compare_key(&mut self, on: &Subject<Map>) {
        let (key, mut out) = (self.key(), Vec::new());
        let new = self.value(on.home.key(&key));
        let set = self.run("map set_default", on, answers::NONE, |context, map| {
            map.set_default(context, &key, &new, &mut out)
        });
        if set == Ok(false) {
            let is_parcel = self.read_entry("map set_default", on, &key, &out).is_some();
            let new = Some(new.as_slice()).filter(|_| self.dice.one_in(2));
            if !is_parcel {
                let _ = self.run("map replace", on, answers::NONE, |context, map| {
                    map.compare_and_set(context, &key, Some(&out), new)
                });
            }
        }
    }

    fn read_all(&mut self, on: &Subject<Map>) {
        let all = self.run("map snapshot", on, answers::NONE, |context, map| map.snapshot(context));
        if let Ok(all) = all {
            self.read_entries("map snapshot", on, &all);
        }
    }

    /// Checks all entries.
    pub(crate) fn read_entries(&self, act: &str, on: &Subject<Map>, all: &Pairs) {
        for (key, value) in all.iter() {
            self.read_entry(act, on, key, value);
        }
    }

    /// Checks an entry, and returns the object that it refers to.
    pub(super) fn read_entry(
        &self,
        act: &str,
        on: &Subject<Map>,
        key: &[u8],
        value: &[u8],
    ) -> Option<(u64, u64)> {
        if key.first() == Some(&b'n') {
            if crate::support::objects::number_in(value).is_none() {
                self.find(act, on.home, "a key of integers has something else");
            }
            return None;
        }
        let (target, value) = item::open(value);
        self.read(act, on.home.key(key), value);
        target
    }
}
