//! The part of the walk that follows every object, slot and husk.
//!
//! What always holds: each block on the way is claimed exactly once, and every number that a
//! structure stores about itself is counted again.
//!
//! Not here: the parts of an object, which its kind reports.

use std::collections::BTreeMap;

use super::blocks::{Blocks, HEADER};
use super::broken;
use crate::allocator::Room;
use crate::error::Result;
use crate::kind::Kind;
use crate::memory::layout::{DirectoryValue, Object, ObjectShape, Record};
use crate::memory::{Region, Word};
use crate::objects::cell::Cell;
use crate::objects::kinds;
use crate::objects::ledger::record::RECORD;
use crate::objects::ledger::share;
use crate::objects::parcel::{self, Target};
use crate::objects::walk::{self, Owed, Walk};
use crate::objects::{directory, husk};

/// Everything that the walk has found so far.
pub(super) struct Found<'r> {
    region: &'r Region,
    pub(super) blocks: Blocks,
    /// The objects, with the number of references that were not found yet.
    objects: BTreeMap<u64, u64>,
    /// The objects with leases or promises, with the numbers of those that were not found yet.
    owed: BTreeMap<u64, Owed>,
    /// The objects that values refer to and that were not walked yet.
    references: Vec<Target>,
    /// The shares of references: how many holders were not found yet, and of which object.
    shares: BTreeMap<u64, (u64, u64)>,
}

/// What a broken share is called in an error.
const SHARE: &str = "holders of a shared reference";

impl Walk for Found<'_> {
    fn claim(&mut self, at: u64, room: Room) -> Result<()> {
        self.blocks.claim(at, room)
    }

    fn pin(&mut self, at: u64) {
        self.blocks.pin(at);
    }

    fn refer(&mut self, reference: Target) {
        self.references.push(reference);
    }

    fn owe(&mut self, object: &Object, owed: Owed) {
        self.owed.insert(self.region.offset_of(object), owed);
    }
}

impl<'r> Found<'r> {
    /// Begins with the blocks only.
    pub(super) fn new(region: &'r Region, blocks: Blocks) -> Self {
        let (objects, owed, references) = (BTreeMap::new(), BTreeMap::new(), Vec::new());
        Self { region, blocks, objects, owed, references, shares: BTreeMap::new() }
    }

    /// Claims all objects, and returns their number.
    pub(super) fn claim_objects(&mut self) -> Result<u64> {
        let region = self.region;
        kinds::shape(Kind::Map).walk(region, &region.header().directory, self)?;
        for (_, DirectoryValue { at, .. }) in directory::entries(region)? {
            self.claim_object(at)?;
            let references = region.at::<Object>(at)?.references.get();
            self.objects.insert(at, references.saturating_sub(1));
        }
        self.claim_slots()?;
        if let Some((at, _)) = self.objects.iter().find(|(_, missing)| **missing != 0) {
            return Err(broken("references of an object", *at));
        }
        if let Some((at, _)) = self.owed.iter().find(|(_, owed)| **owed != Owed::default()) {
            return Err(broken("leases of an object", *at));
        }
        Ok(self.objects.len() as u64)
    }

    fn claim_object(&mut self, at: u64) -> Result<()> {
        self.blocks.claim(at, HEADER)?;
        let object: &Object = self.region.at(at)?;
        if object.generation.get() & 1 == 0 {
            return Err(broken("dead object in the directory or a ledger", at));
        }
        let kind = Kind::of(ObjectShape::of(object.shape.get()).kind);
        let shape = kind.map(kinds::shape).ok_or_else(|| broken("kind of an object", at))?;
        shape.walk(self.region, object, self)
    }

    /// Claims the parcels of a chain, which are on their way into cells or out of them.
    pub(super) fn claim_parcels(&mut self, chain: &Word) -> Result<()> {
        let region = self.region;
        let mut at = chain.get();
        while at != 0 {
            walk::parcel(self, region, at)?;
            at = parcel::next(region, at)?;
        }
        Ok(())
    }

    /// Claims everything that hangs from the husks of a chain.
    pub(super) fn claim_husks(&mut self, chain: &Word) -> Result<()> {
        let region = self.region;
        let mut at = chain.get();
        while at != 0 {
            self.blocks.claim(at, husk::ROOM)?;
            let (husk, shape) = husk::find(region, at)?;
            shape.walk_husk(region, husk, self)?;
            at = husk.next.get();
        }
        Ok(())
    }

    /// Claims the records of all slots, and subtracts them from the numbers of the objects:
    /// references first, because they lead to more objects.
    fn claim_slots(&mut self) -> Result<()> {
        let region = self.region;
        let mut others = Vec::new();
        for index in 0..region.real_slots() {
            self.claim_slot(index, &mut others)?;
        }
        if let Some((at, _)) = self.shares.iter().find(|(_, (left, _))| *left != 0) {
            return Err(broken(SHARE, *at));
        }
        for record in &others {
            if record.state.get() & Record::RESERVED == 0 {
                walk::cell(self, region, Cell::load(&record.cell))?;
            }
        }
        while let Some(reference) = self.references.pop() {
            self.meet_reference(reference)?;
        }
        others.into_iter().try_for_each(|record| self.take_off(record))
    }

    /// Claims the records of a slot. Records that are not references go to `others`.
    fn claim_slot(&mut self, index: u32, others: &mut Vec<&'r Record>) -> Result<()> {
        let slot = self.region.slot(index);
        let (mut at, mut before, mut count) = (slot.leases.get(), 0, 0);
        while at != 0 {
            self.blocks.claim(at, RECORD)?;
            let record: &Record = self.region.at(at)?;
            if record.previous.get() != before {
                return Err(broken("list of a slot", at));
            }
            if record.state.get() & Record::REFERENCE != 0 {
                if self.is_first_of_share(record)? {
                    self.meet_reference((record.object.get(), record.generation.get()))?;
                }
            } else {
                others.push(record);
            }
            count += 1;
            before = at;
            at = record.next.get();
        }
        if count != slot.lease_count.get() {
            return Err(broken("number of records of a slot", u64::from(index)));
        }
        Ok(())
    }

    /// Returns whether the object counts a reference for this record: of those with the same share, the
    /// first.
    fn is_first_of_share(&mut self, record: &Record) -> Result<bool> {
        let (at, holders) = share::holders(self.region, record)?;
        if at == 0 {
            return Ok(true);
        }
        let object = record.object.get();
        if let Some((left, of)) = self.shares.get_mut(&at) {
            *left =
                left.checked_sub(1).filter(|_| *of == object).ok_or_else(|| broken(SHARE, at))?;
            return Ok(false);
        }
        self.blocks.claim(at, share::SHARE)?;
        let left = holders.checked_sub(1).ok_or_else(|| broken(SHARE, at))?;
        self.shares.insert(at, (left, object));
        Ok(true)
    }

    /// Claims the object of a reference when it is found for the first time.
    fn meet_reference(&mut self, (at, generation): Target) -> Result<()> {
        let object: &Object = self.region.at(at)?;
        if object.generation.get() != generation {
            return Err(broken("reference to an object that ended", at));
        }
        if !self.objects.contains_key(&at) {
            self.claim_object(at)?;
            self.objects.insert(at, object.references.get());
        }
        let missing = self.objects.get_mut(&at).filter(|missing| **missing > 0);
        *missing.ok_or_else(|| broken("references of an object", at))? -= 1;
        Ok(())
    }

    /// Subtracts a lease or a promise from the numbers of its object.
    fn take_off(&mut self, record: &Record) -> Result<()> {
        let at = record.object.get();
        let object: &Object = self.region.at(at)?;
        if object.generation.get() != record.generation.get() {
            return Ok(());
        }
        let owed = self.owed.get_mut(&at).ok_or_else(|| broken("object of a lease", at))?;
        let is_promise = record.state.get() & Record::RESERVED != 0;
        let number = if is_promise { &mut owed.promises } else { &mut owed.leases };
        *number = number.checked_sub(1).ok_or_else(|| broken("leases of an object", at))?;
        Ok(())
    }
}
