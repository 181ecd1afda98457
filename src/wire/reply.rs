//! What a server answers: one reply to each request, in order.

use std::fmt;

use super::limits::MAX_DETAIL;
use super::words::{ParseError, Words};
use crate::name::ServerName;
use crate::primitives::Bytes32;
use crate::text::{base64_encode, hex, percent_decode, percent_encode};

/// Why a server did not do what was asked; the word on the wire is fixed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// Name or password is wrong; which of them is not said.
    Denied,
    /// Too many connections, too many failed logins from there, or too many staged pieces of one name.
    Busy,
    /// Not logged in within the time limit.
    Slow,
    /// A line that is not understood, too long, or not in its place.
    BadRequest,
    /// A line whose MAC is wrong.
    BadMac,
    /// Nothing of that name, piece and version is here.
    NotFound,
    /// A commit of what is not staged here.
    NotStaged,
    /// An abort or a fence of what is published here; a fence of what is older than that.
    Decided,
    /// An abort or a fence of what was staged on a connection that is still open.
    Open,
    /// A stage that is not newer than what is here.
    Behind,
    /// A generation too far beyond the server's clock.
    Ahead,
    /// The key of a piece was retired by a change of password.
    Rekeyed,
    /// A file where a folder of that name is, or the other way round.
    Conflict,
    /// The bytes do not have the hashes that were announced, or not any more.
    Damaged,
    /// The disk is full.
    DiskFull,
    /// The disk failed.
    DiskError,
}

const WORDS: [(Refusal, &str, &str); 16] = [
    (Refusal::Denied, "denied", "invalid username or password"),
    (Refusal::Busy, "busy", "too many connections, wrong passwords or unfinished uploads"),
    (Refusal::Slow, "slow", "not logged in in time"),
    (Refusal::BadRequest, "bad-request", "request not understood"),
    (Refusal::BadMac, "bad-mac", "a line was altered on its way"),
    (Refusal::NotFound, "not-found", "no such piece"),
    (Refusal::NotStaged, "not-staged", "nothing staged to commit"),
    (Refusal::Decided, "decided", "already committed"),
    (Refusal::Open, "open", "another client is still writing it"),
    (Refusal::Behind, "behind", "a newer version is there"),
    (Refusal::Ahead, "ahead", "its generation is far beyond the clock there"),
    (Refusal::Rekeyed, "rekeyed", "the password was changed, or is being changed, by another client"),
    (Refusal::Conflict, "conflict", "a file and a folder cannot have one name"),
    (Refusal::Damaged, "damaged", "bytes that do not fit their hashes"),
    (Refusal::DiskFull, "disk-full", "disk full"),
    (Refusal::DiskError, "disk-error", "disk error"),
];

impl Refusal {
    /// The word on the wire.
    pub fn word(self) -> &'static str {
        WORDS.iter().find(|(refusal, ..)| *refusal == self).map_or("", |(_, word, _)| word)
    }

    fn parse(word: &str) -> Result<Self, ParseError> {
        WORDS.iter().find(|(_, w, _)| *w == word).map(|(refusal, ..)| *refusal).ok_or(ParseError("a refusal"))
    }

    /// All of them, in the order of the protocol document.
    pub fn all() -> impl Iterator<Item = Refusal> {
        WORDS.iter().map(|(refusal, ..)| *refusal)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(WORDS.iter().find(|(refusal, ..)| refusal == self).map_or("", |(_, _, text)| text))
    }
}

/// A server's reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// `CHALLENGE SERVER BASE64`: the server's name and the SCRAM server-first message.
    Challenge(ServerName, String),
    /// `WELCOME BASE64`: the SCRAM server-final message; from here on every line has a MAC.
    Welcome(String),
    /// `OK`: done.
    Ok,
    /// `TEXT LENGTH HASH`: done; LENGTH bytes of text with this SHA-256 follow.
    Text(u64, Bytes32),
    /// `MORE LENGTH HASH`: as TEXT, and another MORE or TEXT comes behind it. Also a sign of life in
    /// a long operation, with length 0.
    More(u64, Bytes32),
    /// `DATA LENGTH`: bytes of a piece file follow, which the piece's own hashes protect.
    Data(u64),
    /// `NO REFUSAL DETAIL`: not done.
    No(Refusal, String),
}

impl Reply {
    /// The line without MAC and LF.
    pub fn to_line(&self) -> String {
        match self {
            Reply::Challenge(server, message) => {
                format!("CHALLENGE {server} {}", base64_encode(message.as_bytes()))
            }
            Reply::Welcome(message) => format!("WELCOME {}", base64_encode(message.as_bytes())),
            Reply::Ok => "OK".to_owned(),
            Reply::Text(length, hash) => format!("TEXT {length} {}", hex(hash)),
            Reply::More(length, hash) => format!("MORE {length} {}", hex(hash)),
            Reply::Data(length) => format!("DATA {length}"),
            Reply::No(refusal, detail) => format!("NO {} {}", refusal.word(), percent_encode(cut(detail))),
        }
    }

    /// Understands a line whose MAC, if it has one, was taken off.
    ///
    /// # Errors
    /// What was expected in its place.
    pub fn parse(line: &str) -> Result<Self, ParseError> {
        let mut words = Words::of(line);
        let reply = match words.next("a reply")? {
            "CHALLENGE" => {
                let name = words.parse("server name", |word| ServerName::parse(word).ok())?;
                Reply::Challenge(name, words.message()?)
            }
            "WELCOME" => Reply::Welcome(words.message()?),
            "OK" => Reply::Ok,
            "TEXT" => Reply::Text(words.number("length")?, words.hex("hash")?),
            "MORE" => Reply::More(words.number("length")?, words.hex("hash")?),
            "DATA" => Reply::Data(words.number("length")?),
            "NO" => {
                let refusal = Refusal::parse(words.next("refusal")?)?;
                let detail = words.parse("detail", percent_decode)?;
                Reply::No(refusal, cut(&detail).to_owned())
            }
            _ => return Err(ParseError("a reply")),
        };
        words.end()?;
        Ok(reply)
    }

    /// A refusal in the words of the protocol.
    pub fn no(refusal: Refusal) -> Reply {
        Reply::No(refusal, refusal.to_string())
    }
}

/// A detail is for people: it is cut so that its line is never too long, and by a reader so that it does not fill
/// the screen.
fn cut(detail: &str) -> &str {
    if detail.is_empty() {
        return "-";
    }
    let fits = |&(at, c): &(usize, char)| at + c.len_utf8() <= MAX_DETAIL;
    let end = detail.char_indices().take_while(fits).last().map_or(0, |(at, c)| at + c.len_utf8());
    &detail[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reply_comes_back() {
        let name = ServerName::parse("Server1").unwrap();
        let mut replies = vec![
            Reply::Challenge(name, "r=abc,s=QUJD,i=4096".into()),
            Reply::Welcome("v=eA==".into()),
            Reply::Ok,
            Reply::Text(0, [7; 32]),
            Reply::More(1 << 20, [7; 32]),
            Reply::Data(u64::MAX),
        ];
        replies.extend(Refusal::all().map(Reply::no));
        for reply in replies {
            assert_eq!(Reply::parse(&reply.to_line()), Ok(reply));
        }
    }

    #[test]
    fn a_long_detail_is_cut_to_fit_its_line() {
        assert_eq!(cut(&format!("a{}", "ü".repeat(400))).len(), MAX_DETAIL - 1);
        let line = Reply::No(Refusal::DiskError, "ü".repeat(5000)).to_line();
        assert!(line.len() < crate::wire::MAX_LINE - 65);
        assert!(Reply::parse(&line).is_ok());
        assert!(Reply::parse(&Reply::No(Refusal::DiskError, String::new()).to_line()).is_ok());
    }

    #[test]
    fn replies_with_words_amiss_are_refused() {
        for line in [
            "",
            "OK ",
            "OK 1",
            "DATA",
            "DATA -1",
            "DATA 01",
            "NO what x",
            "TEXT 1",
            "TEXT 1 zz",
            "CHALLENGE ../x eA==",
        ] {
            assert!(Reply::parse(line).is_err(), "{line}");
        }
    }
}
