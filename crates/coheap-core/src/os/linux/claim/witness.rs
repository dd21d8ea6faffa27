//! The second witness of a claim: a socket whose name nobody else can have.
//!
//! A file can be removed by hand or by a cleaner, and who makes it anew would lock another file. The
//! name of a socket outside of all file systems cannot be removed; the kernel frees it when the last
//! descriptor of the socket is closed.
//!
//! What always holds: only a *living process* that listens there is a witness, and for a name of one
//! user only a process of that user. A child that merely has the descriptor is none, nor is a
//! stranger who was there first: then the next name is used.
//!
//! Not here: the lock of the file, which the caller of `bind` holds; requests to the holder (`second`).

use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;
use rustix::net::{self, AddressFamily, Shutdown, SocketAddrUnix, SocketFlags, SocketType};
use rustix::process::PidfdFlags;

use super::super::file::{HeapFile, user};
use super::super::refused;
use super::diag;
use super::forked::{self, Listed};
use super::name::{Name, Scope};
use crate::error::{Error, Result};

/// How many names there are for a slot. The second one is for those who find a socket under the first
/// that is no witness. With both of them taken by such, the lock of the file is all there is.
const NAMES: u32 = 2;
/// How often a name is tried that nobody listens under, and how long is waited in between.
const LOOKS: u32 = 40;
const LOOK: Duration = Duration::from_micros(50);
/// How often all names are tried before what is unclear is taken for left behind: about a second, for
/// a process that means to listen may have to wait for a processor.
const ROUNDS: u32 = 200;
/// How often those who listen under all names have to be no witnesses until that counts: processes
/// that die one after the other look like it for a moment.
const CLEAR_ROUNDS: u32 = 5;
/// How often one is seen that is no witness until the next name is tried.
const GONE_LOOKS: u32 = 3;
/// How long a process that is ending may have its socket longer than its lock of the file.
const ENDING: Duration = Duration::from_millis(20);

/// What came of an attempt to become the witness.
#[derive(Debug)]
pub(super) enum Bound {
    /// This process is. `None`: no name was left, so there is no witness.
    Own(Option<HeapFile>),
    /// Another process is, with this id. `None`: it is not visible from this pid namespace.
    Taken(Option<u32>),
}

/// Becomes the witness of a claim, unless a living process is.
///
/// Two names are enough for two processes to miss each other, so whoever listens under one looks under
/// the other *after* that: of two that do so at once, at least one sees the other.
pub(super) fn bind(name: &Name, slot: u32, probe: &mut Probe) -> Result<Bound> {
    let tag = name.tag();
    let place = |number| address(&format!("{tag}.{slot}.{number}"));
    let mut clear = 0;
    for _ in 0..ROUNDS {
        let mut is_clear = true;
        for number in 0..NAMES {
            let own = match listen_or_judge(&place(number)?, name.scope())? {
                Found::Own(socket) => socket,
                Found::Witness(pid) => return Ok(Bound::Taken(pid)),
                Found::NoWitness => continue,
                Found::Unclear => {
                    is_clear = false;
                    continue;
                }
            };
            for other in (0..NAMES).filter(|other| *other != number) {
                let peer = probe.peer_at(&place(other)?)?;
                if let Some(peer) = peer.filter(|peer| peer.is_witness(name.scope())) {
                    stop(own);
                    return Ok(Bound::Taken(peer.pid));
                }
            }
            return Ok(Bound::Own(Some(own)));
        }
        clear = if is_clear { clear + 1 } else { 0 };
        if clear == CLEAR_ROUNDS {
            break;
        }
    }
    Ok(Bound::Own(None))
}

/// What is found under a name.
enum Found {
    /// This process listens there from now on.
    Own(HeapFile),
    /// A witness does, with this process id.
    Witness(Option<u32>),
    /// Somebody listens there who is no witness.
    NoWitness,
    /// Somebody has the name and does not listen: a process that is about to become a witness or has
    /// just ceased to be one, or what was left behind by the latter.
    Unclear,
}

fn listen_or_judge(place: &SocketAddrUnix, scope: Scope) -> Result<Found> {
    let mut without = 0;
    for _ in 0..LOOKS {
        if let Some(socket) = listen(place)? {
            return Ok(Found::Own(socket));
        }
        // The socket of one that has just died goes with it: the name may be free by now.
        if without == GONE_LOOKS {
            return Ok(Found::NoWitness);
        }
        match Peer::at(place)? {
            Some(peer) if peer.is_witness(scope) => return Ok(Found::Witness(peer.pid)),
            Some(_) => without += 1,
            None => std::thread::sleep(LOOK),
        }
    }
    Ok(Found::Unclear)
}

/// Binds a socket and listens, so that the kernel tells others who is there. `None`: the name is
/// taken.
pub(super) fn listen(place: &SocketAddrUnix) -> Result<Option<HeapFile>> {
    let socket = socket()?;
    match net::bind(&socket, place) {
        Ok(()) => {}
        Err(Errno::ADDRINUSE) => return Ok(None),
        Err(errno) => return Err(refused("bind")(errno)),
    }
    net::listen(&socket, 4096).map_err(refused("listen"))?;
    Ok(Some(HeapFile::from_descriptor(socket)))
}

/// Ends what `listen` began: nobody can connect any more. A child that is just starting a program may
/// have the descriptor a moment longer, and the name of the socket with it.
pub(super) fn stop(socket: HeapFile) {
    socket.close_after(|socket| {
        // A socket of ours that listens can be shut down; there is nobody to tell of anything else.
        let _ = net::shutdown(socket, Shutdown::Both);
    });
}

/// Returns the address of a socket that has a name but no file.
pub(super) fn address(text: &str) -> Result<SocketAddrUnix> {
    SocketAddrUnix::new_abstract_name(text.as_bytes()).map_err(refused("bind"))
}

pub(super) fn socket() -> Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let made = net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None);
    made.map_err(refused("socket"))
}

/// A socket that finds out whether anybody listens under a name, and that is used again as long as
/// nobody did: to make one takes longer than to ask.
#[derive(Debug)]
pub(super) struct Probe(Option<(Listed, HeapFile)>);

impl Probe {
    pub(super) const fn new() -> Self {
        Self(None)
    }

    fn peer_at(&mut self, place: &SocketAddrUnix) -> Result<Option<Peer>> {
        let (_, probe) = match self.0.take_if(|(_, probe)| probe.is_open()) {
            Some(known) => self.0.insert(known),
            None => {
                let made = HeapFile::from_descriptor(socket()?);
                self.0.insert((forked::close_in_children(&made), made))
            }
        };
        if net::connect(probe.descriptor(), place) == Err(Errno::CONNREFUSED) {
            return Ok(None);
        }
        self.0 = None;
        Peer::at(place)
    }
}

/// The process that listens at an address.
#[derive(Debug)]
pub(super) struct Peer {
    /// The socket that is connected to it, unless too many have asked before.
    pub(super) socket: OwnedFd,
    is_connected: bool,
    pid: Option<u32>,
    user: Option<u32>,
}

impl Peer {
    /// Returns who listens there. `None`: nobody does.
    pub(super) fn at(place: &SocketAddrUnix) -> Result<Option<Self>> {
        let socket = socket()?;
        match net::connect(&socket, place) {
            Ok(()) => {}
            Err(Errno::CONNREFUSED) => return Ok(None),
            // Too many have asked already: somebody is there, who may be a stranger.
            Err(Errno::AGAIN) => {
                let user = place.abstract_name().and_then(diag::user_listening);
                return Ok(Some(Self { socket, is_connected: false, pid: None, user }));
            }
            Err(errno) => return Err(refused("connect")(errno)),
        }
        let who = credentials(&socket)?;
        let pid = u32::try_from(who.pid).ok().filter(|pid| *pid != 0);
        Ok(Some(Self { socket, is_connected: true, pid, user: Some(who.uid) }))
    }

    /// Whether it belongs to the calling user, lives, and can be asked.
    pub(super) fn is_alive_and_own(&self) -> bool {
        self.is_connected && self.user == Some(user()) && !self.has_ended()
    }

    /// Whether the process that listens there holds a name of this scope. Waits for one that is
    /// ending.
    fn is_witness(&self, scope: Scope) -> bool {
        let is_stranger = scope == Scope::User && self.user.is_some_and(|found| found != user());
        !is_stranger && !self.has_ended()
    }

    /// Whether the process that began to listen has ended.
    fn has_ended(&self) -> bool {
        if !self.is_connected {
            return false;
        }
        let handle = match process_of(&self.socket) {
            Ok(handle) => handle,
            // It was ended and forgotten before its descriptor was asked for.
            Err(libc::ESRCH | libc::EINVAL) => return true,
            Err(_) => {
                // An older kernel: its id may be that of another process by now, so it is taken for
                // alive as long as any process has that id.
                let Some(pid) = self.pid.and_then(|pid| rustix::process::Pid::from_raw(pid as i32))
                else {
                    return false;
                };
                match rustix::process::pidfd_open(pid, PidfdFlags::empty()) {
                    Ok(handle) => handle,
                    Err(errno) => return errno == Errno::SRCH,
                }
            }
        };
        ends_within(&handle, ENDING)
    }
}

/// Whether the process behind a pidfd ends within some time. A signal cuts the wait short.
pub(super) fn ends_within(handle: &OwnedFd, patience: Duration) -> bool {
    let mut interest = [PollFd::new(handle, PollFlags::IN)];
    let nanoseconds = i64::from(patience.subsec_nanos());
    let seconds = i64::try_from(patience.as_secs()).unwrap_or(i64::MAX);
    let patience = rustix::time::Timespec { tv_sec: seconds, tv_nsec: nanoseconds };
    matches!(rustix::event::poll(&mut interest, Some(&patience)), Ok(1))
}

/// Returns who listens at the other end, or who connected.
pub(super) fn credentials(socket: &impl AsFd) -> Result<libc::ucred> {
    // SAFETY: `ucred` is plain numbers; all zero is a valid value.
    let mut who: libc::ucred = unsafe { std::mem::zeroed() };
    let mut len = size_of::<libc::ucred>() as libc::socklen_t;
    let number = socket.as_fd().as_raw_fd();
    // SAFETY: the buffer has the stated length and outlives the call.
    let answer = unsafe {
        let buffer = (&raw mut who).cast();
        libc::getsockopt(number, libc::SOL_SOCKET, libc::SO_PEERCRED, buffer, &raw mut len)
    };
    if answer == -1 { Err(super::super::last_error("getsockopt")) } else { Ok(who) }
}

/// Returns a pidfd of the process at the other end, or `errno`.
fn process_of(socket: &OwnedFd) -> std::result::Result<OwnedFd, i32> {
    const SO_PEERPIDFD: i32 = 77;
    let mut number: i32 = -1;
    let mut len = size_of::<i32>() as libc::socklen_t;
    // SAFETY: the buffer has the stated length and outlives the call.
    let answer = unsafe {
        let buffer = (&raw mut number).cast();
        libc::getsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, SO_PEERPIDFD, buffer, &raw mut len)
    };
    if answer == -1 {
        return match super::super::last_error("getsockopt") {
            Error::Os { code, .. } => Err(code),
            _ => Err(0),
        };
    }
    // SAFETY: the kernel has just made this descriptor for us.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}
