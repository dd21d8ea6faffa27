//! Which names are held, and by whom.
//!
//! What always holds: a file that is there tells nothing; only what the kernel says is held is
//! listed. Looking takes nothing and makes nothing.
//!
//! Not here: claims whose file was removed. Their names are held all the same (`witness`).

use super::super::file::HeapFile;
use super::super::record::{self, Range};
use super::folder::Folder;
use super::holder::{self, Holder};
use super::name::{Scope, has_slots};
use super::table;
use crate::error::Result;

/// A name that a process holds, or a slot of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// The name, or the name of its file if nobody could write the name into it.
    pub name: String,
    /// Who competes for it.
    pub scope: Scope,
    /// The number of the slot and how many there are. `None`: the name has no slots.
    pub slot: Option<(u32, u32)>,
    /// Who holds it.
    pub holder: Holder,
}

/// Returns what processes hold, of the calling user and of the machine.
///
/// # Errors
///
/// As `Claim::acquire`.
pub fn list() -> Result<Vec<Held>> {
    let mut all = Vec::new();
    for scope in [Scope::User, Scope::Machine] {
        let Some(folder) = Folder::find(scope)? else { continue };
        for file in folder.names()? {
            let Some(has_slots) = has_slots(&file) else { continue };
            // What others have put there is nobody's claim.
            let found = table::look_at(&folder, &file, |opened| held_in(opened, has_slots));
            let Ok(Some((text, holders))) = found else { continue };
            let name = text.unwrap_or_else(|| file.clone());
            all.extend(holders.into_iter().map(|(slot, holder)| Held {
                name: name.clone(),
                scope,
                slot,
                holder,
            }));
        }
    }
    Ok(all)
}

type Holders = Vec<(Option<(u32, u32)>, Holder)>;

fn held_in(file: &HeapFile, has_slots: bool) -> Result<(Option<String>, Holders)> {
    let count = if has_slots { table::count_in(file)? } else { 1 };
    let mut holders = Vec::new();
    for slot in 0..count {
        // As a description, which sees the locks of this process, too.
        let range = Range::byte(slot.into());
        if let Some(found) = record::conflict(file, record::Owner::Description, range)? {
            let holder = Holder::of(table::owner_of(found), file, slot);
            holders.push((has_slots.then_some((slot, count)), holder));
        }
    }
    Ok((holder::text_in(file), holders))
}
