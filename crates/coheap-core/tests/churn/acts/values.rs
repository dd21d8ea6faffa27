//! Values: read, replaced, compared.
//!
//! What always holds: a value has the bytes with which it was born, or bytes of its own home. A short
//! first value has no home, so only its own bytes are compared.

use coheap_core::objects::Value;

use crate::answers;
use crate::hand::{Hand, Subject};
use crate::item::{self, Home};

impl Hand<'_> {
    pub(super) fn use_value(&mut self) {
        let Some(on) = self.pick_value() else { return };
        match self.dice.below(8) {
            0..3 => drop(self.read_value(&on)),
            3..6 => {
                let (bytes, parcel) = self.stored(&on, on.home);
                let _ = self.run("value set", &on, answers::NONE, |context, value| {
                    value.set(context, &bytes)
                });
                self.done_with(parcel);
            }
            6 => {
                let Some(old) = self.read_value(&on) else { return };
                let new = self.value(on.home);
                let _ = self.run("value replace", &on, answers::NONE, |context, value| {
                    value.compare_and_set(context, &old, &new)
                });
            }
            _ => {
                let _ = self.run("value add", &on, answers::NOT_AN_INTEGER, |context, value| {
                    value.add(context, 1)
                });
            }
        }
    }

    fn read_value(&mut self, on: &Subject<Value>) -> Option<Vec<u8>> {
        let mut out = Vec::new();
        let got =
            self.run("value get", on, answers::NONE, |context, value| value.get(context, &mut out));
        got.ok()?;
        let (target, bytes) = item::open(&out);
        self.read_born("value get", on.home, bytes);
        match target {
            Some(target) => {
                self.claim(target, false);
                None
            }
            None => Some(out),
        }
    }

    /// Checks a value that may be the first one of its object.
    pub(crate) fn read_born(&self, act: &str, home: Home, bytes: &[u8]) {
        if item::read(bytes, Home::BORN).is_err() {
            self.read(act, home, bytes);
        }
    }
}
