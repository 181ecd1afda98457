//! All the others: who meets what writers left behind, repairs, and forgets.

use std::rc::Rc;

use shareit::commit::{self, Held, PieceState, TOMBSTONE};

use super::{Action, FIRST, Next, Servers, State, World, id, represented};
use crate::commit_model::bounds::DELETER;
use crate::commit_model::server::{Code, Event, Server, code, version};

impl World {
    /// Aborts of what seems abandoned: first the promises, then the drops.
    pub(super) fn clear(&mut self, state: &State, writer: usize, next: &mut Next) {
        let v = state.authors[writer].version;
        if state.authors[writer].may_abort {
            for server in self.up(&state.servers, |s| s.now.has_staged(v)) {
                let mut after = *state;
                let own = self.rules.abort_open;
                if self.happen(&mut after.servers, server, Event::Abort { version: v, own }) {
                    next.push((Action::Abort { writer, server }, after));
                }
            }
            return;
        }
        let (whose, promised) = state.promised;
        let promised = if whose == id(writer) { promised } else { 0 };
        let staged = self.all().any(|s| self.server(&state.servers, s).now.has_staged(v));
        let closed = !self.up(&state.servers, |s| s.has_closed(v)).is_empty();
        let begun = promised != 0 || self.rules.abort_open;
        if !(self.rules.abort_without_promise || closed || begun && staged) {
            return;
        }
        for server in self.all().filter(|s| promised & 1 << s == 0) {
            let mut after = *state;
            let (blind, promise) = (self.rules.abort_open, !self.rules.abort_without_promise);
            let event = Event::Fence { version: v, blind, promise };
            let answered = self.is_up(&state.servers, server);
            if if answered {
                self.happen(&mut after.servers, server, event)
            } else {
                self.rules.abort_unanswered
            } {
                after.promised = (id(writer), promised | 1 << server);
                if usize::from(after.promised.1) == self.everybody() {
                    after.promised = (0, 0);
                    after.authors[writer].may_abort = true;
                }
                next.push((Action::Promise { writer, server }, after));
            }
        }
    }

    /// What any client that meets a decided version does: roll it forward, and drop what is older.
    pub(super) fn settle(&mut self, state: &State, next: &mut Next) {
        let settled = match self.settled.get(&state.servers) {
            Some(settled) => Rc::clone(settled),
            None => {
                let mut found = Vec::new();
                self.roll_forward(&state.servers, &mut found);
                self.retire(&state.servers, &mut found);
                if self.bounds.late_repair {
                    self.repair_late(&state.servers, &mut found);
                }
                let settled: Rc<[(Action, Servers)]> = found.into();
                self.settled.insert(state.servers, Rc::clone(&settled));
                settled
            }
        };
        for &(action, servers) in settled.iter() {
            if !matches!(action, Action::Forward { version, server } if state.will_commit(version, server)) {
                next.push((action, State { servers, ..*state }));
            }
        }
    }

    fn roll_forward(&mut self, servers: &Servers, found: &mut Vec<(Action, Servers)>) {
        let sight = self.look(servers);
        let published = sight.answers.iter().flatten().flatten().filter(|h| h.state == PieceState::Published);
        let mut published: Vec<Code> = published.map(|h| code(h.version)).collect();
        published.sort_unstable();
        published.dedup();
        for version in published {
            let vouches_alone = if self.bounds.liar { self.to_prove(&sight.answers, version) } else { None };
            for server in self.up(&sight.servers, |s| s.now.has_staged(version)) {
                // That it may be proved changes nothing for those who do not need the file.
                if vouches_alone.is_some_and(|alone| alone != server) {
                    continue;
                }
                let mut after = sight.servers;
                if self.happen(&mut after, server, Event::Commit(version)) {
                    found.push((Action::Forward { version, server }, after));
                }
            }
        }
    }

    /// The only server that says that a version was stored, if that has to be proved.
    fn to_prove(&self, answers: &[Option<Vec<Held>>], of: Code) -> Option<usize> {
        let (scheme, replicas) = (self.bounds.scheme, self.bounds.replicas());
        let all_pieces = |held: &Vec<Held>| -> Vec<Held> {
            let (tombstones, pieces) = held.iter().partition::<Vec<&Held>, _>(|h| h.piece == TOMBSTONE);
            let all = |h: &Held| {
                let h = *h;
                represented(scheme, 1 << h.piece)
                    .iter()
                    .map(move |piece| Held { piece, ..h })
                    .collect::<Vec<_>>()
            };
            tombstones.into_iter().copied().chain(pieces.into_iter().flat_map(all)).collect()
        };
        let answers: Vec<Option<Vec<Held>>> =
            answers.iter().map(|held| held.as_ref().map(all_pieces)).collect();
        let word = commit::to_prove(&answers, version(of), scheme, replicas);
        word.filter(|_| !self.rules.no_doubt).map(|word| word.server)
    }

    fn retire(&mut self, servers: &Servers, found: &mut Vec<(Action, Servers)>) {
        let sight = self.look(servers);
        let Some(decided) = sight.view.decided else { return };
        let has =
            |h: &&Held| h.piece != TOMBSTONE && h.version == decided && h.state == PieceState::Published;
        let set = |held: &Vec<Held>| held.iter().filter(has).fold(0, |set, h| set | 1 << h.piece);
        let (scheme, replicas) = (self.bounds.scheme, self.bounds.replicas());
        let held = sight.answers.iter().flatten().map(|held| represented(scheme, set(held)));
        let up = if self.rules.retire_early { 1 } else { sight.answers.iter().flatten().count() };
        if !scheme.is_safest(&held.collect::<Vec<_>>(), replicas, up) {
            return;
        }
        let version = code(decided);
        for server in self.up(&sight.servers, |s| !s.now.has(version)) {
            let mut after = sight.servers;
            self.happen(&mut after, server, Event::Retire(version));
            found.push((Action::Retire { version, server }, after));
        }
    }

    fn repair_late(&mut self, servers: &Servers, found: &mut Vec<(Action, Servers)>) {
        for server in self.up(servers, |s| !s.restarted) {
            let mut after = *servers;
            let pieces = self.pieces[self.everybody()][server];
            let event = Event::Restore { version: FIRST, pieces, known_floor: 0 };
            if self.happen(&mut after, server, event) {
                found.push((Action::LateRepair { server }, after));
            }
        }
    }

    /// The end of a delete: to the servers that missed it, and then forgotten.
    pub(super) fn delete(&mut self, state: &State, next: &mut Next) {
        let v = state.authors[DELETER].version;
        if v == 0 {
            return;
        }
        let sight = self.look(&state.servers);
        if sight.view.decided.map(code) != Some(v) {
            return;
        }
        let seen = State { servers: sight.servers, ..*state };
        let has = |s: &Server| s.now.published[usize::from(TOMBSTONE)] == v;
        let generation = version(v).generation;
        let most = if self.bounds.bury_again { generation } else { generation - 1 };
        for server in self.up(&seen.servers, |s| !has(s) && u64::from(s.floor) <= most) {
            let mut after = seen;
            let known_floor = self.server(&seen.servers, server).floor;
            let event = Event::Restore { version: v, pieces: 1 << TOMBSTONE, known_floor };
            if self.happen(&mut after.servers, server, event) {
                next.push((Action::Rebury { server }, after));
            }
        }
        let all_have_it = self.up(&seen.servers, has).len() == self.bounds.servers();
        if seen.may_forget || all_have_it || self.rules.forget_early {
            for server in self.up(&seen.servers, has) {
                let mut after = State { may_forget: true, ..seen };
                if self.happen(&mut after.servers, server, Event::Forget(v)) {
                    next.push((Action::Forget { server }, after));
                }
            }
        }
    }
}
