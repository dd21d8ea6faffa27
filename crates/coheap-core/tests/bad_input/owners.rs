//! Heaps of other users: refused, also for the superuser.
//!
//! Most of this needs the superuser, who can make files of others, or says that it was skipped.

use std::fs;
use std::mem::offset_of;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::Path;

use coheap_core::heap::Heap;
use coheap_core::memory::layout::Header;

use crate::specimen::Specimen;
use crate::support::privilege::{is_root, skipped};

const NOBODY: u32 = 65_534;

/// Goal: only its owner can find out anything about a heap.
/// Method: look at the modes of all its files.
#[test]
fn the_files_of_a_heap_are_private() {
    let specimen = Specimen::new();
    for entry in fs::read_dir(specimen.folder.path()).expect("a listing") {
        let entry = entry.expect("an entry");
        let mode = entry.metadata().expect("metadata").permissions().mode() & 0o7777;
        assert_eq!(mode, 0o600, "{:?}", entry.file_name());
    }
}

/// Goal: the owner of a heap is compared, also for the superuser, who could open it.
/// Method: give the data file to somebody else.
#[test]
fn the_superuser_does_not_use_other_peoples_heaps() {
    if !is_root() {
        return skipped("the_superuser_does_not_use_other_peoples_heaps", "needs the superuser");
    }
    let specimen = Specimen::new();
    chown(specimen.path(), Some(NOBODY), None).expect("given away");
    specimen.assert_refused(&format!("belongs to user {NOBODY}"));
    chown(specimen.path(), Some(0), None).expect("taken back");
    specimen.assert_good();
}

/// Goal: another user is refused by the system, and by the engine where the modes are open.
/// Method: a child becomes another user; then once more after everything was made accessible.
#[test]
fn another_user_is_refused() {
    if !is_root() {
        return skipped("another_user_is_refused", "needs the superuser");
    }
    let specimen = Specimen::new();
    let as_nobody = || {
        specimen.open_with(|| {
            // SAFETY: takes no pointer.
            assert_eq!(unsafe { libc::setuid(NOBODY) }, 0);
            Heap::open(&specimen.options())
        })
    };
    let make_accessible = |path: &Path, mode: u32| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("new modes");
    };
    make_accessible(specimen.folder.path(), 0o777);
    let said = as_nobody().expect("refused by the system");
    assert!(said.contains("ermission denied"), "{said:?}");
    for path in specimen.beside().iter().chain([&specimen.path()]) {
        make_accessible(path, 0o666);
    }
    let said = as_nobody().expect("refused by the engine");
    assert!(said.contains("belongs to user 0"), "{said:?}");
    assert_eq!(fs::metadata(specimen.path()).expect("metadata").uid(), 0);
}

/// Goal: a heap whose bytes, or whose life bytes, others can change is refused, whoever owns it.
/// Method: give each of its files a mode that lets the group or all others read or write.
#[test]
fn files_that_others_may_read_or_write_are_refused() {
    let specimen = Specimen::new();
    for path in specimen.beside().iter().chain([&specimen.path()]) {
        for mode in [0o604, 0o602, 0o640, 0o620, 0o601, 0o666, 0o777] {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("a new mode");
            specimen.assert_refused(&format!("has mode 0{mode:o}"));
        }
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).expect("the old mode");
    }
    specimen.assert_good();
}

/// Goal: the user that stands for all unknown users is nobody's proof: in a user namespace, the
/// files of every user outside of it seem to belong to it.
/// Method: give a whole heap to that user, and open it as that user.
#[test]
fn files_of_the_overflow_user_are_refused() {
    if !is_root() {
        return skipped("files_of_the_overflow_user_are_refused", "needs the superuser");
    }
    let specimen = Specimen::new();
    let overflow = coheap_core::os::overflow_user();
    fs::set_permissions(specimen.folder.path(), fs::Permissions::from_mode(0o777)).expect("a mode");
    specimen.put(offset_of!(Header, user), u64::from(overflow));
    for path in specimen.beside().iter().chain([&specimen.path()]) {
        chown(path, Some(overflow), None).expect("given away");
    }
    let said = specimen.open_with(|| {
        // SAFETY: takes no pointer.
        assert_eq!(unsafe { libc::setuid(overflow) }, 0);
        Heap::open(&specimen.options())
    });
    let said = said.expect("refused");
    assert!(said.contains("stands for all users"), "{said:?}");
}

/// Goal: a life file of somebody else is not trusted: its owner could hold or free every byte.
/// Method: give only the files beside the heap to somebody else, one at a time.
#[test]
fn a_life_file_of_somebody_else_is_refused() {
    if !is_root() {
        return skipped("a_life_file_of_somebody_else_is_refused", "needs the superuser");
    }
    let specimen = Specimen::new();
    for path in specimen.beside() {
        chown(&path, Some(NOBODY), None).expect("given away");
        specimen.assert_refused(&format!("belongs to user {NOBODY}"));
        chown(&path, Some(0), None).expect("taken back");
    }
    specimen.assert_good();
}
