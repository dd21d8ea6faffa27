//! The pages about the engine against the engine: a page is wrong as soon as the source has moved.
//!
//! Goal: nobody changes a struct of shared memory, or plants a defect, without changing the page
//! that describes it.
//! Method: each section of `docs/format.md` that is named like a struct tells its size and has a
//! table of its fields; both are compared with what the compiler says. The structs that are compared
//! are all that the source declares, and the kinds of its table all kinds. The defects that
//! `docs/testing.md` lists, with their files, are compared with those in the source.

use std::collections::BTreeSet;
use std::fs;
use std::mem::offset_of;
use std::path::Path;

use coheap_core::Kind;
use coheap_core::journal::MAX_WORDS;
use coheap_core::memory::layout::{
    self, Arena, Bell, Bins, ContextRow, Control, DirectoryValue, Header, Husk, LeafHead, MapEntry,
    MapHusk, MapRoot, MutexRoot, Object, ParcelHead, ParcelReference, ParkingCell, ParkingHead,
    QueueBody, QueueHusk, QueueRoot, QueueSegment, Record, SavedWord, Share, Slot, Span, SpanMap,
    TagLine, Tally, TrailHead, Turn,
};

const PAGE: &str = include_str!("../../../docs/format.md");
const DEFECTS: &str = include_str!("../../../docs/testing.md");
const MISTAKES: &str = include_str!("../src/defect.rs");

type Fields = Vec<(usize, &'static str)>;

/// Name, size and fields of structs, as the compiler has them.
macro_rules! structs {
    ($($name:ident { $($field:ident),* })*) => {
        vec![$((
            stringify!($name),
            size_of::<$name>(),
            vec![$((offset_of!($name, $field), stringify!($field))),*],
        )),*]
    };
}

fn compiled() -> Vec<(&'static str, usize, Fields)> {
    structs! {
        Header {
            magic, format, read_features, write_features, uuid, boot, user, flags, max_bytes, seed,
            slots, rows, spare, dealt, serial, spare_dealt, spans, tickers, swept, free_row,
            spare_tickers, tally, directory, free_runs, holes
        }
        SpanMap {
            committed, frontier, free, holes, withdrawn, looked, window, window_began, trimmed, grown, lowered, spare
        }
        Bins { first, filled, spare }
        Tally { recovered, undone, abandoned, returned, interrupted, spare }
        Turn { owner, sequence, signal, spare }
        Slot {
            state, pid, pidfd_inode, start_time, pid_namespace, time_namespace, life_descriptor,
            data_descriptor, leases, lease_count, joined, spare
        }
        ContextRow {
            state, saved, chunks, sleeps_on, waits_for, wait_number, age, signature, bell, cells
        }
        Arena { partial, husks, freed }
        ParkingHead { lines_real, blocks_real, spare_real, tickets, lines_used, rotation, spare }
        Bell { signal, mail }
        TagLine { tags, link }
        ParkingCell { state, owner, object, generation, ticket, info, tag_at, passed }
        Control {
            pending, runs, dropped, husks, built, freed, unreal, spare, hazards, spare_hazards, chunks
        }
        SavedWord { at, old }
        Span { info, free, counts, links }
        Object {
            generation, shape, references, lock, wants, root, mutex, handing, holder, since, died, watch,
            transaction_handing, transaction_watch
        }
        MutexRoot { cell, traits }
        MapRoot {
            live, used, entries, capacity, directory_len, index, depth, first, numbering, reserve, gaps
        }
        MapEntry { key, value }
        LeafHead { shape }
        TrailHead { serial, noted, until, bits }
        QueueRoot { body, spare }
        QueueBody {
            head, head_segment, tail_seen, leased, returned, returned_last, returned_count, reserve,
            tail, tail_segment, head_seen, reserved, spare_tail, limit, max_attempts, closed,
            failed, failed_last,
            spare
        }
        QueueSegment { next, places, first, spare }
        Record { next, previous, object, generation, cell, state, serial }
        Share { holders, turn }
        ParcelHead { info, next, counted, serial, len }
        ParcelReference { object, generation }
        Husk { next, info, parts }
        MapHusk { next, info, entries, capacity, directory_len, index, depth, left }
        QueueHusk { next, info, body, spare }
    }
}

/// The sections of the page about structs: name, size, fields.
fn written() -> Vec<(&'static str, usize, Fields)> {
    let mut structs: Vec<(&str, usize, Fields)> = Vec::new();
    let mut is_inside = false;
    for line in PAGE.lines() {
        if line.starts_with('#') {
            let title = line.strip_prefix("### `").and_then(|rest| rest.split_once("`, "));
            is_inside = title.is_some();
            if let Some((name, size)) = title {
                let size = size.strip_suffix(" bytes").and_then(|size| size.parse().ok());
                structs.push((name, size.expect("a size in bytes"), Vec::new()));
            }
        } else if is_inside {
            let mut cells = line.split('|').map(str::trim).skip(1);
            let (Some(offset), Some(field)) = (cells.next(), cells.next()) else { continue };
            let name = field.strip_prefix('`').and_then(|name| name.strip_suffix('`'));
            if let (Ok(offset), Some(name), Some(last)) = (offset.parse(), name, structs.last_mut())
            {
                last.2.push((offset, name));
            }
        }
    }
    structs
}

/// Name and file of each struct that the source declares in a `plain!`.
fn declared() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut structs = Vec::new();
    for entry in fs::read_dir(root.join("src/memory/layout")).expect("the folder of the layout") {
        let path = entry.expect("an entry").path();
        let file = path.strip_prefix(root).expect("below the root").display().to_string();
        let text = fs::read_to_string(&path).expect("a source file");
        for line in text.lines() {
            let Some(rest) = line.trim_start().strip_prefix("pub struct ") else { continue };
            // Only `plain!` tells the size behind the name.
            if let Some((name, _)) = rest.split_once(": ") {
                structs.push((name.to_owned(), file.clone()));
            }
        }
    }
    structs
}

#[test]
fn every_struct_that_the_source_declares_is_compared_with_the_page() {
    let (compiled, declared) = (compiled(), declared());
    for (name, file) in &declared {
        assert!(
            compiled.iter().any(|found| found.0 == name),
            "`{name}` of {file} is compared with nothing: `compiled()` of tests/documents.rs needs \
             an entry with its fields, and docs/format.md a section"
        );
    }
    for (name, ..) in compiled {
        let is_found = declared.iter().any(|found| found.0 == name);
        assert!(is_found, "no `plain!` in src/memory/layout/ with `{name}` was found");
    }
}

#[test]
fn the_page_has_every_kind() {
    const HEAD: &str = "| kind | object | root words |";
    let table = PAGE.lines().skip_while(|line| *line != HEAD).skip(2);
    let mut rows: Vec<(&str, &str)> = table
        .map_while(|line| line.strip_prefix("| ")?.split_once(" | "))
        .map(|(number, rest)| (number, rest.split(" | ").next().unwrap_or(rest)))
        .collect();
    for kind in Kind::ALL {
        let (number, noun) = ((*kind as u8).to_string(), kind.noun());
        let at = rows.iter().position(|row| *row == (&*number, noun));
        rows.remove(at.unwrap_or_else(|| {
            panic!("docs/format.md: the table {HEAD:?} has no row \"| {number} | {noun} |\"")
        }));
    }
    assert!(rows.is_empty(), "docs/format.md: the table {HEAD:?} has what is no kind: {rows:?}");
}

#[test]
fn the_page_has_every_struct_as_the_compiler_has_it() {
    let (compiled, mut written) = (compiled(), written());
    for expected in compiled {
        let at = written.iter().position(|found| found.0 == expected.0);
        let found = written.remove(at.unwrap_or_else(|| panic!("no section on {}", expected.0)));
        assert_eq!(found, expected);
    }
    assert!(written.is_empty(), "sections on what there is not: {written:?}");
}

#[test]
fn the_page_has_the_number_of_the_format() {
    let rows = [
        format!("byte by byte: **format {}**", layout::FORMAT),
        format!("| 8 | `format` | low half {}, the format;", layout::FORMAT),
        format!("Format {} has none", layout::FORMAT),
    ];
    for row in rows {
        assert!(PAGE.contains(&row), "the page lacks {row:?}");
    }
}

#[test]
fn the_page_names_the_areas_where_they_are() {
    let areas = [
        layout::TURNS,
        layout::SLOT_TURNS_START,
        layout::SLOT_TURNS_END,
        layout::CHUNK_OWNERS,
        layout::ARENAS,
        layout::PARKING,
        layout::FIXED_END,
        layout::SLOTS,
        layout::CONTEXTS,
        layout::JOURNALS,
        layout::CHUNKS,
        layout::LINES,
        layout::BLOCK_OWNERS,
        layout::BLOCKS,
        layout::SPAN_TABLE,
    ];
    let drawing = PAGE.split("```").nth(1).expect("a drawing");
    let drawn: Vec<&str> = drawing
        .lines()
        .filter_map(|line| line.split_whitespace().next().filter(|first| first.starts_with("0x")))
        .collect();
    let expected: Vec<String> = areas.iter().map(|at| format!("{at:#x}")).collect();
    assert_eq!(drawn, expected);
}

#[test]
fn the_page_numbers_the_turns_as_the_engine_does() {
    let rows = [
        format!("| 0..{} | objects", layout::OBJECT_TURNS),
        format!("| {} | the directory", layout::DIRECTORY_TURN),
        format!("| {}..{} | the lease list", layout::SLOT_TURNS, layout::ARENA_TURNS),
        format!("| {}..{} | arena", layout::ARENA_TURNS, layout::SPAN_TURN),
        format!("| {} | the span map", layout::SPAN_TURN),
    ];
    for row in rows {
        assert!(PAGE.contains(&row), "the page lacks {row:?}");
    }
    assert_eq!(layout::TURN_COUNT, layout::SPAN_TURN + 1);
}

/// Goal: a directory's value has the bytes that the page tells.
/// Method: a value whose bytes all differ is written and read again.
#[test]
fn the_page_has_the_bytes_of_a_value_of_the_directory() {
    let value = DirectoryValue { at: 0x0605_0403_0201, generation: 0x0e0d_0c0b_0a09_0807 };
    let bytes = value.to_bytes();
    assert_eq!(bytes.to_vec(), (1..=14).collect::<Vec<u8>>());
    assert_eq!(DirectoryValue::from_bytes(&bytes), Some(value));
    assert_eq!(DirectoryValue::from_bytes(&bytes[1..]), None);
    assert_eq!(DirectoryValue::from_bytes(&bytes[..6]), None);
    for row in ["| 0..6 | offset of the object's header |", "| 6..14 | its generation |"] {
        assert!(PAGE.contains(row), "the page lacks {row:?}");
    }
}

#[test]
fn the_page_says_how_much_one_change_can_save() {
    assert_eq!(MAX_WORDS, 262_592);
    assert!(PAGE.contains("saves at most 262,592 words"));
}

#[test]
fn the_page_on_testing_lists_every_planted_defect() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut planted = BTreeSet::new();
    find_defects(&source, &source, &mut planted);
    let listed = listed().map(|(name, _, file)| (name.to_owned(), file.to_owned())).collect();
    assert_eq!(planted, listed);
}

#[test]
fn the_page_on_testing_tells_each_mistake_as_the_source_does() {
    let (_, list) = MISTAKES.split_once("\nmistakes! {").expect("the list of mistakes");
    let (list, _) = list.split_once("\n}").expect("its end");
    let mut lines = list.lines().map(str::trim).filter(|line| !line.is_empty());
    let mut declared = BTreeSet::new();
    while let (Some(text), Some(name)) = (lines.next(), lines.next()) {
        let text = text.strip_prefix("/// ").and_then(|text| text.strip_suffix('.'));
        let (text, name) = (text.expect("one line of documentation"), name.trim_matches(','));
        declared.insert((name.to_owned(), text.to_lowercase()));
    }
    let listed = listed().map(|(name, text, _)| (name.to_owned(), text.to_lowercase())).collect();
    assert_eq!(declared, listed);
}

/// Name, mistake and file of each defect in the table of the page.
fn listed() -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
    let section = DEFECTS.split("## Planted defects").nth(1).expect("a section");
    let rows = section.lines().skip_while(|line| *line != "| name | mistake | where |").skip(2);
    rows.take_while(|line| line.starts_with('|')).map(|line| {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [name, text, file] = cells[..] else { panic!("not three cells: {line}") };
        (name.trim_matches('`'), text, file.trim_matches('`'))
    })
}

/// Collects name and file of each `defect(Mistake::...)` below a folder.
fn find_defects(folder: &Path, root: &Path, found: &mut BTreeSet<(String, String)>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            find_defects(&path, root, found);
            continue;
        }
        let file = path.strip_prefix(root).expect("below the root").display().to_string();
        let text = fs::read_to_string(&path).expect("a source file");
        for rest in text.split("defect(Mistake::").skip(1) {
            let name = rest.split(')').next().filter(|name| *name != "...");
            found.extend(name.map(|name| (name.to_owned(), file.clone())));
        }
    }
}
