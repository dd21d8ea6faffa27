//! ipc-channel between two processes: the bytes channel, its fastest, which encodes nothing.
//!
//! Made before the fork, as its own tests do; each process then uses one end.

use ipc_channel::ipc::{IpcBytesReceiver, IpcBytesSender, bytes_channel};

/// Both ends; made before the fork.
pub struct Channel {
    sender: IpcBytesSender,
    receiver: IpcBytesReceiver,
}

impl Channel {
    /// A new channel.
    pub fn new() -> Self {
        let (sender, receiver) = bytes_channel().expect("a channel");
        Self { sender, receiver }
    }

    /// Sends an item.
    #[inline]
    pub fn send(&self, item: &[u8]) {
        self.sender.send(item).expect("sent");
    }

    /// Receives an item, waiting for one.
    #[inline]
    pub fn receive(&self) -> Vec<u8> {
        self.receiver.recv().expect("received")
    }
}
