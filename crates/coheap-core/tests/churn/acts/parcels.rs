//! Values that refer to objects without a name.
//!
//! What always holds: what was packed is stored, or let go of when the operation has ended.

use coheap_core::kind::Kind;
use coheap_core::objects::parcel::{self, Parcel, Target};

use crate::answers;
use crate::hand::{Hand, Referred, Subject, any_of};
use crate::item::{self, Home};
use crate::settings::Class;

impl Hand<'_> {
    /// The bytes to store of a value for this home in this object; some values refer to an object.
    pub(super) fn stored<T>(&mut self, on: &Subject<T>, home: Home) -> (Vec<u8>, Option<Parcel>) {
        let value = self.value(home);
        self.packed(on, value)
    }

    /// A value for this object, perhaps in a parcel.
    pub(super) fn packed<T>(
        &mut self,
        on: &Subject<T>,
        value: Vec<u8>,
    ) -> (Vec<u8>, Option<Parcel>) {
        let is_wanted = self.has(Class::Parcel) && self.dice.one_in(4);
        let target = if is_wanted { self.pick_target(on) } else { None };
        let Some(target) = target else { return (value, None) };
        let mut bytes = item::with_target(target, &value);
        let on = Subject { object: (), home: Home(target.0, target.1), is_kept: true };
        let packed = self.run("pack", &on, answers::NONE, |context, ()| {
            parcel::pack(context, &mut bytes, &[target])
        });
        match packed {
            Ok(parcel) => (bytes, Some(parcel)),
            Err(_) => (value, None),
        }
    }

    /// Some object without a name that this thread refers to. An object without a name refers only to
    /// locks, which refer to nothing: counted references to each other would never end.
    fn pick_target<T>(&mut self, on: &Subject<T>) -> Option<Target> {
        let is_lock = |kind| matches!(kind, Kind::Mutex | Kind::RecursiveMutex);
        let home_of = |referred: &Referred| Home::of(referred.object.handle());
        let is_nameless = self.references.iter().any(|referred| home_of(referred) == on.home);
        let may_be = |referred: &&Referred| {
            !referred.is_inherited && (!is_nameless || is_lock(referred.object.kind()))
        };
        let own: Vec<Referred> = self.references.iter().filter(may_be).copied().collect();
        let handle = any_of(&mut self.dice, &own)?.object.handle();
        Some((handle.at, handle.generation))
    }

    /// Lets go of a parcel that was not stored.
    pub(super) fn done_with(&mut self, parcel: Option<Parcel>) {
        let Some(parcel) = parcel else { return };
        let on = Subject { object: (), home: Home::default(), is_kept: true };
        let _ = self
            .run("discard", &on, answers::NONE, |context, ()| parcel::discard(context, &parcel));
    }
}
