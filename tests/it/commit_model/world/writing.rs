//! The writers: each is a `Writer` of the commit rules, with its connections and its death.

use shareit::commit::{self, Aborting, Answer, Committing, Outcome, Seen, Staging, TOMBSTONE, Time, Writer};
use shareit::version::Version;

use super::{Action, Author, CLOCK, Link, Next, SERVERS, Sight, Stage, State, World, id, upload_id};
use crate::commit_model::bounds::DELETER;
use crate::commit_model::server::{Event, code, version};

impl World {
    pub(super) fn write(&mut self, state: &State, writer: usize, next: &mut Next) {
        let author = &state.authors[writer];
        match author.stage {
            Stage::Idle if self.moves(writer) => {
                next.extend(self.copy(*state).map(|s| (Action::Copy, s)));
            }
            Stage::Idle | Stage::Copied => {
                let everybody = self.everybody();
                let reached = if self.bounds.partitions { 1..=everybody } else { everybody..=everybody };
                for reached in reached {
                    next.extend(self.begin(*state, writer, reached).map(|s| (Action::Begin { writer }, s)));
                }
            }
            Stage::Failing => {
                for own_abort in [true, false] {
                    let mut after = *state;
                    self.end(&mut after, writer, own_abort);
                    if state.retries > 0 {
                        let mut again = State { retries: state.retries - 1, ..after };
                        again.authors[writer] = Author { last: author.version, ..Author::default() };
                        if again.promised.0 == id(writer) {
                            again.promised = (0, 0);
                        }
                        next.push((Action::Retry { writer }, again));
                    }
                    next.push((Action::GiveUp { writer }, after));
                }
            }
            Stage::Over | Stage::Acknowledged => {}
            Stage::Staging | Stage::Committing | Stage::Dead => {
                self.stage_again(state, writer, next);
                for server in self.all() {
                    self.progress(state, writer, server, next);
                    let on_its_way = matches!(author.links[server], Link::ToStage | Link::Moving);
                    if on_its_way && !self.bounds.any_order {
                        break;
                    }
                }
                if author.stage != Stage::Dead && state.deaths > 0 {
                    let mut after = *state;
                    after.deaths -= 1;
                    self.die(&mut after, writer);
                    next.push((Action::Die { writer }, after));
                }
            }
        }
    }

    /// An upload that has lost a connection before its commit stages there once more, or on the others alone, or gives
    /// up.
    fn stage_again(&mut self, state: &State, writer: usize, next: &mut Next) {
        let author = &state.authors[writer];
        if author.stage != Stage::Staging || writer == DELETER || state.restages == 0 {
            return;
        }
        for server in self.all().filter(|&s| matches!(author.links[s], Link::Lost | Link::Broken)) {
            let one_less = State { restages: state.restages - 1, ..*state };
            if self.is_up(&state.servers, server) {
                let mut after = one_less;
                after.authors[writer].links[server] = Link::ToStage;
                next.push((Action::StageAgain { writer, server }, after));
            }
            let others = self.all().filter(|&s| s != server && author.links[s] != Link::Unused);
            // With fewer left there would be fewer copies, of which the user is warned.
            if others.count() >= self.bounds.replicas() {
                let mut after = one_less;
                let links = &mut after.authors[writer].links;
                links[server] = Link::Unused;
                // The others have to hold more now.
                for link in links {
                    *link = match *link {
                        Link::Broken if self.rules.count_lost => Link::Broken,
                        Link::Staged => Link::ToStage,
                        Link::Broken => Link::Lost,
                        link => link,
                    };
                }
                after.authors[writer].bears = self.bears[used(&after.authors[writer])];
                self.conclude(&mut after, writer);
                next.push((Action::Replace { writer, server }, after));
            }
        }
        if author.links.contains(&Link::Lost) {
            let mut after = *state;
            after.authors[writer].stage = Stage::Failing;
            next.push((Action::GiveUp { writer }, after));
        }
    }

    /// Whether this writer's delete is that of a move.
    fn moves(&self, writer: usize) -> bool {
        writer == DELETER && self.bounds.moves
    }

    /// A move copies what is stored to another name, which is not part of the model.
    fn copy(&mut self, mut state: State) -> Option<State> {
        let sight = self.look(&state.servers);
        state.servers = sight.servers;
        state.copied = code(sight.view.decided.filter(|&v| is_file(&sight, v))?);
        for server in self.all() {
            state.floors[server] = self.server(&state.servers, server).floor;
        }
        let (up, most) = (self.up(&state.servers, |_| true), self.bounds.replicas() as u8 - 1);
        let author = &mut state.authors[DELETER];
        author.stage = Stage::Copied;
        if !self.rules.move_deletes_all {
            // No survey comes between: what it deletes, and where, is what it saw.
            author.stage = Stage::Staging;
            author.version = state.copied + 1;
            author.bears = most;
            up.into_iter().for_each(|server| author.links[server] = Link::ToStage);
        }
        Some(state)
    }

    /// A writer looks at the servers that it reaches (a bit each), and chooses its version.
    fn begin(&mut self, mut state: State, writer: usize, reached: usize) -> Option<State> {
        let (view, answers) = if self.bounds.partitions {
            let reached = self.up(&state.servers, |_| true).into_iter().filter(|s| reached & 1 << s != 0);
            let reached: Vec<usize> = reached.collect();
            for &server in &reached {
                self.happen(&mut state.servers, server, Event::Look);
            }
            let answers = self.answers(&state.servers, |server| reached.contains(&server));
            (commit::resolve(&answers), answers)
        } else {
            let sight = self.look(&state.servers);
            state.servers = sight.servers;
            (sight.view.clone(), sight.answers.clone())
        };
        let is_file = |v: Version| commit::holders(&answers, v, TOMBSTONE).is_empty();
        if writer == DELETER && !view.decided.is_some_and(is_file) {
            return None;
        }
        let up: Vec<usize> = self.all().filter(|&s| answers[s].is_some()).collect();
        if up.is_empty() {
            return None;
        }
        let floors: Vec<u64> = up.iter().map(|&s| self.server(&state.servers, s).floor.into()).collect();
        let replicas = self.bounds.replicas();
        let seen = Seen { sealed: view.generation, floors: &floors, unsealed: &[], replicas };
        state.clock += u8::from(self.bounds.partitions);
        let now = u64::from(CLOCK + state.clock);
        let uses_clock = self.bounds.partitions && !self.rules.no_clock;
        let time = Time { clock: uses_clock.then_some(now), certain: 0 };
        let last = version(state.authors[writer].last);
        let mut made = Version {
            generation: commit::next_generation(&seen, time, last.generation).unwrap(),
            upload: upload_id(writer),
        };
        if self.rules.retry_same && last.generation > 0 {
            made = version(state.authors[writer].last - 1);
        }
        let plan = Writer::new(made.generation, made.upload, up);
        let author = &mut state.authors[writer];
        author.stage = Stage::Staging;
        author.version = code(plan.version());
        state.overtaken = author.version <= state.latest;
        plan.servers().iter().for_each(|&server| author.links[server] = Link::ToStage);
        // Of a delete that is done there is a tombstone on R servers.
        author.bears = if writer == DELETER { replicas as u8 - 1 } else { self.bears[used(author)] };
        Some(state)
    }

    /// The pieces of a version that its writer stages on a server.
    fn pieces_for(&self, author: &Author, writer: usize, server: usize) -> u8 {
        if writer == DELETER { 1 << TOMBSTONE } else { self.pieces[used(author)][server] }
    }

    /// What happens next between a writer and a server.
    fn progress(&mut self, state: &State, writer: usize, server: usize, next: &mut Next) {
        let author = &state.authors[writer];
        if !self.is_up(&state.servers, server) {
            return;
        }
        let mut after = *state;
        let v = author.version;
        match author.links[server] {
            Link::ToStage if self.rules.check_at_door_only => {
                let open = self.happen(&mut after.servers, server, Event::Door(v));
                after.authors[writer].links[server] = if open { Link::Moving } else { Link::NotStaged };
                self.conclude(&mut after, writer);
                next.push((Action::Announce { writer, server }, after));
            }
            Link::ToStage if self.moves(writer) && !self.rules.move_deletes_all => {
                let known_floor = state.floors[server];
                let event = Event::StageMoved { version: v, known_floor };
                let done = self.happen(&mut after.servers, server, event);
                after.authors[writer].links[server] = if done { Link::Staged } else { Link::NotStaged };
                self.conclude(&mut after, writer);
                next.push((Action::Stage { writer, server }, after));
            }
            Link::ToStage | Link::Moving => {
                let pieces = self.pieces_for(author, writer, server);
                let checked = author.links[server] == Link::ToStage;
                let done =
                    self.happen(&mut after.servers, server, Event::Stage { version: v, pieces, checked });
                after.authors[writer].links[server] = if done { Link::Staged } else { Link::NotStaged };
                self.conclude(&mut after, writer);
                next.push((Action::Stage { writer, server }, after));
            }
            Link::ToCommit => {
                // What is not safe yet matters only if crashes are still to come.
                let slow = self.server(&state.servers, server).crashes > 0;
                let event = if slow { Event::CommitBegin(v) } else { Event::Commit(v) };
                let done = self.happen(&mut after.servers, server, event);
                after.authors[writer].links[server] = match (done, slow) {
                    (false, _) => Link::CommitRefused,
                    (true, true) => Link::Renamed,
                    (true, false) => Link::Committed,
                };
                self.conclude(&mut after, writer);
                next.push((Action::Commit { writer, server }, after));
                if author.stage == Stage::Dead {
                    let mut after = *state;
                    after.authors[writer].links[server] = Link::Unused;
                    self.happen(&mut after.servers, server, Event::Close(id(writer)));
                    self.conclude(&mut after, writer);
                    next.push((Action::CloseDead { writer, server }, after));
                }
            }
            Link::Renamed => {
                self.happen(&mut after.servers, server, Event::CommitEnd(v));
                after.authors[writer].links[server] = Link::Committed;
                self.conclude(&mut after, writer);
                next.push((Action::Acknowledge { writer, server }, after));
            }
            _ => {}
        }
        if state.breaks > 0 && author.stage != Stage::Dead {
            let mut after = *state;
            after.breaks -= 1;
            if self.disconnect(&mut after, writer, server) {
                self.happen(&mut after.servers, server, Event::Close(id(writer)));
                self.conclude(&mut after, writer);
                next.push((Action::Break { writer, server }, after));
            }
        }
    }

    /// A connection is lost; tells whether that changes anything.
    pub(super) fn disconnect(&self, state: &mut State, writer: usize, server: usize) -> bool {
        let link = &mut state.authors[writer].links[server];
        let was = *link;
        *link = match was {
            Link::ToStage | Link::Moving if writer != DELETER => Link::Lost,
            Link::ToStage | Link::Moving => Link::NotStaged,
            Link::Staged => Link::Broken,
            Link::ToCommit | Link::Renamed => Link::CommitLost,
            link => link,
        };
        was != *link
    }

    /// Takes a writer as far as it gets with the answers that it has.
    pub(super) fn conclude(&mut self, state: &mut State, writer: usize) {
        let author = &mut state.authors[writer];
        let waits = |links: &[Link]| author.links.iter().any(|link| links.contains(link));
        match author.stage {
            Stage::Staging => {
                // An upload is lost with the first piece; that it hears the other answers changes nothing.
                let is_hopeless = waits(&[Link::NotStaged]) || state.restages == 0 && waits(&[Link::Lost]);
                let lost = writer != DELETER && is_hopeless;
                if !lost && waits(&[Link::ToStage, Link::Moving, Link::Lost]) {
                    return;
                }
                match self.staged(&state.authors[writer], writer) {
                    Err(_) => state.authors[writer].stage = Stage::Failing,
                    Ok(committing) => {
                        let author = &mut state.authors[writer];
                        author.stage = Stage::Committing;
                        for (server, link) in author.links.iter_mut().enumerate() {
                            *link = match *link {
                                _ if !committing.servers().contains(&server) => Link::Unused,
                                Link::Broken => Link::CommitLost,
                                _ => Link::ToCommit,
                            };
                        }
                        self.conclude(state, writer);
                    }
                }
            }
            Stage::Committing if !waits(&[Link::ToCommit, Link::Renamed]) => {
                let outcome = committed(author);
                if matches!(outcome, Outcome::Done { .. }) && self.bounds.partitions {
                    state.latest = state.latest.max(author.version);
                }
                let least = self.bounds.replicas();
                let safe = matches!(&outcome, Outcome::Done { committed, .. } if committed.len() >= least);
                author.stage = if safe { Stage::Acknowledged } else { Stage::Over };
                author.links = Default::default();
                if writer == DELETER && outcome.may_forget(self.bounds.servers()) {
                    state.may_forget = true;
                }
            }
            Stage::Dead => {
                for link in &mut author.links {
                    if !matches!(link, Link::ToCommit | Link::Renamed) {
                        *link = Link::Unused;
                    }
                }
                if author.links == [Link::Unused; SERVERS] {
                    author.stage = Stage::Over;
                }
            }
            _ => {}
        }
    }

    fn staged(&self, author: &Author, writer: usize) -> Result<Writer<Committing>, Writer<Aborting>> {
        let plan = plan(author);
        let all = plan.servers().len();
        let least = if writer == DELETER { self.bounds.replicas().min(all) } else { all };
        plan.staged(&answers(author), least)
    }

    /// Ends a version of which no commit was sent.
    fn end(&mut self, state: &mut State, writer: usize, own_abort: bool) {
        let v = state.authors[writer].version;
        for server in self.up(&state.servers, |_| true) {
            if own_abort && state.authors[writer].links[server] == Link::Staged {
                self.happen(&mut state.servers, server, Event::Abort { version: v, own: true });
            }
            self.happen(&mut state.servers, server, Event::Close(id(writer)));
        }
        let author = &mut state.authors[writer];
        author.stage = Stage::Over;
        author.links = Default::default();
    }

    fn die(&mut self, state: &mut State, writer: usize) {
        if state.authors[writer].stage == Stage::Staging {
            return self.end(state, writer, false);
        }
        state.authors[writer].stage = Stage::Dead;
        self.conclude(state, writer);
    }
}

/// The servers on which a writer stages, a bit each.
fn used(author: &Author) -> usize {
    let used = (0..SERVERS).filter(|&s| author.links[s] != Link::Unused);
    used.fold(0, |set, s| set | 1 << s)
}

fn is_file(sight: &Sight, version: Version) -> bool {
    commit::holders(&sight.answers, version, TOMBSTONE).is_empty()
}

fn plan(author: &Author) -> Writer<Staging> {
    let Version { generation, upload } = version(author.version);
    let servers = (0..SERVERS).filter(|&s| author.links[s] != Link::Unused).collect();
    Writer::new(generation, upload, servers)
}

fn answers(author: &Author) -> Vec<(usize, Answer)> {
    let used = (0..SERVERS).filter(|&s| author.links[s] != Link::Unused);
    used.map(|server| (server, author.links[server].answer())).collect()
}

fn committed(author: &Author) -> Outcome {
    let plan = plan(author);
    let staged: Vec<(usize, Answer)> = plan.servers().iter().map(|&s| (s, Answer::Done(()))).collect();
    let least = staged.len();
    match plan.staged(&staged, least) {
        Ok(committing) => committing.committed(&answers(author)),
        Err(_) => Outcome::NeverHappened,
    }
}
