//! Random texts, cut and put together again.
//!
//! What always holds: a random test prints its seed when it fails and takes it back from
//! `COHEAP_SEED`.
//! Not here: whole runs of the program (`tests/demo.rs`).

use super::*;
use crate::demo::random::Random;
use crate::demo::words::{self, Counts, Totals};

/// A file that goes when it is dropped.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str, bytes: &[u8]) -> Self {
        let name = format!("coheap-items-{}-{name}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, bytes).unwrap();
        Self(path)
    }

    /// Where the pieces are, and their text.
    fn pieces(&self) -> Result<Vec<(Range<u64>, String)>, Trouble> {
        let mut pieces = Vec::new();
        each_piece(&self.0, |range, text| {
            pieces.push((range, text.to_owned()));
            Ok(())
        })?;
        Ok(pieces)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn random_text(random: &mut Random) -> String {
    let wanted = random.below(4 * ITEM_BYTES);
    let longest = [8, 300, 3 * ITEM_BYTES / 2][random.below(3)];
    let gaps: &[&str] =
        [&[" ", "\n", ", "][..], &["\u{4e2d}", "\u{e9}"], &["\u{1f980}", "-"]][random.below(3)];
    let mut text = String::new();
    while text.len() < wanted {
        let length = random.below(longest);
        let letter = char::from(b'a' + random.below(26) as u8);
        text.extend(std::iter::repeat_n(letter, length));
        for _ in 0..random.below(4) {
            text.push_str(gaps[random.below(gaps.len())]);
        }
    }
    text
}

fn totals<'a>(texts: impl IntoIterator<Item = &'a str>) -> Totals {
    let mut totals = Totals::default();
    for text in texts {
        let mut counts = Counts::default();
        words::count(text, &mut counts);
        words::add_up(&mut totals, &counts);
    }
    totals
}

/// Goal: cutting loses no byte, tears no word, and keeps to the limit.
/// Method: 60 random texts with short, long and endless words between gaps of one to four bytes;
/// the pieces put together are the text, have its words, and are too long only as one word.
#[test]
fn the_pieces_of_a_text_are_the_text_and_have_its_words() {
    let mut random = Random::from_environment().unwrap();
    let seed = random.seed();
    for round in 0..60 {
        let text = random_text(&mut random);
        let scratch = Scratch::new("random", text.as_bytes());
        let pieces = scratch.pieces().unwrap();
        let context = format!("COHEAP_SEED={seed} round {round}");
        let mut end = 0;
        for (range, piece) in &pieces {
            assert_eq!(range.start, end, "{context}: a gap");
            end = range.end;
            assert_eq!(piece.len() as u64, range.end - range.start, "{context}");
            let is_one_word = piece.bytes().skip(4).rev().skip(4).all(is_word);
            assert!(piece.len() <= ITEM_BYTES || is_one_word, "{context}: {} bytes", piece.len());
        }
        let whole: String = pieces.iter().map(|(_, piece)| piece.as_str()).collect();
        assert!(whole == text, "{context}: the text is another one");
        let cut = totals(pieces.iter().map(|(_, piece)| piece.as_str()));
        assert!(cut == totals([text.as_str()]), "{context}: the words are others");
    }
}

/// Goal: the two halves of an item have its words, and a word cannot be halved.
/// Method: pieces of random texts, halved; each half read back from the file.
#[test]
fn the_halves_of_an_item_have_its_words() {
    let mut random = Random::from_environment().unwrap();
    let seed = random.seed();
    for round in 0..20 {
        let text = random_text(&mut random);
        let scratch = Scratch::new("halves", text.as_bytes());
        for (range, piece) in scratch.pieces().unwrap() {
            let context = format!("COHEAP_SEED={seed} round {round} at {range:?}");
            let item = Item(Place::new(&scratch.0), range.start, range.end);
            let Some([first, second]) = item.halves(&piece) else {
                assert!(totals([piece.as_str()]).len() <= 1, "{context}: could be halved");
                continue;
            };
            let (mut one, mut two) = (Vec::new(), Vec::new());
            let halves = [first.read(&mut one).unwrap(), second.read(&mut two).unwrap()];
            assert!(halves.iter().all(|half| !half.is_empty()), "{context}: an empty half");
            assert!(halves.concat() == piece, "{context}: other bytes");
            assert!(totals(halves) == totals([piece.as_str()]), "{context}: other words");
        }
    }
}

#[test]
fn an_empty_file_is_a_text_without_pieces() {
    assert!(Scratch::new("empty", b"").pieces().unwrap().is_empty());
}

#[test]
fn a_wrong_byte_anywhere_makes_a_file_no_text() {
    let length = 2 * ITEM_BYTES + 100;
    for at in [0, ITEM_BYTES - 1, ITEM_BYTES, ITEM_BYTES + 1, length - 1] {
        let mut bytes = b"word ".repeat(length / 5 + 1);
        bytes.truncate(length);
        bytes[at] = 0xff;
        let scratch = Scratch::new("wrong", &bytes);
        assert!(matches!(scratch.pieces(), Err(Trouble::NotText)), "byte {at}");
    }
}

#[test]
fn a_character_cut_short_by_the_end_makes_a_file_no_text() {
    assert!(matches!(Scratch::new("short", b"caf\xc3").pieces(), Err(Trouble::NotText)));
}

#[test]
fn bytes_that_can_never_be_cut_are_not_read_to_the_end() {
    // Only continuation bytes: no place between two of them is one between two characters.
    let scratch = Scratch::new("endless", &vec![0x80; 8 * ITEM_BYTES]);
    assert!(matches!(scratch.pieces(), Err(Trouble::NotText)));
}

#[test]
fn a_path_comes_back_as_it_went_in() {
    use std::os::unix::ffi::OsStrExt as _;
    for bytes in [&b"/tmp/plain"[..], b"/tmp/caf\xc3\xa9", b"/tmp/caf\xe9"] {
        let path = Path::new(std::ffi::OsStr::from_bytes(bytes));
        let place = Place::new(path);
        let mut encoded = Vec::new();
        coheap::element::encode(&Item(place.clone(), 1, 2), &mut encoded).unwrap();
        let back: Item = coheap::element::decode(&encoded).unwrap();
        assert_eq!(back, Item(place, 1, 2));
        assert_eq!(back.0.path(), path);
    }
}
