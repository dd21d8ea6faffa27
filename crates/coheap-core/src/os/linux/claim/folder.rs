//! Where the files of names are: one folder for each user and one for the machine, always the same.
//!
//! The place depends on nothing but the user: no environment, no session. It is `/dev/shm`, or
//! `/tmp` on a system where the former cannot be written.
//!
//! What always holds:
//!
//! - No link is followed below these two, and nothing is used that others could have prepared: the
//!   folder of a user is theirs and has mode 0700, that of the machine is sticky.
//! - Folders and files appear with their final mode. They stay when nobody holds a name any more.
//!
//! Not here: locks, which are the kernel's (`record`).

use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{self, AtFlags, Mode, OFlags, RenameFlags};
use rustix::io::Errno;

use super::super::file::{FileId, HeapFile, random_u64, user};
use super::super::refused;
use super::name::Scope;
use crate::error::{Error, Result, UnusableFolder};

const BASES: [&str; 2] = ["/dev/shm", "/tmp"];
/// File systems of networks, by their numbers in `statfs`: AFS, Ceph, CIFS, Coda, GFS2, Lustre, NCP,
/// NFS, OCFS2, 9P, SMB and SMB 2.
const NETWORKS: [u32; 12] = [
    0x5346_414f,
    0x00c3_6400,
    0xff53_4d42,
    0x7375_7245,
    0x0116_1970,
    0x0bd0_0bd0,
    0x564c,
    0x6969,
    0x7461_636f,
    0x0102_1997,
    0x517b,
    0xfe53_4d42,
];

/// The device of a file system that is known to be none of a network, or 0.
static LOCAL: AtomicU64 = AtomicU64::new(0);

/// An open folder of files of names.
#[derive(Debug)]
pub(super) struct Folder {
    descriptor: OwnedFd,
    path: String,
    scope: Scope,
    user: u32,
}

impl Folder {
    /// Opens the folder of a scope, and makes it if it is not there.
    pub(super) fn open(scope: Scope) -> Result<Self> {
        for base in BASES {
            if let Some(folder) = Self::open_in(base, scope)? {
                return Ok(folder);
            }
        }
        Err(unusable(&BASES.join(" and "), "cannot be written", 0))
    }

    /// Opens the folder of a scope if it is there.
    pub(super) fn find(scope: Scope) -> Result<Option<Self>> {
        for base in BASES {
            match Self::look(&path_in(base, scope), scope)? {
                None => {}
                found => return Ok(found),
            }
        }
        Ok(None)
    }

    /// `None`: this base cannot be used by anybody.
    fn open_in(base: &str, scope: Scope) -> Result<Option<Self>> {
        let path = path_in(base, scope);
        // Whoever makes it first makes it for all.
        for _ in 0..100 {
            if let Some(folder) = Self::look(&path, scope)? {
                return Ok(Some(folder));
            }
            match make(&path, base, scope) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(Errno::NOENT | Errno::NOTDIR | Errno::ROFS | Errno::ACCESS | Errno::PERM) => {
                    return Ok(None);
                }
                Err(errno) => return Err(refused("mkdir")(errno)),
            }
        }
        Err(unusable(&path, "is removed again and again", user()))
    }

    fn look(path: &str, scope: Scope) -> Result<Option<Self>> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let descriptor = match fs::open(path, flags, Mode::empty()) {
            Ok(descriptor) => descriptor,
            Err(Errno::NOENT) => return Ok(None),
            Err(Errno::NOTDIR | Errno::LOOP) => {
                // Where the base is not there, nothing is in the way.
                let Ok(stat) = fs::lstat(path) else { return Ok(None) };
                return Err(unusable(path, "is not a folder", stat.st_uid));
            }
            Err(errno) => return Err(refused("open")(errno)),
        };
        let stat = fs::fstat(&descriptor).map_err(refused("fstat"))?;
        let user = user();
        let system = match LOCAL.load(Ordering::Relaxed) == stat.st_dev {
            true => None,
            // The word is signed on some machines; the numbers have 32 bits.
            false => Some(fs::fstatfs(&descriptor).map_err(refused("statfs"))?.f_type as u32),
        };
        let seen = Seen { owner: stat.st_uid, mode: stat.st_mode & 0o7777, system };
        if let Some(why) = seen.distrusted(scope, user) {
            return Err(unusable(path, why, stat.st_uid));
        }
        LOCAL.store(stat.st_dev, Ordering::Relaxed);
        Ok(Some(Self { descriptor, path: path.to_owned(), scope, user }))
    }

    /// Opens a file of a name, and makes it if it is not there. Returns its length in bytes, too.
    pub(super) fn file(&self, name: &str) -> Result<(HeapFile, u64)> {
        for _ in 0..100 {
            if let Some(opened) = self.existing(name)? {
                return Ok(opened);
            }
            self.make_file(name)?;
        }
        Err(unusable(&self.path_of(name), "is removed again and again", user()))
    }

    /// Opens a file of a name if it is there.
    pub(super) fn existing(&self, name: &str) -> Result<Option<(HeapFile, u64)>> {
        let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let path = || self.path_of(name);
        let (opened, owner) = match fs::openat(&self.descriptor, name, flags, Mode::empty()) {
            Ok(opened) => HeapFile::with_ownership(opened)?,
            Err(Errno::NOENT) => return Ok(None),
            Err(Errno::LOOP | Errno::ISDIR | Errno::NXIO | Errno::ACCESS | Errno::PERM) => {
                let found = fs::statat(&self.descriptor, name, AtFlags::SYMLINK_NOFOLLOW);
                let owner = found.map_or(0, |stat| stat.st_uid);
                return Err(unusable(&path(), "is not a file that this user may lock", owner));
            }
            Err(errno) => return Err(refused("open")(errno)),
        };
        if !owner.is_file || (self.scope == Scope::User && owner.user != self.user) {
            return Err(unusable(&path(), "is not a file that this user has made", owner.user));
        }
        // Somebody may have given this name to a file that is not theirs. What is removed meanwhile
        // has no name at all.
        if owner.links > 1 {
            return Err(unusable(&path(), "has another name, too", owner.user));
        }
        Ok(Some((opened, owner.len)))
    }

    /// Whether this is the place that is used wherever it can be.
    pub(super) fn is_preferred(&self) -> bool {
        self.path == path_in(BASES[0], self.scope)
    }

    /// Returns the path of a file of a name.
    pub(super) fn path_of(&self, name: &str) -> String {
        format!("{}/{name}", self.path)
    }

    /// Whether the file still has its name.
    pub(super) fn leads_to(&self, name: &str, file: &HeapFile) -> Result<bool> {
        match fs::statat(&self.descriptor, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(file.opened() == Some(FileId::new(stat.st_dev, stat.st_ino))),
            Err(Errno::NOENT) => Ok(false),
            Err(errno) => Err(refused("stat")(errno)),
        }
    }

    /// The names of the files in the folder, in their order.
    pub(super) fn names(&self) -> Result<Vec<String>> {
        let mut names = HeapFile::names_in(self.path.as_ref(), usize::MAX)?;
        names.sort();
        Ok(names)
    }

    /// Makes a file with its final mode, unless it is there.
    fn make_file(&self, name: &str) -> Result<()> {
        let mode = match self.scope {
            Scope::User => 0o600,
            Scope::Machine => 0o666,
        };
        let mode = Mode::from_raw_mode(mode);
        let draft = draft(name)?;
        let flags =
            OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let folder = &self.descriptor;
        let made = fs::openat(folder, &draft, flags, mode);
        let made = made.map_err(refused("open"))?;
        let placed = fs::fchmod(&made, mode)
            .and_then(|()| fs::renameat_with(folder, &draft, folder, name, RenameFlags::NOREPLACE));
        if placed.is_err() {
            let _ = fs::unlinkat(folder, &draft, AtFlags::empty());
        }
        match placed {
            Ok(()) | Err(Errno::EXIST) => Ok(()),
            Err(errno) => Err(refused("rename")(errno)),
        }
    }
}

/// What decides whether a folder can be trusted.
struct Seen {
    owner: u32,
    mode: u32,
    /// The number of its file system. `None`: one that is known to be none of a network.
    system: Option<u32>,
}

impl Seen {
    /// Why this user cannot use it for a scope. `None`: they can.
    fn distrusted(&self, scope: Scope, user: u32) -> Option<&'static str> {
        match scope {
            Scope::User if self.owner != user => Some("belongs to another user"),
            Scope::User if self.mode & 0o077 != 0 => Some("can be used by other users"),
            Scope::Machine if self.mode & 0o1777 != 0o1777 => {
                Some("is not open to all users, or not sticky")
            }
            _ if self.system.is_some_and(|system| NETWORKS.contains(&system)) => {
                Some("is on a network file system, whose locks other machines do not see")
            }
            _ => None,
        }
    }
}

/// Makes the folder of a scope with its final mode, whatever the umask.
fn make(path: &str, base: &str, scope: Scope) -> std::result::Result<(), Errno> {
    let mode = match scope {
        Scope::User => 0o700,
        Scope::Machine => 0o1777,
    };
    let mode = Mode::from_raw_mode(mode);
    let draft = format!("{base}/{}", draft("coheap").map_err(|_| Errno::AGAIN)?);
    fs::mkdir(&draft, mode)?;
    let placed = fs::chmod(&draft, mode)
        .and_then(|()| fs::renameat_with(fs::CWD, &draft, fs::CWD, path, RenameFlags::NOREPLACE));
    if placed.is_err() {
        let _ = fs::rmdir(&draft);
    }
    placed
}

/// Returns a name that nobody else has.
fn draft(name: &str) -> Result<String> {
    Ok(format!(".{name}.{:016x}", random_u64()?))
}

fn path_in(base: &str, scope: Scope) -> String {
    match scope {
        Scope::User => format!("{base}/coheap-{}", user()),
        Scope::Machine => format!("{base}/coheap-machine"),
    }
}

fn unusable(path: &str, why: &'static str, owner: u32) -> Error {
    Error::UnusableFolder(Box::new(UnusableFolder { path: path.into(), why, owner }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const USER: u32 = 1000;

    fn seen(owner: u32, mode: u32, system: u32) -> Seen {
        Seen { owner, mode, system: Some(system) }
    }

    #[test]
    fn a_folder_on_a_network_is_refused_and_one_on_this_machine_is_not() {
        // NFS, SMB, CIFS, 9P, AFS, Ceph, Lustre, as they stand in magic.h of Linux.
        let networks = [
            0x6969,
            0x517b,
            0xfe53_4d42,
            0xff53_4d42,
            0x0102_1997,
            0x5346_414f,
            0x00c3_6400,
            0x0bd0_0bd0,
        ];
        for system in networks {
            for (scope, mode) in [(Scope::User, 0o700), (Scope::Machine, 0o1777)] {
                let why = seen(USER, mode, system).distrusted(scope, USER);
                assert!(why.is_some_and(|why| why.contains("network")), "{system:x}");
            }
        }
        // tmpfs, ext4, btrfs, xfs, overlayfs.
        for system in [0x0102_1994, 0xef53, 0x9123_683e, 0x5846_5342, 0x794c_7630] {
            assert_eq!(seen(USER, 0o700, system).distrusted(Scope::User, USER), None);
            assert_eq!(seen(0, 0o1777, system).distrusted(Scope::Machine, USER), None);
        }
    }

    #[test]
    fn a_folder_of_others_or_open_to_them_is_refused() {
        let tmpfs = 0x0102_1994;
        for (scope, owner, mode) in [
            (Scope::User, 0, 0o700),
            (Scope::User, USER, 0o750),
            (Scope::User, USER, 0o701),
            (Scope::Machine, 0, 0o777),
            (Scope::Machine, 0, 0o1775),
        ] {
            assert!(seen(owner, mode, tmpfs).distrusted(scope, USER).is_some(), "{mode:o}");
        }
    }
}
