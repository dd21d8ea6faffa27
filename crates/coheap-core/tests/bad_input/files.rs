//! Files that are no heaps, were cut off, or say something that cannot be.
//!
//! Each is refused with the reason and left as it was; put right again, the heap is good.

use std::ffi::CString;
use std::fs;
use std::mem::offset_of;
use std::os::unix::fs::symlink;

use coheap_core::memory::layout::{
    self, FIXED_END, FORMAT, Header, JOURNALS, SPAN_BYTES, SPAN_TABLE, SpanMap,
};

use crate::specimen::Specimen;

/// Goal: a file that was cut off anywhere is refused, and reading it is never a SIGBUS.
/// Method: cut at every border of the format, and one byte before and after it.
#[test]
fn a_heap_that_was_cut_off_is_refused() {
    let specimen = Specimen::new();
    let data = layout::data_start((1 << 20) / SPAN_BYTES);
    let committed = specimen.word(offset_of!(Header, spans) + offset_of!(SpanMap, committed));
    let end = data + committed * SPAN_BYTES;
    let borders = [
        0,
        8,
        64,
        layout::TURNS,
        layout::SLOT_TURNS_START,
        layout::SLOT_TURNS_END,
        layout::ARENAS,
        FIXED_END,
        layout::SLOTS,
        layout::CONTEXTS,
        JOURNALS,
        layout::CHUNKS,
        SPAN_TABLE,
        data,
        data + SPAN_BYTES,
        end,
    ];
    for border in borders {
        for len in [border.saturating_sub(1), border, border + 1] {
            if len < end {
                let specimen = Specimen::new();
                specimen.file().set_len(len).expect("cut");
                specimen.assert_refused("not a heap");
            }
        }
    }
}

/// Goal: a header that says what cannot be is refused with the reason.
/// Method: change one word after the other; put it back and see that the heap is good again.
#[test]
fn a_header_that_cannot_be_is_refused() {
    let spans = offset_of!(Header, spans);
    let (committed, frontier) =
        (spans + offset_of!(SpanMap, committed), spans + offset_of!(SpanMap, frontier));
    let max_bytes = offset_of!(Header, max_bytes);
    let format = offset_of!(Header, format);
    let whole = u64::from(FORMAT) | u64::from(layout::BYTE_ORDER) << 32;
    let cases: &[(usize, u64, &str)] = &[
        (0, 0, "not a heap"),
        (0, u64::MAX, "not a heap"),
        (format, whole + 1, "format"),
        (format, whole - 1, "format"),
        (format, whole.swap_bytes(), "format"),
        (format, u64::from(FORMAT), "format"),
        (offset_of!(Header, read_features), 1, "features"),
        (offset_of!(Header, write_features), 1 << 63, "features"),
        (offset_of!(Header, boot), 7, "before the machine was last started"),
        (offset_of!(Header, boot) + 8, 7, "before the machine was last started"),
        (offset_of!(Header, user), 4711, "belongs to user 4711"),
        (offset_of!(Header, uuid), 99, "file is missing"),
        (max_bytes, 0, "limit of the heap"),
        (max_bytes, 1, "limit of the heap"),
        (max_bytes, (1 << 20) + 1, "limit of the heap"),
        (max_bytes, u64::MAX, "limit of the heap"),
        (max_bytes, 1 << 42, "cut off"),
        (offset_of!(Header, slots), 4_097, "number of real rows"),
        (offset_of!(Header, rows), 16_385, "number of real rows"),
        (offset_of!(Header, rows), u64::MAX, "number of real rows"),
        (committed, u64::MAX, "cut off"),
        (committed, 65, "cut off"),
        (frontier, u64::MAX, "span map"),
    ];
    let specimen = Specimen::new();
    specimen.assert_good();
    for (at, word, part) in cases {
        let before = specimen.word(*at);
        specimen.put(*at, *word);
        specimen.assert_refused(part);
        specimen.put(*at, before);
    }
    specimen.assert_good();
}

/// Goal: whatever else lies under the name is refused at once: nothing waits for a pipe.
/// Method: put each kind of file there.
#[test]
fn other_kinds_of_files_are_refused() {
    let specimen = Specimen::new();
    let path = specimen.path();
    let kept = path.with_extension("kept");
    fs::rename(&path, &kept).expect("moved away");
    fs::create_dir(&path).expect("a folder");
    assert!(specimen.open().is_some(), "a folder");
    fs::remove_dir(&path).expect("removed");
    let name = CString::new(path.to_str().expect("a plain path")).expect("no NUL");
    // SAFETY: the name ends in NUL and outlives the call.
    assert_eq!(unsafe { libc::mkfifo(name.as_ptr(), 0o600) }, 0);
    specimen.assert_refused("not a heap");
    fs::remove_file(&path).expect("removed");
    symlink(&kept, &path).expect("a link");
    assert!(specimen.open().is_some(), "a link to a heap");
    fs::remove_file(&path).expect("removed");
    let socket = std::os::unix::net::UnixListener::bind(&path).expect("a socket");
    assert!(specimen.open().is_some(), "a socket");
    drop(socket);
    fs::remove_file(&path).expect("removed");
    for bytes in [&b""[..], b"x", b"coheap", &[0; 5000], &[0xff; 400_000]] {
        fs::write(&path, bytes).expect("written");
        specimen.assert_refused("not a heap");
    }
    fs::remove_file(&path).expect("removed");
    fs::rename(&kept, &path).expect("moved back");
    specimen.assert_good();
}

/// Goal: the files beside a heap are as much part of it as its bytes.
/// Method: take each away, put a folder or a link in its place, then put it back.
#[test]
fn a_heap_without_its_files_is_refused() {
    let specimen = Specimen::new();
    let beside = specimen.beside();
    assert!(!beside.is_empty(), "there is a life file at least");
    for path in beside {
        let kept = path.with_extension("kept");
        fs::rename(&path, &kept).expect("moved away");
        specimen.assert_refused("missing");
        fs::create_dir(&path).expect("a folder");
        assert!(specimen.open().is_some(), "a folder for {path:?}");
        fs::remove_dir(&path).expect("removed");
        symlink(&kept, &path).expect("a link");
        assert!(specimen.open().is_some(), "a link for {path:?}");
        fs::remove_file(&path).expect("removed");
        fs::rename(&kept, &path).expect("moved back");
        specimen.assert_good();
    }
}

/// Goal: a heap of another run of the machine is refused even with `create`, and its name can be
/// used again after it was removed by hand.
/// Method: change the boot id, open, remove the file, open.
#[test]
fn a_heap_of_before_the_last_start_does_not_come_back() {
    let specimen = Specimen::new();
    specimen.put(offset_of!(Header, boot), 1);
    specimen.assert_refused("before the machine was last started");
    fs::remove_file(specimen.path()).expect("removed");
    specimen.assert_good();
}
