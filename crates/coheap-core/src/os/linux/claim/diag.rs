//! Which user listens under a name that cannot be asked, because its queue is full: the kernel's list
//! of sockets tells it.
//!
//! What always holds: a user that is told is the one who made the socket. What cannot be found out is
//! told as such, and never guessed.
//!
//! Not here: whoever can be asked (`witness`).

use rustix::net::{self, AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink};

/// What is asked for: `SOCK_DIAG_BY_FAMILY`, of all sockets that listen, with their names and users.
const BY_FAMILY: u16 = 20;
const REQUEST_AND_DUMP: u16 = 0x301;
const LISTENING: u32 = 1 << 10;
const NAME_AND_USER: u32 = 1 | 0x40;

/// What is answered: the kinds of messages that end it, and the attributes of a socket.
const ERROR: u16 = 2;
const DONE: u16 = 3;
const NAME: u16 = 0;
const USER: u16 = 7;

/// Lengths of the heads of a message and of an attribute, and of what a message says of each socket.
const MESSAGE_HEAD: usize = 16;
const ATTRIBUTE_HEAD: usize = 4;
const SOCKET: usize = 16;

/// Returns the user who listens under a name that is no path. `None`: nobody does, or the kernel does
/// not tell.
pub(super) fn user_listening(name: &[u8]) -> Option<u32> {
    let kind = (AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC);
    let socket = net::socket_with(kind.0, kind.1, kind.2, Some(netlink::SOCK_DIAG)).ok()?;
    net::send(&socket, &request(), SendFlags::empty()).ok()?;
    let mut buffer = vec![0; 64 << 10];
    loop {
        let (count, _) = net::recv(&socket, &mut buffer[..], RecvFlags::empty()).ok()?;
        let mut answer = buffer.get(..count)?;
        while !answer.is_empty() {
            let kind = half_at(answer, 4)?;
            let (message, rest) = cut(answer, word_at(answer, 0)? as usize)?;
            if kind == ERROR || kind == DONE {
                return None;
            }
            if let Some(user) = user_in(message.get(MESSAGE_HEAD + SOCKET..)?, name) {
                return Some(user);
            }
            answer = rest;
        }
    }
}

fn request() -> Vec<u8> {
    let family = [libc::AF_UNIX as u8, 0, 0, 0];
    let body = [LISTENING, 0, NAME_AND_USER, 0, 0].map(u32::to_ne_bytes);
    let len = (MESSAGE_HEAD + family.len() + body.as_flattened().len()) as u32;
    let kind = [BY_FAMILY, REQUEST_AND_DUMP].map(u16::to_ne_bytes);
    [&len.to_ne_bytes(), kind.as_flattened(), &[0; 8], &family, body.as_flattened()].concat()
}

/// The user in the attributes of a socket, if it has this name.
fn user_in(mut attributes: &[u8], name: &[u8]) -> Option<u32> {
    let (mut user, mut is_named) = (None, false);
    while attributes.len() >= ATTRIBUTE_HEAD {
        let kind = half_at(attributes, 2)?;
        let (attribute, rest) = cut(attributes, half_at(attributes, 0)?.into())?;
        let value = attribute.get(ATTRIBUTE_HEAD..)?;
        match kind {
            // A name that is no path begins with a zero.
            NAME => is_named = value.split_first() == Some((&0, name)),
            USER => user = word_at(value, 0),
            _ => {}
        }
        attributes = rest;
    }
    user.filter(|_| is_named)
}

/// Cuts off what has this length; what comes behind it begins at a multiple of four.
fn cut(bytes: &[u8], len: usize) -> Option<(&[u8], &[u8])> {
    let one = bytes.get(..len).filter(|_| len >= ATTRIBUTE_HEAD)?;
    Some((one, bytes.get(len.next_multiple_of(4)..).unwrap_or_default()))
}

fn word_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn half_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}
