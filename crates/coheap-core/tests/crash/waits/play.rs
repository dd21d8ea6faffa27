//! One performance of a scene: who comes when, who dies where, and how it must end.
//!
//! What always holds: all processes of it start before the first one dies, because a fork settles
//! what the dead left; nobody of it lives when the heap is put back.

use std::rc::Rc;
use std::time::{Duration, Instant};

use coheap_core::error::Error;
use coheap_core::heap::floors::ContextFloors as _;
use coheap_core::journal::Context;
use coheap_core::objects::estate;
use coheap_core::os::{self, failpoint};

use super::actor::{self, Actor, Part};
use super::scene::{Act, Meanwhile, Role, Scene, Wait};
use super::table;
use crate::support::is_so_within;
use crate::support::page::Page;
use crate::world::child::alive;
use crate::world::judge;
use crate::world::picture::Picture;
use crate::world::stage::Stage;

/// How long who waits may need once it can go on. Its longest slice would be two to six seconds.
const BOUND: Duration = Duration::from_millis(1_500);
/// Its deadline, in nanoseconds.
const DEADLINE: u64 = 8_000_000_000;
/// How long who waits is left alone before the parent looks, which recovers the dead.
const ALONE: Duration = Duration::from_millis(30);
/// Actors besides those who wait.
const OTHERS: usize = 3;

/// Who dies where.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deaths {
    pub(crate) victim: u64,
    /// Before which store the victim halts for others.
    pub(crate) halt: Option<u64>,
    pub(crate) recoverer: Option<u64>,
}

/// What a performance came to.
#[derive(Debug, Default)]
pub(crate) struct Ending {
    /// The victim's stores, if it survived.
    pub(crate) stores: Option<u64>,
    /// Those of the recoverer, if it survived.
    pub(crate) recovery: Option<u64>,
    /// What the slowest of those who waited needed.
    pub(crate) slowest: Duration,
}

/// A stage that is set for a scene.
pub(crate) struct Theatre<'a> {
    pub(crate) scene: &'a Scene,
    pub(crate) stage: Stage,
    pub(crate) base: Picture,
    pub(crate) page: Page,
}

/// Everybody of one performance.
struct Cast {
    victim: Actor,
    holder: Option<Actor>,
    recoverer: Option<Actor>,
    waiters: Vec<Actor>,
}

fn prepare(stage: &Stage, part: &Part, act: Act) -> Rc<Context> {
    part.wait_for_cue(1);
    let context = stage.context();
    part.say_row(context.index());
    if let Err(error) = act(stage, &context) {
        part.end(&format!("prepare: {error:?}"));
    }
    part.wait_for_cue(2);
    context
}

fn die_in(stage: &Stage, part: &Part, role: Role, deaths: Deaths) -> ! {
    let context = prepare(stage, part, role.prepare);
    failpoint::arm(deaths.victim);
    if let Some(at) = deaths.halt {
        failpoint::halt_at(at, actor::halt);
    }
    match (role.act)(stage, &context) {
        Ok(()) | Err(Error::TimedOut | Error::Empty | Error::Full | Error::OwnerDied { .. }) => {}
        Err(Error::ShutDown | Error::ObjectGone | Error::Closed | Error::WouldBlock) => {}
        Err(other) => part.end(&format!("the victim got {other:?}")),
    }
    part.survive()
}

fn wait(stage: &Stage, part: &Part, wait: Wait) -> ! {
    let context = prepare(stage, part, |_, _| Ok(()));
    match wait(stage, &context, os::now() + DEADLINE) {
        Ok(()) => part.end("got it"),
        Err(error) => part.end(&format!("{error:?}")),
    }
}

fn recover(stage: &Stage, part: &Part, at: u64) -> ! {
    let context = prepare(stage, part, |_, _| Ok(()));
    failpoint::arm(at);
    if let Err(error) = estate::sweep(&context) {
        part.end(&format!("the recoverer got {error:?}"));
    }
    part.survive()
}

impl Theatre<'_> {
    fn cast(&self, deaths: Deaths) -> Cast {
        let (stage, scene, page) = (&self.stage, self.scene, &self.page);
        let victim = Actor::new(page, 0, |part| die_in(stage, part, scene.victim, deaths));
        let holder = scene.holder.map(|role| {
            Actor::new(page, 1, |part| {
                let context = prepare(stage, part, role.prepare);
                match (role.act)(stage, &context) {
                    Ok(()) => part.wait_for_cue(3),
                    Err(error) => part.end(&format!("the holder got {error:?}")),
                }
            })
        });
        let recoverer =
            deaths.recoverer.map(|at| Actor::new(page, 2, |part| recover(stage, part, at)));
        let waiters = (OTHERS..).zip(scene.waits);
        let waiters = waiters
            .map(|(number, act)| Actor::new(page, number, |part| wait(stage, part, *act)))
            .collect();
        Cast { victim, holder, recoverer, waiters }
    }

    /// Plays the scene once.
    pub(crate) fn play(&self, deaths: Deaths) -> Result<Ending, String> {
        alive();
        self.stage.restore(&self.base);
        self.page.clear();
        let mut cast = self.cast(deaths);
        let pids: Vec<u32> = cast.everybody().map(|actor| actor.pid()).collect();
        let ending = self.perform(&mut cast, deaths)?;
        drop(cast);
        let end = judge::recover(&self.stage, &pids);
        end.map_err(|why| format!("after all: {why}"))?;
        table::is_calm(&self.stage)?;
        let objects: Vec<_> = self.stage.handles().collect();
        table::is_clean(self.stage.region(), &objects)?;
        judge::walk(&self.stage)?;
        Ok(ending)
    }

    fn perform(&self, cast: &mut Cast, deaths: Deaths) -> Result<Ending, String> {
        let scene = self.scene;
        for actor in cast.holder.iter_mut().chain([&mut cast.victim]).chain(&mut cast.recoverer) {
            actor.cue()?;
            actor.until_ready()?;
        }
        for waiter in &mut cast.waiters {
            waiter.cue()?;
            waiter.until_ready()?;
            if !scene.is_late {
                waiter.cue()?;
                self.stop_asleep(waiter)?;
                if scene.is_awake {
                    waiter.signal(libc::SIGCONT);
                    is_so_within(ALONE, || waiter.has_ended() || waiter.sleeps());
                }
            }
        }
        cast.victim.cue()?;
        let (mut has_acted, mut has_come) = (false, !scene.is_late);
        if !cast.victim.ends()? {
            match scene.meanwhile {
                Some(Meanwhile::HolderActs) => {
                    holder_acts(cast)?;
                    has_acted = true;
                }
                Some(Meanwhile::FirstLeaves) => leave(&mut cast.waiters[0])?,
                Some(Meanwhile::OthersCome) => {
                    for waiter in &mut cast.waiters {
                        self.come(waiter)?;
                    }
                    has_come = true;
                }
                None => return Err("the victim halts by itself".into()),
            }
            cast.victim.signal(libc::SIGCONT);
            cast.victim.ends()?;
        }
        if let Some(recoverer) = &mut cast.recoverer {
            recoverer.cue()?;
            recoverer.ends()?;
        }
        for waiter in &mut cast.waiters {
            if !has_come {
                self.come(waiter)?;
            }
            waiter.signal(libc::SIGCONT);
        }
        if cast.holder.is_some() && !has_acted {
            holder_acts(cast)?;
        }
        let slowest = self.see_them_end(cast, deaths)?;
        let recovery = cast.recoverer.as_ref().and_then(Actor::stores);
        Ok(Ending { stores: cast.victim.stores(), recovery, slowest })
    }

    /// Who is late begins to wait, and sleeps if it has to.
    fn come(&self, waiter: &mut Actor) -> Result<(), String> {
        waiter.cue()?;
        is_so_within(ALONE, || waiter.has_ended() || self.is_asleep(waiter));
        Ok(())
    }

    fn is_asleep(&self, actor: &Actor) -> bool {
        self.stage.region().context(actor.row()).sleeps_on.get() != 0
    }

    /// Waits until the actor sleeps, and stops it there: then it holds no turn.
    fn stop_asleep(&self, actor: &mut Actor) -> Result<(), String> {
        let is_stopped = is_so_within(crate::support::PATIENCE, || {
            if !self.is_asleep(actor) {
                return actor.has_ended();
            }
            actor.stop();
            if self.is_asleep(actor) {
                return true;
            }
            actor.signal(libc::SIGCONT);
            false
        });
        let has_ended = actor.has_ended();
        if is_stopped && !has_ended {
            return Ok(());
        }
        Err(format!("somebody who was to wait did not: {}", actor.answer()))
    }

    /// Who waits gets it, by itself or once there is another one.
    fn see_them_end(&self, cast: &mut Cast, deaths: Deaths) -> Result<Duration, String> {
        let began = Instant::now();
        // In half of the performances, who waits has to recover the dead by itself.
        let alone = if deaths.victim.is_multiple_of(2) { Duration::ZERO } else { ALONE };
        let context = self.stage.context();
        let mut refused = None;
        let have_ended = is_so_within(BOUND, || {
            if cast.waiters.iter_mut().all(Actor::has_ended) {
                return true;
            }
            if began.elapsed() >= alone {
                refused = (self.scene.refill)(&self.stage, &context).err();
            }
            false
        });
        if !have_ended {
            let waits = table::who_waits(self.stage.region());
            return Err(format!("somebody waits for ever; the helper got {refused:?}; {waits}"));
        }
        for waiter in &cast.waiters {
            let answer = waiter.answer();
            if answer != "got it" && !self.scene.answers.contains(&answer.as_str()) {
                return Err(format!("who waited got {answer:?}"));
            }
        }
        Ok(began.elapsed())
    }
}

impl Cast {
    fn everybody(&self) -> impl Iterator<Item = &Actor> {
        let others = self.holder.iter().chain(&self.recoverer);
        others.chain([&self.victim]).chain(&self.waiters)
    }
}

fn holder_acts(cast: &mut Cast) -> Result<(), String> {
    let Some(holder) = &mut cast.holder else { return Ok(()) };
    holder.cue()?;
    holder.until_ready()
}

/// Interrupts who waits until it has left.
fn leave(waiter: &mut Actor) -> Result<(), String> {
    waiter.signal(libc::SIGCONT);
    let has_left = is_so_within(BOUND, || {
        waiter.signal(libc::SIGUSR1);
        waiter.has_ended()
    });
    if has_left { Ok(()) } else { Err("who is interrupted does not leave".into()) }
}
