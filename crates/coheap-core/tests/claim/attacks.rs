//! What other users prepare: folders, links, files and sockets in the places where locks lie.
//!
//! What always holds: an attack is refused with an error that names the place, or does no harm; no
//! file of the victim is made, changed or removed outside of the folder of locks.
//! Not here: what the same user does to their own files (`removed`).

use std::fs;
use std::os::fd::AsRawFd as _;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::fs::{PermissionsExt as _, chown, symlink};
use std::os::unix::net::{SocketAddr, UnixListener};
use std::path::Path;

use coheap_core::Error;
use coheap_core::claim::{Claim, Name, Outcome, Request, Scope};

use crate::places::in_own_shm;
use crate::scene::Scene;
use crate::support::alone;
use crate::support::child::fork;
use crate::support::until;

const EVIL: u32 = 65_534;
const VICTIM: u32 = 12_345;

/// Becomes another user, for good.
fn become_user(user: u32) {
    // SAFETY: takes no pointer.
    assert_eq!(unsafe { libc::setgid(user) }, 0);
    // SAFETY: takes no pointer.
    assert_eq!(unsafe { libc::setuid(user) }, 0);
}

fn refusal(scene: &Scene, scope: Scope) -> String {
    let name = Name::single(&scene.text, scope).expect("a name");
    match Claim::acquire(&Request::new(name), 0) {
        Err(error @ Error::UnusableFolder(_)) => error.to_string(),
        other => panic!("{other:?}"),
    }
}

/// Goal: a folder that the victim did not make is not used.
/// Method: the attacker makes it in each way there is; the victim claims a name.
#[test]
fn a_folder_that_somebody_else_made_is_refused() {
    let (_alone, scene) = (alone(), Scene::new("squatted"));
    in_own_shm("a_folder_that_somebody_else_made_is_refused", "size=1m", || {
        let folder = format!("/dev/shm/coheap-{VICTIM}");
        fs::create_dir("/dev/shm/trap").expect("made");
        chown("/dev/shm/trap", Some(VICTIM), Some(VICTIM)).expect("given");
        type Trap = (fn(&str), &'static str);
        let traps: [Trap; 5] = [
            (|path| fs::create_dir(path).expect("made"), "belongs to another user"),
            (|path| symlink("/dev/shm/trap", path).expect("made"), "is not a folder"),
            (|path| symlink("/dev/shm/nowhere", path).expect("made"), "is not a folder"),
            (|path| fs::write(path, "").expect("made"), "is not a folder"),
            (
                |path| {
                    fs::create_dir(path).expect("made");
                    chown(path, Some(VICTIM), Some(VICTIM)).expect("given");
                    fs::set_permissions(path, fs::Permissions::from_mode(0o777)).expect("set");
                },
                "can be used by other users",
            ),
        ];
        for (set, why) in traps {
            set(&folder);
            fork(|| {
                become_user(VICTIM);
                let message = refusal(&scene, Scope::User);
                assert!(message.starts_with(&format!("{folder} {why}")), "{message}");
                0
            })
            .must_succeed();
            let _ = fs::remove_file(&folder);
            let _ = fs::remove_dir(&folder);
        }
        assert!(fs::read_dir("/dev/shm/trap").expect("a folder").next().is_none());
        assert!(!Path::new("/dev/shm/nowhere").exists());
    });
}

/// Goal: a link is never followed, however well it is timed.
/// Method: the attacker exchanges a link for the folder all the time, while the victim claims names;
/// nothing is made or cut off behind the link.
#[test]
fn a_link_that_comes_and_goes_is_never_followed() {
    let (_alone, scene) = (alone(), Scene::new("timed"));
    in_own_shm("a_link_that_comes_and_goes_is_never_followed", "size=4m", || {
        fs::create_dir("/dev/shm/trap").expect("made");
        chown("/dev/shm/trap", Some(VICTIM), Some(VICTIM)).expect("given");
        fs::write("/dev/shm/trap/precious", "precious").expect("made");
        let folder = format!("/dev/shm/coheap-{VICTIM}");
        let mut attacker = fork(|| {
            become_user(EVIL);
            while scene.page.get(10) == 0 {
                let _ = symlink("/dev/shm/trap", &folder);
                let _ = fs::remove_file(&folder);
            }
            0
        });
        fork(|| {
            become_user(VICTIM);
            let mut refused = 0;
            let begin = std::time::Instant::now();
            while begin.elapsed().as_millis() < 500 {
                match Claim::acquire(&scene.request(), 0) {
                    Ok(Outcome::Held(_)) => {
                        // The folder is there from now on: make room for the next attack.
                        let _ = fs::remove_dir_all(&folder);
                    }
                    Err(Error::UnusableFolder(_)) => refused += 1,
                    other => panic!("{other:?}"),
                }
            }
            assert!(refused > 0, "the link was never in the way");
            scene.page.set(10, 1);
            0
        })
        .must_succeed();
        attacker.must_succeed();
        let names: Vec<_> = fs::read_dir("/dev/shm/trap").expect("a folder").flatten().collect();
        assert_eq!(names.len(), 1, "something was made behind the link: {names:?}");
        assert_eq!(fs::read_to_string("/dev/shm/trap/precious").expect("it"), "precious");
    });
}

/// Goal: in the folder of the machine, where everybody writes, a file of another kind or with another
/// name is refused, and what it leads to is untouched.
#[test]
fn a_file_that_is_none_is_refused_in_the_folder_of_the_machine() {
    let (_alone, scene) = (alone(), Scene::new("planted"));
    in_own_shm("a_file_that_is_none_is_refused", "size=1m", || {
        let machine = Name::single(&scene.text, Scope::Machine).expect("a name");
        drop(Claim::acquire(&Request::new(machine), 0).expect("held"));
        let file = scene.file().expect("a file");
        fs::write("/dev/shm/precious", "precious").expect("made");
        chown("/dev/shm/precious", Some(VICTIM), Some(VICTIM)).expect("given");
        let plant: [fn(&Path); 4] = [
            |path| symlink("/dev/shm/precious", path).expect("made"),
            |path| fs::hard_link("/dev/shm/precious", path).expect("made"),
            |path| fs::create_dir(path).expect("made"),
            |path| {
                fs::write(path, "").expect("made");
                fs::set_permissions(path, fs::Permissions::from_mode(0o600)).expect("set");
            },
        ];
        for plant in plant {
            fs::remove_file(&file).or_else(|_| fs::remove_dir(&file)).expect("removed");
            plant(&file);
            fork(|| {
                become_user(VICTIM);
                let message = refusal(&scene, Scope::Machine);
                assert!(message.starts_with(&*file.to_string_lossy()), "{message}");
                0
            })
            .must_succeed();
            assert_eq!(fs::read_to_string("/dev/shm/precious").expect("it"), "precious");
        }
        fs::remove_file(&file).expect("removed");
        fs::set_permissions("/dev/shm/coheap-machine", fs::Permissions::from_mode(0o777))
            .expect("set");
        assert!(refusal(&scene, Scope::Machine).contains("not sticky"));
    });
}

/// Goal: machine-wide names are held across users, by the one that the kernel names, also if the
/// owner of the file removes it or writes into it what it likes.
#[test]
fn a_name_of_the_machine_is_held_across_users() {
    let (_alone, scene) = (alone(), Scene::new("machine"));
    in_own_shm("a_name_of_the_machine_is_held_across_users", "size=1m", || {
        let machine = || Request::new(Name::single(&scene.text, Scope::Machine).expect("a name"));
        // The attacker makes folder and file, and leaves.
        fork(|| {
            become_user(EVIL);
            i32::from(!matches!(Claim::acquire(&machine(), 0), Ok(Outcome::Held(_))))
        })
        .must_succeed();
        let mut holder = fork(|| {
            become_user(VICTIM);
            let Ok(Outcome::Held(_claim)) = Claim::acquire(&machine(), 0) else { return 1 };
            scene.page.set(10, 1);
            scene.until_let_go();
            0
        });
        until("it holds", || scene.page.get(10) == 1);
        let looks = |what: &str| {
            let Ok(Outcome::Taken(found)) = Claim::acquire(&machine(), 0) else {
                panic!("two hold it after {what}");
            };
            assert_eq!(found.pid, Some(holder.pid() as u32), "{what}");
            assert_eq!(found.user, Some(VICTIM), "{what}");
            let age = found.since.and_then(|since| since.elapsed().ok()).expect("a time");
            assert!(age.as_secs() < 60, "{what}: {age:?}");
        };
        looks("nothing");
        let file = scene.file().expect("a file");
        fork(|| {
            become_user(EVIL);
            fs::write(&file, vec![0x11; 4096]).expect("written");
            0
        })
        .must_succeed();
        looks("a forged note");
        fork(|| {
            become_user(EVIL);
            fs::remove_file(&file).expect("removed");
            0
        })
        .must_succeed();
        looks("a removal");
        holder.kill();
        assert!(matches!(Claim::acquire(&machine(), 0), Ok(Outcome::Held(_))));
    });
}

/// Goal: a stranger who has the names of the sockets keeps nobody out, and lets nobody in, whether or
/// not there is room for one more connection.
#[test]
fn a_stranger_on_the_sockets_of_a_user_does_no_harm() {
    let (_alone, scene) = (alone(), Scene::new("sockets"));
    in_own_shm("a_stranger_on_the_sockets_of_a_user_does_no_harm", "size=1m", || {
        let claim = scene.hold();
        let stem = stem_of_own_sockets();
        drop(claim);
        for is_full in [false, true] {
            scene.page.set(10, 0);
            let mut stranger = fork(|| {
                become_user(EVIL);
                let squatted: Vec<_> =
                    (0..2).map(|number| squat(&format!("{stem}{number}"), is_full)).collect();
                scene.page.set(10, 1);
                until("the test is over", || scene.page.get(10) == 2);
                i32::from(squatted.len() != 2)
            });
            until("the stranger listens", || scene.page.get(10) == 1);
            let claim = scene.hold();
            assert_eq!(scene.seen_elsewhere(), Some(std::process::id()));
            drop(claim);
            scene.page.set(10, 2);
            stranger.must_succeed();
        }
    });
}

/// Goal: a holder whose sockets others have asked until nobody more can ask holds all the same.
/// Method: another user connects as often as possible; then the file is removed, so that only the
/// sockets are left.
#[test]
fn a_holder_whose_sockets_are_flooded_by_a_stranger_still_holds() {
    let (_alone, scene) = (alone(), Scene::new("flooded"));
    in_own_shm("a_holder_whose_sockets_are_flooded_by_a_stranger", "size=1m", || {
        let claim = scene.hold();
        let stem = stem_of_own_sockets();
        fork(|| {
            become_user(EVIL);
            let asked = flood(&format!("{stem}0"));
            i32::from(asked < 100)
        })
        .must_succeed();
        fs::remove_file(scene.file().expect("a file")).expect("removed");
        let seen = scene.seen_elsewhere();
        assert!(seen.is_some(), "two hold it");
        drop(claim);
        assert_eq!(scene.seen_elsewhere(), None);
    });
}

/// What the names of the sockets of a slot begin with, which this process holds alone.
fn stem_of_own_sockets() -> String {
    let table = fs::read_to_string("/proc/net/unix").expect("sockets");
    let inodes: Vec<String> = fs::read_dir("/proc/self/fd")
        .expect("descriptors")
        .flatten()
        .filter_map(|entry| fs::read_link(entry.path()).ok())
        .map(|link| link.to_string_lossy().into_owned())
        .filter(|link| link.starts_with("socket:["))
        .collect();
    let names: Vec<String> = table
        .lines()
        .filter(|line| {
            let inode = line.split_whitespace().nth(6).unwrap_or_default();
            inodes.contains(&format!("socket:[{inode}]"))
        })
        .filter_map(|line| line.split_whitespace().nth(7))
        .filter_map(|name| Some(name.strip_prefix("@coheap.0.")?.to_owned()))
        .collect();
    let [name] = names.as_slice() else { panic!("{names:?}") };
    format!("coheap.0.{}", name.trim_end_matches('0'))
}

/// Listens under a name; `is_full`: and leaves no room for anybody who would connect.
fn squat(name: &str, is_full: bool) -> UnixListener {
    let place = SocketAddr::from_abstract_name(name).expect("an address");
    let listener = UnixListener::bind_addr(&place).expect("bound");
    if is_full {
        // SAFETY: takes no pointer.
        assert_eq!(unsafe { libc::listen(listener.as_raw_fd(), 0) }, 0);
        assert!(flood(name) > 0);
    }
    listener
}

/// Connects until nobody more can. Returns how often that was.
fn flood(name: &str) -> usize {
    let place = SocketAddr::from_abstract_name(name).expect("an address");
    let path = place.as_abstract_name().expect("a name");
    // SAFETY: `sockaddr_un` is plain numbers; all zero is a valid value.
    let mut address: libc::sockaddr_un = unsafe { std::mem::zeroed() };
    address.sun_family = libc::AF_UNIX as u16;
    for (cell, byte) in address.sun_path[1..].iter_mut().zip(path) {
        *cell = *byte as libc::c_char;
    }
    let len = (size_of::<libc::sa_family_t>() + 1 + path.len()) as libc::socklen_t;
    for count in 0.. {
        let kind = libc::SOCK_STREAM | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
        // SAFETY: takes no pointer.
        let socket = unsafe { libc::socket(libc::AF_UNIX, kind, 0) };
        assert!(socket >= 0, "no descriptor is left");
        // SAFETY: the address has the stated length and outlives the call.
        let answer = unsafe { libc::connect(socket, (&raw const address).cast(), len) };
        let error = std::io::Error::last_os_error();
        // SAFETY: it is a socket of this function. What was asked stays in the queue of the listener.
        unsafe { libc::close(socket) };
        if answer == -1 {
            assert_eq!(error.raw_os_error(), Some(libc::EAGAIN));
            return count;
        }
    }
    0
}
