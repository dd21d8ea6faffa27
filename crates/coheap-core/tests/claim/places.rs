//! Where the locks lie: full, read-only and missing folders, and umasks that hide everything.
//!
//! What always holds: a test that mounts does so in a namespace of its own.
//! Not here: folders that others prepared (`attacks`).

use std::ffi::CString;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

use coheap_core::Error;
use coheap_core::claim::{Claim, Name, Outcome, Request, Scope, list};

use crate::scene::{Scene, Tidy};
use crate::support::alone;
use crate::support::child::{End, fork, limit, unshare};
use crate::support::privilege::skipped;

/// Runs `body` in a child whose `/dev/shm` is a file system of its own; `options` are those of tmpfs.
pub(crate) fn in_own_shm(test: &str, options: &str, body: impl FnOnce()) {
    const REFUSED: i32 = 77;
    let ended = fork(|| {
        if !unshare(libc::CLONE_NEWNS) || !mount("/dev/shm", options, 0) {
            return REFUSED;
        }
        body();
        0
    })
    .wait();
    match ended {
        End::Exit(REFUSED) => skipped(test, "needs the superuser"),
        ended => assert_eq!(ended, End::Exit(0)),
    }
}

/// Mounts a tmpfs, after everything was cut off from other namespaces.
fn mount(target: &str, options: &str, flags: libc::c_ulong) -> bool {
    let (nothing, tmpfs) = (std::ptr::null(), c"tmpfs".as_ptr());
    let alone = libc::MS_PRIVATE | libc::MS_REC;
    let target = CString::new(target).expect("a path");
    let options = CString::new(format!("mode=1777,{options}")).expect("options");
    // SAFETY: all strings end in NUL and outlive the calls.
    unsafe {
        libc::mount(nothing, c"/".as_ptr(), nothing, alone, nothing.cast()) == 0
            && libc::mount(tmpfs, target.as_ptr(), tmpfs, flags, options.as_ptr().cast()) == 0
    }
}

#[test]
fn the_folder_and_the_file_are_private_whatever_the_umask() {
    let (_alone, scene) = (alone(), Scene::new("umask"));
    in_own_shm("the_folder_and_the_file_are_private", "size=1m", || {
        // SAFETY: takes no pointer.
        unsafe { libc::umask(0o777) };
        let _claim = scene.hold();
        let machine = Name::single(&scene.text, Scope::Machine).expect("a name");
        let outcome = Claim::acquire(&Request::new(machine), 0);
        let Ok(Outcome::Held(_machine)) = outcome else { panic!("{outcome:?}") };
        let mode = |path: &std::path::Path| {
            std::fs::metadata(path).expect("metadata").permissions().mode() & 0o7777
        };
        let file = scene.file().expect("a file");
        assert_eq!((mode(file.parent().expect("a folder")), mode(&file)), (0o700, 0o600));
        let folder = std::path::Path::new("/dev/shm/coheap-machine");
        assert_eq!(mode(folder), 0o1777);
        let file = folder.read_dir().expect("a folder").flatten().next().expect("a file");
        assert_eq!(mode(&file.path()), 0o666);
    });
}

/// Goal: a full disk keeps nobody from holding a name, and lets no two hold it.
/// Method: a file system without a free page, before the first claim and after it.
#[test]
fn a_full_disk_prevents_nothing() {
    let (_alone, scene) = (alone(), Scene::new("full"));
    in_own_shm("a_full_disk_prevents_nothing", "size=64k", || {
        let _ = std::fs::write("/dev/shm/filler", vec![1; 1 << 20]);
        assert!(std::fs::write("/dev/shm/more", [1]).is_err(), "the disk is not full");
        let mut holder = scene.start(|_| ());
        let found = scene.holder().expect("held");
        assert_eq!(found.pid, Some(holder.pid() as u32));
        assert!(found.since.is_some(), "nobody knows since when");
        // Without room for its text, a name is listed by its file.
        let held = list().expect("a list");
        assert!(held.iter().any(|held| held.name.starts_with("full_")), "{held:?}");
        holder.kill();
        drop(scene.hold());
    });
    in_own_shm("a_full_disk_prevents_nothing", "size=64k,nr_inodes=1", || {
        let error = Claim::acquire(&scene.request(), 0).expect_err("no inode is left");
        assert!(matches!(error, Error::Os { code: libc::ENOSPC, .. }), "{error}");
    });
}

/// Goal: a limit on the size of files is no reason to die of SIGXFSZ.
#[test]
fn a_limit_on_file_sizes_prevents_nothing() {
    let (_alone, scene) = (alone(), Scene::new("fsize"));
    let _tidy = Tidy(&scene);
    fork(|| {
        limit(libc::RLIMIT_FSIZE, 0);
        i32::from(!matches!(scene.try_hold(), Outcome::Held(_)))
    })
    .must_succeed();
}

#[test]
fn a_process_without_free_descriptors_gets_an_error_and_keeps_what_it_has() {
    let (_alone, scene) = (alone(), Scene::new("descriptors"));
    let _tidy = Tidy(&scene);
    fork(|| {
        let claim = scene.hold();
        let other = Scene::new("descriptors");
        let _tidy = Tidy(&other);
        for most in 3..12 {
            limit_softly(most);
            let outcome = Claim::acquire(&other.request(), 0);
            limit_softly(64);
            match outcome {
                Err(Error::Os { .. }) => assert!(claim.is_held()),
                Ok(Outcome::Held(_)) => return 0,
                other => panic!("{other:?}"),
            }
            // Nothing is left of the attempt.
            assert!(matches!(other.try_hold(), Outcome::Held(_)));
        }
        1
    })
    .must_succeed();
}

fn limit_softly(most: u64) {
    let limit = libc::rlimit { rlim_cur: most, rlim_max: 1024 };
    // SAFETY: the limit outlives the call.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) }, 0);
}

/// Goal: where `/dev/shm` cannot be written, everybody uses `/tmp`; where neither can, all are told.
#[test]
fn read_only_folders_are_left_for_the_next_or_named() {
    let (_alone, scene) = (alone(), Scene::new("readonly"));
    let _tidy = Tidy(&scene);
    let ended = fork(|| {
        if !unshare(libc::CLONE_NEWNS) || !mount("/dev/shm", "size=64k", libc::MS_RDONLY) {
            return 77;
        }
        let claim = scene.hold();
        let file = scene.file().expect("a file");
        assert!(file.starts_with("/tmp"), "{}", file.display());
        assert_eq!(std::fs::metadata(&file).expect("metadata").mode() & 0o777, 0o600);
        assert_eq!(scene.seen_elsewhere(), Some(std::process::id()));
        drop(claim);
        std::fs::remove_file(file).expect("removed");
        assert!(mount("/tmp", "size=64k", libc::MS_RDONLY), "mounted");
        let error = Claim::acquire(&scene.request(), 0).expect_err("nothing can be written");
        assert!(error.to_string().starts_with("/dev/shm and /tmp cannot be written"), "{error}");
        0
    })
    .wait();
    match ended {
        End::Exit(77) => skipped("read_only_folders", "needs the superuser"),
        ended => assert_eq!(ended, End::Exit(0)),
    }
}

/// Goal: who sees another `/dev/shm` is kept out by the socket, as long as the network is the same.
#[test]
fn a_private_shm_is_no_second_place() {
    let (_alone, scene) = (alone(), Scene::new("private"));
    let _tidy = Tidy(&scene);
    let holder = scene.start(|_| ());
    let pid = Some(holder.pid() as u32);
    in_own_shm("a_private_shm_is_no_second_place", "size=1m", || {
        assert_eq!(scene.holder().and_then(|found| found.pid), pid);
    });
}
