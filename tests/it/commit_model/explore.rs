//! Breadth first through all states, so that a counterexample is a shortest one.

use std::hash::{Hash, Hasher};

use super::bounds::{Bounds, Rules};
use super::world::{State, World};

/// What came of it.
pub(crate) enum Explored {
    Holds { states: usize },
    Broken { why: String, trace: Vec<String>, states: usize },
    TooMany,
}

/// Every state that was found, and how. The table holds indices only: states are many and small.
struct Found {
    states: Vec<State>,
    parents: Vec<u32>,
    table: Vec<u32>,
}

const FREE: u32 = u32::MAX;

impl Found {
    fn new() -> Self {
        Self { states: Vec::new(), parents: Vec::new(), table: vec![FREE; 1 << 16] }
    }

    fn slot(&self, state: &State) -> usize {
        let mask = self.table.len() - 1;
        let mut hasher = Fast(0);
        state.hash(&mut hasher);
        let mut slot = (hasher.finish() >> 20) as usize & mask;
        while self.table[slot] != FREE && self.states[self.table[slot] as usize] != *state {
            slot = (slot + 1) & mask;
        }
        slot
    }

    fn add(&mut self, state: State, parent: u32) {
        let slot = self.slot(&state);
        if self.table[slot] != FREE {
            return;
        }
        self.table[slot] = self.states.len() as u32;
        self.states.push(state);
        self.parents.push(parent);
        if self.states.len() * 2 > self.table.len() {
            self.table = vec![FREE; self.table.len() * 2];
            for index in 0..self.states.len() {
                let slot = self.slot(&self.states[index]);
                self.table[slot] = index as u32;
            }
        }
    }
}

/// Multiply and rotate: the states come from no enemy.
#[derive(Default)]
pub(crate) struct Fast(u64);

impl Hasher for Fast {
    fn finish(&self) -> u64 {
        self.0 ^ (self.0 >> 29)
    }

    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.write_u64(u64::from_le_bytes(word));
        }
    }

    fn write_u8(&mut self, byte: u8) {
        self.write_u64(byte.into());
    }

    fn write_u16(&mut self, word: u16) {
        self.write_u64(word.into());
    }

    fn write_usize(&mut self, word: usize) {
        self.write_u64(word as u64);
    }

    fn write_u64(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(23) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}

/// Visits every state within the bounds.
pub(crate) fn explore(bounds: Bounds, rules: Rules, most: usize) -> Explored {
    let mut world = World::new(bounds, rules);
    let mut found = Found::new();
    let start = world.start();
    found.add(start, FREE);
    let mut next = Vec::new();
    let mut at = 0;
    while at < found.states.len() {
        let state = found.states[at];
        if let Some(why) = world.broken(&state) {
            return Explored::Broken {
                why,
                trace: trace(&mut world, &found, at),
                states: found.states.len(),
            };
        }
        if found.states.len() > most {
            return Explored::TooMany;
        }
        world.successors(&state, &mut next);
        for (_, state) in next.drain(..) {
            found.add(state, at as u32);
        }
        at += 1;
    }
    Explored::Holds { states: found.states.len() }
}

/// The steps that lead to a state, each with what is there after it.
fn trace(world: &mut World, found: &Found, at: usize) -> Vec<String> {
    let mut steps = Vec::new();
    let mut at = at as u32;
    while found.parents[at as usize] != FREE {
        let parent = found.parents[at as usize];
        let mut next = Vec::new();
        world.successors(&found.states[parent as usize], &mut next);
        let reached = found.states[at as usize];
        let action = next.iter().find(|(_, state)| *state == reached).map(|(action, _)| *action);
        let action = action.map_or(String::new(), |action| format!("{action:?}"));
        steps.push(format!("  {action}: {}", world.describe(&reached)));
        at = parent;
    }
    steps.reverse();
    steps
}
