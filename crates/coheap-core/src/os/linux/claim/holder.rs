//! Who holds a name: what the kernel knows of the process, and when it said it began to hold.
//!
//! What always holds: the process is the one that the kernel names as the owner of the lock. What a
//! file says is used for the time only, and only if it is possible: a file in the folder of the
//! machine can be written by everybody.
//!
//! Not here: which process that is (`mod`).

use std::fmt;
use std::fs;
use std::io::Read as _;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::super::file::HeapFile;
use super::super::identity::start_time;
use crate::error::Result;

/// How much of a command line is read.
const COMMAND_BYTES: u64 = 4096;
/// How many characters of it a message has.
const COMMAND_SHOWN: usize = 120;
/// Where the file of a name says since when each slot is held, and by which process: 16 bytes for
/// each, after the name itself. Where there are no slots, the second one is for `second`.
const NOTES: u64 = 512;

/// A process that holds a name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Holder {
    /// Its process id. `None`: it is in a pid namespace that this process does not see.
    pub pid: Option<u32>,
    /// Since when it holds the name.
    pub since: Option<SystemTime>,
    /// Its command line, word by word; cut off after 4096 bytes.
    pub command: Vec<String>,
    /// The user that it runs as.
    pub user: Option<u32>,
}

impl Holder {
    /// Describes the owner of a lock on a slot of the name with this file.
    pub(super) fn of(owner: Owner, file: &HeapFile, slot: u32) -> Self {
        let note = Note::read(file, slot);
        let written = note.map(|note| note.since);
        let pid = match owner {
            Owner::Process(pid) => Some(pid),
            Owner::Hidden => None,
            Owner::Heirs => note.filter(Note::is_possible).map(|note| note.pid),
        };
        let Some(pid) = pid else { return Self { since: written, ..Self::default() } };
        Self { since: since(pid, written), ..Self::of_process(pid) }
    }

    /// Describes a process.
    fn of_process(pid: u32) -> Self {
        use std::os::unix::fs::MetadataExt as _;
        let user = fs::metadata(format!("/proc/{pid}")).ok().map(|found| found.uid());
        Self { pid: Some(pid), since: started(pid), command: command(pid), user }
    }
}

impl Holder {
    /// Returns the name of its user, or the number of a user without a name.
    pub fn user_name(&self) -> Option<String> {
        let number = self.user?.to_string();
        let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
        let named = users.lines().find_map(|line| {
            let mut fields = line.split(':');
            let name = fields.next()?;
            (fields.nth(1)? == number).then(|| name.to_owned())
        });
        Some(named.unwrap_or(number))
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.pid {
            Some(pid) => write!(f, "process {pid}")?,
            None => f.write_str("a process that is not visible from here")?,
        }
        if let Some(user) = self.user_name() {
            write!(f, " of user {user}")?;
        }
        if !self.command.is_empty() {
            write!(f, " ({})", shown(&self.command.join(" "), COMMAND_SHOWN))?;
        }
        let since = self.since.and_then(|since| SystemTime::now().duration_since(since).ok());
        since.map_or(Ok(()), |since| write!(f, ", for {}", span(since)))
    }
}

/// Returns text as it can be shown on one line of a terminal: at most `most` characters, and none
/// that the terminal would obey.
pub fn shown(text: &str, most: usize) -> String {
    let mut line: String = text
        .chars()
        .take(most)
        .map(|letter| if letter.is_control() { '\u{fffd}' } else { letter })
        .collect();
    if text.chars().nth(most).is_some() {
        line.push_str("...");
    }
    line
}

/// Returns how long something takes, in the two largest units.
pub fn span(time: Duration) -> String {
    let seconds = time.as_secs();
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min {} s", seconds % 60),
        (0, ..) => format!("{hours} h {minutes} min"),
        _ => format!("{days} d {hours} h"),
    }
}

/// What the kernel says of the owner of a lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Owner {
    /// The process with this id.
    Process(u32),
    /// A process in a pid namespace that this one does not see.
    Hidden,
    /// Everybody who inherited the claim.
    Heirs,
}

/// What the file of a name says of a slot.
#[derive(Debug, Clone, Copy)]
struct Note {
    since: SystemTime,
    pid: u32,
}

impl Note {
    fn read(file: &HeapFile, slot: u32) -> Option<Self> {
        let mut bytes = [0; 16];
        let count = file.read_at(note_at(slot), &mut bytes).ok()?;
        let word = |at: usize| {
            bytes[at..at + 8].iter().rev().fold(0, |sum, byte| sum << 8 | u64::from(*byte))
        };
        let since = UNIX_EPOCH.checked_add(Duration::from_nanos(word(0)))?;
        (count == 16 && word(0) != 0).then_some(Self { since, pid: word(8) as u32 })
    }

    /// Whether the process with this id can be the one that wrote the note.
    fn is_possible(&self) -> bool {
        started(self.pid).is_some_and(|started| started <= self.since + ROUGHLY)
    }
}

/// Start times are counted in hundredths of a second.
const ROUGHLY: Duration = Duration::from_secs(1);

fn note_at(slot: u32) -> u64 {
    NOTES + u64::from(slot) * 16
}

/// Notes in the file of a name what it is, and that this process holds a slot from now on. A full
/// disk prevents it, and nothing else depends on it. Returns the length of the file, at least.
pub(super) fn note(file: &HeapFile, mut len: u64, text: &str, slot: u32) -> u64 {
    if len == 0 {
        let mut whole = [0; NOTES as usize];
        whole[..text.len()].copy_from_slice(text.as_bytes());
        if file.write_at(0, &whole).is_ok() {
            len = NOTES;
        }
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos());
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&u64::try_from(now).unwrap_or(0).to_le_bytes());
    bytes[8..].copy_from_slice(&u64::from(std::process::id()).to_le_bytes());
    let _ = file.write_at(note_at(slot), &bytes);
    len
}

/// Returns since when a slot is held, by what was noted.
pub(super) fn noted_since(file: &HeapFile, slot: u32) -> Option<SystemTime> {
    Note::read(file, slot).map(|note| note.since)
}

/// Notes where the holder listens, in the file of a name without slots.
pub(super) fn note_place(file: &HeapFile, number: u64) -> Result<()> {
    file.write_at(note_at(1), &number.to_le_bytes())
}

/// Returns where the holder listens, in the file of a name without slots.
pub(super) fn place_in(file: &HeapFile) -> Option<u64> {
    let mut bytes = [0; 8];
    let count = file.read_at(note_at(1), &mut bytes).ok()?;
    Some(u64::from_le_bytes(bytes)).filter(|number| count == 8 && *number != 0)
}

/// Returns the name that a file belongs to. `None`: nobody has noted it.
pub(super) fn text_in(file: &HeapFile) -> Option<String> {
    let mut bytes = [0; NOTES as usize];
    let count = file.read_at(0, &mut bytes).ok()?;
    let len = bytes[..count].iter().rposition(|byte| *byte != 0)? + 1;
    String::from_utf8(bytes[..len].to_vec()).ok()
}

/// Returns since when a process holds, by what was written: not before it began, and not in future.
fn since(pid: u32, written: Option<SystemTime>) -> Option<SystemTime> {
    let started = started(pid);
    let is_possible = |time: &SystemTime| {
        started.is_none_or(|started| *time + ROUGHLY >= started)
            && *time <= SystemTime::now() + ROUGHLY
    };
    written.filter(is_possible).or(started)
}

/// Returns when a process began.
fn started(pid: u32) -> Option<SystemTime> {
    /// Hundredths of a second: what the kernel shows to programs, on every machine that runs coheap.
    const TICKS: u64 = 100;
    let ticks = start_time(pid)?;
    let text = fs::read_to_string("/proc/stat").ok()?;
    let boot = text.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()?;
    let since_boot = Duration::from_millis(ticks.checked_mul(1000 / TICKS)?);
    UNIX_EPOCH.checked_add(Duration::from_secs(boot))?.checked_add(since_boot)
}

/// Returns the command line of a process, or what the kernel calls it in its place.
fn command(pid: u32) -> Vec<String> {
    let mut bytes = Vec::new();
    let read = fs::File::open(format!("/proc/{pid}/cmdline"))
        .and_then(|file| file.take(COMMAND_BYTES).read_to_end(&mut bytes));
    if read.is_ok() && !bytes.is_empty() {
        let words = bytes.strip_suffix(&[0]).unwrap_or(&bytes).split(|byte| *byte == 0);
        return words.map(|word| String::from_utf8_lossy(word).into_owned()).collect();
    }
    let name = fs::read(format!("/proc/{pid}/comm")).unwrap_or_default();
    let name = String::from_utf8_lossy(&name).trim_end().to_owned();
    if name.is_empty() { Vec::new() } else { vec![format!("[{name}]")] }
}
