//! A process that finds a name held asks its holder, which may answer: "open this file, too".
//!
//! The holder listens on a socket of its own; whoever comes second sends its folder and its arguments
//! and gets a number. All of it is bounded in size and time.
//!
//! What always holds: both ends belong to the same user, and each has asked the kernel for it; no
//! request has more than [`MAX_REQUEST_BYTES`]; a peer that says nothing for a second is left alone.
//!
//! Not here: what the holder does with a request.

use std::ffi::OsString;
use std::io::{Read, Write};
use std::iter;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;
use rustix::net::{self, Shutdown, SocketAddrUnix, SocketFlags};

use super::super::file::{HeapFile, random_u64, user};
use super::super::refused;
use super::folder::Folder;
use super::forked::{self, Listed};
use super::name::{Name, Scope};
use super::witness::{self, Peer};
use super::{holder, table};
use crate::error::{Error, Result};

/// The largest request, in bytes: the arguments and the folder of a process.
pub const MAX_REQUEST_BYTES: usize = 256 << 10;
/// How long either side waits for the other.
const PATIENCE: Duration = Duration::from_secs(1);
/// How many names there are for the socket: one that stopped listening has its name for a while. If
/// all are taken, perhaps by a stranger, there is another one, which the file of the name tells.
const NAMES: u32 = 4;

/// Where the holder of a name hears of those who come second.
#[derive(Debug)]
pub struct Seconds {
    _listed: Listed,
    socket: HeapFile,
}

/// A process that came second, and waits for an answer.
#[derive(Debug)]
pub struct Second {
    /// Its arguments, the program first.
    pub arguments: Vec<OsString>,
    /// Its current folder.
    pub folder: PathBuf,
    stream: UnixStream,
}

impl Seconds {
    /// Listens, for a process that holds the name.
    ///
    /// # Errors
    ///
    /// [`Error::Os`], also if another process listens there.
    pub fn listen(name: &Name) -> Result<Self> {
        for attempt in 0..NAMES {
            if let Some(socket) = witness::listen(&place_of(name, attempt)?)? {
                return Ok(Self { _listed: forked::close_in_children(&socket), socket });
            }
        }
        let taken = Error::Os { call: "bind", code: libc::EADDRINUSE };
        let hidden = hidden_place(name, Some(random_u64()?))?.ok_or(taken.clone())?;
        let socket = witness::listen(&hidden)?.ok_or(taken)?;
        Ok(Self { _listed: forked::close_in_children(&socket), socket })
    }

    /// Listens no longer: whoever waits in [`next`](Self::next) gets an error at once.
    pub fn stop(&self) {
        if self.socket.is_open() {
            // The name is free when the last reference goes; until then nobody can connect.
            let _ = net::shutdown(self.socket.descriptor(), Shutdown::Both);
        }
    }

    /// Returns the next process that came second. `None`: none within `patience`.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`] after [`stop`](Self::stop); [`Error::Os`] if nobody can be heard any more.
    pub fn next(&self, patience: Duration) -> Result<Option<Second>> {
        if !self.socket.is_open() {
            return Err(Error::Os { call: "poll", code: libc::EBADF });
        }
        let descriptor = self.socket.descriptor();
        let mut interest = [PollFd::new(&descriptor, PollFlags::IN)];
        let patience = rustix::time::Timespec {
            tv_sec: i64::try_from(patience.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(patience.subsec_nanos()),
        };
        match rustix::event::poll(&mut interest, Some(&patience)) {
            Ok(0) | Err(Errno::INTR) => return Ok(None),
            Ok(_) => {}
            Err(errno) => return Err(refused("poll")(errno)),
        }
        if interest[0].revents().contains(PollFlags::HUP) {
            return Err(Error::Closed);
        }
        let stream = match net::accept_with(descriptor, SocketFlags::CLOEXEC) {
            Ok(socket) => UnixStream::from(socket),
            Err(Errno::AGAIN | Errno::INTR | Errno::CONNABORTED) => return Ok(None),
            // No room for now: it would be asked again at once.
            Err(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM) => {
                std::thread::sleep(PATIENCE / 20);
                return Ok(None);
            }
            Err(errno) => return Err(refused("accept")(errno)),
        };
        if witness::credentials(&stream)?.uid != user() {
            return Ok(None);
        }
        // Whoever cannot be understood gets no answer.
        Ok(receive(stream))
    }
}

impl Second {
    /// Answers, and lets it go.
    pub fn answer(mut self, number: i32) {
        // Whoever waits no longer needs no answer.
        let _ = self.stream.write_all(&number.to_le_bytes());
    }
}

/// Asks the holder of a name, as a process that came second. `None`: it did not answer, or nobody
/// listens there who belongs to the same user.
///
/// # Errors
///
/// [`Error::BadArgument`] if the request is too large; [`Error::Os`].
pub fn ask(name: &Name, arguments: &[OsString], folder: &Path) -> Result<Option<i32>> {
    let mut body = Vec::new();
    for word in iter::once(folder.as_os_str()).chain(arguments.iter().map(OsString::as_os_str)) {
        let word = word.as_bytes();
        let len = u32::try_from(word.len()).unwrap_or(u32::MAX);
        body.extend_from_slice(&len.to_le_bytes());
        body.extend_from_slice(word);
        if body.len() > MAX_REQUEST_BYTES {
            return Err(Error::BadArgument("the arguments have more than 262144 bytes"));
        }
    }
    for attempt in 0..NAMES {
        match Peer::at(&place_of(name, attempt)?)? {
            Some(peer) if peer.is_alive_and_own() => return Ok(answer_of(peer, &body)),
            _ => {}
        }
    }
    let Some(hidden) = hidden_place(name, None)? else { return Ok(None) };
    let peer = Peer::at(&hidden)?.filter(Peer::is_alive_and_own);
    Ok(peer.and_then(|peer| answer_of(peer, &body)))
}

fn answer_of(peer: Peer, body: &[u8]) -> Option<i32> {
    let mut answer = [0; 4];
    let stream = UnixStream::from(peer.socket);
    let done = stream.set_nonblocking(false).and_then(|()| {
        let mut stream = Timed::new(stream)?;
        stream.write_all(&(body.len() as u32).to_le_bytes())?;
        stream.write_all(body)?;
        stream.read_exact(&mut answer)
    });
    done.is_ok().then(|| i32::from_le_bytes(answer))
}

fn place_of(name: &Name, attempt: u32) -> Result<SocketAddrUnix> {
    // Also where users compete for the name, only processes of one user talk to each other.
    witness::address(&format!("{}.seconds.{}.{attempt}", name.tag(), user()))
}

/// A place that only those find who can read the file of the name: the user. `new` is a number to be
/// noted there. `None`: there is no such place.
fn hidden_place(name: &Name, new: Option<u64>) -> Result<Option<SocketAddrUnix>> {
    let Some(folder) = Folder::find(name.scope())?.filter(|_| name.scope() == Scope::User) else {
        return Ok(None);
    };
    let number = table::look_at(&folder, name.file(), |file| match new {
        Some(new) => holder::note_place(file, new).map(|()| Some(new)),
        None => Ok(holder::place_in(file)),
    })?;
    let Some(number) = number.flatten() else { return Ok(None) };
    witness::address(&format!("{}.seconds.{}.{number:016x}", name.tag(), user())).map(Some)
}

fn receive(stream: UnixStream) -> Option<Second> {
    stream.set_nonblocking(false).ok()?;
    let mut timed = Timed::new(stream).ok()?;
    let mut len = [0; 4];
    timed.read_exact(&mut len).ok()?;
    let len = u32::from_le_bytes(len) as usize;
    if len > MAX_REQUEST_BYTES {
        return None;
    }
    let mut body = vec![0; len];
    timed.read_exact(&mut body).ok()?;
    let mut words = words_of(&body)?.into_iter();
    let folder = words.next()?.into();
    Some(Second { arguments: words.collect(), folder, stream: timed.stream })
}

/// Takes a request apart. `None`: it is none.
fn words_of(mut body: &[u8]) -> Option<Vec<OsString>> {
    let mut words = Vec::new();
    while !body.is_empty() {
        let (len, rest) = body.split_first_chunk::<4>()?;
        let (word, rest) = rest.split_at_checked(u32::from_le_bytes(*len) as usize)?;
        words.push(OsString::from_vec(word.to_vec()));
        body = rest;
    }
    Some(words)
}

/// A stream whose peer has a second for everything it says, however slowly.
struct Timed {
    stream: UnixStream,
    until: Instant,
}

impl Timed {
    fn new(stream: UnixStream) -> std::io::Result<Self> {
        Ok(Self { stream, until: Instant::now() + PATIENCE })
    }

    fn left(&self) -> std::io::Result<Option<Duration>> {
        let left = self.until.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(std::io::ErrorKind::TimedOut.into()) } else { Ok(Some(left)) }
    }
}

impl Read for Timed {
    fn read(&mut self, bytes: &mut [u8]) -> std::io::Result<usize> {
        self.stream.set_read_timeout(self.left()?)?;
        self.stream.read(bytes)
    }
}

impl Write for Timed {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.stream.set_write_timeout(self.left()?)?;
        self.stream.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.stream.flush()
    }
}
