//! What a word is, and how the words of a text are counted.
//!
//! A word is a longest run of ASCII letters, digits and underscores. Everything else, which
//! includes every byte of a character beyond ASCII, stands between words.
//!
//! What always holds: the shared map, LMDB and the single process use the same function.
//! Not here: where a text comes from.

use rustc_hash::FxHashMap;

/// How often each word of a text occurs.
pub(crate) type Counts<'a> = FxHashMap<&'a str, i64>;
/// How often each word of everything occurs.
pub(crate) type Totals = FxHashMap<String, i64>;

/// Whether a byte can be part of a word.
#[inline]
pub(crate) fn is_word(byte: u8) -> bool {
    WORD[usize::from(byte)]
}

const WORD: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        let as_byte = byte as u8;
        table[byte] = as_byte.is_ascii_alphanumeric() || as_byte == b'_';
        byte += 1;
    }
    table
};

/// Bytes of ordinary text for each word that was not there before.
const BYTES_PER_NEW_WORD: usize = 32;

/// Adds the words of `text` to `counts`.
pub(crate) fn count<'a>(text: &'a str, counts: &mut Counts<'a>) {
    counts.reserve(text.len() / BYTES_PER_NEW_WORD);
    let bytes = text.as_bytes();
    let mut at = 0;
    loop {
        while at < bytes.len() && !is_word(bytes[at]) {
            at += 1;
        }
        if at == bytes.len() {
            return;
        }
        let start = at;
        while at < bytes.len() && is_word(bytes[at]) {
            at += 1;
        }
        *counts.entry(&text[start..at]).or_insert(0) += 1;
    }
}

/// Adds what was counted in one text to what was counted in all.
pub(crate) fn add_up(totals: &mut Totals, counts: &Counts<'_>) {
    for (word, count) in counts {
        match totals.get_mut(*word) {
            Some(total) => *total += count,
            None => {
                totals.insert((*word).to_owned(), *count);
            }
        }
    }
}

/// Words whose counts differ, in order: the word, what was expected, what was found.
pub(crate) fn differences<'a>(expected: &'a Totals, found: &'a Totals) -> Vec<(&'a str, i64, i64)> {
    let lacking = expected.iter().filter_map(|(word, count)| {
        let other = found.get(word).copied().unwrap_or(0);
        (other != *count).then_some((word.as_str(), *count, other))
    });
    let surplus = found
        .iter()
        .filter(|(word, _)| !expected.contains_key(*word))
        .map(|(word, count)| (word.as_str(), 0, *count));
    let mut differences: Vec<_> = lacking.chain(surplus).collect();
    differences.sort_unstable();
    differences
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(text: &str) -> Vec<(&str, i64)> {
        let mut counts = Counts::default();
        count(text, &mut counts);
        let mut counts: Vec<_> = counts.into_iter().collect();
        counts.sort_unstable();
        counts
    }

    #[test]
    fn letters_beyond_ascii_stand_between_words() {
        assert_eq!(counted("na\u{ef}ve caf\u{e9}s"), [("caf", 1), ("na", 1), ("s", 1), ("ve", 1)]);
    }

    #[test]
    fn case_digits_and_underscores_belong_to_a_word() {
        assert_eq!(counted("_a1 A1 a1,_a1"), [("A1", 1), ("_a1", 2), ("a1", 1)]);
    }

    #[test]
    fn a_text_without_words_has_no_counts() {
        assert_eq!(counted(""), []);
        assert_eq!(counted(" \n-\u{2014}\u{1f980}"), []);
    }

    #[test]
    fn a_missing_a_surplus_and_a_wrong_count_all_differ() {
        let totals = |pairs: &[(&str, i64)]| {
            pairs.iter().map(|(word, count)| ((*word).to_owned(), *count)).collect::<Totals>()
        };
        let expected = totals(&[("a", 1), ("b", 2), ("c", 3)]);
        let found = totals(&[("b", 2), ("c", 4), ("d", 5)]);
        assert_eq!(differences(&expected, &found), [("a", 1, 0), ("c", 3, 4), ("d", 0, 5)]);
        assert_eq!(differences(&expected, &expected), []);
    }
}
