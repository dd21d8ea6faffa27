//! What only the superuser may do, and how a test says that it could not.
//!
//! What always holds: a folder or mount that a test made goes when the test ends, passed or not.

use std::ffi::CString;
use std::path::{Path, PathBuf};

use super::say;

/// Whether this process is the superuser.
pub(crate) fn is_root() -> bool {
    coheap_core::os::user() == 0
}

/// Puts an empty folder in place of `/proc`, for this process and its children. `false`: not allowed.
pub(crate) fn hide_proc() -> bool {
    if !super::child::unshare(libc::CLONE_NEWNS) {
        return false;
    }
    let (nothing, tmpfs) = (std::ptr::null(), c"tmpfs".as_ptr());
    let alone = libc::MS_PRIVATE | libc::MS_REC;
    // SAFETY: all strings end in NUL and outlive the calls.
    unsafe {
        libc::mount(nothing, c"/".as_ptr(), nothing, alone, nothing.cast()) == 0
            && libc::mount(tmpfs, c"/proc".as_ptr(), tmpfs, 0, nothing.cast()) == 0
    }
}

/// Says visibly that a part of a test did not run, and why.
pub(crate) fn skipped(test: &str, why: &str) {
    say(&format!("SKIPPED {test}: {why}"));
}

/// A folder of its own that goes with the value.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    is_mount: bool,
}

impl Folder {
    /// An empty folder in the system's folder for shared memory, or where `COHEAP_TEST_FOLDER`
    /// says: whoever may stop this program in the midst of a test cleans up there.
    pub(crate) fn new(test: &str) -> Self {
        let number = coheap_core::os::random_u64().expect("a random number");
        let parent = std::env::var_os("COHEAP_TEST_FOLDER").unwrap_or_else(|| "/dev/shm".into());
        let path = PathBuf::from(parent).join(format!("coheap-test-{test}-{number:016x}"));
        std::fs::create_dir(&path).expect("a new folder");
        Self { path, is_mount: false }
    }

    /// A file system in memory with room for `bytes`. `None`: mounting is not allowed.
    pub(crate) fn tiny(test: &str, bytes: u64) -> Option<Self> {
        let mut folder = Self::new(test);
        let target = CString::new(folder.path.to_str()?).ok()?;
        let options = CString::new(format!("size={bytes}")).ok()?;
        // SAFETY: all strings end in NUL and outlive the call.
        let answer = unsafe {
            let kind = c"tmpfs".as_ptr();
            libc::mount(kind, target.as_ptr(), kind, 0, options.as_ptr().cast())
        };
        folder.is_mount = answer == 0;
        folder.is_mount.then_some(folder)
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if self.is_mount {
            if let Ok(target) = CString::new(self.path.to_string_lossy().as_bytes()) {
                // SAFETY: the string ends in NUL and outlives the call.
                unsafe { libc::umount2(target.as_ptr(), libc::MNT_DETACH) };
            }
        }
        let _ = std::fs::remove_dir_all(&self.path);
    }
}
