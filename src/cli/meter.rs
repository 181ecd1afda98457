//! The progress of a command, in words that fit a line.

use std::time::{Duration, Instant};

use super::text::{columns, cut};
use super::units;
use crate::client::Doing;

/// The progress of a command. It works in parts; the files and bytes of each are known when it begins.
pub(super) struct Meter {
    begin: Instant,
    /// When the first part began: before that there is no rate.
    moving: Option<Instant>,
    doing: Option<Doing>,
    /// Files of the whole command; 0 if they are not known.
    expected: usize,
    /// Files and bytes of the parts that are done.
    files_before: usize,
    bytes_before: u64,
    part: Option<Part>,
}

#[derive(Clone, Copy)]
struct Part {
    begin: Instant,
    files: usize,
    /// 0 if the work is to check files.
    bytes: u64,
    done: u64,
    /// Of these, what an earlier command has done. It says nothing about the rate.
    before: u64,
}

impl Part {
    /// Bytes that this command has moved.
    fn moved(&self) -> u64 {
        if self.bytes > 0 { self.done - self.before } else { 0 }
    }

    fn whole(&self) -> u64 {
        if self.bytes > 0 { self.bytes } else { self.files as u64 }
    }

    /// The part of this pass that is done: an upload that lost a server begins again.
    fn in_pass(&self) -> u64 {
        match self.whole() {
            0 => 0,
            whole if self.is_again() => self.done % whole,
            _ => self.done,
        }
    }

    fn is_again(&self) -> bool {
        self.bytes > 0 && self.done > self.bytes
    }

    fn share(&self) -> f64 {
        if self.whole() == 0 { 1.0 } else { self.in_pass().min(self.whole()) as f64 / self.whole() as f64 }
    }
}

impl Meter {
    pub(super) fn new(begin: Instant) -> Self {
        Self { begin, moving: None, doing: None, expected: 0, files_before: 0, bytes_before: 0, part: None }
    }

    pub(super) fn elapsed(&self, now: Instant) -> Duration {
        now.duration_since(self.begin)
    }

    /// A pass through this many files begins; an earlier one does not count.
    pub(super) fn expect(&mut self, files: usize) {
        *self = Self { expected: files, ..Self::new(self.begin) };
    }

    pub(super) fn doing(&mut self, what: Doing) {
        self.doing = Some(what);
    }

    pub(super) fn begin(&mut self, files: usize, bytes: u64, now: Instant) {
        self.end();
        self.moving.get_or_insert(now);
        self.part = Some(Part { begin: now, files, bytes, done: 0, before: 0 });
    }

    /// The current part begins with so many bytes that an earlier command has moved.
    pub(super) fn go_on(&mut self, there: u64, now: Instant) {
        if let Some(part) = &mut self.part {
            (part.begin, part.done, part.before) = (now, part.done + there, part.before + there);
        }
    }

    pub(super) fn advance(&mut self, done: u64) {
        if let Some(part) = &mut self.part {
            part.done += done;
        }
    }

    /// The current part is done.
    pub(super) fn end(&mut self) {
        if let Some(part) = self.part.take() {
            self.files_before += part.files;
            self.bytes_before += part.moved();
        }
    }

    /// The line, at most `room` columns wide. The least informative words are left out first.
    pub(super) fn line(&self, now: Instant, servers: &Servers, room: usize) -> String {
        let Segments { share, amount, rate, left } = self.segments(now);
        let doing = match self.doing {
            _ if share.is_none() => "working  ",
            Some(Doing::Checking) => "checking  ",
            Some(Doing::Reading) => "reading  ",
            Some(Doing::Copying) => "copying  ",
            Some(Doing::Making) => "making  ",
            None if self.part.is_some_and(|part| part.is_again()) => "retrying  ",
            None => "",
        };
        let percent = share.map_or(String::new(), |share| format!("{:3.0}%", (share * 100.0).floor()));
        let head = format!("{doing}{percent}").trim_end().to_owned();
        let (names, count) = (servers.names(), servers.count());
        let choices: [&[&str]; 6] = [
            &[&head, &amount, &rate, &left, &names],
            &[&head, &amount, &rate, &left, &count],
            &[&head, &amount, &rate, &left],
            &[&head, &amount, &left],
            &[&head, &left],
            &[&left],
        ];
        let lines = choices.map(|words| {
            let words: Vec<&str> = words.iter().copied().filter(|word| !word.is_empty()).collect();
            words.join("  ")
        });
        let fits = lines.iter().find(|line| columns(line) <= room);
        fits.cloned().unwrap_or_else(|| cut(&left, room))
    }

    fn segments(&self, now: Instant) -> Segments {
        let since = |begin: Instant| now.duration_since(begin).as_secs_f64();
        let part = self.part.unwrap_or(Part { begin: now, files: 0, bytes: 0, done: 0, before: 0 });
        let moved = part.moved();
        let expected = self.expected.max(part.files);
        // A part without files is not a share of the files that were counted before.
        let counts = self.part.is_none() || part.files > 0;
        if counts && expected > 1 && (expected > part.files || part.bytes == 0) {
            let seconds = since(self.moving.unwrap_or(self.begin));
            let whole = expected as f64;
            let files = (self.files_before as f64 + part.files as f64 * part.share()).min(whole);
            let rate = match self.bytes_before + moved {
                0 if files < 1.0 => String::new(),
                0 => format!("{:.0} files/s", files / seconds.max(MOMENT)),
                bytes => rate(bytes, seconds),
            };
            let amount = format!("{files:.0} of {whole:.0} files");
            return Segments {
                share: Some(files / whole),
                amount,
                rate,
                left: left(whole - files, files, seconds),
            };
        }
        if part.bytes > 0 {
            let (seconds, done) = (since(part.begin), part.in_pass().min(part.bytes));
            let rest = (part.bytes - done) as f64;
            return Segments {
                share: Some(part.share()),
                amount: units::bytes_of(done as f64, part.bytes as f64),
                rate: if moved > 0 { rate(moved, seconds) } else { String::new() },
                left: left(rest, moved as f64, seconds),
            };
        }
        // A single item without bytes has no share that is done.
        let left = units::seconds(since(self.begin).floor().max(1.0));
        Segments { share: None, amount: String::new(), rate: String::new(), left }
    }
}

/// The shortest time for which a rate is calculated.
const MOMENT: f64 = 0.001;

fn rate(bytes: u64, seconds: f64) -> String {
    format!("{}/s", units::bytes(bytes as f64 / seconds.max(MOMENT)))
}

/// How long the rest takes at the rate of these seconds.
fn left(rest: f64, done: f64, seconds: f64) -> String {
    if rest <= 0.0 {
        "finishing".to_owned()
    } else if done > 0.0 {
        format!("{} left", units::seconds(seconds * rest / done))
    } else {
        format!("{} so far", units::seconds(seconds))
    }
}

/// What a line consists of.
struct Segments {
    /// None if it is not known.
    share: Option<f64>,
    amount: String,
    rate: String,
    left: String,
}

/// The servers of the .conf, each with whether it is up as far as known.
#[derive(Default)]
pub(super) struct Servers(Vec<(String, bool)>);

impl Servers {
    pub(super) fn all_up(names: impl Iterator<Item = String>) -> Self {
        Self(names.map(|name| (name, true)).collect())
    }

    /// Notes that a server is up or down; returns whether that is new.
    pub(super) fn set(&mut self, server: &str, up: bool) -> bool {
        let known = self.0.iter_mut().find(|(name, _)| name == server);
        known.is_some_and(|(_, was_up)| std::mem::replace(was_up, up) != up)
    }

    fn names(&self) -> String {
        let up = self.0.iter().filter(|(_, up)| *up).map(|(name, _)| name.as_str());
        up.collect::<Vec<_>>().join(" ")
    }

    fn count(&self) -> String {
        let up = self.0.iter().filter(|(_, up)| *up).count();
        match self.0.len() {
            0 => String::new(),
            all if all == up => super::text::counted(all, "server"),
            all => format!("{up} of {all} servers"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn servers() -> Servers {
        Servers::all_up((1..=4).map(|n| format!("Server{n}")))
    }

    fn at(start: Instant, seconds: u64) -> Instant {
        start + Duration::from_secs(seconds)
    }

    #[test]
    fn a_file_shows_share_amount_rate_time_left_and_servers() {
        let start = Instant::now();
        let mut meter = Meter::new(start);
        meter.begin(1, 4096 * MIB, start);
        meter.advance(1024 * MIB);
        let line = |room| meter.line(at(start, 2), &servers(), room);
        let full = " 25%  1.0 of 4.0 GiB  512 MiB/s  6 s left  Server1 Server2 Server3 Server4";
        assert_eq!(line(79), full);
        assert_eq!(line(73), " 25%  1.0 of 4.0 GiB  512 MiB/s  6 s left  4 servers");
        assert_eq!(line(50), " 25%  1.0 of 4.0 GiB  512 MiB/s  6 s left");
        assert_eq!(line(35), " 25%  1.0 of 4.0 GiB  6 s left");
        assert_eq!(line(20), " 25%  6 s left");
        assert_eq!(line(8), "6 s left");
        assert!((0..100).all(|room| columns(&line(room)) <= room));
    }

    #[test]
    fn an_upload_that_begins_again_says_so() {
        let start = Instant::now();
        let mut meter = Meter::new(start);
        meter.begin(1, 100 * MIB, start);
        meter.advance(125 * MIB);
        let line = meter.line(at(start, 5), &Servers::default(), 79);
        assert_eq!(line, "retrying   25%  25.0 of 100 MiB  25.0 MiB/s  3 s left");
    }

    #[test]
    fn what_was_there_counts_for_the_share_and_not_for_the_rate() {
        let start = Instant::now();
        let mut meter = Meter::new(start);
        meter.begin(1, 100 * MIB, start);
        meter.go_on(60 * MIB, at(start, 10));
        let line = |meter: &Meter| meter.line(at(start, 15), &Servers::default(), 79);
        assert_eq!(line(&meter), " 60%  60.0 of 100 MiB  5 s so far");
        meter.advance(20 * MIB);
        assert_eq!(line(&meter), " 80%  80.0 of 100 MiB  4.0 MiB/s  5 s left");
    }

    #[test]
    fn many_files_in_parts_are_one_pass_from_none_to_all() {
        let start = Instant::now();
        let mut meter = Meter::new(start);
        meter.expect(1000);
        meter.begin(400, MIB, start);
        meter.advance(MIB);
        meter.begin(400, 2 * MIB, at(start, 1));
        meter.advance(MIB);
        let line = |meter: &Meter| meter.line(at(start, 4), &Servers::default(), 79);
        assert_eq!(line(&meter), " 60%  600 of 1000 files  512 KiB/s  3 s left");
        meter.end();
        assert_eq!(line(&meter), " 80%  800 of 1000 files  512 KiB/s  1 s left");
        meter.begin(400, 0, at(start, 4));
        meter.advance(400);
        assert_eq!(line(&meter), "100%  1000 of 1000 files  512 KiB/s  finishing", "never more than all");
    }

    #[test]
    fn files_without_bytes_are_counted() {
        let start = Instant::now();
        let mut meter = Meter::new(start);
        meter.expect(100);
        meter.begin(64, 0, start);
        meter.advance(64);
        let line = |meter: &Meter| meter.line(at(start, 2), &servers(), 60);
        assert_eq!(line(&meter), " 64%  64 of 100 files  32 files/s  2 s left  4 servers");
        meter.expect(10);
        meter.begin(10, 0, start);
        meter.advance(5);
        assert_eq!(line(&meter), " 50%  5 of 10 files  2 files/s  2 s left  4 servers", "a second pass");
        let mut unknown = Meter::new(start);
        unknown.begin(10, 0, start);
        unknown.advance(5);
        assert_eq!(line(&unknown), " 50%  5 of 10 files  2 files/s  2 s left  4 servers");
    }

    #[test]
    fn what_is_done_with_files_that_were_counted_has_its_own_share() {
        let start = Instant::now();
        let mut meter = Meter::new(start);
        meter.expect(1);
        meter.doing(Doing::Checking);
        meter.begin(1, 100 * MIB, start);
        meter.advance(50 * MIB);
        let line = |meter: &Meter| meter.line(at(start, 1), &Servers::default(), 79);
        assert_eq!(line(&meter), "checking   50%  50.0 of 100 MiB  50.0 MiB/s  1 s left");
        meter.doing(Doing::Copying);
        meter.begin(0, 20 * MIB, start);
        assert_eq!(line(&meter), "copying    0%  0.0 of 20.0 MiB  1 s so far");
    }

    #[test]
    fn what_cannot_be_measured_shows_that_it_works_and_which_servers_are_up() {
        let start = Instant::now();
        let meter = Meter::new(start);
        let mut servers = servers();
        assert_eq!(meter.line(at(start, 3), &servers, 79), "working  3 s  Server1 Server2 Server3 Server4");
        assert!(
            servers.set("Server2", false) && !servers.set("Server2", false) && !servers.set("Other", false)
        );
        assert_eq!(meter.line(at(start, 3), &servers, 79), "working  3 s  Server1 Server3 Server4");
        assert_eq!(meter.line(at(start, 3), &servers, 30), "working  3 s  3 of 4 servers");
    }
}
