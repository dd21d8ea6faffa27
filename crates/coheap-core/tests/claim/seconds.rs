//! A process that comes second asks the first: what arrives, what does not, and from whom.
//!
//! What always holds: nobody waits for longer than the second that a peer has.
//! Not here: what faces do with an answer.

use std::ffi::OsString;
use std::io::Write as _;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::path::Path;
use std::time::{Duration, Instant};

use coheap_core::Error;
use coheap_core::claim::{MAX_REQUEST_BYTES, Seconds, ask};

use crate::scene::{Scene, Tidy};
use crate::support::alone;
use crate::support::child::fork;
use crate::support::privilege::{is_root, skipped};

const SOON: Duration = Duration::from_secs(20);

#[test]
fn the_holder_gets_arguments_and_folder_and_its_answer_arrives() {
    let (_alone, scene) = (alone(), Scene::new("asked"));
    // Beside the sockets of the claim itself.
    let _claim = scene.hold();
    let _tidy = Tidy(&scene);
    let seconds = Seconds::listen(&scene.name()).expect("it listens");
    let odd = OsString::from_vec(vec![0xff, b'\n', 0xc3]);
    let arguments = [OsString::from("open"), odd.clone(), OsString::new()];
    let mut second = fork(|| {
        let answer = ask(&scene.name(), &arguments, Path::new("/a b")).expect("an answer");
        assert_eq!(answer, Some(-7));
        0
    });
    let came = seconds.next(SOON).expect("it hears").expect("somebody came");
    assert_eq!(came.arguments, arguments);
    assert_eq!(came.folder, Path::new("/a b"));
    came.answer(-7);
    second.must_succeed();
}

#[test]
fn nobody_listens_or_nobody_answers_is_no_answer() {
    let (_alone, scene) = (alone(), Scene::new("silent"));
    assert_eq!(ask(&scene.name(), &[], Path::new("/")), Ok(None));
    let seconds = Seconds::listen(&scene.name()).expect("it listens");
    let begin = Instant::now();
    assert_eq!(ask(&scene.name(), &[], Path::new("/")), Ok(None));
    let took = begin.elapsed();
    assert!(took >= Duration::from_millis(900) && took < SOON, "{took:?}");
    seconds.stop();
    // What came before is left behind first.
    let ended = (0..10).find_map(|_| seconds.next(SOON).err());
    assert!(ended.is_some(), "it listens though it was stopped");
    let begin = Instant::now();
    assert_eq!(ask(&scene.name(), &[], Path::new("/")), Ok(None));
    assert!(begin.elapsed() < Duration::from_millis(900), "asked one who listens no more");
    // The next holder listens before the last one has gone.
    Seconds::listen(&scene.name()).expect("it listens");
}

#[test]
fn a_request_that_is_too_large_is_refused_and_one_that_is_none_is_dropped() {
    let (_alone, scene) = (alone(), Scene::new("large"));
    let seconds = Seconds::listen(&scene.name()).expect("it listens");
    let large = [OsString::from("x".repeat(MAX_REQUEST_BYTES))];
    let refused = ask(&scene.name(), &large, Path::new("/"));
    assert!(matches!(refused, Err(Error::BadArgument(_))));
    let evil: [&[u8]; 4] = [
        &[0xff, 0xff, 0xff, 0xff],
        &[8, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 1, 2, 3, 4],
        &[0, 0, 0, 0],
        b"GET / HTTP/1.1\r\n\r\n",
    ];
    for bytes in evil {
        let address = listening_at();
        let mut stream = UnixStream::connect_addr(&address).expect("connected");
        stream.write_all(bytes).expect("sent");
        drop(stream);
        assert!(seconds.next(SOON).expect("it hears").is_none(), "{bytes:?}");
    }
    fn listening_at() -> SocketAddr {
        let table = std::fs::read_to_string("/proc/net/unix").expect("sockets");
        let own = table.lines().find_map(|line| {
            let name = line.split_whitespace().nth(7)?;
            let inode = line.split_whitespace().nth(6)?;
            let is_own = std::fs::read_dir("/proc/self/fd").ok()?.flatten().any(|entry| {
                let link = std::fs::read_link(entry.path()).unwrap_or_default();
                link.to_string_lossy() == format!("socket:[{inode}]")
            });
            (is_own && name.starts_with("@coheap.")).then(|| name[1..].to_owned())
        });
        SocketAddr::from_abstract_name(own.expect("it listens")).expect("an address")
    }
}

/// Goal: only processes of one user talk to each other.
/// Method: a child of another user asks, under the name that the first user's sockets have; and a
/// stranger listens where the holder would.
#[test]
fn other_users_neither_ask_nor_answer() {
    if !is_root() {
        return skipped("other_users_neither_ask_nor_answer", "needs the superuser");
    }
    let (_alone, scene) = (alone(), Scene::new("stranger"));
    let seconds = Seconds::listen(&scene.name()).expect("it listens");
    let address = {
        let table = std::fs::read_to_string("/proc/net/unix").expect("sockets");
        let mut own = table.lines().filter_map(|line| line.split_whitespace().nth(7));
        let own = own.rfind(|name| name.starts_with("@coheap.0.")).expect("it listens");
        own[1..].to_owned()
    };
    let place = || SocketAddr::from_abstract_name(&address).expect("an address");
    fork(|| {
        // SAFETY: takes no pointer.
        assert_eq!(unsafe { libc::setuid(65_534) }, 0);
        let mut stream = UnixStream::connect_addr(&place()).expect("connected");
        // An empty folder and no arguments.
        stream.write_all(&[4, 0, 0, 0, 0, 0, 0, 0]).expect("sent");
        0
    })
    .must_succeed();
    assert!(seconds.next(SOON).expect("it hears").is_none(), "a stranger was heard");
    drop(seconds);
    let mut stranger = fork(|| {
        // SAFETY: takes no pointer.
        assert_eq!(unsafe { libc::setuid(65_534) }, 0);
        let listener = UnixListener::bind_addr(&place()).expect("bound");
        scene.page.set(10, 1);
        scene.until_let_go();
        listener.set_nonblocking(true).expect("set");
        // Whoever connected left without saying anything.
        while let Ok((stream, _)) = listener.accept() {
            let mut byte = [0];
            let count = std::io::Read::read(&mut &stream, &mut byte).unwrap_or(0);
            assert_eq!(count, 0, "a stranger was told something");
        }
        0
    });
    crate::support::until("the stranger listens", || scene.page.get(10) == 1);
    assert_eq!(ask(&scene.name(), &["secret".into()], Path::new("/")), Ok(None));
    scene.let_go();
    stranger.must_succeed();
    Seconds::listen(&scene.name()).expect("it listens");
}

/// Goal: a stranger who listens in all places of the holder keeps nobody from answering.
/// Method: one of another user takes all names that follow from the name.
#[test]
fn a_stranger_in_all_places_prevents_no_answer() {
    if !is_root() {
        return skipped("a_stranger_in_all_places_prevents_no_answer", "needs the superuser");
    }
    let (_alone, scene) = (alone(), Scene::new("places"));
    let _tidy = Tidy(&scene);
    let claim = scene.hold();
    let first = Seconds::listen(&scene.name()).expect("it listens");
    let stem = {
        let table = std::fs::read_to_string("/proc/net/unix").expect("sockets");
        let mut own = table.lines().filter_map(|line| line.split_whitespace().nth(7));
        let own = own.rfind(|name| name.contains(".seconds.")).expect("it listens");
        own[1..].trim_end_matches('0').to_owned()
    };
    drop(first);
    let mut stranger = fork(|| {
        // SAFETY: takes no pointer.
        assert_eq!(unsafe { libc::setuid(65_534) }, 0);
        let listeners: Vec<_> = (0..4)
            .map(|number| {
                let place = SocketAddr::from_abstract_name(format!("{stem}{number}"));
                UnixListener::bind_addr(&place.expect("an address")).expect("bound")
            })
            .collect();
        scene.page.set(10, 1);
        scene.until_let_go();
        i32::from(listeners.len() != 4)
    });
    crate::support::until("the stranger listens", || scene.page.get(10) == 1);
    for answer in [3, 4] {
        let seconds = Seconds::listen(&scene.name()).expect("it listens");
        let mut second = fork(|| {
            let found = ask(&scene.name(), &["open".into()], Path::new("/")).expect("an answer");
            i32::from(found != Some(answer))
        });
        seconds.next(SOON).expect("it hears").expect("somebody came").answer(answer);
        second.must_succeed();
    }
    assert!(claim.is_held());
    scene.let_go();
    stranger.must_succeed();
}
