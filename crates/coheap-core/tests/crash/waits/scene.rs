//! What a scene is: some processes, and what each of them does.
//!
//! What always holds: who waits gives back what it got, so that the next one gets it.

use std::rc::Rc;

use coheap_core::error::Result;
use coheap_core::journal::Context;

use crate::world::stage::Stage;

/// Something that a process does.
pub(crate) type Act = fn(&Stage, &Rc<Context>) -> Result<()>;
/// Something that a process waits for, until a deadline. It gives back what it got.
pub(crate) type Wait = fn(&Stage, &Rc<Context>, deadline: u64) -> Result<()>;

/// What a process does at first, and when its moment has come.
#[derive(Clone, Copy)]
pub(crate) struct Role {
    pub(crate) prepare: Act,
    pub(crate) act: Act,
}

/// What happens between two stores of the victim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Meanwhile {
    /// The holder does its part.
    HolderActs,
    /// The first of those who wait is interrupted, and leaves.
    FirstLeaves,
    /// Those who are late begin to wait.
    OthersCome,
}

/// Some processes and what each of them does.
#[derive(Clone, Copy)]
pub(crate) struct Scene {
    pub(crate) name: &'static str,
    pub(crate) variant: &'static str,
    pub(crate) build: fn(&Stage),
    /// Who dies.
    pub(crate) victim: Role,
    /// Who has what others wait for, and lives.
    pub(crate) holder: Option<Role>,
    /// Who waits, in this order.
    pub(crate) waits: &'static [Wait],
    /// They begin to wait once the victim is dead.
    pub(crate) is_late: bool,
    /// They are not stopped: a ring finds that they sleep.
    pub(crate) is_awake: bool,
    pub(crate) meanwhile: Option<Meanwhile>,
    /// Makes what is waited for, where the victim died before it did.
    pub(crate) refill: Act,
    /// Errors that are answers to those who wait.
    pub(crate) answers: &'static [&'static str],
}

fn nothing(_: &Stage, _: &Rc<Context>) -> Result<()> {
    Ok(())
}

impl Scene {
    pub(crate) const fn new(
        name: &'static str,
        variant: &'static str,
        waits: &'static [Wait],
        act: Act,
    ) -> Self {
        Self {
            name,
            variant,
            build: |_| {},
            victim: Role { prepare: nothing, act },
            holder: None,
            waits,
            is_late: false,
            is_awake: false,
            meanwhile: None,
            refill: nothing,
            answers: &[],
        }
    }

    /// From another start state.
    pub(crate) const fn from(mut self, build: fn(&Stage)) -> Self {
        self.build = build;
        self
    }

    /// The victim does this before its stores are counted.
    pub(crate) const fn prepared(mut self, prepare: Act) -> Self {
        self.victim.prepare = prepare;
        self
    }

    /// Somebody holds something, and lets go of it after the death.
    pub(crate) const fn beside(mut self, prepare: Act, act: Act) -> Self {
        self.holder = Some(Role { prepare, act });
        self
    }

    pub(crate) const fn awake(mut self) -> Self {
        self.is_awake = true;
        self
    }

    pub(crate) const fn late(mut self) -> Self {
        self.is_late = true;
        self
    }

    pub(crate) const fn meanwhile(mut self, meanwhile: Meanwhile) -> Self {
        self.meanwhile = Some(meanwhile);
        self
    }

    pub(crate) const fn refilled(mut self, refill: Act) -> Self {
        self.refill = refill;
        self
    }

    pub(crate) const fn answered(mut self, answers: &'static [&'static str]) -> Self {
        self.answers = answers;
        self
    }

    pub(crate) fn title(&self) -> String {
        format!("waits: {} ({})", self.name, self.variant)
    }
}
