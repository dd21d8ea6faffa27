//! Any bytes are memory-safe: a damaged heap gives errors or answers, never a signal, a panic or
//! an endless wait.
//!
//! A small heap with one of each object is damaged at one place, every operation there is is run
//! on it in a child, and the heap is put back; then the next place. `COHEAP_SEED` repeats a
//! sample, `COHEAP_FROM` starts the whole sweep at a byte. `COHEAP_ANY_MEMORY` lets the children
//! ask for as much memory as they like, for builds that take address space of their own.

#[path = "../support/mod.rs"]
mod support;
mod circles;
mod damage;
mod everything;
mod kinds;
mod living;
mod picture;

use coheap_core::Kind;
use coheap_core::heap::Heap;

use damage::{
    Damage, Outcome, Trial, bits, edges, first_words, header_bytes, interesting_bytes, swaps,
};
use kinds::InTransaction;
use support::random::Random;
use support::{alone, say};

/// The flips that a byte can get.
const PATTERNS: [u8; 9] = [0xff, 0x01, 0x02, 0x04, 0x08, 0x10, 0x20, 0x40, 0x80];

fn any_pattern(dice: &mut Random) -> u8 {
    PATTERNS[dice.below(PATTERNS.len() as u64) as usize]
}

fn judge(trial: &Trial, name: &str, damages: &[Damage]) {
    /// Long runs tell how far they are.
    const PART: usize = 20_000;
    let most = std::env::var("COHEAP_SHOW").map_or(40, |text| text.parse().expect("a number"));
    let mut sum = Outcome::default();
    let damages: Vec<Damage> =
        damages.iter().copied().filter(|damage| !trial.cannot_see(damage)).collect();
    for part in damages.chunks(PART) {
        let outcome = trial.run(part);
        sum.done += part.len();
        sum.answered += outcome.answered;
        sum.refused += outcome.refused;
        for (damage, end) in outcome.bad.iter().take(most) {
            say(&format!("  {} -> {end}", trial.describe(damage)));
        }
        sum.bad.extend(outcome.bad);
        say(&format!(
            "{name}: {} of {} damages; {} groups of operations answered, {} refused; {} bad ends",
            sum.done,
            damages.len(),
            sum.answered,
            sum.refused,
            sum.bad.len()
        ));
    }
    assert!(sum.bad.is_empty(), "{} damages ended badly", sum.bad.len());
}

/// Goal: what the other tests damage is whole, so that an error comes from the damage.
/// Method: damages that change nothing; every group of operations answers.
#[test]
fn a_heap_without_damage_answers_everything() {
    let _alone = alone();
    for trial in [Trial::new(), Trial::attaching(), Trial::opening()] {
        let outcome = trial.run(&[Damage::flip(0, 0); 3]);
        assert!(outcome.bad.is_empty(), "{:?}", outcome.bad);
        assert_eq!(outcome.refused, 0, "of {} groups", outcome.answered + outcome.refused);
    }
}

/// Goal: no kind of object is left out.
/// Method: each row of `kinds` has objects, and these are of that kind.
#[test]
fn the_heap_that_is_damaged_has_an_object_of_each_kind() {
    let heap = Heap::anonymous(1 << 20).expect("a small heap");
    let objects = everything::make(&heap);
    for kind in Kind::ALL {
        let row = kinds::row(*kind);
        let objects = (row.objects)(&objects);
        assert!(!objects.is_empty(), "no {kind} is damaged: tests/hostile/kinds.rs");
        assert!(objects.iter().all(|object| object.kind() == *kind), "in the row of a {kind}");
        if let InTransaction::Nothing(why) = row.transact {
            say(&format!("a {kind} is not damaged in a transaction: {why}"));
        }
    }
}

/// Goal: no flipped byte of the header, the tables or the objects does more than give an error.
/// Method: every byte of the header's used part, and a random sample of all others.
#[test]
fn a_flipped_byte_is_an_error_or_does_not_matter() {
    const SAMPLE: usize = 6_000;
    let _alone = alone();
    let mut dice = Random::for_run_or("a_flipped_byte", 5_424_920_023_020_365_567);
    let trial = Trial::new();
    let bytes = interesting_bytes(&trial);
    let header = first_words().flat_map(|at| [Damage::flip(at, 0xff), Damage::flip(at, 0x01)]);
    let sample = (0..SAMPLE).map(|_| {
        let at = bytes[dice.below(bytes.len() as u64) as usize];
        Damage::flip(at, any_pattern(&mut dice))
    });
    let damages: Vec<Damage> = header.collect::<Vec<_>>().into_iter().chain(sample).collect();
    judge(&trial, "flips", &damages);
}

/// Goal: no state of an object that several wrong bits make together keeps anybody waiting for ever.
/// Method: every byte of the objects' headers, with all its bits flipped, and odd words in the place of
/// every word.
#[test]
fn a_byte_of_an_objects_header_is_an_error_or_does_not_matter() {
    let _alone = alone();
    let trial = Trial::new();
    let flips = header_bytes(&trial).map(|at| Damage::flip(at, 0xff));
    let words = header_bytes(&trial).step_by(8).flat_map(edges);
    judge(&trial, "headers of objects", &flips.chain(words).collect::<Vec<_>>());
}

/// Goal: a word that says what another word should say leads nobody in a circle for ever.
/// Method: put words of the heap, among them good offsets, in the place of others.
#[test]
fn a_word_in_the_place_of_another_is_an_error_or_does_not_matter() {
    const SAMPLE: usize = 3_000;
    let _alone = alone();
    let mut dice = Random::for_run_or("a_word_in_the_place_of_another", 917_676_613_306_115_631);
    let trial = Trial::new();
    let damages = swaps(&trial, &mut dice, SAMPLE);
    judge(&trial, "words in the place of others", &damages);
}

/// Goal: whoever attaches to a damaged heap is told, or can work.
/// Method: damage each byte of the header, attach anew each time, and do everything.
#[test]
fn a_damaged_header_is_seen_by_who_attaches() {
    let _alone = alone();
    let trial = Trial::attaching();
    let flips = first_words().flat_map(|at| [Damage::flip(at, 0xff), Damage::flip(at, 0x01)]);
    judge(&trial, "flips before attaching", &flips.collect::<Vec<_>>());
}

/// Goal: as the test before, for a named heap, and for damages anywhere.
/// Method: damage the file of a heap whose last member died, then open it by name. Each byte of the
/// header, and samples of flips and words elsewhere.
#[test]
fn a_damaged_file_is_seen_by_who_opens_it() {
    const SAMPLE: usize = 700;
    let _alone = alone();
    let mut dice = Random::for_run_or("a_damaged_file", 4_086_520_374_812_990_413);
    let trial = Trial::opening();
    let bytes = interesting_bytes(&trial);
    let mut damages: Vec<Damage> = first_words().map(|at| Damage::flip(at, 0xff)).collect();
    damages.extend((0..SAMPLE).map(|_| {
        let at = bytes[dice.below(bytes.len() as u64) as usize];
        Damage::flip(at, any_pattern(&mut dice))
    }));
    damages.extend(swaps(&trial, &mut dice, SAMPLE));
    judge(&trial, "damages before opening", &damages);
}

/// Goal: as the first test, for every single byte.
/// Method: all bytes of tables, journals in use and spans, each with one of the patterns.
#[test]
#[ignore = "takes minutes: make hostile"]
fn every_flipped_byte_is_an_error_or_does_not_matter() {
    let _alone = alone();
    let from = std::env::var("COHEAP_FROM").map_or(0, |text| text.parse().expect("an offset"));
    let mut dice = Random::for_run("every_flipped_byte");
    let trial = Trial::new();
    let bytes = interesting_bytes(&trial).into_iter();
    let flips = bytes.map(|at| (at, Damage::flip(at, any_pattern(&mut dice))));
    let flips = flips.filter(|(at, _)| *at >= from).map(|(_, flip)| flip);
    judge(&trial, "all flips", &flips.collect::<Vec<_>>());
}

/// Goal: as the first test, for every bit of what leads everywhere.
/// Method: all words of headers, and those of the tables that are in use, with each bit flipped.
#[test]
#[ignore = "takes minutes: make hostile"]
fn every_bit_of_a_leading_word_is_an_error_or_does_not_matter() {
    let _alone = alone();
    let trial = Trial::new();
    judge(&trial, "bits", &bits(&trial));
}

/// Goal: as the second test, for longer.
/// Method: 50,000 words.
#[test]
#[ignore = "takes minutes: make hostile"]
fn many_words_in_the_place_of_others_do_not_matter() {
    let _alone = alone();
    let mut dice = Random::for_run("many_words_in_the_place_of_others");
    let trial = Trial::new();
    let damages = swaps(&trial, &mut dice, 50_000);
    judge(&trial, "words in the place of others", &damages);
}
