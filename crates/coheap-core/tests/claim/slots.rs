//! Names with several slots: at most so many hold one, and all mean the same number.
//!
//! What always holds: slots are numbered from 0 on.
//! Not here: how a single holder is treated, which holds of each slot, too (`deaths`).

use coheap_core::Error;
use coheap_core::claim::{Claim, Name, Outcome, Request, Scope, list};

use crate::scene::{Scene, Tidy};
use crate::support::child::fork;
use crate::support::{PATIENCE, alone, in_milliseconds, until};

fn slots(scene: &Scene, count: u32) -> Request {
    Request::new(Name::with_slots(&scene.text, Scope::User, count).expect("a name"))
}

/// Goal: never more than three hold one of three slots, and all three are used.
/// Method: twelve processes take a slot again and again and count in a page who is inside.
#[test]
fn no_more_processes_hold_a_slot_than_there_are() {
    let (_alone, scene) = (alone(), Scene::new("crowd"));
    let _tidy = Tidy(&scene);
    const INSIDE: usize = 10;
    const MOST: usize = 11;
    let children: Vec<_> = (0..12)
        .map(|_| {
            fork(|| {
                for _ in 0..20 {
                    let until = in_milliseconds(PATIENCE.as_millis() as u64);
                    let Ok(Outcome::Held(claim)) = Claim::acquire(&slots(&scene, 3), until) else {
                        return 1;
                    };
                    let cell = 20 + claim.slot() as usize;
                    assert_eq!(scene.page.swap(cell, 1), 0, "two hold slot {}", claim.slot());
                    let inside = scene.page.add(INSIDE, 1) + 1;
                    assert!(inside <= 3, "{inside} inside");
                    let most = scene.page.get(MOST);
                    scene.page.replace(MOST, most, most.max(inside));
                    std::thread::sleep(std::time::Duration::from_micros(300));
                    scene.page.add(INSIDE, u64::MAX);
                    scene.page.set(cell, 0);
                }
                0
            })
        })
        .collect();
    children.into_iter().for_each(|mut child| child.must_succeed());
    assert_eq!(scene.page.get(MOST), 3, "slots stayed empty");
}

#[test]
fn a_different_number_of_slots_is_an_error_while_one_is_held() {
    let (_alone, scene) = (alone(), Scene::new("count"));
    let _tidy = Tidy(&scene);
    let mut holder = fork(|| {
        let Ok(Outcome::Held(_claim)) = Claim::acquire(&slots(&scene, 4), 0) else { return 1 };
        scene.page.set(10, 1);
        scene.until_let_go();
        0
    });
    until("it holds", || scene.page.get(10) == 1);
    for wanted in [3, 5] {
        let error = Claim::acquire(&slots(&scene, wanted), 0).expect_err("another number");
        assert_eq!(error, Error::OtherSlots { found: 4, wanted });
    }
    let Ok(Outcome::Held(same)) = Claim::acquire(&slots(&scene, 4), 0) else { panic!("refused") };
    assert_eq!(same.slot(), 1);
    let listed: Vec<_> =
        list().expect("a list").into_iter().filter(|held| held.name == scene.text).collect();
    assert_eq!(
        listed.iter().map(|held| held.slot).collect::<Vec<_>>(),
        [Some((0, 4)), Some((1, 4))]
    );
    // Also within the process.
    assert!(Claim::acquire(&slots(&scene, 2), 0).is_err());
    drop(same);
    holder.kill();
    let Ok(Outcome::Held(two)) = Claim::acquire(&slots(&scene, 2), 0) else { panic!("refused") };
    assert!(two.is_held());
}

#[test]
fn a_slot_of_a_dead_process_is_free_and_the_other_slots_are_not() {
    let (_alone, scene) = (alone(), Scene::new("slots"));
    let _tidy = Tidy(&scene);
    let mut holders: Vec<_> = (0..3)
        .map(|number| {
            let child = fork(|| {
                let Ok(Outcome::Held(claim)) = Claim::acquire(&slots(&scene, 3), 0) else {
                    return 1;
                };
                scene.page.set(10 + claim.slot() as usize, u64::from(std::process::id()));
                scene.until_let_go();
                0
            });
            until("it holds", || scene.page.get(10 + number) != 0);
            child
        })
        .collect();
    let outcome = Claim::acquire(&slots(&scene, 3), 0).expect("an answer");
    assert!(matches!(outcome, Outcome::Taken(_)));
    holders[1].kill();
    let Ok(Outcome::Held(claim)) = Claim::acquire(&slots(&scene, 3), 0) else { panic!("refused") };
    assert_eq!(claim.slot(), 1);
    // A process that holds one may hold another.
    holders[2].kill();
    let Ok(Outcome::Held(more)) = Claim::acquire(&slots(&scene, 3), 0) else { panic!("refused") };
    assert_eq!(more.slot(), 2);
    drop(claim);
    assert!(more.is_held(), "a slot was lost with another one");
}

#[test]
fn a_name_and_the_slots_of_a_name_are_two_things() {
    let (_alone, scene) = (alone(), Scene::new("kinds"));
    let _tidy = Tidy(&scene);
    let _single = scene.hold();
    let outcome = Claim::acquire(&slots(&scene, 1), 0).expect("an answer");
    assert!(matches!(outcome, Outcome::Held(_)));
}

#[test]
fn bad_names_and_numbers_are_refused() {
    for text in ["", &"x".repeat(256)] {
        assert!(matches!(Name::single(text, Scope::User), Err(Error::BadName(_))));
    }
    for count in [0, 4097] {
        let refused = Name::with_slots("x", Scope::User, count);
        assert!(matches!(refused, Err(Error::BadArgument(_))));
    }
    // Whatever a name has, it is one name, and its file is in the folder.
    let scene = Scene::new("odd");
    let _tidy = Tidy(&scene);
    for odd in ["../../etc/passwd", "a/b", ".", "a\0b", "\u{1b}[2J", "任务", "a\nb", " "] {
        let text = format!("{}{odd}", scene.text);
        let name = Name::single(&text, Scope::User).expect("a name");
        let Outcome::Held(claim) = Claim::acquire(&Request::new(name), 0).expect("an answer")
        else {
            panic!("{text:?} is held");
        };
        assert!(list().expect("a list").iter().any(|held| held.name == text), "{text:?}");
        drop(claim);
    }
}
