//! Following a chain of offsets that another process may have damaged.
//!
//! What always holds: who reports each step to a [`Chain`] comes to an end, after at most three
//! times as many steps as there are different ones. It needs no memory for that, and no number
//! that lies in the heap.
//!
//! Not here: chains that are taken apart from the front. Who does that marks what it has taken, or
//! checks that the front has moved.

use crate::error::Corrupt;

/// The steps along a chain so far.
#[derive(Debug)]
pub struct Chain {
    what: &'static str,
    /// The step at the last power of two.
    landmark: u64,
    steps: u64,
}

impl Chain {
    /// Begins before the first step of a chain. `what` names it in the error.
    pub fn new(what: &'static str) -> Self {
        Self { what, landmark: 0, steps: 0 }
    }

    /// Notes a step to the offset or number `at`, which is not 0.
    ///
    /// # Errors
    ///
    /// [`Corrupt`] when the chain leads back to a part that was passed.
    pub fn step(&mut self, at: u64) -> Result<(), Corrupt> {
        if at == self.landmark {
            return Err(Corrupt { what: self.what, at });
        }
        self.steps += 1;
        if self.steps.is_power_of_two() {
            self.landmark = at;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Follows a chain of `tail` parts that leads into a circle of `circle` parts.
    fn steps_until_noticed(tail: u64, circle: u64) -> u64 {
        let mut chain = Chain::new("chain of a test");
        let mut at = 1;
        for steps in 0..=3 * (tail + circle) {
            if chain.step(at).is_err() {
                return steps;
            }
            at = if at == tail + circle { tail + 1 } else { at + 1 };
        }
        panic!("a circle of {circle} after {tail} parts is not noticed");
    }

    #[test]
    fn every_circle_is_noticed() {
        for tail in 0..40 {
            for circle in 1..40 {
                assert!(steps_until_noticed(tail, circle) >= circle);
            }
        }
    }

    #[test]
    fn a_chain_with_an_end_is_followed_to_it() {
        let mut chain = Chain::new("chain of a test");
        assert!((1..10_000).all(|at| chain.step(at).is_ok()));
    }
}
